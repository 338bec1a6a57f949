//! BERT's and ELECTRA's folders: which encoders are such models, their `config.json`, their tensors.

use super::names::Rule;
use super::{Architecture, Fields, activation_name};
use crate::TransformerError;
use crate::config::{
    EncoderHeads, MlpKind, ModelConfig, ModelKind, NormKind, NormPlacement, PositionKind, Preset,
};
use serde_json::{Value, json};
use std::path::Path;

/// What an encoder is called there. Where it goes without biases they are written as zeros.
pub(super) fn architecture(config: &ModelConfig) -> Architecture {
    let bert = config.norm == NormKind::Layer
        && config.norm_placement == NormPlacement::Post
        && config.position == PositionKind::Learned
        && !config.mlp.is_gated()
        && config.n_kv_heads == config.n_heads
        && config.d_queries() == config.d_model
        && config.token_types > 0
        && config.embedding_norm
        && config.tied_head
        && !config.qk_norm
        && config.logit_soft_cap == 0.0;
    let EncoderHeads { masked, next_sentence, replaced } = config.heads;
    match (bert, masked, next_sentence, replaced) {
        (true, true, false, false) => Architecture::BertMasked,
        (true, true, true, false) => Architecture::BertPreTraining,
        (true, false, false, false) => Architecture::Bert,
        (true, false, false, true) => Architecture::Electra,
        _ => Architecture::FirebrandEncoder,
    }
}

/// What `config.json` says of the model's shape.
pub(super) fn to_json(config: &ModelConfig, architecture: Architecture, end_of_text: Option<u32>) -> Value {
    let mut json = json!({
        "model_type": "bert",
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "max_position_embeddings": config.seq_len,
        "type_vocab_size": config.token_types,
        "layer_norm_eps": config.norm_eps,
        "hidden_act": activation_name(config.mlp),
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": end_of_text,
    });
    if architecture == Architecture::Electra {
        json["model_type"] = json!("electra");
        json["embedding_size"] = json!(config.d_model);
    }
    json
}

/// The model that a `config.json` of BERT's or ELECTRA's describes.
pub(super) fn from_json(json: &Value, path: &Path) -> Result<ModelConfig, TransformerError> {
    let fail = |message: String| Err(TransformerError::format(path, message));
    let field = Fields { json, path };
    let electra = json["model_type"] == "electra";
    let class = json["architectures"][0].as_str().unwrap_or(if electra {
        "ElectraForPreTraining"
    } else {
        "BertForMaskedLM"
    });
    let none = EncoderHeads::default();
    let heads = match class {
        "BertForMaskedLM" => EncoderHeads { masked: true, ..none },
        "BertForPreTraining" => EncoderHeads { masked: true, next_sentence: true, ..none },
        "BertModel" | "BertForSequenceClassification" | "BertForTokenClassification" => none,
        "ElectraForPreTraining" => EncoderHeads { replaced: true, ..none },
        other => {
            return fail(format!(
                "architecture `{other}` is not supported; BertForMaskedLM, BertForPreTraining, BertModel, \
                 BertForSequenceClassification, BertForTokenClassification and ElectraForPreTraining are"
            ));
        }
    };
    let mlp = match json["hidden_act"].as_str().unwrap_or("gelu") {
        "gelu" => MlpKind::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" => MlpKind::GeluTanh,
        "relu2" => MlpKind::Relu2,
        other => return fail(format!("hidden_act `{other}` is not supported")),
    };
    for name in ["is_decoder", "add_cross_attention"] {
        if json[name] == true {
            return fail(format!("{name} true is not supported: this is an encoder"));
        }
    }
    if let Some(kind) = json["position_embedding_type"].as_str().filter(|&kind| kind != "absolute") {
        return fail(format!("position_embedding_type `{kind}` is not supported; absolute is"));
    }
    if json["tie_word_embeddings"] == false && heads.masked {
        return fail("tie_word_embeddings false is not supported".into());
    }
    let (d_model, n_heads) = (field.count("hidden_size")?, field.count("num_attention_heads")?);
    if json["embedding_size"].as_u64().is_some_and(|size| size as usize != d_model) {
        return fail("embedding_size is not hidden_size: not supported".into());
    }
    let vocab_size = field.count("vocab_size")?;
    let seq_len = field.count("max_position_embeddings")?;
    let n_layers = field.count("num_hidden_layers")?;
    Ok(ModelConfig {
        d_ff: field.count("intermediate_size")?,
        norm_eps: json["layer_norm_eps"].as_f64().unwrap_or(1e-12),
        mlp,
        token_types: json["type_vocab_size"].as_u64().map_or(2, |types| types as usize),
        dropout: json["hidden_dropout_prob"].as_f64().unwrap_or(0.0),
        kind: ModelKind::Encoder,
        heads,
        ..ModelConfig::preset(Preset::Bert, vocab_size, d_model, n_layers, n_heads, seq_len)
    })
}

