//! What each pretraining objective learns from the same text with as many parameters.

mod probe;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::figure::Figure;
use super::{Bench, Options, json, without_overrides};
use crate::{machine, process, run_directory, workspace};
use probe::{Layer, Reads};

/// An objective, its config, and what makes its model as large as the others.
struct Trial {
    name: &'static str,
    config: &'static str,
    set: &'static [&'static str],
    /// Whether `firebrand score` knows how likely its model finds a text.
    scores: bool,
}

/// All have four layers in all, two of them in each stack where there are two.
const TRIALS: [Trial; 10] = [
    Trial { name: "causal", config: "quickstart", set: &[FOUR], scores: true },
    Trial { name: "bidirectional", config: "bidirectional", set: &[TWO], scores: true },
    // Learned positions take far longer to be of use: see the config.
    Trial { name: "masked", config: "masked", set: &[FOUR, "model.position=rope"], scores: true },
    Trial { name: "span-corruption", config: "span-corruption", set: &[TWO], scores: true },
    Trial { name: "denoising", config: "denoising", set: &[TWO], scores: true },
    Trial { name: "prefix", config: "prefix", set: &[FOUR], scores: true },
    Trial { name: "mixture", config: "mixture", set: &[TWO], scores: true },
    Trial {
        name: "replaced-token",
        config: "replaced-token",
        set: &[FOUR, "model.position=rope"],
        scores: false,
    },
    Trial { name: "permutation", config: "permutation", set: &[FOUR], scores: true },
    Trial { name: "fill-in-the-middle", config: "fill-in-the-middle", set: &[FOUR], scores: true },
];

const FOUR: &str = "model.n_layers=4";
const TWO: &str = "model.n_layers=2";

/// Of the built-in stories.
const CORPUS: &str = "20MB";
const VOCAB_SIZE: &str = "2048";
const STEPS: u32 = 1200;

/// Labelled texts of each task, and how many of them only the test sees.
const TEXTS: usize = 1500;
const HELD_OUT: usize = 500;

/// What `firebrand pretrain --json` prints.
#[derive(Deserialize)]
struct Trained {
    tokens_per_s: f64,
    peak_bytes: f64,
}

/// A labelled text.
struct Labelled {
    text: String,
    label: String,
}

/// Trains every objective, and looks at what it has learned.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let wanted: Vec<Trial> = TRIALS.into_iter().filter(|trial| options.wants(trial.name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let folder = folder()?;
    let corpus = corpus(firebrand, &folder)?;
    let tasks = [labelled(firebrand, &folder, "reviews")?, labelled(firebrand, &folder, "pairs")?];
    let blimp = match machine::shared("data/blimp")? {
        Ok(blimp) => Some(minimal_pairs(&blimp, &folder)?),
        Err(reason) => {
            eprintln!("BLiMP is skipped: {reason}");
            None
        }
    };
    let mut figures = Vec::new();
    for trial in wanted {
        let (name, run) = (trial.name, folder.join(trial.name));
        let trained = train(firebrand, &trial, &corpus, &run, options)?;
        let mut add =
            |unit, value: f64| figures.extend(Figure::new(Bench::Objectives.name(), name, unit, &[value]));
        add("tokens/s of training", trained.tokens_per_s);
        add("MiB at the peak", trained.peak_bytes / f64::from(1u32 << 20));
        let evaluations = run_directory::evaluations(&run)?;
        if let Some(last) = evaluations.last() {
            add("nats a target, held out", last.val_loss);
            if let Some(bits) = last.val_bits_per_byte {
                add("bits per byte, held out", bits);
            }
        }
        for ((task, texts), units) in ["reviews", "pairs"].iter().zip(&tasks).zip([
            (
                "of the reviews right, last layer",
                "of the reviews right, best layer",
                "of the reviews right, mix",
            ),
            ("of the pairs right, last layer", "of the pairs right, best layer", "of the pairs right, mix"),
        ]) {
            let probed = probed(firebrand, &run, &folder, task, texts)?;
            eprintln!("{name}, {task}: {probed:?}");
            add(units.0, *probed.layers.last().unwrap_or(&f64::NAN));
            add(units.1, probed.layers.iter().copied().fold(0.0, f64::max));
            add(units.2, probed.mix);
        }
        if let Some(pairs) = blimp.as_ref().filter(|_| trial.scores) {
            add("of BLiMP's pairs right", prefers(firebrand, &run, pairs)?);
        }
    }
    Ok(figures)
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::root()?.join("target").join("bench").join("objectives");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// A text and its tokenizer, made once.
struct Corpus {
    text: PathBuf,
    tokenizer: PathBuf,
}

