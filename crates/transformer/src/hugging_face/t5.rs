//! `T5ForConditionalGeneration`: T5 [Raffel 2020] and T5 1.1.

use super::names::Rule;
use super::{Fields, head_width};
use crate::TransformerError;
use crate::config::{MlpKind, ModelConfig, NormKind, PositionKind, Preset};
use crate::weights::NamedTensor;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Whether T5 is what an encoder–decoder without extras of ours computes.
pub(super) fn computes(config: &ModelConfig) -> bool {
    config.norm == NormKind::Rms
        && config.position == PositionKind::RelativeBias
        && matches!(config.mlp, MlpKind::Relu | MlpKind::Geglu)
        && !config.bias
        && config.n_kv_heads == config.n_heads
        && config.unscaled_attention
}

/// What `config.json` says of it alone.
pub(super) fn to_json(config: &ModelConfig, end_of_text: Option<u32>) -> Value {
    json!({
        "model_type": "t5",
        "is_encoder_decoder": true,
        "d_model": config.d_model,
        "d_kv": config.d_head(),
        "d_ff": config.d_ff,
        "num_layers": config.n_layers,
        "num_decoder_layers": config.decoder_layers(),
        "num_heads": config.n_heads,
        "n_positions": config.seq_len,
        "relative_attention_num_buckets": config.relative_buckets,
        "relative_attention_max_distance": config.relative_max_distance,
        "layer_norm_epsilon": config.norm_eps,
        "dropout_rate": config.dropout,
        "feed_forward_proj": if config.mlp == MlpKind::Relu { "relu" } else { "gated-gelu" },
        "scale_decoder_outputs": config.scaled_head,
        "pad_token_id": end_of_text,
        "decoder_start_token_id": config.decoder_start.or(end_of_text),
    })
}

/// The model that a `config.json` of T5 describes.
pub(super) fn from_json(json: &Value, path: &Path) -> Result<ModelConfig, TransformerError> {
    let field = Fields { json, path };
    let (d_model, n_heads, d_kv) = (field.count("d_model")?, field.count("num_heads")?, field.count("d_kv")?);
    let mlp = match json["feed_forward_proj"].as_str().unwrap_or("relu") {
        "relu" => MlpKind::Relu,
        "gated-gelu" => MlpKind::Geglu,
        other => {
            return Err(TransformerError::format(
                path,
                format!("feed_forward_proj `{other}` is not supported; relu and gated-gelu are"),
            ));
        }
    };
    let (vocab_size, n_layers) = (field.count("vocab_size")?, field.count("num_layers")?);
    let seq_len = json["n_positions"].as_u64().map_or(512, |n| n as usize);
    let tied_head = json["tie_word_embeddings"] != false;
    let or = |name: &str, default: usize| json[name].as_u64().map_or(default, |n| n as usize);
    let base = ModelConfig::preset(Preset::T5, vocab_size, d_model, n_layers, n_heads, seq_len);
    Ok(ModelConfig {
        d_head: head_width(Some(d_kv as u64), d_model, n_heads),
        d_ff: field.count("d_ff")?,
        n_decoder_layers: Some(or("num_decoder_layers", n_layers)).filter(|&layers| layers != n_layers),
        norm_eps: json["layer_norm_epsilon"].as_f64().unwrap_or(1e-6),
        mlp,
        tied_head,
        // Before transformers 5 the one said the other.
        scaled_head: json["scale_decoder_outputs"].as_bool().unwrap_or(tied_head),
        dropout: json["dropout_rate"].as_f64().unwrap_or(0.0),
        relative_buckets: or("relative_attention_num_buckets", base.relative_buckets),
        relative_max_distance: or("relative_attention_max_distance", base.relative_max_distance),
        ..base
    })
}

