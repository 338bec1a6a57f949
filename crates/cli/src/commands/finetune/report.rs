//! What a run came to.

use crate::args::Global;
use crate::commands::training::Finished;
use crate::config::FinetuneConfig;
use crate::output::{duration, line, say};
use crate::report::{shown, spreads};
use firebrand_finetune::report::{Report, Spread};
use firebrand_training::{Figure, Objective};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What a run came to, of the weights that were kept.
pub(super) struct Summary {
    dir: PathBuf,
    seed: u64,
    /// On what is held out, if anything is.
    loss: Option<f64>,
    figures: Vec<Figure>,
    best_step: u64,
    seconds: f64,
    tokens_per_s: f64,
    /// How many examples were trained on.
    pub(super) examples: usize,
}

impl Summary {
    /// `judged` is the report on what is held out, where the task has one.
    pub(super) fn new<O: Objective>(
        dir: &Path,
        config: &FinetuneConfig,
        finished: &Finished<O>,
        examples: usize,
        judged: Option<&Report>,
    ) -> Self {
        let evaluation = finished.evaluation.as_ref();
        let mut figures = evaluation.map_or(Vec::new(), |evaluation| evaluation.figures.clone());
        for (name, value) in judged.map_or(Vec::new(), Report::figures) {
            // The report's are of whole texts; those of training may be of their parts.
            match figures.iter_mut().find(|figure| figure.name == name) {
                Some(figure) => figure.value = value,
                None if name == "loss" => {}
                None => figures.push(Figure { name, value }),
            }
        }
        Self {
            dir: dir.to_path_buf(),
            seed: config.seed,
            loss: evaluation.map(|evaluation| evaluation.loss),
            figures,
            best_step: finished.progress.best_step,
            seconds: finished.progress.seconds,
            tokens_per_s: finished.pace.tokens_per_s(),
            examples,
        }
    }

    /// Prints it as the result of the command.
    pub(super) fn print(&self, global: &Global) -> anyhow::Result<()> {
        if global.json {
            return line(self.json());
        }
        self.say(global);
        Ok(())
    }

    pub(super) fn say(&self, global: &Global) {
        let loss = self.loss.map_or("nothing was held out".to_owned(), |loss| {
            let figures: String = self
                .figures
                .iter()
                .map(|figure| format!("{} {:.4}, ", shown(figure.name), figure.value))
                .collect();
            format!("held-out {figures}loss {loss:.4} at step {}", self.best_step)
        });
        say(global, format!("{}: {loss}; {} of training", self.dir.display(), duration(self.seconds)));
    }

    pub(super) fn json(&self) -> Value {
        let figures = self.figures.iter().map(|figure| (figure.name.to_owned(), json!(figure.value)));
        json!({
            "run": self.dir, "seed": self.seed, "examples": self.examples, "val_loss": self.loss, "figures": figures.collect::<Map<String, Value>>(),
            "best_step": self.best_step, "seconds": self.seconds, "tokens_per_s": self.tokens_per_s.round(),
            "peak_bytes": firebrand_backend::memory::peak_bytes(),
        })
    }
}

/// The figures of several runs, the loss behind them.
pub(super) fn figures(summaries: &[Summary]) -> Vec<Spread> {
    let names =
        summaries.first().into_iter().flat_map(|first| first.figures.iter().map(|figure| figure.name));
    let spread = |name: &str| {
        let figures =
            summaries.iter().filter_map(|summary| summary.figures.iter().find(|figure| figure.name == name));
        Spread::new(name, figures.map(|figure| figure.value).collect())
    };
    let losses: Vec<f64> = summaries.iter().filter_map(|summary| summary.loss).collect();
    let loss = (!losses.is_empty()).then(|| Spread::new("loss", losses));
    names.map(spread).chain(loss).collect()
}

/// Prints the mean and the deviation of the figures of several runs.
pub(super) fn several(summaries: &[Summary], global: &Global) -> anyhow::Result<()> {
    let found = figures(summaries);
    if global.json {
        let spreads = found
            .iter()
            .map(|spread| (spread.name.clone(), json!({"mean": spread.mean, "deviation": spread.deviation})));
        let runs: Vec<Value> = summaries.iter().map(Summary::json).collect();
        return line(json!({"runs": runs, "figures": spreads.collect::<Map<String, Value>>()}));
    }
    spreads(&found).into_iter().try_for_each(line)
}
