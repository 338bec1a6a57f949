//! The bytes of one file of text, whatever it is compressed with: decompressed, checked to be UTF-8, hashed as they lie
//! on disk.
//!
//! Knows nothing of lines, documents or records.

mod compression;
mod lossy;
mod utf8;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::digest;
use crate::error::CorpusError;
pub(crate) use compression::{Compression, extension};
pub use lossy::InvalidUtf8;
use lossy::Replacer;
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
    encoding: Encoding,
}

/// How it is made sure that text is UTF-8.
enum Encoding {
    Checked(Utf8Check),
    Replaced(Replacer),
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
    pub(crate) fn open(path: &Path, invalid_utf8: InvalidUtf8) -> Result<Self, CorpusError> {
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
        let encoding = match invalid_utf8 {
            InvalidUtf8::Refuse => Encoding::Checked(Utf8Check::default()),
            InvalidUtf8::Replace => Encoding::Replaced(Replacer::default()),
        };
        Ok(Self { path: path.to_path_buf(), compression, source, encoding })
    }

    /// How many bytes of the file have been read, as they lie on disk.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.file().bytes_read
    }

    /// The sha256 of these bytes, in hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        digest::finish(self.file().hasher.clone())
    }

    /// How often bytes that are no UTF-8 were replaced so far.
    pub(crate) fn replaced(&self) -> u64 {
        match &self.encoding {
            Encoding::Checked(_) => 0,
            Encoding::Replaced(replacer) => replacer.replaced(),
        }
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
}

impl Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Self { path, compression, source, encoding } = self;
        let explained = |error: io::Error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            // What the decoder finds wrong has no number of the operating system.
            _ if error.raw_os_error().is_none() => {
                let (path, compression) = (path.clone(), compression.name());
                io::Error::other(CorpusError::Compressed { path, compression, reason: error })
            }
            _ => io::Error::other(CorpusError::io("read", path)(error)),
        };
        let mut read = |buffer: &mut [u8]| source.read(buffer).map_err(explained);
        let utf8 = match encoding {
            Encoding::Replaced(replacer) => return replacer.read(buffer, read),
            Encoding::Checked(utf8) => utf8,
        };
        let count = read(buffer)?;
        let checked = match count {
            0 => utf8.end(),
            _ => utf8.feed(&buffer[..count]),
        };
        match checked {
            Ok(()) => Ok(count),
            Err(at) => {
                let (path, line, offset) = (path.clone(), at.line, at.offset);
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
