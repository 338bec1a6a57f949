//! Speed of tokenizers: training on books and encoding one, against Hugging Face tokenizers and tiktoken.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::figure::{Figure, TargetIs};
use super::peer::{PeerResult, python_and_script};
use super::{Bench, Options, json, tokenizer_peers, without_overrides};
use crate::{machine, process};

const HUGGING_FACE: &str = "tokenizers";
const TIKTOKEN: &str = "tiktoken";
/// The book that is encoded.
const ENCODED: &str = "david_copperfield.txt";
const VOCABULARY: &str = "8192";
const CASE: &str = "gutenberg";

/// What `firebrand bench-tokenizer` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    byte_level_train_s: f64,
    longest_prefix_train_s: f64,
    byte_level: Speed,
    longest_prefix: Speed,
}

/// What `bench-peers train` prints.
#[derive(Debug, Deserialize)]
struct Trained {
    train_s: f64,
}

#[derive(Debug, Deserialize)]
struct Speed {
    encode_mb_per_s: f64,
    decode_mb_per_s: f64,
}

/// Measures, one side after the other in each round.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let mut figures = books(firebrand, options)?;
    figures.extend(tokenizer_peers::run(firebrand, options)?);
    Ok(figures)
}

fn books(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    if !options.wants(CASE) {
        return Ok(Vec::new());
    }
    let books = match machine::shared("data/gutenberg")? {
        Ok(books) => books,
        Err(reason) => {
            eprintln!("{CASE} is skipped: {reason}");
            return Ok(Vec::new());
        }
    };
    let mut texts: Vec<PathBuf> = std::fs::read_dir(&books)
        .with_context(|| books.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    texts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    texts.sort();
    let encoded = books.join(ENCODED);
    let peer = python_and_script("bpe.py", "tiktoken", "tokenizers and tiktoken")?;
    let rustbpe = rustbpe();
    let crates = tokenizer_peers::build()?;
    let (mut ours, mut theirs, mut rustbpe_seconds) = (Vec::new(), Vec::new(), Vec::new());
    let mut crate_seconds = Vec::new();
    for round in 1..=options.rounds {
        let mut command = Command::new(firebrand);
        command.arg("bench-tokenizer").args(&texts).args(["--vocab", VOCABULARY, "--encode"]).arg(&encoded);
        without_overrides(&mut command);
        let measured: Measured = json(&process::output("measure the tokenizer", &mut command)?)?;
        let (train, encode) = (measured.byte_level_train_s, measured.byte_level.encode_mb_per_s);
        eprintln!("{CASE} round {round}/{}: trained in {train:.3} s, {encode:.0} MB/s", options.rounds);
        ours.push(measured);
        if let Some((python, script)) = &peer {
            let mut command = Command::new(python);
            command.arg(script).args(&texts).args(["--vocab", VOCABULARY, "--encode"]).arg(&encoded);
            // Encoding is compared on one thread; in training, all there are.
            without_overrides(&mut command);
            let printed = process::output("measure tokenizers and tiktoken", &mut command)?;
            theirs.push(PeerResult::of("bpe.py", printed));
        }
        let mut command = Command::new(&crates);
        command.args(["train", "--vocab", VOCABULARY]).args(&texts);
        without_overrides(&mut command);
        let trained: Trained = json(&process::output("measure the crate tokenizers", &mut command)?)?;
        crate_seconds.push(trained.train_s);
        if let Some((python, script)) = &rustbpe {
            let mut command = Command::new(python);
            command.arg(script).args(&texts).args(["--vocab", VOCABULARY]);
            without_overrides(&mut command);
            let printed = PeerResult::of("rustbpe.py", process::output("measure rustbpe", &mut command)?);
            rustbpe_seconds.push(printed.number("rustbpe_train_s")?);
        }
    }
    let peers = |name: &str| theirs.iter().map(|peer| peer.number(name)).collect::<Result<Vec<f64>>>();
    let (hugging_face, tiktoken) = (peers("hf_train_s")?, peers("tiktoken_encode_mb_s")?);
    let figure = |case: &str, unit, of: fn(&Measured) -> f64| {
        let values: Vec<f64> = ours.iter().map(of).collect();
        Figure::new(Bench::Tokenizer.name(), case, unit, &values)
    };
    let figures = [
        figure("byte-level", "s to train", |measured| measured.byte_level_train_s)
            .map(|figure| figure.beside(HUGGING_FACE, &hugging_face).with_target(TargetIs::MostRatio, 0.125)),
        figure("byte-level", "s to train", |measured| measured.byte_level_train_s).map(|figure| {
            figure.beside("tokenizers, the crate", &crate_seconds).with_target(TargetIs::MostRatio, 0.125)
        }),
        figure("byte-level", "s to train", |measured| measured.byte_level_train_s)
            .filter(|_| !rustbpe_seconds.is_empty())
            .map(|figure| figure.beside("rustbpe", &rustbpe_seconds).with_target(TargetIs::MostRatio, 0.25)),
        figure("longest-prefix", "× byte-level's time", |measured| {
            measured.longest_prefix_train_s / measured.byte_level_train_s
        })
        .map(|figure| figure.with_target(TargetIs::MostValue, 3.0)),
        figure("byte-level", "MB/s encoded", |measured| measured.byte_level.encode_mb_per_s)
            .map(|figure| figure.beside(TIKTOKEN, &tiktoken).with_target(TargetIs::LeastRatio, 4.0)),
        figure("longest-prefix", "MB/s encoded", |measured| measured.longest_prefix.encode_mb_per_s),
        figure("byte-level", "MB/s decoded", |measured| measured.byte_level.decode_mb_per_s)
            .map(|figure| figure.with_target(TargetIs::LeastValue, 500.0)),
        figure("longest-prefix", "MB/s decoded", |measured| measured.longest_prefix.decode_mb_per_s)
            .map(|figure| figure.with_target(TargetIs::LeastValue, 500.0)),
    ];
    Ok(figures.into_iter().flatten().collect())
}

fn rustbpe() -> Option<(PathBuf, PathBuf)> {
    match machine::python_with("rustbpe") {
        Ok(python) => Some((python, tokenizer_peers::folder().join("rustbpe.py"))),
        Err(reason) => {
            eprintln!("rustbpe is skipped: {reason}");
            None
        }
    }
}
