//! `firebrand pretrain --dry-run`: what would be trained, and what memory it takes.

use super::checks::check_context;
use super::spell;
use super::teacher::Teacher;
use crate::args::Global;
use crate::commands::training::estimate;
use crate::config::PretrainConfig;
use crate::output::{line, thousands};
use crate::text::HashedTokenizer;
use firebrand_tokenizer::Tokenizer;
use firebrand_training::MemoryEstimate;
use std::path::Path;

/// The vocabulary that is assumed while there is no tokenizer.
const ASSUMED_VOCABULARY: usize = 256;

/// Prints the model, the memory and the whole config.
pub(super) fn run(
    config: &PretrainConfig,
    teacher: Option<&Teacher<'_>>,
    device: &str,
    global: &Global,
) -> anyhow::Result<()> {
    // The vocabulary is known once there is a tokenizer; one that is there already is looked at.
    let dir = Path::new(&config.data.tokenizer);
    let known = dir.exists().then(|| Tokenizer::load(dir)).transpose()?;
    if let (Some(tokenizer), Some(teacher)) = (&known, teacher) {
        teacher.check_tokenizer(&HashedTokenizer::as_written(tokenizer.clone())?)?;
    }
    let special = config.special_tokens();
    let known = known.map(|tokenizer| tokenizer.with_special_tokens(&special)).transpose()?;
    // A teacher has the student's vocabulary.
    let assumed = teacher.map_or(ASSUMED_VOCABULARY + special.len(), |teacher| teacher.model.vocab_size);
    let vocab_size = known.as_ref().map_or(assumed, Tokenizer::vocab_size);
    let mut model = config.model(vocab_size);
    // What embeddings computed from bytes keep depends on how long tokens are.
    known.iter().for_each(|tokenizer| spell(&mut model, tokenizer));
    check_context(config, &model)?;
    let taught_by = teacher.map(|teacher| &teacher.model);
    let memory =
        MemoryEstimate::new(&model, &config.training, &config.optimizer, data_bytes(config), taught_by);
    estimate::warn(&memory);
    if global.json {
        let n_params = model.n_params();
        let training_flops_per_token = model.training_flops_per_token(config.training.seq_len);
        // The bytes of all tokens are the tokenizer's, and long.
        model.spellings = None;
        return line(serde_json::json!({
            "model": model, "n_params": n_params, "device": device, "memory": memory, "config": config,
            "training_flops_per_token": training_flops_per_token,
        }));
    }
    line(format!(
        "# {} parameters at a vocabulary of {vocab_size}{}, on {device}",
        thousands(model.n_params() as u64),
        if known.is_none() { " (assumed: the tokenizer isn't there yet)" } else { "" }
    ))?;
    line(format!("# {}", estimate::shown(&memory, device)))?;
    line(toml::to_string(config)?.trim_end())
}

/// The size of the token files as far as it can be told: two bytes a token, and of text that is still to be encoded a
/// token a byte, which no tokenizer exceeds.
fn data_bytes(config: &PretrainConfig) -> usize {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len() as usize);
    match &config.data.shards {
        Some(dir) => {
            std::fs::read_dir(dir).map_or(0, |files| files.flatten().map(|file| size(&file.path())).sum())
        }
        None => config.data.texts.iter().map(|text| 2 * size(text)).sum(),
    }
}
