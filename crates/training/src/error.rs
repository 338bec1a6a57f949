//! What can go wrong while training.

use firebrand_corpus::CorpusError;
use firebrand_transformer::TransformerError;
use std::path::PathBuf;

/// Why training stopped or did not start.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// A config that cannot be trained with; the message names the key and the value.
    #[error("{0}")]
    Config(String),
    /// The loss or a gradient is no longer a number.
    #[error(
        "{what} is {value} at step {step} (lr {lr:.3e}): the run diverged. Start another one with a lower learning rate \
         (`--set optimizer.lr=…`), a longer warm-up, or a smaller training.grad_clip_norm"
    )]
    NotFinite {
        /// Loss or gradient norm.
        what: &'static str,
        /// What it is instead of a number.
        value: f64,
        /// The step, from 1.
        step: u64,
        /// The learning rate of that step.
        lr: f64,
    },
    /// A file that could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A checkpoint that is not whole.
    #[error("{path}: {message}")]
    Checkpoint {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A checkpoint of another version of Firebrand.
    #[error(
        "{path}: format {found} was written by another version of Firebrand (this one reads format {supported}): go on \
         with that version, or start a run in another folder"
    )]
    CheckpointFormat {
        /// Its `state.json`.
        path: PathBuf,
        /// The format it states.
        found: u32,
        /// The format this version reads and writes.
        supported: u32,
    },
    /// From the data.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// From the model's files.
    #[error(transparent)]
    Transformer(#[from] TransformerError),
}

impl TrainingError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(crate) fn checkpoint(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.into(), message: message.into() }
    }
}
