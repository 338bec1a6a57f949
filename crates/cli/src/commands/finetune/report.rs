//! What a run came to.

use crate::args::Global;
use crate::commands::training::Finished;
use crate::config::FinetuneConfig;
use crate::output::{duration, line, say};
use firebrand_finetune::Labelling;
use firebrand_training::Figure;
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
}

impl Summary {
    pub(super) fn new(dir: &Path, config: &FinetuneConfig, finished: &Finished<Labelling>) -> Self {
        let evaluation = finished.evaluation.as_ref();
        Self {
            dir: dir.to_path_buf(),
            seed: config.seed,
            loss: evaluation.map(|evaluation| evaluation.loss),
            figures: evaluation.map_or(Vec::new(), |evaluation| evaluation.figures.clone()),
            best_step: finished.progress.best_step,
            seconds: finished.progress.seconds,
            tokens_per_s: finished.pace.tokens_per_s(),
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

    fn json(&self) -> Value {
        let figures = self.figures.iter().map(|figure| (figure.name.to_owned(), json!(figure.value)));
        json!({
            "run": self.dir, "seed": self.seed, "val_loss": self.loss, "figures": figures.collect::<Map<String, Value>>(),
            "best_step": self.best_step, "seconds": self.seconds, "tokens_per_s": self.tokens_per_s.round(),
            "peak_bytes": firebrand_backend::memory::peak_bytes(),
        })
    }
}

/// Prints the mean and the deviation of the figures of several runs.
pub(super) fn several(summaries: &[Summary], global: &Global) -> anyhow::Result<()> {
    let names: Vec<&'static str> = summaries
        .first()
        .map_or(Vec::new(), |first| first.figures.iter().map(|figure| figure.name).collect());
    let spread = |name: &str| {
        let values: Vec<f64> = summaries
            .iter()
            .filter_map(|summary| summary.figures.iter().find(|figure| figure.name == name))
            .map(|figure| figure.value)
            .collect();
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        // Of a sample: the runs stand for all seeds there are.
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        (mean, variance.sqrt())
    };
    if global.json {
        let spreads = names.iter().map(|&name| {
            let (mean, deviation) = spread(name);
            (name.to_owned(), json!({"mean": mean, "deviation": deviation}))
        });
        let runs: Vec<Value> = summaries.iter().map(Summary::json).collect();
        return line(json!({"runs": runs, "figures": spreads.collect::<Map<String, Value>>()}));
    }
    for name in names {
        let (mean, deviation) = spread(name);
        line(format!("{:<10} {mean:.4} ± {deviation:.4} over {} seeds", shown(name), summaries.len()))?;
    }
    Ok(())
}

/// A figure's name for people.
fn shown(name: &str) -> String {
    name.replace('_', " ")
}
