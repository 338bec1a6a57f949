//! What a run came to.

use super::measured::Measured;
use super::train::Trained;
use crate::args::Global;
use crate::config::FinetuneConfig;
use crate::output::{duration, line, say};
use crate::report::{Basis, shown, spreads};
use firebrand_finetune::report::{Report, Spread};
use firebrand_training::{Figure, Objective};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What a run came to, of the weights that were kept.
pub(super) struct Summary {
    dir: PathBuf,
    seed: u64,
    /// On the part it is measured on, if there is one.
    measured: Option<Measured>,
    best_step: u64,
    seconds: f64,
    tokens_per_s: f64,
    /// How many examples were trained on.
    pub(super) examples: usize,
}

impl Summary {
    /// `judged` is the report on what it is measured on, where the task has one.
    pub(super) fn new<O: Objective>(
        dir: &Path,
        config: &FinetuneConfig,
        trained: &Trained<O>,
        examples: usize,
        judged: Option<&Report>,
    ) -> Self {
        let finished = &trained.finished;
        Self {
            dir: dir.to_path_buf(),
            seed: config.seed,
            measured: Measured::new(trained, judged),
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
        let came_to = self.measured.as_ref().map_or("nothing was held out".to_owned(), |measured| {
            let figures: String = measured
                .figures
                .iter()
                .map(|figure| format!("{} {:.4}, ", shown(figure.name), figure.value))
                .collect();
            let chosen = match &measured.chosen_by {
                Some(chosen_by) => {
                    format!(" (held-out loss {:.4}) at step {}", chosen_by.loss, self.best_step)
                }
                None if measured.basis == Basis::HeldOut => format!(" at step {}", self.best_step),
                None => String::new(),
            };
            format!("{} {figures}loss {:.4}{chosen}", measured.basis.part(), measured.loss)
        });
        say(global, format!("{}: {came_to}; {} of training", self.dir.display(), duration(self.seconds)));
    }

    pub(super) fn json(&self) -> Value {
        let measured = self.measured.as_ref();
        let figures = |figures: &[Figure]| -> Map<String, Value> {
            figures.iter().map(|figure| (figure.name.to_owned(), json!(figure.value))).collect()
        };
        let val_loss = measured.and_then(|measured| match (measured.basis, &measured.chosen_by) {
            (Basis::HeldOut, _) => Some(measured.loss),
            (Basis::Test { .. }, chosen_by) => chosen_by.as_ref().map(|chosen_by| chosen_by.loss),
        });
        let mut all = json!({
            "run": self.dir, "seed": self.seed, "examples": self.examples, "val_loss": val_loss,
            "part": measured.map(|measured| measured.basis.part()),
            "figures": measured.map_or(Map::new(), |measured| figures(&measured.figures)),
            "best_step": self.best_step, "seconds": self.seconds, "tokens_per_s": self.tokens_per_s.round(),
            "peak_bytes": firebrand_backend::memory::peak_bytes(),
        });
        if let Some(measured) = measured.filter(|measured| measured.basis != Basis::HeldOut) {
            all["test_loss"] = json!(measured.loss);
            if let Some(chosen_by) = &measured.chosen_by {
                all["val_figures"] = figures(&chosen_by.figures).into();
            }
        }
        all
    }
}

/// The figures of several runs, the loss behind them.
pub(super) fn figures(summaries: &[Summary]) -> Vec<Spread> {
    let measured: Vec<&Measured> = summaries.iter().filter_map(|summary| summary.measured.as_ref()).collect();
    let names = measured.first().into_iter().flat_map(|first| first.figures.iter().map(|figure| figure.name));
    let spread = |name: &str| {
        let figures =
            measured.iter().filter_map(|measured| measured.figures.iter().find(|figure| figure.name == name));
        Spread::new(name, figures.map(|figure| figure.value).collect())
    };
    let losses: Vec<f64> = measured.iter().map(|measured| measured.loss).collect();
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
