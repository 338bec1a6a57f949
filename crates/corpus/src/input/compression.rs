//! What a file is compressed with, by its name.

use std::ffi::OsStr;
use std::path::Path;

/// What the bytes of a file are compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By the last extension; with it, the name that is left without it.
    pub(crate) fn of(path: &Path) -> (Self, &OsStr) {
        let compression = match extension(path).as_deref() {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::None,
        };
        let name = if compression == Self::None { path.file_name() } else { path.file_stem() };
        (compression, name.unwrap_or_default())
    }

    /// The name people know it by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The extension of a name in lower case: `DATA.CSV` is a CSV file, too.
pub(crate) fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}
