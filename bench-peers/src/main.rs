//! Other people's tokenizers in Rust, timed: what `cargo xtask bench tokenizer` holds ours against.
//!
//! Every command prints one object of JSON a text, with `sha256`, the digest of the ids as little-endian 32-bit numbers, by
//! which it is known that both sides did the same work.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Parser, ValueEnum};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerImpl,
};

/// How often each is done; the best counts, since whatever else the machine does only slows it down.
const TIMES: usize = 7;

/// Other people's tokenizers, timed.
#[derive(Parser)]
enum Command {
    /// Train a byte-level vocabulary with Hugging Face tokenizers, on whole texts and all threads.
    Train {
        #[arg(long)]
        vocab: usize,
        #[arg(required = true)]
        texts: Vec<PathBuf>,
    },
    /// Write the tokens of an encoding of OpenAI's as a tiktoken rank file.
    Ranks { encoding: Encoding, out: PathBuf },
    /// Encode texts on one thread with an encoding of OpenAI's.
    Encode {
        encoding: Encoding,
        #[arg(long)]
        peer: Peer,
        #[arg(required = true)]
        texts: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Encoding {
    Cl100kBase,
    O200kBase,
}

#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    BpeOpenai,
    TiktokenRs,
    /// The crate `bpe`, always taking the longest token.
    BpeGreedy,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Train { vocab, texts } => train(vocab, &texts),
        Command::Ranks { encoding, out } => ranks(encoding, &out),
        Command::Encode { encoding, peer, texts } => match peer {
            Peer::BpeOpenai => {
                let peer = openai(encoding);
                each(&texts, |text| peer.encode(text))
            }
            Peer::BpeGreedy => {
                let peer = &openai(encoding).bpe;
                each(&texts, |text| peer.encode_greedy(text.as_bytes()))
            }
            Peer::TiktokenRs => {
                let peer = match encoding {
                    Encoding::Cl100kBase => tiktoken_rs::cl100k_base()?,
                    Encoding::O200kBase => tiktoken_rs::o200k_base()?,
                };
                each(&texts, |text| peer.encode_ordinary(text))
            }
        },
    }
}

fn openai(encoding: Encoding) -> &'static bpe_openai::Tokenizer {
    match encoding {
        Encoding::Cl100kBase => bpe_openai::cl100k_base(),
        Encoding::O200kBase => bpe_openai::o200k_base(),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The seconds of the fastest run, and what the last one gave.
fn best<T>(mut run: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut fastest = f64::INFINITY;
    let mut timed = || {
        let started = Instant::now();
        let result = run();
        fastest = fastest.min(started.elapsed().as_secs_f64());
        result
    };
    for _ in 1..TIMES {
        timed()?;
    }
    let last = timed()?;
    Ok((fastest, last))
}

fn each(texts: &[PathBuf], encode: impl Fn(&str) -> Vec<u32>) -> Result<()> {
    for path in texts {
        let text = read(path)?;
        let (seconds, ids) = best(|| Ok(encode(&text)))?;
        let mut digest = Sha256::new();
        ids.iter().for_each(|id| digest.update(id.to_le_bytes()));
        let sha256: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        println!(
            "{}",
            json!({"text": path, "mb": text.len() as f64 / 1e6, "encode_s": seconds, "tokens": ids.len(), "sha256": sha256})
        );
    }
    Ok(())
}

fn train(vocab: usize, texts: &[PathBuf]) -> Result<()> {
    let texts: Vec<String> = texts.iter().map(|path| read(path)).collect::<Result<_>>()?;
    let (seconds, size) = best(|| {
        let mut tokenizer: TokenizerImpl<
            BPE,
            NormalizerWrapper,
            PreTokenizerWrapper,
            PostProcessorWrapper,
            DecoderWrapper,
        > = TokenizerImpl::new(BPE::default());
        tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true))));
        let mut trainer = BpeTrainerBuilder::new()
            .vocab_size(vocab)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let trained = tokenizer.train(&mut trainer, texts.iter().map(String::as_str));
        trained.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(tokenizer.get_vocab_size(false))
    })?;
    println!("{}", json!({"train_s": seconds, "vocab_size": size}));
    Ok(())
}

fn ranks(encoding: Encoding, out: &Path) -> Result<()> {
    let bpe = &openai(encoding).bpe;
    let mut file = std::io::BufWriter::new(fs::File::create(out)?);
    for id in 0..bpe.num_tokens() as u32 {
        writeln!(file, "{} {id}", BASE64_STANDARD.encode(bpe.token_bytes(id)))?;
    }
    Ok(file.flush()?)
}
