//! sha256 as it is written in manifests: 64 lower-case hexadecimal digits.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::CorpusError;

/// The digest of everything `hasher` was fed.
pub(crate) fn finish(hasher: Sha256) -> String {
    hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The digest of `bytes`.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    finish(Sha256::new_with_prefix(bytes))
}

/// The digest of a file's contents, read in pieces; `report` gets the size of each.
pub(crate) fn of_file(path: &Path, report: &dyn Fn(u64)) -> Result<String, CorpusError> {
    let mut file = std::fs::File::open(path).map_err(CorpusError::io("read", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok(finish(hasher)),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CorpusError::io("read", path)(error)),
        };
        hasher.update(&buffer[..count]);
        report(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_published_ones() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_bytes(b""), empty);
        assert_eq!(of_bytes(b"abc"), abc);
    }
}
