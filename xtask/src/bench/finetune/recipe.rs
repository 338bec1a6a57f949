//! The recipe for real texts: a tokenizer of small letters and a model pretrained on books and articles, then further on the texts
//! to be classified, then on their labels. One for every kind of model, so that they can be compared.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::super::kept::Kept;
use super::super::{Options, json, without_overrides};
use crate::{process, run_directory};

/// Labelled texts of `../shared/data`.
pub(super) struct Texts {
    pub(super) name: &'static str,
    /// Options of `firebrand finetune` that say what to train on and what to measure on, with files seen from the data.
    arguments: &'static [&'static str],
    /// Steps of the model's own objective on these texts, before their labels.
    adapt_steps: u32,
    /// How many texts a step has.
    batch_size: u32,
    epochs: u32,
    /// What is wished for, in per cent.
    pub(super) goal: f64,
    /// What bags of words were seen to reach, for where they cannot be run.
    pub(super) bags: f64,
    /// What training may take, pretraining included.
    pub(super) minutes: f64,
    /// The texts as `classify_bow.py` is told of them.
    pub(super) peer: &'static [&'static str],
}

pub(super) const TEXTS: [Texts; 3] = [
    Texts {
        name: "sst2",
        arguments: &["--data", "sst2/train.tsv", "--set", "data.test=[\"sst2/dev.tsv\"]", "--seeds", "3"],
        adapt_steps: 300,
        batch_size: 32,
        epochs: 6,
        goal: 83.0,
        bags: 79.9,
        minutes: 30.0,
        peer: &["sst2/train.tsv", "sst2/dev.tsv", "--text", "sentence"],
    },
    Texts {
        name: "trec",
        arguments: &["--data", "trec/train.jsonl", "--label", "label", "--folds", "5"],
        adapt_steps: 0,
        batch_size: 32,
        epochs: 8,
        goal: 90.0,
        bags: 85.6,
        minutes: 30.0,
        peer: &["trec/train.jsonl"],
    },
    Texts {
        name: "agnews",
        arguments: &["--data", "agnews/train.csv", "--folds", "5"],
        adapt_steps: 300,
        batch_size: 32,
        epochs: 3,
        goal: 90.0,
        bags: 89.1,
        minutes: 30.0,
        peer: &["agnews/train.csv"],
    },
];

/// A kind of model.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The config it is pretrained by.
    config: &'static str,
    /// How many steps fit into twenty minutes or so.
    steps: u32,
    set: &'static [&'static str],
}

pub(super) const KINDS: [Kind; 3] = [
    Kind { name: "causal", config: "quickstart", steps: 2500, set: &[] },
    Kind { name: "bidirectional", config: "bidirectional", steps: 1500, set: &[] },
    Kind { name: "masked", config: "masked", steps: 3000, set: &["masked.probability=0.25"] },
];

/// What all models have in common: wide and of few layers, as what is wanted is to know many words.
const SHAPE: [&str; 8] = [
    "model.d_model=256",
    "model.n_layers=2",
    "model.n_heads=4",
    "training.seq_len=64",
    "training.batch_size=64",
    "training.eval_every=0",
    "data.held_out=0.005",
    // The texts to be classified are in a table, of which this is the column.
    "data.field=sentence",
];

/// What is read before any label, seen from the data. Of SST-2 it is what is trained on.
const READ: [&str; 11] = [
    "gutenberg/bleak_house.txt",
    "gutenberg/crime_and_punishment.txt",
    "gutenberg/david_copperfield.txt",
    "gutenberg/middlemarch.txt",
    "gutenberg/moby_dick.txt",
    "gutenberg/pride_and_prejudice.txt",
    "gutenberg/tale_of_two_cities.txt",
    "gutenberg/us_inaugural.txt",
    "tinystories/train.txt",
    "wikitext2/wiki.valid.tokens",
    "sst2/train.tsv",
];

const VOCAB_SIZE: &str = "8192";

/// What came of a recipe: the mean over seeds or folds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Trained {
    pub(super) accuracy: f64,
    pub(super) deviation: f64,
    /// Of pretraining and of one of the runs on these texts.
    pub(super) seconds: f64,
}

