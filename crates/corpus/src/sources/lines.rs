//! One file of plain text, line by line.

use crate::error::CorpusError;
use crate::input::{BYTE_ORDER_MARK, Input, InvalidUtf8};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The lines of a file of plain text, which may be compressed (`.gz`, `.zst`), without their ends. An empty line is a line too, but
/// nothing stands behind the last line end.
pub struct Lines {
    path: PathBuf,
    input: BufReader<Input>,
    at_start: bool,
}

impl Lines {
    /// Opens a file.
    ///
    /// # Errors
    /// The file is missing or unreadable.
    pub fn open(path: &Path) -> Result<Self, CorpusError> {
        let input = BufReader::new(Input::open(path, InvalidUtf8::Refuse)?);
        Ok(Self { path: path.to_path_buf(), input, at_start: true })
    }

    /// The next line, `None` at the end of the file.
    ///
    /// # Errors
    /// The file is not UTF-8, or cannot be read further.
    pub fn next_line(&mut self) -> Result<Option<String>, CorpusError> {
        let mut line = String::new();
        let count = self.input.read_line(&mut line).map_err(|error| Input::explain(&self.path, error))?;
        if count == 0 {
            return Ok(None);
        }
        if line.ends_with('\n') {
            line.pop();
            if line.ends_with('\r') {
                line.pop();
            }
        }
        if std::mem::take(&mut self.at_start) && line.as_bytes().starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(line))
    }
}

impl Iterator for Lines {
    type Item = Result<String, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(name: &str, content: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        let lines: Result<Vec<String>, CorpusError> = Lines::open(&path).expect("it is there").collect();
        lines.map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_the_same_however_they_end_and_whatever_packs_them() {
        let wanted: Vec<String> = ["one", "", "two words"].map(String::from).into();
        for plain in ["one\n\ntwo words\n", "one\n\ntwo words", "\u{feff}one\r\n\r\ntwo words\r\n"] {
            assert_eq!(lines("plain.txt", plain.as_bytes()).as_ref(), Ok(&wanted), "{plain:?}");
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packed.write_all(plain.as_bytes()).expect("into memory");
            let packed = packed.finish().expect("into memory");
            assert_eq!(lines("packed.txt.gz", &packed).as_ref(), Ok(&wanted), "{plain:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_said_with_their_line() {
        let error = lines("latin.txt", b"one\ncaf\xe9\n").expect_err("no UTF-8");
        assert!(error.contains("latin.txt") && error.contains('2'), "{error}");
    }
}
