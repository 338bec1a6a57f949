//! Locks on what only one process may work on.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// A lock file that is held. The operating system lets go of it when its process ends, however that ends; the file
/// stays and means nothing by itself.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock. When another process has it: `Err` with its process number, where that can be read.
    ///
    /// Where the file system has no locks there are none, and this succeeds.
    ///
    /// # Errors
    /// The file cannot be made or written.
    pub fn take(path: &Path) -> io::Result<Result<Self, Option<u32>>> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: who has it may be about to write its number.
                let _ = file.read_to_string(&mut holder);
                return Ok(Err(holder.trim().parse().ok()));
            }
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        file.set_len(0)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())?;
        Ok(Ok(Self { file }))
    }

    /// Whether a process has the lock, without taking it; not, where that cannot be told.
    pub fn is_held(path: &Path) -> bool {
        let Ok(mut file) = File::open(path) else { return false };
        // The number of a holder is there as long as it lives, and after it was killed. Only then is the lock itself
        // tried, so that a look never keeps the next one from taking it.
        let mut holder = String::new();
        if file.read_to_string(&mut holder).is_ok() && holder.is_empty() {
            return false;
        }
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A number in it would be that of a process which is gone. Best effort: nobody reads it without a holder.
        let _ = self.file.set_len(0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_free_again_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::take(&path).unwrap().unwrap();
        assert_eq!(Lock::take(&path).unwrap().unwrap_err(), Some(std::process::id()));
        assert!(Lock::is_held(&path));
        drop(held);
        assert!(!Lock::is_held(&path));
        // What a holder that was killed leaves.
        std::fs::write(&path, "999999\n").unwrap();
        assert!(!Lock::is_held(&path) && !Lock::is_held(&dir.path().join("none")));
        Lock::take(&path).unwrap().unwrap();
    }
}
