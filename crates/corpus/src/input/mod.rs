//! The bytes of one file of text, whatever it is compressed with: decompressed, checked to be UTF-8, hashed as they lie
//! on disk.
//!
//! Knows nothing of lines, documents or records.

mod compression;
mod utf8;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::digest;
use crate::error::CorpusError;
pub(crate) use compression::{Compression, extension};
use utf8::Utf8Check;

/// What some programs begin text with: it says that UTF-8 follows and is no part of the text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How much is read from the file at a time.
const BLOCK: usize = 1 << 17;

/// Reads the text of one file. [`Read::read`] gives UTF-8, though a block may end inside a character.
///
/// Errors of reading are [`CorpusError`]s inside an [`io::Error`]; [`Input::explain`] takes them out again.
pub(crate) struct Input {
    path: PathBuf,
    compression: Compression,
    source: Source,
    utf8: Utf8Check,
}

/// Where the bytes come from, through what. Both formats may be several streams, one after the other.
enum Source {
    Plain(HashedFile),
    Gzip(Box<flate2::bufread::MultiGzDecoder<BufReader<HashedFile>>>),
    Zstd(zstd::Decoder<'static, BufReader<HashedFile>>),
}

/// A file that is hashed and counted as it is read.
struct HashedFile {
    file: File,
    hasher: Sha256,
    bytes_read: u64,
}

impl Input {
    /// Opens a file; it is compressed if its name says so.
    pub(crate) fn open(path: &Path) -> Result<Self, CorpusError> {
        let file = File::open(path).map_err(CorpusError::io("read", path))?;
        let file = HashedFile { file, hasher: Sha256::new(), bytes_read: 0 };
        let compression = Compression::of(path).0;
        let source = match compression {
            Compression::None => Source::Plain(file),
            Compression::Gzip => Source::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(
                BufReader::with_capacity(BLOCK, file),
            ))),
            Compression::Zstd => {
                let decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(BLOCK, file));
                Source::Zstd(decoder.map_err(CorpusError::io("read", path))?)
            }
        };
        Ok(Self { path: path.to_path_buf(), compression, source, utf8: Utf8Check::default() })
    }

    /// How many bytes of the file have been read, as they lie on disk.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.file().bytes_read
    }

    /// The sha256 of these bytes, in hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        digest::finish(self.file().hasher.clone())
    }

    /// What went wrong when a read failed.
    pub(crate) fn explain(path: &Path, error: io::Error) -> CorpusError {
        match error.downcast::<CorpusError>() {
            Ok(error) => error,
            Err(error) => CorpusError::io("read", path)(error),
        }
    }

    fn file(&self) -> &HashedFile {
        match &self.source {
            Source::Plain(file) => file,
            Source::Gzip(decoder) => decoder.get_ref().get_ref(),
            Source::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }

    fn read_raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Plain(file) => file.read(buffer),
            Source::Gzip(decoder) => decoder.read(buffer),
            Source::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match self.read_raw(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            // What the decoder finds wrong has no number of the operating system.
            Err(error) if error.raw_os_error().is_none() => {
                let (path, compression) = (self.path.clone(), self.compression.name());
                return Err(io::Error::other(CorpusError::Compressed { path, compression, reason: error }));
            }
            Err(error) => return Err(io::Error::other(CorpusError::io("read", &self.path)(error))),
        };
        let checked = match count {
            0 => self.utf8.end(),
            _ => self.utf8.feed(&buffer[..count]),
        };
        match checked {
            Ok(()) => Ok(count),
            Err(at) => {
                let (path, line, offset) = (self.path.clone(), at.line, at.offset);
                Err(io::Error::other(CorpusError::InvalidUtf8 { path, line, offset }))
            }
        }
    }
}

impl Read for HashedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes_read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
