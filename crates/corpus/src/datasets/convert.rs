//! Text in other encodings and in formats of its own, into UTF-8 and JSON lines.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::DatasetError;
use super::manifest::{Convert, Encoding, Source};
use crate::digest;

/// Writes what `input` holds to `target`, converted as `source` says, and syncs it; gives size and checksum.
///
/// `origin` is the file that messages name.
pub(super) fn write_converted(
    source: &Source,
    input: impl Read,
    origin: &Path,
    target: &Path,
) -> Result<(u64, String), DatasetError> {
    let file = File::create(target).map_err(DatasetError::io("create", target))?;
    let out = Output { out: BufWriter::with_capacity(1 << 18, file), hasher: Sha256::new(), bytes: 0 };
    let lines = Lines { input: BufReader::new(input), origin, encoding: source.encoding, number: 0 };
    let mut conversion = Conversion { lines, out, target };
    match &source.convert {
        None if source.encoding == Encoding::Utf8 => conversion.bytes()?,
        None => conversion.text()?,
        Some(Convert::LabelLines) => conversion.label_lines()?,
        Some(Convert::Separated(separator)) => conversion.separated(separator.trim())?,
    }
    let Output { mut out, hasher, bytes } = conversion.out;
    let written = out.flush().and_then(|()| out.get_ref().sync_all());
    written.map_err(DatasetError::io("write", target))?;
    Ok((bytes, digest::finish(hasher)))
}

struct Conversion<'a, R> {
    lines: Lines<'a, R>,
    out: Output,
    target: &'a Path,
}

impl<R: Read> Conversion<'_, R> {
    fn bytes(&mut self) -> Result<(), DatasetError> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = self.lines.input.read(&mut buffer).map_err(|error| self.lines.broken(error))?;
            if count == 0 {
                return Ok(());
            }
            self.write(&buffer[..count])?;
        }
    }

    fn text(&mut self) -> Result<(), DatasetError> {
        while let Some(line) = self.lines.next()? {
            self.write(line.as_bytes())?;
        }
        Ok(())
    }

    fn label_lines(&mut self) -> Result<(), DatasetError> {
        while let Some(line) = self.lines.next()? {
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            let Some((fine, text)) = line.split_once(' ') else {
                return Err(self.lines.broken("there is no text behind the label"));
            };
            let coarse = fine.split(':').next().unwrap_or(fine);
            self.record(json!({ "text": text, "label": coarse, "fine_label": fine }))?;
        }
        Ok(())
    }

    fn separated(&mut self, separator: &str) -> Result<(), DatasetError> {
        let mut document = String::new();
        loop {
            let line = self.lines.next()?;
            match &line {
                Some(line) if line.trim() != separator => document.push_str(line),
                _ => {
                    let text = document.trim_matches(['\n', '\r']);
                    if !text.trim().is_empty() {
                        self.record(json!({ "text": text }))?;
                    }
                    document.clear();
                }
            }
            if line.is_none() {
                return Ok(());
            }
        }
    }

    fn record(&mut self, record: serde_json::Value) -> Result<(), DatasetError> {
        self.write(format!("{record}\n").as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DatasetError> {
        self.out.write_all(bytes).map_err(DatasetError::io("write", self.target))
    }
}

/// The lines of a text, with their line ends.
struct Lines<'a, R> {
    input: BufReader<R>,
    origin: &'a Path,
    encoding: Encoding,
    number: u64,
}

impl<R: Read> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<String>, DatasetError> {
        let mut line = Vec::new();
        self.number += 1;
        if self.input.read_until(b'\n', &mut line).map_err(|error| self.broken(error))? == 0 {
            return Ok(None);
        }
        match self.encoding {
            // In ISO-8859-1 a byte is the number of its character.
            Encoding::Latin1 => Ok(Some(line.into_iter().map(char::from).collect())),
            Encoding::Utf8 => String::from_utf8(line).map(Some).map_err(|_| self.broken("is not UTF-8")),
        }
    }

    fn broken(&self, reason: impl std::fmt::Display) -> DatasetError {
        let place = if self.number > 0 { format!("line {}: ", self.number) } else { String::new() };
        DatasetError::Unpack { path: self.origin.to_path_buf(), reason: format!("{place}{reason}") }
    }
}

/// A file that is hashed while it is written.
struct Output {
    out: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn convert(text: &[u8], encoding: Encoding, convert: Option<Convert>) -> Result<String, String> {
        let toml = "name = 'a.txt'";
        let source = Source { encoding, convert, ..toml::from_str(toml).unwrap() };
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        let (bytes, sha256) =
            write_converted(&source, text, Path::new("a.txt"), &target).map_err(|error| error.to_string())?;
        let written = std::fs::read(&target).unwrap();
        assert_eq!((bytes, sha256), (written.len() as u64, digest::of_bytes(&written)));
        Ok(String::from_utf8(written).unwrap())
    }

    #[test]
    fn a_byte_of_latin_1_is_a_character() {
        assert_eq!(convert(b"caf\xe9\n\xff", Encoding::Latin1, None).unwrap(), "café\nÿ");
    }

    #[test]
    fn label_lines_become_records() {
        let text = b"DESC:manner How did\n\nABBR What \xe9?\r\n";
        assert_eq!(
            convert(text, Encoding::Latin1, Some(Convert::LabelLines)).unwrap(),
            "{\"text\":\"How did\",\"label\":\"DESC\",\"fine_label\":\"DESC:manner\"}\n\
             {\"text\":\"What é?\",\"label\":\"ABBR\",\"fine_label\":\"ABBR\"}\n"
        );
        let error = convert(b"A b\nlabel\n", Encoding::Utf8, Some(Convert::LabelLines)).unwrap_err();
        assert_eq!(error, "a.txt: line 2: there is no text behind the label");
    }

    #[test]
    fn separated_documents_keep_their_blank_lines_and_empty_ones_are_none() {
        let text = b"One.\n\nStill one.\n<|x|>\n\n<|x|>\nTwo. <|x|> is a word.";
        let convert = |text: &[u8]| convert(text, Encoding::Utf8, Some(Convert::Separated("<|x|>".into())));
        assert_eq!(
            convert(text).unwrap(),
            "{\"text\":\"One.\\n\\nStill one.\"}\n{\"text\":\"Two. <|x|> is a word.\"}\n"
        );
        assert_eq!(convert(b"a\nb\xff\n").unwrap_err(), "a.txt: line 2: is not UTF-8");
        assert_eq!(convert(b"").unwrap(), "");
    }
}
