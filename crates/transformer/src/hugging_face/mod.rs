//! Model folders as Hugging Face transformers reads them: `config.json`, `model.safetensors`, `generation_config.json`.
//!
//! A config that maps to Llama, GPT-2, T5, BERT or ELECTRA is written as such; any other as one of our own (`FirebrandForCausalLM`, …), which only
//! Firebrand reads. Our own description of the model stands in `config.json` too, under the key `firebrand`, so that a folder we
//! wrote is read back as exactly the model it was (a GPT-2 without biases is written with biases of zero).

mod bert;
mod classifier;
mod conventions;
mod files;
mod names;
mod peft;
mod prompts;
mod t5;

pub use classifier::{OWN_CLASSIFIER, load_classifier, load_head, save_classifier};
pub use conventions::Conventions;
pub use files::{is_model_folder, load, load_any, load_config, save};
pub use peft::{AdapterFolder, SaveAdapters, base_of_adapter, save_merged};
pub use prompts::{holds_prompt, load_prompt, save_prompt};

use crate::TransformerError;
use crate::config::{MlpKind, ModelConfig, ModelKind, NormKind, PositionKind, Preset};
use serde_json::{Value, json};
use std::path::Path;

/// The architectures a config can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `LlamaForCausalLM`.
    Llama,
    /// `GPT2LMHeadModel`.
    Gpt2,
    /// `T5ForConditionalGeneration`.
    T5,
    /// A decoder that no architecture of transformers computes: `FirebrandForCausalLM`.
    Firebrand,
    /// `FirebrandForBidirectionalLM`: transformers has no such model.
    FirebrandBidirectional,
    /// An encoder–decoder that no architecture of transformers computes: `FirebrandForConditionalGeneration`.
    FirebrandEncoderDecoder,
    /// `FirebrandForPermutationLM`: transformers' XLNet has other positions.
    FirebrandPermutation,
    /// `BertForMaskedLM`.
    BertMasked,
    /// `BertForPreTraining`: with a head for next sentences.
    BertPreTraining,
    /// `BertModel`: without heads.
    Bert,
    /// `ElectraForPreTraining`: the discriminator of replaced tokens.
    Electra,
    /// An encoder that no architecture of transformers computes: `FirebrandForMaskedLM`.
    FirebrandEncoder,
}

impl Architecture {
    /// What `config` is called in Hugging Face's terms.
    pub fn of(config: &ModelConfig) -> Self {
        let plain = !config.qk_norm && config.logit_soft_cap == 0.0 && !config.prefix_attention;
        let llama = config.norm == NormKind::Rms
            && config.position == PositionKind::Rope
            && config.mlp == MlpKind::Swiglu;
        let gpt2 = config.norm == NormKind::Layer
            && config.position == PositionKind::Learned
            && !config.mlp.is_gated()
            && config.n_kv_heads == config.n_heads
            && config.d_queries() == config.d_model;
        match config.kind {
            ModelKind::Decoder => {}
            ModelKind::Bidirectional => return Self::FirebrandBidirectional,
            ModelKind::EncoderDecoder if plain && t5::computes(config) => return Self::T5,
            ModelKind::EncoderDecoder => return Self::FirebrandEncoderDecoder,
            ModelKind::Permutation => return Self::FirebrandPermutation,
            ModelKind::Encoder => return bert::architecture(config),
        }
        match (plain, llama, gpt2) {
            (true, true, _) => Self::Llama,
            (true, _, true) => Self::Gpt2,
            _ => Self::Firebrand,
        }
    }

    /// The class name in `config.json`.
    pub fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Gpt2 => "GPT2LMHeadModel",
            Self::T5 => "T5ForConditionalGeneration",
            Self::Firebrand => "FirebrandForCausalLM",
            Self::FirebrandBidirectional => "FirebrandForBidirectionalLM",
            Self::FirebrandEncoderDecoder => "FirebrandForConditionalGeneration",
            Self::FirebrandPermutation => "FirebrandForPermutationLM",
            Self::BertMasked => "BertForMaskedLM",
            Self::BertPreTraining => "BertForPreTraining",
            Self::Bert => "BertModel",
            Self::Electra => "ElectraForPreTraining",
            Self::FirebrandEncoder => "FirebrandForMaskedLM",
        }
    }

    /// Whether Hugging Face transformers has it.
    pub fn is_in_transformers(self) -> bool {
        match self {
            Self::Llama | Self::Gpt2 | Self::T5 => true,
            Self::BertMasked | Self::BertPreTraining | Self::Bert | Self::Electra => true,
            Self::Firebrand
            | Self::FirebrandBidirectional
            | Self::FirebrandPermutation
            | Self::FirebrandEncoderDecoder
            | Self::FirebrandEncoder => false,
        }
    }

    /// Whether it is one of those that [`bert`] describes.
    fn is_bert(self) -> bool {
        matches!(self, Self::BertMasked | Self::BertPreTraining | Self::Bert | Self::Electra)
    }
}

