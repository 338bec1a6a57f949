//! What several test files need.

use std::path::{Path, PathBuf};

/// A part of the shared data, which is not of this project: nothing, said aloud, where it is absent.
pub(crate) fn shared_data(part: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(part);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}
