//! Reading and writing files. A written file is either the old one or the new one.

use crate::TokenizerError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) fn read(path: &Path) -> Result<String, TokenizerError> {
    fs::read_to_string(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })
}

/// Writes beside the file, waits until that is on the disk, and renames it.
pub(crate) fn write_atomically(path: &Path, content: &str) -> Result<(), TokenizerError> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.partial", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    let partial = path.with_file_name(name);
    let written = write_and_sync(&partial, content).and_then(|()| fs::rename(&partial, path));
    written.and_then(|()| sync_folder(path)).map_err(|source| {
        // Best effort: the error that counts is the one being reported.
        let _ = fs::remove_file(&partial);
        TokenizerError::Write { path: path.to_owned(), source }
    })
}

fn write_and_sync(path: &Path, content: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// On Unix a rename lasts once the folder is on the disk; elsewhere a folder cannot be opened.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) && !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
