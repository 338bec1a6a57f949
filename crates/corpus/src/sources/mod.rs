//! Text files in, documents out: what is read, where documents end, what is held out.
//!
//! [`Sources`] says what is to be read; [`Sources::scan`] reads it once, checks it, counts and hashes it; the resulting
//! [`Corpus`] gives the documents of each split as often as wanted, one at a time, so that only the documents in use
//! are in memory. Knows nothing of tokens.
//!
//! Formats other than plain text (JSON lines, CSV, Parquet, compressed files) belong in [`DocumentReader`]: everything
//! else sees documents only.

mod corpus;
mod files;
mod held_out;
mod reader;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use corpus::{Corpus, Documents, SourceFile};
pub use files::text_files;
pub use held_out::{HeldOut, Split};
pub use reader::DocumentReader;

/// Where one document ends and the next begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentBoundary {
    /// A file is one document, every byte of it. The file must fit in memory.
    #[default]
    File,
    /// Documents are separated by one line or more of nothing but white space. A document keeps its inner line ends
    /// and loses its last one.
    BlankLine,
    /// Every line is a document, without its line end; lines of nothing but white space are none.
    Line,
}

impl DocumentBoundary {
    /// The name in configurations: `file`, `blank-line`, `line`.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::BlankLine => "blank-line",
            Self::Line => "line",
        }
    }
}

/// Which text is read, how it is cut into documents and what is held out of training: a section of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// Files, or folders standing for the `.txt` files in them; read in this order.
    pub texts: Vec<PathBuf>,
    /// Where documents end.
    #[serde(default)]
    pub boundary: DocumentBoundary,
    /// What is kept away from training, to measure on.
    #[serde(default)]
    pub held_out: HeldOut,
}
