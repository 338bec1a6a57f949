//! A suite: tasks, as a TOML file describes them.
//!
//! ```toml
//! title = "Grammar and what words mean"
//! resamples = 1000                      # of the bootstrap; also: seed = 0, confidence = 0.95
//!
//! [[tasks]]
//! name = "blimp"
//! kind = "minimal-pairs"
//! data = "dataset:blimp/test"           # or files beside the suite: "pairs.jsonl", ["a.jsonl", "b.jsonl"]
//!
//! [[tasks]]
//! name = "last words"
//! kind = "cloze"
//! data = "built-in:stories/test"        # made by the built-in grammar, offline
//! limit = 500                           # so many examples, drawn by the seed
//! ```

mod data;
mod task;

pub use data::DataSource;
pub use task::{Answering, KindName, Shots, Task, TaskFile, TaskKind};

use crate::statistics::Bootstrap;
use serde::Deserialize;

/// What is wrong with a suite that is well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// Something of the whole.
    #[error("{0}")]
    Suite(String),
    /// Something of one task.
    #[error("task `{task}`: {problem}")]
    Task {
        /// Its name.
        task: String,
        /// What is wrong.
        problem: String,
    },
}

/// A suite as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFile {
    /// What it is about, for people.
    #[serde(default)]
    pub title: String,
    /// Of resamples, of drawn examples and demonstrations.
    #[serde(default)]
    pub seed: u64,
    /// How much of the resamples an interval holds.
    #[serde(default = "confidence")]
    pub confidence: f64,
    /// How many resamples the bootstrap draws, and exchanges the permutation test.
    #[serde(default = "resamples")]
    pub resamples: usize,
    /// What is asked.
    pub tasks: Vec<TaskFile>,
}

fn confidence() -> f64 {
    0.95
}

fn resamples() -> usize {
    1000
}

/// A suite whose tasks can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// What it is about.
    pub title: String,
    /// How sure its figures are is found so.
    pub bootstrap: Bootstrap,
    /// What is asked, in order; names differ.
    pub tasks: Vec<Task>,
}

impl SuiteFile {
    /// Checks it.
    ///
    /// # Errors
    /// No tasks, two of one name, a value out of range, a key that a task's kind does not know or lacks.
    pub fn check(self) -> Result<Suite, SuiteError> {
        let Self { title, seed, confidence, resamples, tasks } = self;
        let wrong = |problem: String| Err(SuiteError::Suite(problem));
        if !(confidence > 0.0 && confidence < 1.0) {
            return wrong(format!("confidence = {confidence}: write a share between 0 and 1, such as 0.95"));
        }
        if !(10..=1_000_000).contains(&resamples) {
            return wrong(format!("resamples = {resamples}: write 10 to 1,000,000"));
        }
        if tasks.is_empty() {
            return wrong("there are no tasks: write [[tasks]] with name, kind and data".into());
        }
        let mut checked: Vec<Task> = Vec::new();
        for task in tasks {
            let task = task.check()?;
            if checked.iter().any(|other| other.name == task.name) {
                return wrong(format!("two tasks are called `{}`", task.name));
            }
            checked.push(task);
        }
        Ok(Suite { title, bootstrap: Bootstrap { seed, resamples, confidence }, tasks: checked })
    }
}

#[cfg(test)]
mod tests;
