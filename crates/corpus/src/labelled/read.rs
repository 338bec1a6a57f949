//! Reads the examples of files.

use std::path::{Path, PathBuf};

use super::columns::{Columns, Found, Reading};
use super::target::interpret;
use super::{EmptyTexts, Example, Kind, Labels, Place, Target};
use crate::error::CorpusError;
use crate::records::{Field, Format, Record, RecordReader};
use crate::sources::source_files;

/// Which labels there can be.
#[derive(Debug)]
pub enum Known<'a> {
    /// These and no others: one that is not among them is an error.
    Only(&'a Labels),
    /// Whatever comes; what comes is added.
    Open(&'a mut Labels),
}

impl Known<'_> {
    pub(super) fn place(&mut self, name: &str) -> Result<usize, String> {
        match self {
            Self::Only(labels) => labels.place(name).ok_or_else(|| labels.unknown(name)),
            Self::Open(labels) => Ok(labels.place_or_add(name)),
        }
    }
}

/// Reads the examples of one file in order, one at a time.
pub struct ExampleReader<'a> {
    path: PathBuf,
    records: RecordReader,
    reading: &'a Reading,
    kind: Kind,
    /// Its columns; those of JSON lines are known with the first record.
    found: Option<Found>,
    /// The number of the file.
    file: usize,
    skipped: u64,
}

impl<'a> ExampleReader<'a> {
    /// Opens the `file`-th file. All fields are kept, so that the records can be written again with more.
    ///
    /// # Errors
    /// A file that cannot be read or has no records; a column that is not there, which names the nearest one.
    pub fn open(path: &Path, file: usize, reading: &'a Reading, kind: Kind) -> Result<Self, CorpusError> {
        let format = reading.format.of(path);
        let records = match reading.no_header {
            true => RecordReader::open_without_header(path, format)?,
            false => RecordReader::open(path, format)?,
        };
        let mut reader =
            Self { path: path.to_path_buf(), records, reading, kind, found: None, file, skipped: 0 };
        if format != Format::JsonLines && !reader.records.fields().is_empty() {
            let found = reading.find(kind, reader.records.fields());
            let error = |reason| CorpusError::Columns { path: path.to_path_buf(), reason };
            reader.found = Some(found.map_err(error)?);
        }
        Ok(reader)
    }

    /// The same, with all but the needed fields left out.
    fn open_narrow(path: &Path, file: usize, reading: &'a Reading, kind: Kind) -> Result<Self, CorpusError> {
        let mut reader = Self::open(path, file, reading, kind)?;
        if let Some(found) = &reader.found {
            let names = found.names();
            reader.records = reader.records.only(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Ok(reader)
    }

    /// The next example and the record it is made of, `None` behind the last one.
    ///
    /// # Errors
    /// A record that is malformed or lacks a field, a label that is none or not known, an empty text: all with the line.
    pub fn next_example(&mut self, known: &mut Known<'_>) -> Result<Option<(Example, Record)>, CorpusError> {
        while let Some(record) = self.records.next_record()? {
            let columns = &self.reading.columns;
            if self.found.is_none() {
                let found = self.reading.find(self.kind, record.fields());
                self.found = Some(found.map_err(|reason| record.error(reason))?);
            }
            let found = self.found.as_ref().expect("it was found in this record at the latest");
            let (text, text_b, target) = interpret(&record, columns, found, self.kind, known)?;
            // Who begins a chat answers nothing.
            let is_chat = matches!(target, Target::Turns(_));
            let empty = text.trim().is_empty() && !is_chat;
            let second_empty = text_b.as_ref().is_some_and(|second| second.trim().is_empty());
            if empty || second_empty {
                match self.reading.empty_texts {
                    EmptyTexts::Skip => {
                        self.skipped += 1;
                        continue;
                    }
                    EmptyTexts::Refuse => {
                        let field = if empty { Some(&found.text) } else { found.text_b.as_ref() };
                        let names = field.map_or(String::new(), |field| field.names().join("`, `"));
                        return Err(record.empty_text(names));
                    }
                }
            }
            let place = Place { file: self.file, line: record.line() };
            return Ok(Some((Example { text, text_b, target, place }, record)));
        }
        Ok(None)
    }

    /// How many examples were left out as they have no text.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// How many bytes of the file have been read.
    pub fn bytes_read(&self) -> u64 {
        self.records.bytes_read()
    }

    /// The sha256 of what has been read of the file.
    ///
    /// # Errors
    /// As [`RecordReader::sha256`].
    pub fn sha256(&self) -> Result<String, CorpusError> {
        self.records.sha256()
    }

    /// The names of the columns that are text, second text and label, once they are known.
    pub fn columns(&self) -> Option<[String; 3]> {
        let found = self.found.as_ref()?;
        let name = |field: Option<&Field>| field.map_or(String::new(), |field| field.names().join(" + "));
        Some([name(Some(&found.text)), name(found.text_b.as_ref()), name(found.label.as_ref())])
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The examples in the order of the files.
    pub examples: Vec<Example>,
    /// The files.
    pub files: Vec<super::LabelledFile>,
    /// The columns that are text, second text and label in all of them; absent where files differ.
    pub found: Columns,
}

/// Reads the examples of files, or of folders standing for their files.
///
/// Labels that are not known before get their numbers in the order they come in; [`LabelledData::load`] puts them in order.
///
/// [`LabelledData::load`]: super::LabelledData::load
///
/// # Errors
/// As [`ExampleReader::next_example`]; a file without examples.
pub fn read(
    paths: &[PathBuf],
    reading: &Reading,
    kind: Kind,
    known: &mut Known<'_>,
) -> Result<Read, CorpusError> {
    let mut read = Read { examples: Vec::new(), files: Vec::new(), found: Columns::default() };
    let mut found = Vec::new();
    for (file, path) in source_files(paths, reading.format)?.into_iter().enumerate() {
        let mut reader = ExampleReader::open_narrow(&path, file, reading, kind)?;
        let before = read.examples.len();
        while let Some((example, _)) = reader.next_example(known)? {
            read.examples.push(example);
        }
        if read.examples.len() == before {
            return Err(CorpusError::NoExamples(path));
        }
        let [text, text_b, label] = reader.columns().unwrap_or_default();
        found.extend(reader.found.clone());
        read.files.push(super::LabelledFile {
            path: reader.path.clone(),
            sha256: reader.sha256()?,
            examples: read.examples.len() - before,
            skipped: reader.skipped(),
            text,
            text_b,
            label,
        });
    }
    read.found = Found::common(found.iter());
    Ok(read)
}
