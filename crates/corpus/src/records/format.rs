//! Which format a file is in.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::input::{Compression, extension};

/// What the contents of a file mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
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

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Text, Self::JsonLines, Self::Csv, Self::Tsv, Self::Parquet];

    /// By the name of a file, `.gz` and `.zst` left aside; what has no name that says otherwise is plain text.
    pub fn of(path: &Path) -> Self {
        Self::known(path).unwrap_or(Self::Text)
    }

    /// The same, but only for names that say it: `None` for `notes.md`.
    pub(crate) fn known(path: &Path) -> Option<Self> {
        let name = Compression::of(path).1;
        match extension(Path::new(name))?.as_str() {
            "txt" => Some(Self::Text),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The name in configurations: `text`, `json-lines`, `csv`, `tsv`, `parquet`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::JsonLines => "json-lines",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Parquet => "parquet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_go_by_names_whatever_a_file_is_compressed_with() {
        let cases = [
            ("a.txt", Format::Text),
            ("a.txt.gz", Format::Text),
            ("README", Format::Text),
            ("a.md.zst", Format::Text),
            ("b/a.jsonl", Format::JsonLines),
            ("a.ndjson.zst", Format::JsonLines),
            ("a.json", Format::JsonLines),
            ("a.v2.CSV.GZ", Format::Csv),
            ("a.tsv.gz", Format::Tsv),
            ("a.parquet", Format::Parquet),
            ("csv", Format::Text),
            (".csv", Format::Text),
        ];
        for (name, format) in cases {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
