//! CSV and TSV: a row of fields separated by one character.

use std::io::{self, Chain, Read};
use std::path::Path;
use std::sync::Arc;

use super::reader::LONGEST_RECORD;
use super::record::no_such_field;
use super::{Record, Value};
use crate::error::CorpusError;
use crate::input::{Input, InvalidUtf8};

/// Read after the last byte of every file: a row of its own, unless the file ends inside a quoted field. The parser
/// would not say so.
const END: &[u8] = b"\n\x1ffirebrand: end of file\x1f\n";

pub(super) struct Delimited {
    path: Arc<Path>,
    rows: csv::Reader<Chain<Limited, &'static [u8]>>,
    row: csv::ByteRecord,
    names: Arc<[String]>,
    /// The first row, when it is no header; it has been read to count the fields.
    first: Option<csv::ByteRecord>,
    /// Which fields are wanted.
    wanted: Vec<bool>,
    /// Where the row read last begins.
    line: u64,
    /// Whether the row behind the last has been read.
    ended: bool,
}

impl Delimited {
    pub(super) fn open(
        path: &Path,
        delimiter: u8,
        header: bool,
        invalid_utf8: InvalidUtf8,
    ) -> Result<Self, CorpusError> {
        let input = Input::open(path, invalid_utf8)?;
        let input = Limited { input, left: LONGEST_RECORD, last: 0, ends_by_two: None };
        let rows = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(delimiter == b',')
            .has_headers(false)
            // Rows of another length are reported here, with what there is and what there should be.
            .flexible(true)
            .buffer_capacity(1 << 16)
            .from_reader(input.chain(END));
        let mut reader = Self {
            path: path.into(),
            rows,
            row: csv::ByteRecord::new(),
            names: Arc::new([]),
            first: None,
            wanted: Vec::new(),
            line: 0,
            ended: false,
        };
        if reader.next_row()? {
            let row = &reader.row;
            reader.names = match header {
                true => row.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
                false => (0..row.len()).map(|index| index.to_string()).collect(),
            };
            if header {
                reader.check_header()?;
            } else {
                reader.first = Some(row.clone());
            }
        }
        reader.wanted = vec![true; reader.names.len()];
        Ok(reader)
    }

    pub(super) fn only(&mut self, fields: &[&str]) -> Result<(), CorpusError> {
        // A file without a row has no record that could lack a field.
        if let Some(missing) = fields.iter().find(|&&field| !self.names.iter().any(|name| name == field))
            && !self.names.is_empty()
        {
            return Err(self.error(no_such_field(missing, &self.names)));
        }
        self.wanted = self.names.iter().map(|name| fields.contains(&name.as_str())).collect();
        Ok(())
    }

    pub(super) fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    pub(super) fn input(&self) -> &Input {
        &self.rows.get_ref().get_ref().0.input
    }

    pub(super) fn next_record(&mut self) -> Result<Option<Record>, CorpusError> {
        if let Some(first) = self.first.take() {
            self.row = first;
        } else if !self.next_row()? {
            return Ok(None);
        }
        if self.row.len() != self.names.len() {
            let (found, expected) = (counted(self.row.len()), self.names.len());
            return Err(self.error(format!("{found} where there should be {expected}")));
        }
        let mut values = Vec::with_capacity(self.names.len());
        for (field, &wanted) in self.row.iter().zip(&self.wanted) {
            values.push(match wanted {
                true => Value::Text(to_text(field)),
                false => Value::Null,
            });
        }
        let (path, names) = (self.path.clone(), self.names.clone());
        Ok(Some(Record { path, unit: "line", number: self.line, names, values }))
    }

    /// Reads the next row; false at the end of the file.
    fn next_row(&mut self) -> Result<bool, CorpusError> {
        if self.ended {
            return Ok(false);
        }
        self.rows.get_mut().get_mut().0.left = LONGEST_RECORD;
        let found = self.rows.read_byte_record(&mut self.row);
        // Where reading went on after the row before; empty lines stand between the two at most. The parser ends a row at
        // the carriage return and counts its line with the line feed, which it takes for the next row's.
        let early = self.rows.get_ref().get_ref().0.ends_by_two == Some(true);
        let line = |place: &csv::Position| place.line() + u64::from(early && place.byte() > 0);
        self.line = self.row.position().map_or(self.line, line);
        match found {
            Ok(true) if is_end(&self.row) => {
                self.ended = true;
                Ok(false)
            }
            Ok(true) if !self.row.as_slice().ends_with(&END[1..]) => Ok(true),
            Ok(_) => Err(self.error("a quote is opened in this row and never closed".to_owned())),
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Io(error) => Err(match error.downcast::<TooLong>() {
                    Ok(TooLong) => self.error(format!(
                        "the row is longer than {} MiB: is there a quote that is never closed?",
                        LONGEST_RECORD >> 20
                    )),
                    Err(error) => Input::explain(&self.path, error),
                }),
                other => Err(self.error(format!("{other:?}"))),
            },
        }
    }

    fn check_header(&self) -> Result<(), CorpusError> {
        for (index, name) in self.names.iter().enumerate() {
            if self.names[..index].contains(name) {
                return Err(self.error(format!("the header names the field `{name}` twice")));
            }
        }
        Ok(())
    }

    fn error(&self, reason: String) -> CorpusError {
        CorpusError::Record { path: self.path.to_path_buf(), unit: "line", number: self.line, reason }
    }
}

/// Whether a row is the one behind the last.
fn is_end(row: &csv::ByteRecord) -> bool {
    row.len() == 1 && row.get(0) == Some(END.trim_ascii())
}

/// The whole file is checked to be UTF-8 and cut at ASCII characters: nothing is lost.
fn to_text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

fn counted(fields: usize) -> String {
    if fields == 1 { "1 field".to_owned() } else { format!("{fields} fields") }
}

/// An input that ends in an error when a row is too long, and knows how its lines end.
struct Limited {
    input: Input,
    /// What may still be read for this row.
    left: u64,
    /// The byte read last.
    last: u8,
    /// Whether a carriage return stands before the first line feed; unknown before that.
    ends_by_two: Option<bool>,
}

/// The error it ends in.
#[derive(Debug, thiserror::Error)]
#[error("a row is too long")]
struct TooLong;

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other(TooLong));
        }
        let count = self.input.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        if self.ends_by_two.is_none() {
            let read = &buffer[..count];
            let feed = read.iter().position(|&byte| byte == b'\n');
            self.ends_by_two =
                feed.map(|at| at.checked_sub(1).map_or(self.last, |before| read[before]) == b'\r');
            self.last = read.last().copied().unwrap_or(self.last);
        }
        Ok(count)
    }
}
