//! What a model has learned when it is trained: figures that do not depend on the clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::super::json;
use super::probe::{self, Layer, Probed};
use super::text::{Corpus, TESTED, Task};
use super::trials::{Scores, Trial};
use crate::{process, run_directory};

/// The order of the n-gram model that is counted on the same text.
const NGRAM: &str = "5";

/// A model before it is trained, as `firebrand pretrain --dry-run --json` tells of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) n_params: u64,
    pub(super) training_flops_per_token: f64,
    config: Config,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Config {
    training: Step,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Step {
    batch_size: u32,
    seq_len: u32,
}

impl Size {
    /// Floating-point operations of a training step.
    pub(super) fn step_flops(&self) -> f64 {
        let Step { batch_size, seq_len } = self.config.training;
        self.training_flops_per_token * f64::from(batch_size) * f64::from(seq_len)
    }
}

/// Figures of a trained model.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Learned {
    pub(super) size: Size,
    pub(super) steps: u32,
    /// Floating-point operations of all training.
    pub(super) flops: f64,
    /// The held-out loss, in nats a target.
    pub(super) loss: f64,
    /// On all held-out text, where the objective says what a text costs.
    pub(super) bits_per_byte: Option<f64>,
    /// The same of the half that reads forwards alone.
    pub(super) forward: Option<f64>,
    /// As `firebrand score` reads the held-out text, each token from those before it.
    pub(super) scored: Option<f64>,
    /// Of an n-gram model.
    pub(super) ngram: Option<f64>,
    /// For each task.
    pub(super) probed: Vec<Probed>,
    /// How often the good one of two sentences is likelier.
    pub(super) blimp: Option<f64>,
}

/// Where and on what models are trained.
pub(super) struct Bench<'a> {
    pub(super) firebrand: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) corpus: &'a Corpus,
    pub(super) threads: u32,
}

impl Bench<'_> {
    /// `firebrand pretrain` of a trial, but for what is still to be said.
    pub(super) fn pretrain(&self, trial: &Trial) -> Command {
        let quoted = |path: &Path| toml::Value::String(path.to_string_lossy().into_owned());
        let mut command = Command::new(self.firebrand);
        command.args(["pretrain", "--config", trial.config, "--json"]);
        for set in trial.set {
            command.args(["--set", set]);
        }
        command.arg("--set").arg(format!("data.texts={}", quoted(&self.corpus.text)));
        command.arg("--set").arg(format!("data.tokenizer={}", quoted(&self.corpus.tokenizer)));
        command.args(["--device", "cpu", "--threads", &self.threads.to_string()]);
        super::super::without_overrides(&mut command);
        command
    }

    fn on_cpu(&self, subcommand: &str, run: &Path) -> Command {
        let mut command = Command::new(self.firebrand);
        command.arg(subcommand).arg(run).args(["--device", "cpu", "--quiet"]);
        command.args(["--threads", &self.threads.to_string()]);
        command
    }

    pub(super) fn size(&self, trial: &Trial) -> Result<Size> {
        let mut command = self.pretrain(trial);
        json(&process::output(&format!("look at {}", trial.name), command.arg("--dry-run"))?)
    }

    /// Trains a model and looks at it.
    pub(super) fn learn(
        &self,
        trial: &Trial,
        size: Size,
        steps: u32,
        tasks: &[Task],
        blimp: Option<&Path>,
    ) -> Result<Learned> {
        let run = self.folder.join(trial.name);
        run_directory::remove(&run)?;
        let mut command = self.pretrain(trial);
        command.args(["--set", &format!("training.steps={steps}"), "--set", "training.eval_every=0"]);
        command.args(["--set", &format!("data.held_out={}", super::text::HELD_OUT)]).arg("--out").arg(&run);
        process::output(&format!("train {}", trial.name), &mut command)?;
        let last = run_directory::evaluations(&run)?.pop().context("training ends with an evaluation")?;
        let of_forward = |bits: f64| Some(bits * last.val_forward? / last.val_loss);
        let scored = (trial.scores == Scores::ByTokens).then(|| self.score(&run)).transpose()?;
        Ok(Learned {
            size,
            steps,
            flops: f64::from(steps) * size.step_flops(),
            loss: last.val_loss,
            bits_per_byte: last.val_bits_per_byte,
            forward: last.val_bits_per_byte.and_then(of_forward),
            scored: scored.as_ref().map(|scored| scored.bits_per_byte),
            ngram: scored.map(|scored| scored.ngram.bits_per_byte),
            probed: tasks.iter().map(|task| self.probe(trial, &run, task)).collect::<Result<_>>()?,
            blimp: blimp
                .filter(|_| trial.scores != Scores::Not)
                .map(|suite| self.prefers(&run, suite))
                .transpose()?,
        })
    }

    fn score(&self, run: &Path) -> Result<Scored> {
        let mut command = self.on_cpu("score", run);
        command.args(["--held-out", "--ngram", NGRAM, "--json"]);
        json(&process::output("score what was held out", &mut command)?)
    }

    /// What a linear classifier reads from the mean of each layer's states.
    fn probe(&self, trial: &Trial, run: &Path, task: &Task) -> Result<Probed> {
        let vectors: PathBuf = self.folder.join("vectors.safetensors");
        let mut layers = Vec::new();
        for layer in 0..=n_layers(run)? {
            let mut command = self.on_cpu("embed", run);
            command.arg("--file").arg(&task.lines).args(["--layer", &layer.to_string()]);
            command.args(["--pool", "mean", "--out"]).arg(&vectors);
            process::run_step("embed", &mut command)?;
            layers.push(read_layer(&vectors)?);
        }
        let probed = probe::probe(&layers, &task.labels, TESTED);
        eprintln!("{}, {}: {probed:?}", trial.name, task.name);
        Ok(probed)
    }

    /// How often the good sentence is likelier than the bad one.
    fn prefers(&self, run: &Path, suite: &Path) -> Result<f64> {
        let mut command = self.on_cpu("eval", run);
        command.arg("--suite").arg(suite).arg("--json");
        let report: serde_json::Value = json(&process::output("ask for minimal pairs", &mut command)?)?;
        let accuracy = &report["suites"][0]["tasks"][0]["metrics"][0]["runs"][0]["value"];
        accuracy.as_f64().context("`firebrand eval` reports an accuracy of minimal pairs")
    }
}

/// What `firebrand score --ngram` prints.
#[derive(Deserialize)]
struct Scored {
    bits_per_byte: f64,
    ngram: Ngram,
}

#[derive(Deserialize)]
struct Ngram {
    bits_per_byte: f64,
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
