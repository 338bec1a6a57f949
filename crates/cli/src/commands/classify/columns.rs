//! A file once more, with what is said of each of its texts beside it.

use super::input::Text;
use super::said::Said;
use crate::exit::usage;
use anyhow::Context;
use firebrand_corpus::records::{Format, Record, Value as Field};
use firebrand_corpus::sources::FormatChoice;
use firebrand_transformer::HeadConfig;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;

/// What the file is written as, which its name says.
pub(super) fn format_of(path: &Path) -> anyhow::Result<Format> {
    match FormatChoice::Auto.of(path) {
        format @ (Format::Csv | Format::Tsv | Format::JsonLines) if is_plain(path) => Ok(format),
        _ => Err(usage(format!("--add-columns {}: give a .csv, a .tsv or a .jsonl", path.display()))),
    }
}

fn is_plain(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension != "gz" && extension != "zst")
}

/// Writes records and what is said of them.
pub(super) struct Writer<'a, W: Write> {
    out: W,
    format: Format,
    head: &'a HeadConfig,
    /// The names of the columns, once they are known.
    names: Option<Vec<String>>,
}

impl<'a, W: Write> Writer<'a, W> {
    pub(super) fn new(out: W, format: Format, head: &'a HeadConfig) -> Self {
        Self { out, format, head, names: None }
    }

    /// Writes one line.
    pub(super) fn write(&mut self, text: &Text, said: &Said<'_>) -> anyhow::Result<()> {
        let fields: Vec<String> = match &text.record {
            Some(record) => record.fields().to_vec(),
            None => vec!["text".into()],
        };
        let added = Said::column_names(self.head);
        if self.names.is_none() {
            if let Some(taken) = added.iter().find(|name| fields.contains(name)) {
                return Err(usage(format!(
                    "--add-columns: the file has a column `{taken}` already: rename it, or use --json"
                )));
            }
            if self.format != Format::JsonLines {
                self.line(fields.iter().chain(&added).map(String::as_str))?;
            }
            self.names = Some(fields.clone());
        }
        match self.format {
            Format::JsonLines => {
                let mut all = Map::new();
                for name in &fields {
                    let value = match &text.record {
                        Some(record) => json_of(record, name),
                        None => Value::String(text.first.clone()),
                    };
                    all.insert(name.clone(), value);
                }
                all.extend(added.into_iter().zip(said.columns()));
                writeln!(self.out, "{}", Value::Object(all))?;
            }
            _ => {
                // The lines of JSON lines may have other fields than the first one.
                let names = self.names.clone().unwrap_or_default();
                let mut cells: Vec<String> = names
                    .iter()
                    .map(|name| match &text.record {
                        Some(record) => record.get(name).unwrap_or("").to_owned(),
                        None => text.first.clone(),
                    })
                    .collect();
                cells.extend(said.columns().into_iter().map(|value| match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                }));
                self.line(cells.iter().map(String::as_str))?;
            }
        }
        Ok(())
    }

    fn line<'b>(&mut self, cells: impl Iterator<Item = &'b str>) -> anyhow::Result<()> {
        let separator = if self.format == Format::Tsv { '\t' } else { ',' };
        let cells: Vec<String> = cells.map(|cell| quoted(cell, separator)).collect();
        writeln!(self.out, "{}", cells.join(&separator.to_string())).context("--add-columns")
    }
}

/// A field as JSON, as it was.
fn json_of(record: &Record, name: &str) -> Value {
    match record.value(name) {
        None | Some(Field::Null) => Value::Null,
        Some(Field::Text(text)) => Value::String(text.clone()),
        Some(Field::Other(text)) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
    }
}

/// A cell as CSV has it [RFC 4180]: in quotes where something in it would be taken for the end of a cell or a line.
fn quoted(cell: &str, separator: char) -> String {
    match cell.contains([separator, '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(quoted("plain", ','), "plain");
        assert_eq!(quoted("a, b", ','), "\"a, b\"");
        assert_eq!(quoted("a, b", '\t'), "a, b");
        assert_eq!(quoted("say \"so\"\nnow", ','), "\"say \"\"so\"\"\nnow\"");
    }

    #[test]
    fn only_formats_that_can_be_written_are_taken() {
        for name in ["out.csv", "out.tsv", "out.jsonl"] {
            assert!(format_of(Path::new(name)).is_ok(), "{name}");
        }
        for name in ["out.parquet", "out", "out.csv.gz"] {
            assert!(format_of(Path::new(name)).is_err(), "{name}");
        }
    }
}
