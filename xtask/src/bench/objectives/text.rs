//! What all models are trained on and asked about, made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::super::json;
use crate::{machine, process};

/// Of the built-in stories.
pub(super) const CORPUS: &str = "20MB";
pub(super) const VOCAB_SIZE: &str = "2048";
/// The part that no model learns from.
pub(super) const HELD_OUT: &str = "0.05";

/// Labelled texts of each task, and how many of them only the test sees.
pub(super) const LABELLED: usize = 3000;
pub(super) const TESTED: usize = 1500;

/// The labelled tasks of the built-in corpus.
pub(super) const TASKS: [&str; 2] = ["reviews", "pairs"];

/// A text and its tokenizer.
pub(super) struct Corpus {
    pub(super) text: PathBuf,
    pub(super) tokenizer: PathBuf,
}

pub(super) fn corpus(firebrand: &Path, folder: &Path) -> Result<Corpus> {
    let corpus = Corpus { text: folder.join("stories.txt"), tokenizer: folder.join("tokenizer") };
    if !corpus.tokenizer.exists() {
        let mut command = Command::new(firebrand);
        command.args(["data", "generate", "--bytes", CORPUS, "--out"]).arg(&corpus.text);
        process::run_step("write stories", &mut command)?;
        let mut command = Command::new(firebrand);
        command.args(["tokenizer", "train"]).arg(&corpus.text);
        command.args(["--vocab-size", VOCAB_SIZE, "--out"]).arg(&corpus.tokenizer);
        process::run_step("train a tokenizer", &mut command)?;
    }
    Ok(corpus)
}

/// The texts of a task, a line each, and the number of each one's label.
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) lines: PathBuf,
    pub(super) labels: Vec<usize>,
}

/// Labelled documents of the built-in grammar.
pub(super) fn task(firebrand: &Path, folder: &Path, kind: &'static str) -> Result<Task> {
    let file = folder.join(format!("{kind}.jsonl"));
    let mut command = Command::new(firebrand);
    command.args(["data", "generate", "--kind", kind, "--count", &LABELLED.to_string(), "--out"]).arg(&file);
    process::run_step(&format!("write {kind}"), &mut command)?;
    let content = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let (mut texts, mut named) = (Vec::new(), Vec::new());
    for line in content.lines() {
        let record: serde_json::Value = json(line)?;
        let field = |name: &str| record[name].as_str().map(str::to_owned);
        let text = field("text").or_else(|| Some(format!("{} {}", field("premise")?, field("hypothesis")?)));
        let (Some(text), Some(label)) = (text, field("label")) else {
            bail!("{}: a line without text or label: {line}", file.display());
        };
        texts.push(text);
        named.push(label);
    }
    let mut names = named.clone();
    names.sort_unstable();
    names.dedup();
    let number = |label: &String| names.iter().position(|name| name == label).unwrap_or_default();
    let lines = folder.join(format!("{kind}.txt"));
    fs::write(&lines, texts.join("\n")).with_context(|| format!("cannot write {}", lines.display()))?;
    Ok(Task { name: kind, lines, labels: named.iter().map(number).collect() })
}

/// A suite of BLiMP's minimal pairs, if they are there.
pub(super) fn minimal_pairs(folder: &Path) -> Result<Option<PathBuf>> {
    let blimp = match machine::shared("data/blimp")? {
        Ok(blimp) => blimp,
        Err(reason) => {
            eprintln!("BLiMP is skipped: {reason}");
            return Ok(None);
        }
    };
    let mut files: Vec<PathBuf> = fs::read_dir(blimp)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    // A list of texts is written alike in JSON and TOML.
    let data = serde_json::to_string(&files)?;
    let suite = format!("[[tasks]]\nname = \"blimp\"\nkind = \"minimal-pairs\"\ndata = {data}\n");
    let out = folder.join("blimp.toml");
    fs::write(&out, suite).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(Some(out))
}
