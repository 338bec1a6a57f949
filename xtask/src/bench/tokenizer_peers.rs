//! Encoding speed at the same ids, against Rust crates: `bench-peers`, a workspace of its own that is built for this.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::figure::{Figure, TargetIs};
use super::{Bench, Options, json, without_overrides};
use crate::{machine, process};

const CASE: &str = "same-ids";
const PATHOLOGICAL_BYTES: usize = 10_000_000;

/// One text, encoded by either side.
#[derive(Deserialize)]
struct Encoded {
    mb: f64,
    encode_s: f64,
    /// By all threads; of ours only.
    batch_s: Option<f64>,
    sha256: String,
}

/// What a text is called, and where it is.
type Text = (&'static str, PathBuf);

/// The folder of the package.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("bench-peers")
}

pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    if !options.wants(CASE) {
        return Ok(Vec::new());
    }
    let temporary = tempfile::tempdir().context("a temporary folder")?;
    let texts = match texts(temporary.path())? {
        Ok(texts) => texts,
        Err(reason) => {
            eprintln!("{CASE} is skipped: {reason}");
            return Ok(Vec::new());
        }
    };
    let peers = build()?;
    let ranks = temporary.path().join("cl100k_base.tiktoken");
    process::run_step("write the ranks", Command::new(&peers).args(["ranks", "cl100k_base"]).arg(&ranks))?;
    let prefixes = temporary.path().join("longest-prefix");
    let mut train = Command::new(firebrand);
    train.args([
        "tokenizer",
        "train",
        "--quiet",
        "--algorithm",
        "longest-prefix",
        "--pattern",
        "none",
        "--out",
    ]);
    train.arg(&prefixes).arg(&texts[0].1);
    without_overrides(&mut train);
    process::run_step("train", &mut train)?;
    let (mut same, mut tiktoken, mut greedy) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        eprintln!("{CASE} round {round}/{}", options.rounds);
        let ours = encode(Command::new(firebrand).arg("bench-tokenizer").arg("--with").arg(&ranks), &texts)?;
        let mut theirs = Command::new(&peers);
        let theirs = encode(theirs.args(["encode", "cl100k_base", "--peer", "bpe-openai"]), &texts)?;
        for ((name, _), (ours, theirs)) in texts.iter().zip(ours.iter().zip(&theirs)) {
            ensure!(ours.sha256 == theirs.sha256, "{name}: bpe-openai gives other ids");
        }
        let book = &texts[..1];
        let mut other = Command::new(&peers);
        let other = encode(other.args(["encode", "cl100k_base", "--peer", "tiktoken-rs"]), book)?;
        ensure!(other[0].sha256 == ours[0].sha256, "tiktoken-rs gives other ids");
        tiktoken.extend(other);
        same.push((ours, theirs));
        let mut ours = Command::new(firebrand);
        ours.arg("bench-tokenizer").arg("--with").arg(&prefixes);
        let ours = encode(&mut ours, book)?;
        // With its own vocabulary: `bpe` takes none that its merges do not reach, as ours is.
        let mut theirs = Command::new(&peers);
        let theirs = encode(theirs.args(["encode", "cl100k_base", "--peer", "bpe-greedy"]), book)?;
        greedy.push((ours, theirs));
    }
    let speed = |encoded: &Encoded| encoded.mb / encoded.encode_s;
    let name = Bench::Tokenizer.name();
    let mut figures = Vec::new();
    for (at, (text, _)) in texts.iter().enumerate() {
        let ours: Vec<f64> = same.iter().map(|(ours, _)| speed(&ours[at])).collect();
        let theirs: Vec<f64> = same.iter().map(|(_, theirs)| speed(&theirs[at])).collect();
        let figure = Figure::new(name, text, "MB/s encoded, cl100k", &ours);
        figures.extend(
            figure.map(|figure| figure.beside("bpe-openai", &theirs).with_target(TargetIs::LeastRatio, 2.5)),
        );
    }
    let ours: Vec<f64> = same.iter().map(|(ours, _)| speed(&ours[0])).collect();
    let theirs: Vec<f64> = tiktoken.iter().map(speed).collect();
    let figure = Figure::new(name, texts[0].0, "MB/s encoded, cl100k", &ours);
    figures.extend(
        figure.map(|figure| figure.beside("tiktoken-rs", &theirs).with_target(TargetIs::LeastRatio, 4.0)),
    );
    let threads: Vec<f64> =
        same.iter().filter_map(|(ours, _)| Some(ours[0].encode_s / ours[0].batch_s?)).collect();
    let threads = Figure::new(name, texts[0].0, "× one thread, in a batch", &threads);
    figures.extend(threads.map(|figure| figure.with_target(TargetIs::LeastValue, 1.8)));
    let ours: Vec<f64> = greedy.iter().map(|(ours, _)| speed(&ours[0])).collect();
    let theirs: Vec<f64> = greedy.iter().map(|(_, theirs)| speed(&theirs[0])).collect();
    let figure = Figure::new(name, "longest-prefix", "MB/s encoded, no pattern", &ours);
    figures.extend(
        figure.map(|figure| figure.beside("bpe, greedy", &theirs).with_target(TargetIs::LeastRatio, 1.3)),
    );
    Ok(figures)
}

/// Encodes texts with a command and reads a line for each.
fn encode(command: &mut Command, texts: &[Text]) -> Result<Vec<Encoded>> {
    command.args(texts.iter().map(|(_, path)| path));
    without_overrides(command);
    let printed = process::output("encode", command)?;
    let encoded: Vec<Encoded> = printed.lines().map(json).collect::<Result<_>>()?;
    ensure!(encoded.len() == texts.len(), "{} lines for {} texts", encoded.len(), texts.len());
    Ok(encoded)
}

/// The texts, or why there are none: all books, code, many languages, and what is worst for most encoders.
fn texts(folder: &Path) -> Result<Result<Vec<Text>, String>> {
    let (books, languages) = (machine::shared("data/gutenberg")?, machine::shared("data/unicode")?);
    let (books, languages) = match (books, languages) {
        (Ok(books), Ok(languages)) => (books, languages),
        (Err(reason), _) | (_, Err(reason)) => return Ok(Err(reason)),
    };
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crates");
    let made = [
        ("books", together(&books, "txt")?),
        ("code", together(&crates, "rs")?),
        ("35 languages", together(&languages.join("udhr"), "txt")?),
        ("one letter", "a".repeat(PATHOLOGICAL_BYTES)),
        ("spaces", " ".repeat(PATHOLOGICAL_BYTES)),
    ];
    let write = |(name, text): (&'static str, String)| {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok((name, path))
    };
    made.into_iter().map(write).collect::<Result<_>>().map(Ok)
}

/// All files below a folder that end so, one after the other.
fn together(folder: &Path, extension: &str) -> Result<String> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    let mut text = String::new();
    for path in paths {
        if path.is_dir() {
            text.push_str(&together(&path, extension)?);
        } else if path.extension().is_some_and(|found| found == extension) {
            text.push_str(&fs::read_to_string(&path).with_context(|| path.display().to_string())?);
        }
    }
    Ok(text)
}

/// Builds the peers and says where the program is.
pub(super) fn build() -> Result<PathBuf> {
    let target = folder().join("target");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--manifest-path"]).arg(folder().join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target);
    process::run_step("build bench-peers", &mut cargo)?;
    Ok(target.join("release/bench-peers"))
}
