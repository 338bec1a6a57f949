//! Reading and writing files.

use crate::TokenizerError;
use std::fs;
use std::path::Path;

pub(crate) fn read(path: &Path) -> Result<String, TokenizerError> {
    fs::read_to_string(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })
}

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, TokenizerError> {
    fs::read(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })
}

/// Writes a file that is afterwards the new one, or after an error still the old one.
pub(crate) fn write(path: &Path, content: &str) -> Result<(), TokenizerError> {
    firebrand_durable::write(path, content.as_bytes())
        .map_err(|source| TokenizerError::Write { path: path.to_owned(), source })
}
