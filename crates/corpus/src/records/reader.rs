//! A file of records of any format.

use std::path::Path;
use std::sync::Arc;

use super::delimited::Delimited;
use super::json_lines::JsonLines;
use super::parquet::ParquetRows;
use super::{Format, Record};
use crate::error::CorpusError;
use crate::input::{Compression, InvalidUtf8};

/// The longest record that is read. What is longer is no record but a file of another kind, or a quote that nobody
/// closed; memory should not pay for it.
pub(super) const LONGEST_RECORD: u64 = 64 << 20;

/// Reads the records of one file in order, one at a time.
pub struct RecordReader {
    rows: Rows,
}

enum Rows {
    JsonLines(JsonLines),
    Delimited(Delimited),
    Parquet(ParquetRows),
}

impl RecordReader {
    /// Opens a file. The first line of CSV and TSV names the fields.
    ///
    /// # Errors
    /// A file that is missing, unreadable, of another format; plain text, which has no records; a header that names a
    /// field twice.
    pub fn open(path: &Path, format: Format) -> Result<Self, CorpusError> {
        Self::open_with(path, format, true, InvalidUtf8::Refuse)
    }

    /// Opens a file whose first line, in CSV and TSV, is a record like the others: its fields are called `0`, `1`, …
    ///
    /// # Errors
    /// As [`RecordReader::open`].
    pub fn open_without_header(path: &Path, format: Format) -> Result<Self, CorpusError> {
        Self::open_with(path, format, false, InvalidUtf8::Refuse)
    }

    /// [`RecordReader::open`] or [`RecordReader::open_without_header`], and what becomes of bytes that are no UTF-8. Those of
    /// Parquet are always refused.
    ///
    /// # Errors
    /// As [`RecordReader::open`].
    pub fn open_with(
        path: &Path,
        format: Format,
        header: bool,
        invalid_utf8: InvalidUtf8,
    ) -> Result<Self, CorpusError> {
        let rows = match format {
            Format::Text => return Err(CorpusError::NoRecords(path.to_path_buf())),
            Format::JsonLines => Rows::JsonLines(JsonLines::open(path, invalid_utf8)?),
            Format::Csv => Rows::Delimited(Delimited::open(path, b',', header, invalid_utf8)?),
            Format::Tsv => Rows::Delimited(Delimited::open(path, b'\t', header, invalid_utf8)?),
            Format::Parquet if Compression::of(path).0 != Compression::None => {
                return Err(CorpusError::CompressedParquet(path.to_path_buf()));
            }
            Format::Parquet => Rows::Parquet(ParquetRows::open(path)?),
        };
        Ok(Self { rows })
    }

    /// Reads these fields alone; the values of all others are null from now on. Saves most of the time in wide files.
    ///
    /// # Errors
    /// A field that no record can have, as the header or the schema does not name it. In JSON lines every record has
    /// names of its own, so that [`Record::text`] finds out.
    pub fn only(mut self, fields: &[&str]) -> Result<Self, CorpusError> {
        match &mut self.rows {
            Rows::JsonLines(rows) => rows.only(fields),
            Rows::Delimited(rows) => rows.only(fields)?,
            Rows::Parquet(rows) => rows.only(fields)?,
        }
        Ok(self)
    }

    /// The names of the fields: of the header, the schema, or in JSON lines the record read last.
    pub fn fields(&self) -> &[String] {
        let names: &Arc<[String]> = match &self.rows {
            Rows::JsonLines(rows) => rows.names(),
            Rows::Delimited(rows) => rows.names(),
            Rows::Parquet(rows) => rows.names(),
        };
        names
    }

    /// The next record, `None` at the end of the file.
    ///
    /// # Errors
    /// A record that is malformed, which is said with its line or row; a file that cannot be read further.
    pub fn next_record(&mut self) -> Result<Option<Record>, CorpusError> {
        match &mut self.rows {
            Rows::JsonLines(rows) => rows.next_record(),
            Rows::Delimited(rows) => rows.next_record(),
            Rows::Parquet(rows) => rows.next_record(),
        }
    }

    /// How many bytes of the file have been read, as they lie on disk; of a Parquet file about how many.
    pub fn bytes_read(&self) -> u64 {
        match &self.rows {
            Rows::JsonLines(rows) => rows.input().bytes_read(),
            Rows::Delimited(rows) => rows.input().bytes_read(),
            Rows::Parquet(rows) => rows.bytes_read(),
        }
    }

    /// How often bytes that are no UTF-8 were replaced in what has been read of the file.
    pub fn replaced(&self) -> u64 {
        match &self.rows {
            Rows::JsonLines(rows) => rows.input().replaced(),
            Rows::Delimited(rows) => rows.input().replaced(),
            Rows::Parquet(_) => 0,
        }
    }

    /// The sha256 of what has been read of the file, in hexadecimal: of all of it, once `next_record` has given `None`.
    ///
    /// # Errors
    /// A Parquet file, which is read for it from beginning to end, cannot be read.
    pub fn sha256(&self) -> Result<String, CorpusError> {
        match &self.rows {
            Rows::JsonLines(rows) => Ok(rows.input().sha256()),
            Rows::Delimited(rows) => Ok(rows.input().sha256()),
            Rows::Parquet(rows) => rows.sha256(),
        }
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
