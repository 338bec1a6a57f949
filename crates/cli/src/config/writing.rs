//! The section `[writing]`: how texts are written for the tasks seq2seq and instruction.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a model that goes on with texts learns to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WritingConfig {
    /// Which tokens are learned.
    pub(crate) learn: Learn,
    /// Put several texts into a row, none of which sees another: less padding.
    pub(crate) pack: bool,
    /// A file with a Jinja template of chats; when absent that of the model, else a plain one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<PathBuf>,
}

impl Default for WritingConfig {
    fn default() -> Self {
        Self { learn: Learn::default(), pack: true, template: None }
    }
}

/// Which tokens are learned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Learn {
    /// Those of responses, with the end of text that closes each.
    #[default]
    Responses,
    /// All, prompts too.
    All,
}
