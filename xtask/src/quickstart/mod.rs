//! `cargo xtask quickstart`: from nothing to a trained model and what it writes.
//!
//! It runs the pipeline `quickstart`, or `own-text` for a text of the user's, and reports what came of it.

mod report;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::pipeline::{self, Job, Request};
use crate::run_directory::{self, Found};
use crate::{paths, process, workspace};
use report::{Quality, Report, Sample, Text};

/// Tokens in the vocabulary, when there is text enough to learn so many.
const VOCAB_SIZE: u64 = 2_048;
/// A vocabulary holds at least the 256 bytes, special tokens and some merges.
const SMALLEST_VOCAB_SIZE: u64 = 320;
/// Fewer bytes of text a token than this, and most tokens would be seen too seldom to be learned.
const BYTES_PER_TOKEN: u64 = 64;

/// Train a small model from scratch, measure it, and read what it writes.
///
/// Makes the built-in corpus of stories (or takes your text), learns a tokenizer, pretrains a decoder of about a million
/// parameters and prints a report. About four minutes on two cores after compiling; offline, and without Python.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where the run is written, with its data and tokenizer in folders of it. [default: runs/quickstart]
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Learn this text (UTF-8) instead of the built-in stories; its last tenth is held out to measure on.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N. [default: the best there is]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Decides the initial weights, the order of the data and the samples.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Train the run at RUN anew, finished or not.
    #[arg(long)]
    force: bool,
    /// Use this firebrand binary instead of compiling one.
    #[arg(long, value_name = "FILE", env = "FIREBRAND_BIN")]
    binary: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask quickstart
  cargo xtask quickstart --text notes.txt --out runs/notes
  cargo xtask quickstart --device wgpu --seed 1 --out runs/gpu

A run that was stopped, by Ctrl-C too, goes on when the same command is given
again; of a finished one the report is printed again. `cargo xtask pipeline run
quickstart` does the same with more to choose from. Progress goes to stderr, the
report to stdout.";

const DEFAULT_OUT: &str = "runs/quickstart";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let text = text(args)?;
    let run = match &args.out {
        Some(out) => out.clone(),
        None => paths::relative(&workspace::root()?.join(DEFAULT_OUT)),
    };
    check_place(&run, args.force)?;
    let mut set = vec![format!("seed={}", args.seed)];
    if let Text::File { path, bytes } = &text {
        let name =
            path.to_str().with_context(|| format!("--text {}: the path is no UTF-8", path.display()))?;
        set.push(format!("text={name}"));
        set.push(format!("prompt={}", beginning(path)?));
        set.push(format!("vocab_size={}", vocab_size(*bytes)));
    }
    let job = Job::new(&Request {
        pipeline: if matches!(text, Text::Stories) { "quickstart" } else { "own-text" }.to_owned(),
        set,
        out: Some(run.clone()),
        device: args.device.clone(),
        anew: args.force,
        keep_runs: true,
        ..Request::default()
    })?;
    let firebrand = workspace::firebrand(args.binary.as_deref())?;
    let seconds = job.run(&firebrand)?.seconds;
    let report =
        Report { quality: quality(&run, &text)?, samples: samples(&run)?, seconds, firebrand, run, text };
    process::print(&format!("\n{report}"))
}

/// What is to be learned, checked before anything is compiled.
fn text(args: &Args) -> Result<Text> {
    let Some(path) = args.text.clone() else { return Ok(Text::Stories) };
    let refused = |reason: String| Failure::Usage(format!("--text {}: {reason}", path.display()));
    let metadata = fs::metadata(&path).map_err(|error| refused(error.to_string()))?;
    match (metadata.is_file(), metadata.len()) {
        (false, _) => Err(refused("not a file".to_owned()).into()),
        (true, 0) => Err(refused("the file is empty".to_owned()).into()),
        (true, bytes) => Ok(Text::File { path, bytes }),
    }
}

/// Refuses a folder with something in it that is not ours. What the pipeline made there it knows itself.
fn check_place(run: &Path, force: bool) -> Result<()> {
    if pipeline::is_at_home(run) {
        return Ok(());
    }
    match run_directory::look(run)? {
        Found::Nothing => Ok(()),
        Found::SomethingElse => Err(run_directory::not_a_run(run).into()),
        Found::UnfinishedRun | Found::FinishedRun if force => run_directory::remove(run),
        Found::UnfinishedRun | Found::FinishedRun => Err(Failure::Usage(format!(
            "{} holds a run that the quickstart did not make; it is kept.\n\
             Train another beside it with --out RUN, or in its place with --force.",
            run.display()
        ))
        .into()),
    }
}

/// Tokens in the vocabulary for a text of so many bytes.
fn vocab_size(bytes: u64) -> u64 {
    (bytes / BYTES_PER_TOKEN).clamp(SMALLEST_VOCAB_SIZE, VOCAB_SIZE)
}

/// How good the model is on text that it has not seen.
fn quality(run: &Path, text: &Text) -> Result<Quality> {
    match text {
        Text::Stories => {
            let score = run.join("score.json");
            parsed(&score, &read(&score)?)
        }
        Text::File { .. } => {
            // The held-out part exists only inside the run; it was measured there. The root holds the best weights.
            let evaluations = run_directory::evaluations(run)?;
            let best = evaluations.into_iter().min_by(|a, b| a.val_loss.total_cmp(&b.val_loss));
            let best =
                best.with_context(|| format!("no validation loss was recorded in {}", run.display()))?;
            Ok(Quality {
                loss: best.val_loss,
                perplexity: best.val_loss.exp(),
                bits_per_byte: best.val_bits_per_byte,
                floor_bits_per_byte: None,
            })
        }
    }
}

/// The texts by the model.
fn samples(run: &Path) -> Result<Vec<Sample>> {
    let file = run.join("samples.jsonl");
    read(&file)?.lines().map(|line| parsed(&file, line)).collect()
}

/// The first words of the text in `path`: something the model may go on from.
fn beginning(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    file.take(400).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(first_words(&String::from_utf8_lossy(&bytes)))
}

/// At most three words and thirty characters of the first line that is not blank.
fn first_words(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().take(3).collect();
    words.join(" ").chars().take(30).filter(|&c| c != char::REPLACEMENT_CHARACTER).collect()
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn parsed<T: DeserializeOwned>(file: &Path, json: &str) -> Result<T> {
    serde_json::from_str(json.trim()).with_context(|| format!("{}: unexpected JSON: {json}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_text_gets_a_small_vocabulary() {
        assert_eq!([1, 64_000, 1 << 20].map(vocab_size), [320, 1_000, 2_048]);
    }

    #[test]
    fn a_prompt_is_short_whatever_the_text() {
        assert_eq!(first_words("\n \nFirst Citizen:\nBefore we proceed"), "First Citizen:");
        assert_eq!(first_words(&"x".repeat(99)).len(), 30);
        assert_eq!(first_words(""), "");
    }
}
