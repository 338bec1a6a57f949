//! What can go wrong with a model's description and its files.

use std::path::PathBuf;

/// Why a model could not be described, read or written.
#[derive(Debug, thiserror::Error)]
pub enum TransformerError {
    /// A config that describes no model; the message names the field and the values.
    #[error("{0}")]
    Config(String),
    /// A file that could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{path}: {message}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and the way out.
        message: String,
    },
    /// Weights that do not fit the config.
    #[error("weights do not fit the config: {0}")]
    Weights(String),
    /// A model that predicts no next token from those before.
    #[error("this is an {0} model, which does not continue texts by itself")]
    NotCausal(&'static str),
    /// A decoder that is not where a [`CpuDecoder`](crate::CpuDecoder) could share its weights.
    #[error("the model is not on the CPU: use `--device cpu`")]
    NotOnCpu,
}

impl TransformerError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    pub(crate) fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Format { path: path.into(), message: message.into() }
    }
}