/// `config.json` for `config`. `end_of_text` is the id that ends a document, if any.
pub(crate) fn to_json(config: &ModelConfig, end_of_text: Option<u32>) -> Value {
    let architecture = Architecture::of(config);
    let mut json = match architecture {
        Architecture::Llama => json!({
            "model_type": "llama",
            "hidden_size": config.d_model,
            "intermediate_size": config.d_ff,
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_kv_heads,
            "head_dim": config.d_head(),
            "max_position_embeddings": config.seq_len,
            "rms_norm_eps": config.norm_eps,
            "rope_theta": config.rope_theta,
            "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
            "hidden_act": "silu",
            "attention_bias": config.bias,
            "mlp_bias": config.bias,
        }),
        Architecture::Gpt2 => json!({
            "model_type": "gpt2",
            "n_embd": config.d_model,
            "n_inner": config.d_ff,
            "n_layer": config.n_layers,
            "n_head": config.n_heads,
            "n_positions": config.seq_len,
            "n_ctx": config.seq_len,
            "layer_norm_epsilon": config.norm_eps,
            "activation_function": activation_name(config.mlp),
            "embd_pdrop": config.dropout,
            "attn_pdrop": 0.0,
            "resid_pdrop": config.dropout,
        }),
        Architecture::T5 => t5::to_json(config, end_of_text),
        Architecture::BertMasked
        | Architecture::BertPreTraining
        | Architecture::Bert
        | Architecture::Electra => bert::to_json(config, architecture, end_of_text),
        Architecture::Firebrand
        | Architecture::FirebrandBidirectional
        | Architecture::FirebrandPermutation
        | Architecture::FirebrandEncoderDecoder
        | Architecture::FirebrandEncoder => json!({"model_type": "firebrand"}),
    };
    json["architectures"] = json!([architecture.class()]);
    json["vocab_size"] = json!(config.vocab_size);
    json["tie_word_embeddings"] = json!(config.tied_head);
    json["torch_dtype"] = json!("float32");
    json["initializer_range"] = json!(crate::init::STD);
    json["bos_token_id"] = json!(end_of_text);
    json["eos_token_id"] = json!(end_of_text);
    json["firebrand"] = json!(config);
    json
}

/// The model that a `config.json` describes.
pub(crate) fn from_json(json: &Value, path: &Path) -> Result<ModelConfig, TransformerError> {
    let config = if let Some(own) = json.get("firebrand") {
        serde_json::from_value(own.clone()).map_err(|error| {
            TransformerError::format(path, format!("`firebrand` describes no model of this version ({error}); it was written by another version of Firebrand"))
        })?
    } else {
        match json["model_type"].as_str() {
            Some("llama") => llama_from_json(json, path)?,
            Some("gpt2") => gpt2_from_json(json, path)?,
            Some("t5") => t5::from_json(json, path)?,
            Some("bert" | "electra") => bert::from_json(json, path)?,
            Some(other) => {
                return Err(TransformerError::format(
                    path,
                    format!("model_type `{other}` is not supported; llama, gpt2, t5, bert and electra are"),
                ));
            }
            None => {
                return Err(TransformerError::format(path, "has no `model_type`; is it a model's config?"));
            }
        }
    };
    config.validate()?;
    Ok(config)
}