/// What `firebrand finetune --json` prints of several runs.
#[derive(Deserialize)]
struct Printed {
    runs: Vec<IgnoredAny>,
    figures: Figures,
}

#[derive(Deserialize)]
struct Figures {
    accuracy: Mean,
}

#[derive(Deserialize)]
struct Mean {
    mean: f64,
    deviation: f64,
}

/// Where and with what recipes are followed.
pub(super) struct Recipes<'a> {
    pub(super) firebrand: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) data: &'a Path,
    pub(super) kept: &'a Kept,
    pub(super) options: &'a Options,
}

impl Recipes<'_> {
    /// A model of a kind, trained on texts.
    pub(super) fn train(&self, texts: &Texts, kind: &Kind) -> Result<Trained> {
        let (run, seconds) = self.pretrained(kind)?;
        let name = format!("{}-{}", texts.name, kind.name);
        let of = format!(
            "{:?}, {} steps before, {} epochs of {}, {}",
            texts.arguments,
            texts.adapt_steps,
            texts.epochs,
            texts.batch_size,
            self.settings(kind)
        );
        self.kept.get_or(&name, &of, || {
            let out = self.folder.join(&name);
            run_directory::remove(&out)?;
            let mut command = self.command(&["finetune", "--config", "regularized", "--json"]);
            command.arg("--from").arg(&run).args(texts.arguments).arg("--out").arg(&out);
            for set in [
                // Nothing is chosen: the last weights are measured.
                "data.held_out=none".to_owned(),
                format!("adapt.steps={}", texts.adapt_steps),
                format!("training.epochs={}", texts.epochs),
                format!("training.batch_size={}", texts.batch_size),
            ] {
                command.args(["--set", &set]);
            }
            let start = Instant::now();
            let printed: Printed = json(&process::output(&format!("fine-tune {name}"), &mut command)?)?;
            // By the clock: what a run says of itself leaves out the steps before its labels.
            let each = start.elapsed().as_secs_f64() / printed.runs.len() as f64;
            let Mean { mean: accuracy, deviation } = printed.figures.accuracy;
            Ok(Trained { accuracy, deviation, seconds: seconds + each })
        })
    }

    /// A pretrained model of a kind, and the seconds that took.
    fn pretrained(&self, kind: &Kind) -> Result<(PathBuf, f64)> {
        let run = self.folder.join(kind.name);
        let seconds = self.kept.get_or(kind.name, &self.settings(kind), || {
            let tokenizer = self.folder.join("tokenizer");
            let mut command = self.command(&["tokenizer", "train", "--normalize", "lowercase"]);
            command.args(["--field", "sentence", "--vocab-size", VOCAB_SIZE, "--out"]).arg(&tokenizer);
            process::run_step("train a tokenizer", command.args(READ))?;
            run_directory::remove(&run)?;
            let mut command = self.command(&["pretrain", "--config", kind.config]);
            let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
            let read = READ.map(quoted).join(", ");
            command.args(["--set", &format!("data.texts=[{read}]")]);
            command.arg("--set").arg(format!("data.tokenizer={}", quoted(&tokenizer.to_string_lossy())));
            for set in SHAPE.iter().chain(kind.set) {
                command.args(["--set", set]);
            }
            command.args(["--set", &format!("training.steps={}", self.steps(kind))]).arg("--out").arg(&run);
            let start = Instant::now();
            process::run_step(&format!("pretrain {}", kind.name), &mut command)?;
            Ok(start.elapsed().as_secs_f64())
        })?;
        Ok((run, seconds))
    }

    fn steps(&self, kind: &Kind) -> u32 {
        self.options.steps.unwrap_or(kind.steps)
    }

    /// What a pretrained model depends on.
    fn settings(&self, kind: &Kind) -> String {
        format!("{}, {:?}, {:?}, {} steps", kind.config, kind.set, SHAPE, self.steps(kind))
    }

    /// `firebrand` on the CPU, which sees files from the data.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.firebrand);
        command.args(arguments).args(["--device", "cpu", "--threads", &self.options.threads.to_string()]);
        command.current_dir(self.data);
        without_overrides(&mut command);
        command
    }
}
