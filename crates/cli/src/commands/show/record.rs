//! What is known of a run: from its config, its metrics and its model.

use crate::exit::usage;
use crate::run::{self, AnyConfig, RunFile};
use firebrand_durable::Lock;
use firebrand_tokenizer::Tokenizer;
use firebrand_training::read_metrics;
use firebrand_transformer::ModelConfig;
use firebrand_transformer::hugging_face;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// A run, or a model without a history.
pub(super) struct Record {
    pub(super) path: PathBuf,
    pub(super) run: Option<RunFile<AnyConfig>>,
    pub(super) model: Option<ModelConfig>,
    pub(super) n_params: Option<usize>,
    pub(super) state: State,
    /// The lines of `metrics.jsonl`.
    pub(super) metrics: Vec<Map<String, Value>>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Finished,
    Stopped,
    /// There is a model, and nobody knows how it was made.
    Model,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Model => "model",
        }
    }
}

/// Whether a folder looks like a run or a model.
pub(super) fn is_one(dir: &Path) -> bool {
    run::file(dir).exists() || hugging_face::is_model_folder(dir)
}

impl Record {
    /// Reads what there is.
    ///
    /// # Errors
    /// When there is neither a run nor a model, or its files cannot be read.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Self> {
        let run = run::file(dir).exists().then(|| RunFile::read_any(dir)).transpose()?;
        let model = hugging_face::is_model_folder(dir).then(|| hugging_face::load_config(dir)).transpose()?;
        let state = match (&run, &model) {
            (None, None) => {
                return Err(usage(format!("{}: holds neither a run nor a model", dir.display())));
            }
            _ if Lock::is_held(&run::lock(dir)) => State::Running,
            (None, Some(_)) => State::Model,
            (Some(_), Some(_)) => State::Finished,
            (Some(_), None) => State::Stopped,
        };
        let n_params = match (&run, &model) {
            (_, Some(model)) => Some(model.n_params()),
            (Some(run), None) => planned_parameters(run, dir),
            (None, None) => None,
        };
        let metrics = read_metrics(&dir.join("metrics.jsonl"))?;
        Ok(Self { path: dir.to_path_buf(), run, model, n_params, state, metrics })
    }

    /// A figure by step.
    pub(super) fn curve(&self, key: &str) -> Vec<(u64, f64)> {
        self.metrics
            .iter()
            .filter_map(|line| Some((line.get("step")?.as_u64()?, line.get(key)?.as_f64()?)))
            .collect()
    }

    pub(super) fn last(&self, key: &str) -> Option<f64> {
        self.metrics.iter().rev().find_map(|line| line.get(key)?.as_f64())
    }

    /// The line of the lowest held-out loss, or of the highest figure where the best weights are chosen by that.
    fn best_line(&self) -> Option<&Map<String, Value>> {
        let best_by = self.run.as_ref().and_then(|run| run.config.best_by());
        if let Some(key) = best_by.and_then(|best_by| Some(format!("val_{}", best_by.figure()?))) {
            let value = |line: &Map<String, Value>| line.get(&key).and_then(Value::as_f64);
            let evaluated = self.metrics.iter().filter(|line| value(line).is_some());
            // Of equal ones the first: those are its weights that were kept.
            return evaluated.reduce(|best, line| if value(line) > value(best) { line } else { best });
        }
        let loss = |line: &&Map<String, Value>| line.get("val_loss").and_then(Value::as_f64);
        let evaluated = self.metrics.iter().filter(|line| loss(line).is_some());
        evaluated.min_by(|a, b| loss(a).unwrap_or(f64::NAN).total_cmp(&loss(b).unwrap_or(f64::NAN)))
    }

    pub(super) fn best(&self) -> Option<f64> {
        self.best_line()?.get("val_loss")?.as_f64()
    }

    /// The figures of the best line, by name.
    pub(super) fn figures(&self) -> Vec<(String, f64)> {
        let known = ["val_loss", "val_bits_per_byte", "val_task", "val_lm"];
        let is_figure = |key: &str| key.starts_with("val_") && !known.contains(&key);
        let is_finetuned = self.run.as_ref().is_some_and(|run| run.config.best_by().is_some());
        self.best_line()
            .into_iter()
            .filter(|_| is_finetuned)
            .flatten()
            .filter(|(key, _)| is_figure(key))
            .filter_map(|(key, value)| Some((key["val_".len()..].to_owned(), value.as_f64()?)))
            .collect()
    }

    /// Bits per byte where the held-out loss is lowest; absent where only a part is evaluated.
    pub(super) fn bits_per_byte(&self) -> Option<f64> {
        self.best_line()?.get("val_bits_per_byte")?.as_f64()
    }

    pub(super) fn step(&self) -> u64 {
        self.metrics.last().and_then(|line| line.get("step")?.as_u64()).unwrap_or(0)
    }

    pub(super) fn tokens(&self) -> Option<u64> {
        Some(self.step() * self.run.as_ref()?.config.tokens_a_step()?)
    }

    /// Of the lowest held-out loss, if that is nats a token.
    pub(super) fn perplexity(&self) -> Option<f64> {
        let has_one = self.run.as_ref().is_none_or(|run| run.config.has_perplexity());
        self.best().filter(|_| has_one).map(f64::exp)
    }

    /// Tokens a second, the median of what was logged: neither the first step nor a disturbance weighs.
    pub(super) fn tokens_per_s(&self) -> Option<f64> {
        let mut speeds: Vec<f64> = self.curve("tokens_per_s").into_iter().map(|(_, speed)| speed).collect();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied()
    }

    pub(super) fn json(&self) -> Value {
        let step = self.metrics.last().and_then(|line| line.get("step").cloned());
        json!({
            "path": self.path, "state": self.state.name(),
            "run": self.run, "model": self.model, "n_params": self.n_params,
            "step": step, "finished": self.model.is_some(), "best_val_loss": self.best(),
            "best_step": self.best_line().and_then(|line| line.get("step").cloned()),
            "val_bits_per_byte": self.bits_per_byte(), "perplexity": self.perplexity(),
            "train_loss": self.last("train_loss"), "tokens": self.tokens(),
            "tokens_per_s": self.last("tokens_per_s"), "median_tokens_per_s": self.tokens_per_s(),
            "seconds": self.last("seconds"),
        })
    }
}

/// How many parameters the model of an unfinished run has; `None` when its tokenizer cannot be read.
fn planned_parameters(run: &RunFile<AnyConfig>, dir: &Path) -> Option<usize> {
    let vocab_size = Tokenizer::load(dir).ok()?.vocab_size();
    let model = run.config.model(vocab_size)?;
    model.validate().ok()?;
    Some(model.n_params())
}
