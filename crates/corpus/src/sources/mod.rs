//! Files in, documents out: what is read, where documents end, what is held out.
//!
//! [`Sources`] says what is to be read; [`Sources::scan`] reads it once, checks it, counts and hashes it; the resulting
//! [`Corpus`] gives the documents of each split as often as wanted, in parts, so that not even a document has to fit in
//! memory. Knows nothing of tokens.

mod corpus;
mod files;
mod held_out;
mod lines;
mod memory;
mod parts;
mod pieces;
mod reader;
mod scan;
mod text;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use crate::input::InvalidUtf8;
use crate::records::Format;
pub use corpus::Corpus;
pub use files::source_files;
pub use held_out::{HeldOut, Split};
pub use lines::Lines;
pub(crate) use memory::Memory;
pub use parts::Parts;
pub(crate) use parts::Position;
pub use reader::DocumentReader;
pub use scan::SourceFile;

/// A run of text of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// Whether the document ends with it.
    pub ends_document: bool,
}

/// Where one document ends and the next one begins, in plain text. In files of records each record is a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentBoundary {
    /// A file is one document, every byte of it.
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

/// Which format files are taken to be in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatChoice {
    /// That which the name of each says.
    #[default]
    Auto,
    /// Plain text.
    Text,
    /// A JSON object a line.
    JsonLines,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

impl FormatChoice {
    /// The one format all files are in; `None` when each has its own.
    pub fn forced(self) -> Option<Format> {
        match self {
            Self::Auto => None,
            Self::Text => Some(Format::Text),
            Self::JsonLines => Some(Format::JsonLines),
            Self::Csv => Some(Format::Csv),
            Self::Tsv => Some(Format::Tsv),
            Self::Parquet => Some(Format::Parquet),
        }
    }

    /// The format of a file.
    pub fn of(self, path: &Path) -> Format {
        self.forced().unwrap_or_else(|| Format::of(path))
    }
}

impl From<Format> for FormatChoice {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::JsonLines => Self::JsonLines,
            Format::Csv => Self::Csv,
            Format::Tsv => Self::Tsv,
            Format::Parquet => Self::Parquet,
        }
    }
}

/// Which text is read, how it is cut into documents and what is held out of training: a section of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// Files, or folders standing for the files in them whose names say their format; read in this order.
    pub texts: Vec<PathBuf>,
    /// Which format they are in.
    #[serde(default)]
    pub format: FormatChoice,
    /// Which field of a record is its text.
    #[serde(default = "default_field")]
    pub field: String,
    /// Where documents end.
    #[serde(default)]
    pub boundary: DocumentBoundary,
    /// What is kept away from training, to measure on.
    #[serde(default)]
    pub held_out: HeldOut,
    /// What becomes of bytes that are no UTF-8.
    #[serde(default)]
    pub invalid_utf8: InvalidUtf8,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            texts: Vec::new(),
            format: FormatChoice::default(),
            field: default_field(),
            boundary: DocumentBoundary::default(),
            held_out: HeldOut::default(),
            invalid_utf8: InvalidUtf8::default(),
        }
    }
}

/// The field that most published corpora have their text in.
fn default_field() -> String {
    "text".to_owned()
}
