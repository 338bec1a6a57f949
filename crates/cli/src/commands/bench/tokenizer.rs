//! Speed of training, encoding and decoding with either algorithm.

use crate::args::{BenchTokenizerArgs, Global};
use crate::output::line;
use anyhow::Context;
use firebrand_tokenizer::{
    ByteLevelConfig, ByteLevelTrainer, LongestPrefixConfig, LongestPrefixTrainer, Tokenizer, VocabularySize,
};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// How often each is done; the best counts, since whatever else the machine does only slows it down.
const TIMES: usize = 7;

/// Learns from whole texts and encodes one: the work of `bpe.py`.
pub(crate) fn tokenizer(args: &BenchTokenizerArgs, _global: &Global) -> anyhow::Result<()> {
    let read = |path| fs::read_to_string(path).with_context(|| format!("{}", std::path::Path::display(path)));
    let texts = args.texts.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<String>>>()?;
    if let Some(path) = &args.with {
        let tokenizer = Tokenizer::load(path)?;
        return args
            .texts
            .iter()
            .zip(&texts)
            .try_for_each(|(path, text)| encode_with(&tokenizer, path, text));
    }
    let encoded = args.encode.as_deref().map(read).transpose()?.unwrap_or_default();
    let special_tokens = Vec::new();
    let bytes: usize = texts.iter().map(String::len).sum();

    let (byte_seconds, byte_level) = best(|| -> anyhow::Result<Tokenizer> {
        let config = ByteLevelConfig {
            vocab_size: args.vocab,
            special_tokens: special_tokens.clone(),
            ..ByteLevelConfig::default()
        };
        let mut trainer = ByteLevelTrainer::new(config)?;
        trainer.pieces().feed_all(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        Ok(trainer.finish()?)
    })?;
    let (prefix_seconds, longest_prefix) = best(|| -> anyhow::Result<Tokenizer> {
        let config = LongestPrefixConfig {
            size: VocabularySize::Tokens(args.vocab),
            special_tokens: special_tokens.clone(),
            ..LongestPrefixConfig::default()
        };
        let mut trainer = LongestPrefixTrainer::new(config)?;
        trainer.pieces().feed_all(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        Ok(trainer.finish()?)
    })?;
    let of = |tokenizer: &Tokenizer| -> anyhow::Result<serde_json::Value> {
        let (seconds, ids) = best(|| Ok(tokenizer.encode(&encoded)))?;
        let (decode_seconds, decoded) = best(|| Ok(tokenizer.decode(&ids)?))?;
        anyhow::ensure!(decoded == encoded, "decoding gave another text");
        let mb_per_s = |seconds: f64| encoded.len() as f64 / 1e6 / seconds;
        Ok(serde_json::json!({
            "encode_mb_per_s": mb_per_s(seconds), "decode_mb_per_s": mb_per_s(decode_seconds), "tokens": ids.len(),
        }))
    };
    line(serde_json::json!({
        "train_mb": bytes as f64 / 1e6, "encode_mb": encoded.len() as f64 / 1e6,
        "byte_level_train_s": byte_seconds, "longest_prefix_train_s": prefix_seconds,
        "byte_level": of(&byte_level)?, "longest_prefix": of(&longest_prefix)?,
    }))
}

/// One text by one thread and by all.
fn encode_with(tokenizer: &Tokenizer, path: &Path, text: &str) -> anyhow::Result<()> {
    let mut ids = Vec::new();
    let (mut seconds, mut batch_seconds) = (f64::INFINITY, f64::INFINITY);
    // One after the other, so that what else the machine does hits both alike.
    for _ in 0..TIMES {
        let started = Instant::now();
        ids = tokenizer.encode(text);
        seconds = seconds.min(started.elapsed().as_secs_f64());
        let started = Instant::now();
        let batch = tokenizer.encode_batch(&[text]);
        batch_seconds = batch_seconds.min(started.elapsed().as_secs_f64());
        anyhow::ensure!(batch.concat() == ids, "{}: all threads found other ids than one", path.display());
    }
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    line(serde_json::json!({
        "text": path, "mb": text.len() as f64 / 1e6, "encode_s": seconds, "batch_s": batch_seconds, "tokens": ids.len(),
        "sha256": sha256,
    }))
}

/// The seconds of the fastest run, and what the last one gave.
fn best<T>(mut run: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<(f64, T)> {
    let mut fastest = f64::INFINITY;
    let mut timed = || -> anyhow::Result<T> {
        let started = Instant::now();
        let result = run()?;
        fastest = fastest.min(started.elapsed().as_secs_f64());
        Ok(result)
    };
    for _ in 1..TIMES {
        timed()?;
    }
    let last = timed()?;
    Ok((fastest, last))
}
