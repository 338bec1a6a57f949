//! One text file, read as documents.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::DocumentBoundary;
use crate::digest;
use crate::error::CorpusError;

/// Reads the documents of one UTF-8 text file in order and hashes every byte on the way.
pub struct DocumentReader {
    path: PathBuf,
    boundary: DocumentBoundary,
    input: BufReader<File>,
    /// The line being looked at, with its line end.
    line: Vec<u8>,
    lines_read: u64,
    bytes_read: u64,
    hasher: Sha256,
}

impl DocumentReader {
    /// Opens a file.
    ///
    /// # Errors
    /// The file is missing or unreadable.
    pub fn open(path: &Path, boundary: DocumentBoundary) -> Result<Self, CorpusError> {
        let file = File::open(path).map_err(CorpusError::io("read", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            boundary,
            input: BufReader::with_capacity(1 << 16, file),
            line: Vec::new(),
            lines_read: 0,
            bytes_read: 0,
            hasher: Sha256::new(),
        })
    }

    /// The next document, `None` at the end of the file. No document is empty.
    ///
    /// # Errors
    /// The file is not UTF-8, which is said with line and byte offset, or cannot be read further.
    pub fn next_document(&mut self) -> Result<Option<String>, CorpusError> {
        match self.boundary {
            DocumentBoundary::File => self.whole_file(),
            DocumentBoundary::BlankLine => self.paragraph(),
            DocumentBoundary::Line => self.single_line(),
        }
    }

    /// How many bytes have been read.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The sha256 of what has been read, in hexadecimal: of the whole file, once `next_document` has given `None`.
    pub fn sha256(&self) -> String {
        digest::finish(self.hasher.clone())
    }

    fn whole_file(&mut self) -> Result<Option<String>, CorpusError> {
        let mut contents = Vec::new();
        self.input.read_to_end(&mut contents).map_err(CorpusError::io("read", &self.path))?;
        if contents.is_empty() {
            return Ok(None);
        }
        self.hasher.update(&contents);
        let text = match String::from_utf8(contents) {
            Ok(text) => text,
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                return Err(self.invalid_utf8(error.as_bytes(), valid));
            }
        };
        self.bytes_read += text.len() as u64;
        Ok(Some(text))
    }

    fn paragraph(&mut self) -> Result<Option<String>, CorpusError> {
        let mut text = String::new();
        while let Some(line) = self.next_line()? {
            if !is_blank(line) {
                text.push_str(line);
            } else if !text.is_empty() {
                break;
            }
        }
        text.truncate(without_line_end(&text).len());
        Ok(if text.is_empty() { None } else { Some(text) })
    }

    fn single_line(&mut self) -> Result<Option<String>, CorpusError> {
        while let Some(line) = self.next_line()? {
            if !is_blank(line) {
                return Ok(Some(without_line_end(line).to_owned()));
            }
        }
        Ok(None)
    }

    /// The next line with its line end, `None` at the end of the file.
    fn next_line(&mut self) -> Result<Option<&str>, CorpusError> {
        self.line.clear();
        let count =
            self.input.read_until(b'\n', &mut self.line).map_err(CorpusError::io("read", &self.path))?;
        if count == 0 {
            return Ok(None);
        }
        self.hasher.update(&self.line);
        match std::str::from_utf8(&self.line) {
            Ok(line) => {
                self.lines_read += 1;
                self.bytes_read += count as u64;
                Ok(Some(line))
            }
            Err(error) => Err(self.invalid_utf8(&self.line, error.valid_up_to())),
        }
    }

    /// The error for `bytes`, which follow what has been read and are valid up to `valid`.
    fn invalid_utf8(&self, bytes: &[u8], valid: usize) -> CorpusError {
        let line_ends = bytes[..valid].iter().filter(|&&byte| byte == b'\n').count() as u64;
        CorpusError::InvalidUtf8 {
            path: self.path.clone(),
            line: self.lines_read + line_ends + 1,
            offset: self.bytes_read + valid as u64,
        }
    }
}

fn is_blank(line: &str) -> bool {
    line.chars().all(char::is_whitespace)
}

fn without_line_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(contents: &[u8], boundary: DocumentBoundary) -> Result<Vec<String>, CorpusError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), contents).unwrap();
        let mut reader = DocumentReader::open(file.path(), boundary)?;
        let mut documents = Vec::new();
        while let Some(document) = reader.next_document()? {
            documents.push(document);
        }
        assert_eq!(reader.bytes_read(), contents.len() as u64);
        assert_eq!(reader.sha256(), digest::of_bytes(contents));
        Ok(documents)
    }

    #[test]
    fn a_file_is_one_document_to_the_last_byte() {
        assert_eq!(read(b" a\r\n\n", DocumentBoundary::File).unwrap(), [" a\r\n\n"]);
        assert!(read(b"", DocumentBoundary::File).unwrap().is_empty());
    }

    #[test]
    fn lines_lose_their_ends_and_blank_ones_are_dropped() {
        assert_eq!(
            read(b"one\r\n\n  \n two \nthree", DocumentBoundary::Line).unwrap(),
            ["one", " two ", "three"]
        );
    }

    #[test]
    fn blank_lines_separate_documents_that_keep_their_inner_line_ends() {
        let text = b"\n\na\nb\r\nc\n \t\n\nd\r\n\r\ne";
        assert_eq!(read(text, DocumentBoundary::BlankLine).unwrap(), ["a\nb\r\nc", "d", "e"]);
    }

    #[test]
    fn invalid_utf8_is_located_by_line_and_offset() {
        for boundary in [DocumentBoundary::File, DocumentBoundary::BlankLine, DocumentBoundary::Line] {
            match read(b"fine\n\nalso \xff here\n", boundary) {
                Err(CorpusError::InvalidUtf8 { line, offset, .. }) => assert_eq!((line, offset), (3, 11)),
                other => panic!("{boundary:?}: {other:?}"),
            }
            // A character cut short at the end of the file.
            match read(b"a\nb\xe2\x82", boundary) {
                Err(CorpusError::InvalidUtf8 { line, offset, .. }) => assert_eq!((line, offset), (2, 3)),
                other => panic!("{boundary:?}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn documents_by_line_are_the_lines_that_are_not_blank(text in "([a-z é\t\n]|\r\n){0,80}") {
            let expected: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            prop_assert_eq!(read(text.as_bytes(), DocumentBoundary::Line).unwrap(), expected);
        }

        #[test]
        fn documents_by_blank_line_hold_every_line_once(text in "([a-c \n]|\n\n){0,80}") {
            let documents = read(text.as_bytes(), DocumentBoundary::BlankLine).unwrap();
            for document in &documents {
                prop_assert!(document.lines().all(|line| !line.trim().is_empty()));
            }
            let lines: Vec<&str> = documents.iter().flat_map(|document| document.lines()).collect();
            let expected: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            prop_assert_eq!(lines, expected);
        }
    }
}