/// Refuses a head of its own where the config has none: transformers would use it nevertheless.
pub(super) fn check_head(config: &ModelConfig, tensors: &[NamedTensor]) -> Result<(), TransformerError> {
    let find = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
    match (find("lm_head.weight"), find("shared.weight")) {
        (Some(head), Some(shared)) if config.tied_head && head.values != shared.values => {
            Err(TransformerError::Weights(
                "lm_head.weight is not shared.weight, though config.json ties them: set its tie_word_embeddings to false".into(),
            ))
        }
        _ => Ok(()),
    }
}

/// Old files hold the shared embedding once more for each stack.
pub(super) fn is_copy_of_embedding(name: &str) -> bool {
    matches!(name, "encoder.embed_tokens.weight" | "decoder.embed_tokens.weight")
}

/// A tensor of ours: its name there and here, its shape here, whether it is transposed there.
fn tensors(config: &ModelConfig) -> Vec<(String, String, Vec<usize>, bool)> {
    let (d, heads, d_ff) = (config.d_model, config.d_queries(), config.d_ff);
    let table = vec![config.relative_buckets, config.n_heads];
    let mut tensors =
        vec![("shared.weight".to_string(), "token_embedding".to_string(), vec![config.vocab_size, d], false)];
    for (stack, layers) in [("encoder", config.n_layers), ("decoder", config.decoder_layers())] {
        let last = if stack == "encoder" { 1 } else { 2 };
        tensors.push((
            format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
            format!("{stack}.relative_bias"),
            table.clone(),
            false,
        ));
        for layer in 0..layers {
            let mut add = |theirs: &str, ours: &str, shape: Vec<usize>| {
                let is_matrix = shape.len() == 2;
                tensors.push((
                    format!("{stack}.block.{layer}.layer.{theirs}.weight"),
                    format!("{stack}.layers.{layer}.{ours}.weight"),
                    shape,
                    is_matrix,
                ));
            };
            let mut attention = |theirs: &str, ours: &str| {
                for (letter, map) in [("q", "query"), ("k", "key"), ("v", "value")] {
                    add(&format!("{theirs}.{letter}"), &format!("{ours}.{map}"), vec![d, heads]);
                }
                add(&format!("{theirs}.o"), &format!("{ours}.output"), vec![heads, d]);
            };
            attention("0.SelfAttention", "attention");
            if stack == "decoder" {
                attention("1.EncDecAttention", "cross.attention");
                add("1.layer_norm", "cross.norm", vec![d]);
            }
            add("0.layer_norm", "attention_norm", vec![d]);
            add(&format!("{last}.layer_norm"), "mlp_norm", vec![d]);
            let feed_forward = format!("{last}.DenseReluDense");
            match config.mlp.is_gated() {
                true => {
                    add(&format!("{feed_forward}.wi_0"), "mlp.gate", vec![d, d_ff]);
                    add(&format!("{feed_forward}.wi_1"), "mlp.up", vec![d, d_ff]);
                }
                false => add(&format!("{feed_forward}.wi"), "mlp.up", vec![d, d_ff]),
            }
            add(&format!("{feed_forward}.wo"), "mlp.down", vec![d_ff, d]);
        }
        tensors.push((
            format!("{stack}.final_layer_norm.weight"),
            format!("{stack}.norm.weight"),
            vec![d],
            false,
        ));
    }
    if !config.tied_head {
        tensors.push(("lm_head.weight".into(), "head".into(), vec![config.vocab_size, d], false));
    }
    tensors
}

/// Shapes of our tensors.
pub(super) fn shapes(config: &ModelConfig) -> BTreeMap<String, Vec<usize>> {
    tensors(config).into_iter().map(|(_, ours, shape, _)| (ours, shape)).collect()
}

/// How its tensors are made from ours.
pub(super) fn rules(config: &ModelConfig) -> Vec<Rule> {
    let rule = |(name, ours, _, transposed)| Rule { name, parts: vec![ours], transposed };
    tensors(config).into_iter().map(rule).collect()
}