/// A tensor's name as it would be written today: the first BERT checkpoints call the norms' parameters gamma and beta, and a
/// `BertModel` goes without the prefix.
pub(super) fn current_name(name: String, architecture: Architecture) -> String {
    let name = match (name.strip_suffix(".gamma"), name.strip_suffix(".beta")) {
        (Some(norm), _) => format!("{norm}.weight"),
        (_, Some(norm)) => format!("{norm}.bias"),
        _ => name,
    };
    let bare = ["embeddings.", "encoder.", "pooler."].iter().any(|start| name.starts_with(start));
    if bare { format!("{}{name}", prefix(architecture)) } else { name }
}

/// Whether a tensor that is in such folders repeats another one, or belongs to a head that the architecture goes without.
pub(super) fn is_redundant(name: &str, config: &ModelConfig) -> bool {
    name.ends_with("embeddings.position_ids")
        || name.starts_with("cls.predictions.decoder.")
        || (!config.heads.masked && name.starts_with("cls.predictions."))
        || (!config.heads.next_sentence
            && (name.starts_with("bert.pooler.") || name.starts_with("cls.seq_relationship.")))
        || (config.generator.is_none() && name.starts_with("generator."))
}

fn prefix(architecture: Architecture) -> &'static str {
    if architecture == Architecture::Electra { "electra." } else { "bert." }
}

/// The shapes of what an encoder has beside its layers.
pub(super) fn shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let d = config.d_model;
    let mut shapes = vec![
        ("token_type_embedding".to_string(), vec![config.token_types, d]),
        ("masked_head.bias".to_string(), vec![config.vocab_size]),
    ];
    for norm in ["embedding_norm", "masked_head.norm"] {
        shapes.push((format!("{norm}.weight"), vec![d]));
        shapes.push((format!("{norm}.bias"), vec![d]));
    }
    for (map, d_out) in [
        ("masked_head.dense", d),
        ("next_sentence_head.pooler", d),
        ("next_sentence_head.classifier", 2),
        ("replaced_head.dense", d),
        ("replaced_head.classifier", 1),
    ] {
        shapes.push((format!("{map}.weight"), vec![d, d_out]));
        shapes.push((format!("{map}.bias"), vec![d_out]));
    }
    shapes
}

pub(super) fn rules(config: &ModelConfig) -> Vec<Rule> {
    let prefix = prefix(Architecture::of(config));
    let mut rules = Vec::new();
    let mut one = |theirs: String, ours: &str, transposed: bool| {
        rules.push(Rule { name: theirs, parts: vec![ours.to_string()], transposed });
    };
    for (theirs, ours) in [
        ("word_embeddings.weight", "token_embedding"),
        ("position_embeddings.weight", "position_embedding"),
        ("token_type_embeddings.weight", "token_type_embedding"),
        ("LayerNorm.weight", "embedding_norm.weight"),
        ("LayerNorm.bias", "embedding_norm.bias"),
    ] {
        one(format!("{prefix}embeddings.{theirs}"), ours, false);
    }
    for layer in 0..config.n_layers {
        for (theirs, ours, is_map) in [
            ("attention.self.query", "attention.query", true),
            ("attention.self.key", "attention.key", true),
            ("attention.self.value", "attention.value", true),
            ("attention.output.dense", "attention.output", true),
            ("attention.output.LayerNorm", "attention_norm", false),
            ("intermediate.dense", "mlp.up", true),
            ("output.dense", "mlp.down", true),
            ("output.LayerNorm", "mlp_norm", false),
        ] {
            let theirs = format!("{prefix}encoder.layer.{layer}.{theirs}");
            one(format!("{theirs}.weight"), &format!("layers.{layer}.{ours}.weight"), is_map);
            one(format!("{theirs}.bias"), &format!("layers.{layer}.{ours}.bias"), false);
        }
    }
    let EncoderHeads { masked, next_sentence, replaced } = config.heads;
    for (is_there, theirs, ours, is_map) in [
        (masked, "cls.predictions.transform.dense", "masked_head.dense", true),
        (masked, "cls.predictions.transform.LayerNorm", "masked_head.norm", false),
        (next_sentence, "bert.pooler.dense", "next_sentence_head.pooler", true),
        (next_sentence, "cls.seq_relationship", "next_sentence_head.classifier", true),
        (replaced, "discriminator_predictions.dense", "replaced_head.dense", true),
        (replaced, "discriminator_predictions.dense_prediction", "replaced_head.classifier", true),
    ] {
        if is_there {
            one(format!("{theirs}.weight"), &format!("{ours}.weight"), is_map);
            one(format!("{theirs}.bias"), &format!("{ours}.bias"), false);
        }
    }
    if masked {
        one("cls.predictions.bias".into(), "masked_head.bias", false);
    }
    rules
}
