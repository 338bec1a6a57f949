//! One file, read as documents.

use std::path::Path;

use super::text::{PIECE_BYTES, TextReader};
use super::{DocumentBoundary, Piece};
use crate::error::CorpusError;
use crate::input::InvalidUtf8;
use crate::records::{Format, RecordReader};

/// Reads the documents of one file in order, in pieces, and hashes every byte on the way.
pub struct DocumentReader {
    source: Source,
}

enum Source {
    Text(TextReader),
    Records {
        records: RecordReader,
        field: String,
        /// The document being given out, from `at` on.
        document: String,
        at: usize,
    },
}

impl DocumentReader {
    /// Opens a file of plain text, which may be compressed (`.gz`, `.zst`).
    ///
    /// # Errors
    /// The file is missing or unreadable.
    pub fn open(path: &Path, boundary: DocumentBoundary) -> Result<Self, CorpusError> {
        Self::open_as(path, Format::Text, boundary, "", InvalidUtf8::Refuse)
    }

    /// Opens a file of any format. In a file of records, each is a document: its `field`, which must be text; records
    /// where that is empty or null are passed over. `invalid_utf8` says what becomes of bytes that are no UTF-8; those of Parquet
    /// are always refused.
    ///
    /// # Errors
    /// The file is missing, unreadable, of another format, or has no such field.
    pub fn open_as(
        path: &Path,
        format: Format,
        boundary: DocumentBoundary,
        field: &str,
        invalid_utf8: InvalidUtf8,
    ) -> Result<Self, CorpusError> {
        if format == Format::Text {
            return Ok(Self { source: Source::Text(TextReader::open(path, boundary, invalid_utf8)?) });
        }
        let records = RecordReader::open_with(path, format, true, invalid_utf8)?.only(&[field])?;
        Ok(Self {
            source: Source::Records { records, field: field.to_owned(), document: String::new(), at: 0 },
        })
    }

    /// The next piece of a document, a quarter of a MiB or so, `None` at the end of the file. No document is empty,
    /// though its last piece may be.
    ///
    /// # Errors
    /// The file is not UTF-8, which is said with line and byte offset; a record is malformed or lacks the field; the
    /// file cannot be read further.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, CorpusError> {
        let (records, field, document, at) = match &mut self.source {
            Source::Text(text) => return text.next_piece(),
            Source::Records { records, field, document, at } => (records, field, document, at),
        };
        while document.is_empty() {
            let Some(mut record) = records.next_record()? else { return Ok(None) };
            *document = record.take_text(field)?.unwrap_or_default();
        }
        let rest = &document[*at..];
        let ends_document = rest.len() <= 2 * PIECE_BYTES;
        let text = match (ends_document, *at) {
            (true, 0) => std::mem::take(document),
            (true, _) => rest.to_owned(),
            (false, _) => rest[..rest.floor_char_boundary(PIECE_BYTES)].to_owned(),
        };
        *at += text.len();
        if ends_document {
            document.clear();
            *at = 0;
        }
        Ok(Some(Piece { text, ends_document }))
    }

    /// The next document as a whole, `None` at the end of the file. No document is empty.
    ///
    /// # Errors
    /// As [`DocumentReader::next_piece`].
    pub fn next_document(&mut self) -> Result<Option<String>, CorpusError> {
        let mut document = String::new();
        while let Some(piece) = self.next_piece()? {
            document.push_str(&piece.text);
            if piece.ends_document {
                return Ok(Some(document));
            }
        }
        Ok(None)
    }

    /// How many bytes of the file have been read, as they lie on disk.
    pub fn bytes_read(&self) -> u64 {
        match &self.source {
            Source::Text(text) => text.input().bytes_read(),
            Source::Records { records, .. } => records.bytes_read(),
        }
    }

    /// How often bytes that are no UTF-8 were replaced in what has been read of the file.
    pub fn replaced(&self) -> u64 {
        match &self.source {
            Source::Text(text) => text.input().replaced(),
            Source::Records { records, .. } => records.replaced(),
        }
    }

    /// The sha256 of what has been read of the file, in hexadecimal: of all of it, once `next_piece` has given `None`.
    ///
    /// # Errors
    /// A Parquet file, which is read for it from beginning to end, cannot be read.
    pub fn sha256(&self) -> Result<String, CorpusError> {
        match &self.source {
            Source::Text(text) => Ok(text.input().sha256()),
            Source::Records { records, .. } => records.sha256(),
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
