//! The model that is trained further: what it was, and its new head.

use crate::config::FinetuneConfig;
use crate::exit::usage;
use crate::run::check_model_folder;
use anyhow::Context;
use burn::tensor::Device;
use firebrand_finetune::MethodKind;
use firebrand_tokenizer::Tokenizer;
use firebrand_training::TrainingConfig;
use firebrand_transformer::lora::with_adapters;
use firebrand_transformer::{Body, Classifier, HeadConfig, ModelConfig, ModelKind, hugging_face};
use std::path::Path;

/// What the model in `from` is; refuses what cannot be trained as `config` says.
pub(super) fn look(from: &Path, config: &FinetuneConfig) -> anyhow::Result<ModelConfig> {
    check_model_folder(from)?;
    let body = hugging_face::load_config(from).with_context(|| format!("--from {}", from.display()))?;
    if config.head.lm_weight > 0.0 && (body.kind != ModelKind::Decoder || body.prefix_attention) {
        return Err(usage(format!(
            "head.lm_weight {} is for models that predict the next token (of the objectives causal and fill-in-the-middle), and \
             {} is none",
            config.head.lm_weight,
            from.display()
        )));
    }
    Ok(body)
}

/// The tokenizer in `from`.
pub(super) fn tokenizer(from: &Path, body: &ModelConfig) -> anyhow::Result<Tokenizer> {
    if !from.join("tokenizer.json").exists() {
        return Err(usage(format!(
            "--from {}: has no tokenizer.json, and texts are to be read as it was trained to read them",
            from.display()
        )));
    }
    let tokenizer = Tokenizer::load(from)?;
    if tokenizer.vocab_size() > body.vocab_size {
        return Err(usage(format!(
            "--from {}: the tokenizer has {} tokens, but the model only {}",
            from.display(),
            tokenizer.vocab_size(),
            body.vocab_size
        )));
    }
    Ok(tokenizer)
}

/// Refuses texts longer than the model reads.
pub(super) fn check_context(training: &TrainingConfig, body: &ModelConfig) -> anyhow::Result<()> {
    match training.seq_len <= body.seq_len {
        true => Ok(()),
        false => Err(usage(format!(
            "training.seq_len {} is longer than the model's context of {}",
            training.seq_len, body.seq_len
        ))),
    }
}

/// The model in `from` with a head: its own, if it was fine-tuned for the same labels, else a fresh one; and with adapters, where
/// those are what is trained.
pub(super) fn open(
    from: &Path,
    head: HeadConfig,
    config: &FinetuneConfig,
    device: &Device,
) -> anyhow::Result<Classifier> {
    let at = || format!("--from {}", from.display());
    let theirs = hugging_face::load_head(from).ok().flatten();
    let classifier = match theirs == Some(head.clone()) && !config.method.scratch {
        true => hugging_face::load_classifier(from, device).with_context(at)?,
        false => {
            let body = match config.method.scratch {
                true => {
                    Body::made(&hugging_face::load_config(from).with_context(at)?, Some(config.seed), device)?
                }
                false => Body::from(hugging_face::load_any(from, device).with_context(at)?),
            };
            Classifier::new(body, head, config.seed)?
        }
    };
    let classifier = match config.method.kind {
        MethodKind::Lora => with_adapters(classifier, &config.lora.adapters(), config.seed)?,
        _ => classifier,
    };
    Ok(classifier.with_checkpointing(config.training.activation_checkpointing))
}
