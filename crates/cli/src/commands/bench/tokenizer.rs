//! Speed of training, encoding and decoding with either algorithm.

use crate::args::{BenchTokenizerArgs, Global};
use crate::output::line;
use anyhow::Context;
use firebrand_tokenizer::{
    ByteLevelConfig, ByteLevelTrainer, LongestPrefixConfig, LongestPrefixTrainer, Tokenizer, VocabularySize,
};
use std::fs;
use std::time::Instant;

/// How often each is done; the best counts, since whatever else the machine does only slows it down.
const TIMES: usize = 3;

/// Learns from whole texts and encodes one: the work of `bpe.py`.
pub(crate) fn tokenizer(args: &BenchTokenizerArgs, _global: &Global) -> anyhow::Result<()> {
    let read = |path| fs::read_to_string(path).with_context(|| format!("{}", std::path::Path::display(path)));
    let texts = args.texts.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<String>>>()?;
    let encoded = read(&args.encode)?;
    let special_tokens = Vec::new();
    let bytes: usize = texts.iter().map(String::len).sum();

    let (byte_seconds, byte_level) = best(|| -> anyhow::Result<Tokenizer> {
        let config = ByteLevelConfig {
            vocab_size: args.vocab,
            special_tokens: special_tokens.clone(),
            ..ByteLevelConfig::default()
        };
        let mut trainer = ByteLevelTrainer::new(config)?;
        texts.iter().for_each(|text| trainer.feed(text));
        Ok(trainer.finish()?)
    })?;
    let (prefix_seconds, longest_prefix) = best(|| -> anyhow::Result<Tokenizer> {
        let config = LongestPrefixConfig {
            size: VocabularySize::Tokens(args.vocab),
            special_tokens: special_tokens.clone(),
            ..LongestPrefixConfig::default()
        };
        let mut trainer = LongestPrefixTrainer::new(config)?;
        texts.iter().for_each(|text| trainer.feed(text));
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
