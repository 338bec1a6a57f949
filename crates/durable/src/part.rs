//! A file in the making.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{parent, sync_folder};

/// The end of the names of parts.
const SUFFIX: &str = ".part";

/// `.NAME.PID-N.part`, which becomes `NAME` when it is committed and is removed when it is dropped before that. Locked
/// as long as it lives.
pub(crate) struct Part {
    target: PathBuf,
    path: PathBuf,
    file: Option<File>,
}

impl Part {
    /// Makes an empty part of `target`; removes those that killed processes left behind.
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        static PARTS: AtomicU64 = AtomicU64::new(0);
        remove_abandoned(target);
        loop {
            let mut name = prefix(target)?;
            name.push(format!("{}-{}{SUFFIX}", std::process::id(), PARTS.fetch_add(1, Ordering::Relaxed)));
            let path = target.with_file_name(name);
            let file = match File::options().write(true).create_new(true).open(&path) {
                // Left by a process of the same number, and just about to be removed by somebody else.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            match file.try_lock() {
                // Somebody took it for abandoned before it was locked, and removes it.
                Err(TryLockError::WouldBlock) => continue,
                // Where files cannot be locked, abandoned parts are merely not recognized.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            return Ok(Self { target: target.to_path_buf(), path, file: Some(file) });
        }
    }

    /// The file to write to.
    pub(crate) fn file(&mut self) -> &File {
        self.file.as_ref().expect("it is closed by `commit` alone, which takes the part")
    }

    /// Waits until the contents are on disk and puts them in the target's place, for good.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        self.file().sync_all()?;
        fs::rename(&self.path, &self.target)?;
        // From here on there is nothing to remove.
        self.file = None;
        sync_folder(parent(&self.target))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Best effort: whatever is left, the next one who writes the target removes.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// `.NAME.`, the beginning of the names of the parts of `target`.
fn prefix(target: &Path) -> io::Result<OsString> {
    let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a file name");
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().ok_or_else(no_name)?);
    prefix.push(".");
    Ok(prefix)
}

/// Removes parts of `target` whose processes are gone. What cannot be removed is left, it does no harm.
fn remove_abandoned(target: &Path) {
    let Ok(prefix) = prefix(target) else { return };
    let Ok(entries) = fs::read_dir(parent(target)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let Some(rest) = name.strip_prefix(prefix.as_encoded_bytes()) else { continue };
        // The rest is PID-N.part and nothing else: `.a.` begins the parts of `a.txt`, too.
        let number = rest.strip_suffix(SUFFIX.as_bytes());
        if !number.is_some_and(|number| number.iter().all(|&byte| byte.is_ascii_digit() || byte == b'-')) {
            continue;
        }
        let Ok(file) = File::options().write(true).open(entry.path()) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}