fn llama_from_json(json: &Value, path: &Path) -> Result<ModelConfig, TransformerError> {
    let field = Fields { json, path };
    if json.get("rope_scaling").is_some_and(|scaling| !scaling.is_null()) {
        return Err(TransformerError::format(path, "`rope_scaling` is not supported"));
    }
    let rope = json.get("rope_parameters");
    if let Some(kind) = rope.and_then(|rope| rope["rope_type"].as_str()).filter(|&kind| kind != "default") {
        return Err(TransformerError::format(
            path,
            format!("rope_type `{kind}` is not supported; default is"),
        ));
    }
    if json["hidden_act"].as_str().is_some_and(|act| act != "silu") {
        return Err(TransformerError::format(path, "`hidden_act` is not silu"));
    }
    let (attention_bias, mlp_bias) = (json["attention_bias"] == true, json["mlp_bias"] == true);
    if attention_bias != mlp_bias {
        return Err(TransformerError::format(path, "attention_bias and mlp_bias differ: not supported"));
    }
    let (d_model, n_heads) = (field.count("hidden_size")?, field.count("num_attention_heads")?);
    let theta = rope.and_then(|rope| rope["rope_theta"].as_f64()).or(json["rope_theta"].as_f64());
    let (vocab_size, n_layers) = (field.count("vocab_size")?, field.count("num_hidden_layers")?);
    let seq_len = field.count("max_position_embeddings")?;
    Ok(ModelConfig {
        n_kv_heads: json["num_key_value_heads"].as_u64().map_or(n_heads, |n| n as usize),
        d_head: head_width(json["head_dim"].as_u64(), d_model, n_heads),
        d_ff: field.count("intermediate_size")?,
        norm_eps: json["rms_norm_eps"].as_f64().unwrap_or(1e-6),
        rope_theta: theta.unwrap_or(10_000.0),
        tied_head: json["tie_word_embeddings"] == true,
        bias: attention_bias,
        ..ModelConfig::preset(Preset::Llama, vocab_size, d_model, n_layers, n_heads, seq_len)
    })
}

/// The width of a head that a `config.json` names, where it is not the usual one.
fn head_width(named: Option<u64>, d_model: usize, n_heads: usize) -> Option<usize> {
    named.map(|d_head| d_head as usize).filter(|d_head| d_head.checked_mul(n_heads) != Some(d_model))
}

fn gpt2_from_json(json: &Value, path: &Path) -> Result<ModelConfig, TransformerError> {
    let field = Fields { json, path };
    let act = json["activation_function"].as_str().unwrap_or("gelu_new");
    let mlp = match act {
        "gelu_new" | "gelu_pytorch_tanh" => MlpKind::GeluTanh,
        "gelu" => MlpKind::Gelu,
        "relu" => MlpKind::Relu,
        "relu2" => MlpKind::Relu2,
        other => {
            return Err(TransformerError::format(
                path,
                format!("activation_function `{other}` is not supported"),
            ));
        }
    };
    for (name, supported) in [("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false)] {
        if json[name].as_bool().is_some_and(|value| value != supported) {
            return Err(TransformerError::format(path, format!("{name} {} is not supported", !supported)));
        }
    }
    let (d_model, n_heads) = (field.count("n_embd")?, field.count("n_head")?);
    let (vocab_size, n_layers) = (field.count("vocab_size")?, field.count("n_layer")?);
    let seq_len = field.count("n_positions")?;
    Ok(ModelConfig {
        d_ff: json["n_inner"].as_u64().map_or(4 * d_model, |n| n as usize),
        norm_eps: json["layer_norm_epsilon"].as_f64().unwrap_or(1e-5),
        mlp,
        tied_head: json["tie_word_embeddings"] != false,
        dropout: json["resid_pdrop"].as_f64().unwrap_or(0.0),
        ..ModelConfig::preset(Preset::Gpt2, vocab_size, d_model, n_layers, n_heads, seq_len)
    })
}

fn activation_name(mlp: MlpKind) -> &'static str {
    match mlp {
        MlpKind::Gelu => "gelu",
        MlpKind::GeluTanh => "gelu_new",
        MlpKind::Relu => "relu",
        MlpKind::Relu2 => "relu2",
        MlpKind::Swiglu => "silu",
        MlpKind::Geglu => "gelu_new",
    }
}

struct Fields<'a> {
    json: &'a Value,
    path: &'a Path,
}

impl Fields<'_> {
    fn count(&self, name: &str) -> Result<usize, TransformerError> {
        match self.json[name].as_u64() {
            Some(count) => Ok(count as usize),
            None => Err(TransformerError::format(
                self.path,
                format!("`{name}` should be a count, but is {}", self.json.get(name).unwrap_or(&Value::Null)),
            )),
        }
    }
}