fn corpus(firebrand: &Path, folder: &Path) -> Result<Corpus> {
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

fn train(firebrand: &Path, trial: &Trial, corpus: &Corpus, run: &Path, options: &Options) -> Result<Trained> {
    run_directory::remove(run)?;
    let quoted = |path: &Path| toml::Value::String(path.to_string_lossy().into_owned());
    let mut command = Command::new(firebrand);
    command.args(["pretrain", "--config", trial.config, "--json"]);
    for set in trial.set {
        command.args(["--set", set]);
    }
    command.arg("--set").arg(format!("data.texts={}", quoted(&corpus.text)));
    command.arg("--set").arg(format!("data.tokenizer={}", quoted(&corpus.tokenizer)));
    command.arg("--set").arg(format!("training.steps={}", options.steps.unwrap_or(STEPS)));
    command.args(["--device", "cpu", "--threads", &options.threads.to_string()]).arg("--out").arg(run);
    without_overrides(&mut command);
    json(&process::output(&format!("train {}", trial.name), &mut command)?)
}

/// Labelled documents of the built-in grammar.
fn labelled(firebrand: &Path, folder: &Path, kind: &str) -> Result<Vec<Labelled>> {
    let file = folder.join(format!("{kind}.jsonl"));
    let mut command = Command::new(firebrand);
    command.args(["data", "generate", "--kind", kind, "--count", &TEXTS.to_string(), "--out"]).arg(&file);
    process::run_step(&format!("write {kind}"), &mut command)?;
    let content = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    content
        .lines()
        .map(|line| {
            let record: serde_json::Value = json(line)?;
            let field = |name: &str| record[name].as_str().map(str::to_owned);
            let text =
                field("text").or_else(|| Some(format!("{} {}", field("premise")?, field("hypothesis")?)));
            let (Some(text), Some(label)) = (text, field("label")) else {
                bail!("{}: a line without text or label: {line}", file.display());
            };
            Ok(Labelled { text, label })
        })
        .collect()
}

/// Accuracies on what the probe has not seen.
#[derive(Debug)]
struct Probed {
    layers: Vec<f64>,
    mix: f64,
}

/// What a linear classifier reads from the mean of each layer's states.
fn probed(firebrand: &Path, run: &Path, folder: &Path, task: &str, texts: &[Labelled]) -> Result<Probed> {
    let lines = folder.join(format!("{task}.txt"));
    let text: Vec<&str> = texts.iter().map(|labelled| labelled.text.as_str()).collect();
    fs::write(&lines, text.join("\n")).with_context(|| format!("cannot write {}", lines.display()))?;
    let vectors = folder.join("vectors.safetensors");
    let mut layers = Vec::new();
    for layer in 0..=n_layers(run)? {
        let mut command = Command::new(firebrand);
        command.arg("embed").arg(run).arg("--file").arg(&lines).args(["--layer", &layer.to_string()]);
        command.args(["--pool", "mean", "--device", "cpu", "--quiet", "--out"]).arg(&vectors);
        process::run_step("embed", &mut command)?;
        layers.push(read_layer(&vectors)?);
    }
    let mut names: Vec<&str> = texts.iter().map(|labelled| labelled.label.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let label =
        |labelled: &Labelled| names.iter().position(|name| *name == labelled.label).unwrap_or_default();
    let labels: Vec<usize> = texts.iter().map(label).collect();
    let one = |layer| probe::accuracy(&layers, Reads::Layer(layer), &labels, HELD_OUT);
    Ok(Probed {
        layers: (0..layers.len()).map(one).collect(),
        mix: probe::accuracy(&layers, Reads::Mix, &labels, HELD_OUT),
    })
}

fn n_layers(run: &Path) -> Result<u64> {
    let file = run.join("config.json");
    let config = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let config: serde_json::Value = json(&config)?;
    config["firebrand"]["n_layers"].as_u64().with_context(|| format!("{}: no n_layers", file.display()))
}

/// The one matrix of a safetensors file: eight bytes that say how long the header is, the header, numbers.
fn read_layer(file: &Path) -> Result<Layer> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (length, rest) =
        content.split_first_chunk::<8>().context("a safetensors file begins with eight bytes")?;
    let (header, numbers) = rest
        .split_at_checked(u64::from_le_bytes(*length) as usize)
        .context("a safetensors file holds its header")?;
    let header: serde_json::Value = serde_json::from_slice(header)?;
    let width =
        header["embeddings"]["shape"][1].as_u64().context("`firebrand embed --pool mean` writes a matrix")?;
    let values = numbers.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(Layer { width: width as usize, values })
}

/// A suite of minimal pairs: the files of a folder.
fn minimal_pairs(blimp: &Path, folder: &Path) -> Result<PathBuf> {
    let blimp = blimp.canonicalize().with_context(|| format!("cannot find {}", blimp.display()))?;
    let data = toml::Value::String(blimp.to_string_lossy().into_owned());
    let suite = folder.join("blimp.toml");
    let task = format!(
        "[[tasks]]\nname = \"blimp\"\nkind = \"minimal-pairs\"\ndata = {data}\nformat = \"json-lines\"\n"
    );
    fs::write(&suite, task).with_context(|| format!("cannot write {}", suite.display()))?;
    Ok(suite)
}

/// How often the good sentence is likelier than the bad one.
fn prefers(firebrand: &Path, run: &Path, suite: &Path) -> Result<f64> {
    let mut command = Command::new(firebrand);
    command.arg("eval").arg(run).arg("--suite").arg(suite).args(["--json", "--device", "cpu", "--quiet"]);
    let report: serde_json::Value = json(&process::output("ask minimal pairs", &mut command)?)?;
    let accuracy = report["suites"][0]["tasks"][0]["metrics"][0]["runs"][0]["value"].as_f64();
    accuracy.context("`firebrand eval --json` gives an accuracy")
}
