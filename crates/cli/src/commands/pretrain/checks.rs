//! What is looked at before a run is touched: its context, the weights it starts from.

use crate::config::PretrainConfig;
use crate::exit::usage;
use anyhow::Context;
use burn::tensor::Device;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::hugging_face;
use firebrand_transformer::{Model, ModelConfig};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn check_context(config: &PretrainConfig, model: &ModelConfig) -> anyhow::Result<()> {
    model.validate()?;
    if config.context() > model.seq_len {
        let added = match config.context() - config.training.seq_len {
            0 => String::new(),
            added => format!(" and the {added} tokens that the objective may add"),
        };
        return Err(usage(format!(
            "training.seq_len {}{added} is longer than the model's context, model.seq_len {}",
            config.training.seq_len, model.seq_len
        )));
    }
    Ok(())
}

/// Refuses activation checkpointing where there is none.
pub(super) fn check_checkpointing(config: &PretrainConfig, device: &str) -> anyhow::Result<()> {
    if config.training.activation_checkpointing && device != "cpu" {
        return Err(usage(format!(
            "training.activation_checkpointing works on the device cpu only, and this run is on {device}: leave it out, or \
             use --device cpu; a larger training.grad_accum_steps saves memory everywhere"
        )));
    }
    Ok(())
}

/// A model with new weights, or with those of `from`, which must be the same model for the same tokens.
pub(super) fn new_model<M: Model>(
    from: Option<&Path>,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    seed: u64,
    device: &Device,
) -> anyhow::Result<M> {
    let Some(from) = from else {
        return Ok(M::new(config, seed, device)?);
    };
    if !hugging_face::is_model_folder(from) {
        return Err(usage(format!("--from {}: holds no model (no config.json)", from.display())));
    }
    let model: M = hugging_face::load(from, device).with_context(|| format!("--from {}", from.display()))?;
    let (there, here) = (serde_json::to_value(model.config())?, serde_json::to_value(config)?);
    // What is left out has its default: so the keys of both count.
    let keys: BTreeSet<&String> =
        [&here, &there].into_iter().flat_map(Value::as_object).flat_map(Map::keys).collect();
    let at = |side: &Value, key: &str| side.get(key).cloned().unwrap_or(Value::Null);
    let differences: Vec<String> = keys
        .into_iter()
        // The bytes of tokens are compared with the tokenizers, below.
        .filter(|key| key.as_str() != "spellings" && at(&there, key) != at(&here, key))
        .map(|key| format!("{key}: {} there, {} here", at(&there, key), at(&here, key)))
        .collect();
    if !differences.is_empty() {
        return Err(usage(format!(
            "--from {}: its model is not the one of this config\n  {}",
            from.display(),
            differences.join("\n  ")
        )));
    }
    if from.join("tokenizer.json").exists() {
        let theirs = Tokenizer::load(from)?;
        let differing = (0..tokenizer.vocab_size() as u32)
            .find(|&id| theirs.id_to_token(id) != tokenizer.id_to_token(id));
        if let Some(id) = differing {
            return Err(usage(format!(
                "--from {0}: its tokenizer is another one (id {id} is {1:?} there, {2:?} here); use it by \
                 --set data.tokenizer={0}",
                from.display(),
                theirs.id_to_token(id).unwrap_or(""),
                tokenizer.id_to_token(id).unwrap_or("")
            )));
        }
    }
    Ok(model)
}
