//! `cargo xtask quickstart`: from nothing to a trained model and what it writes.

mod report;
mod stages;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::run_directory::{self, Found};
use crate::{paths, process, workspace};
use report::{Quality, Report, Sample};
use stages::{Split, Stages, Text};

/// Train a small model from scratch, measure it, and read what it writes.
///
/// Makes the built-in corpus of stories (or takes your text), learns a tokenizer, pretrains a decoder of about a million
/// parameters and prints a report. About four minutes on two cores after compiling; offline, and without Python.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where the run is written; its data and tokenizer go beside it, into RUN-data. [default: runs/quickstart]
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
    /// Remove the run at RUN first, finished or not.
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

A run that was stopped, by Ctrl-C too, goes on when the same command is given again.
Progress goes to stderr, the report to stdout.";

const DEFAULT_OUT: &str = "runs/quickstart";

/// How stories of the built-in corpus begin.
const STORY_PROMPTS: [&str; 3] = ["Once upon a time, there was a", "Long ago, a", "Everybody knew that"];

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let text = text(args)?;
    let run = match &args.out {
        Some(out) => out.clone(),
        None => paths::relative(&workspace::root()?.join(DEFAULT_OUT)),
    };
    let resume = may_write_to(&run, args.force)?;
    let stages = Stages {
        firebrand: workspace::firebrand(args.binary.as_deref())?,
        data: data_folder(&run)?,
        run,
        text,
        device: args.device.clone(),
        seed: args.seed,
    };
    if args.force {
        run_directory::remove(&stages.run)?;
    }
    let started = Instant::now();
    train(&stages, resume)?;
    eprintln!("\n== Measuring the model and letting it write.");
    let report =
        Report { quality: measure(&stages)?, samples: samples(&stages)?, elapsed: started.elapsed(), stages };
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

/// Whether there is a run to go on with at `run`; refuses to touch finished runs and what is no run.
fn may_write_to(run: &Path, force: bool) -> Result<bool> {
    match run_directory::look(run)? {
        Found::SomethingElse => Err(run_directory::not_a_run(run).into()),
        Found::Nothing => Ok(false),
        _ if force => Ok(false),
        Found::UnfinishedRun => {
            eprintln!("{} holds an unfinished run: going on with it (--force starts anew).", run.display());
            Ok(true)
        }
        Found::FinishedRun => Err(Failure::Usage(format!(
            "{run} holds a finished run, which is kept.\n\
             Use it with `firebrand show {run}` and `firebrand generate {run} --prompt TEXT`,\n\
             train another beside it with --out RUN, or train it anew with --force.",
            run = run.display()
        ))
        .into()),
    }
}

/// `RUN-data`, beside the run.
fn data_folder(run: &Path) -> Result<PathBuf> {
    let unnamed = || Failure::Usage(format!("--out {} does not end in a name", run.display()));
    let mut name = run.file_name().ok_or_else(unnamed)?.to_owned();
    name.push("-data");
    Ok(run.with_file_name(name))
}

/// Everything up to the trained model. Data and tokenizer of a run that goes on are there already.
fn train(stages: &Stages, resume: bool) -> Result<()> {
    if !resume {
        fs::create_dir_all(&stages.data)
            .with_context(|| format!("cannot create {}", stages.data.display()))?;
        if matches!(stages.text, Text::Stories) {
            eprintln!("== Writing the built-in corpus: stories to learn from and others to measure on.");
            process::run_step("write the training stories", &mut stages.generate_data(Split::Train))?;
            process::run_step("write the validation stories", &mut stages.generate_data(Split::Validation))?;
        }
        eprintln!("\n== Learning a tokenizer of {} tokens.", stages.vocab_size());
        process::run_step("train the tokenizer", &mut stages.train_tokenizer())?;
    }
    eprintln!("\n== Pretraining. Ctrl-C saves and stops; the same command goes on.");
    process::run_step("pretrain the model", &mut stages.pretrain(resume))
}

/// How good the model is on text that it has not seen.
fn measure(stages: &Stages) -> Result<Quality> {
    match stages.text {
        Text::Stories => {
            parsed("measure the model", &process::output("measure the model", &mut stages.score())?)
        }
        Text::File { .. } => {
            // The held-out part exists only inside the run; it was measured there. The root holds the best weights.
            let evaluations = run_directory::evaluations(&stages.run)?;
            let best = evaluations.into_iter().min_by(|a, b| a.val_loss.total_cmp(&b.val_loss));
            let best =
                best.with_context(|| format!("no validation loss was recorded in {}", stages.run.display()))?;
            Ok(Quality {
                loss: best.val_loss,
                perplexity: best.val_loss.exp(),
                bits_per_byte: best.val_bits_per_byte,
                floor_bits_per_byte: None,
            })
        }
    }
}

/// Three texts by the model.
fn samples(stages: &Stages) -> Result<Vec<Sample>> {
    #[derive(Deserialize)]
    struct Generated {
        text: String,
    }
    let prompts = match &stages.text {
        Text::Stories => STORY_PROMPTS.map(str::to_owned).to_vec(),
        Text::File { path, .. } => vec![beginning(path)?; STORY_PROMPTS.len()],
    };
    let mut samples = Vec::new();
    for (number, prompt) in (0..).zip(prompts) {
        let what = "generate a sample";
        let generated: Generated =
            parsed(what, &process::output(what, &mut stages.generate(&prompt, number))?)?;
        samples.push(Sample { prompt, text: generated.text });
    }
    Ok(samples)
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

fn parsed<T: DeserializeOwned>(what: &str, json: &str) -> Result<T> {
    serde_json::from_str(json.trim())
        .with_context(|| format!("{what}: firebrand printed unexpected JSON: {json}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_lies_beside_the_run() {
        let folder = |run: &str| data_folder(Path::new(run));
        assert_eq!(folder("runs/mine").expect("it has a name"), Path::new("runs/mine-data"));
        assert_eq!(folder("mine/").expect("it has a name"), Path::new("mine-data"));
        folder("..").expect_err("it has no name");
    }

    #[test]
    fn a_prompt_is_short_whatever_the_text() {
        assert_eq!(first_words("\n \nFirst Citizen:\nBefore we proceed"), "First Citizen:");
        assert_eq!(first_words(&"x".repeat(99)).len(), 30);
        assert_eq!(first_words(""), "");
    }
}
