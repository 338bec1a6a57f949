//! A folder that appears whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::CorpusError;

/// The file whose lock says that a staging folder's writer is alive.
const LOCK: &str = ".writing";

/// A folder `TARGET.tmp-N` that is filled and then renamed to `TARGET`; removed when dropped before that.
///
/// The folder of a writer that was killed stays behind until the next one for the same target removes it; its lock,
/// which the operating system let go of, tells it from that of a writer at work.
pub(super) struct Staging {
    target: PathBuf,
    folder: PathBuf,
    lock: Option<File>,
}

impl Staging {
    /// Makes the folder to be renamed to `target`, whose parents are made too.
    pub(super) fn create(target: &Path) -> Result<Self, CorpusError> {
        let parent = parent(target);
        fs::create_dir_all(parent).map_err(CorpusError::io("create", parent))?;
        remove_abandoned(target);
        let folder = create_numbered(target)?;
        let mut staging = Self { target: target.to_path_buf(), folder, lock: None };
        // Locked before it gets its name, so that nobody ever finds it unlocked.
        let path = staging.path("new-lock");
        let lock = File::create(&path).map_err(CorpusError::io("create", &path))?;
        // Where files cannot be locked, abandoned folders are merely not recognized.
        let _ = lock.try_lock();
        fs::rename(&path, staging.path(LOCK)).map_err(CorpusError::io("rename", &path))?;
        staging.lock = Some(lock);
        Ok(staging)
    }

    /// The path of a file in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a whole file and waits until it is on disk.
    pub(super) fn write(&self, name: &str, contents: &[u8]) -> Result<(), CorpusError> {
        let path = self.path(name);
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(contents)?;
            file.sync_all()
        };
        write().map_err(CorpusError::io("write", &path))
    }

    /// Renames the folder to its target, which may be there as an empty folder. All files in it must be synced.
    pub(super) fn commit(mut self) -> Result<(), CorpusError> {
        self.lock = None;
        let lock = self.path(LOCK);
        fs::remove_file(&lock).map_err(CorpusError::io("remove", &lock))?;
        sync_folder(&self.folder)?;
        fs::rename(&self.folder, &self.target).map_err(|error| match error.kind() {
            std::io::ErrorKind::DirectoryNotEmpty
            | std::io::ErrorKind::AlreadyExists
            | std::io::ErrorKind::NotADirectory => CorpusError::OutputExists(self.target.clone()),
            _ => CorpusError::io("create", &self.target)(error),
        })?;
        sync_folder(parent(&self.target))
    }
}

impl Drop for Staging {
    /// Removes what was not committed (after a commit there is nothing to remove).
    fn drop(&mut self) {
        self.lock = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder a path is in: `.` for a bare name.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `TARGET.tmp-`, the beginning of the names of the staging folders of `target`.
fn prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default();
    format!("{}.tmp-", name.to_string_lossy())
}

fn create_numbered(target: &Path) -> Result<PathBuf, CorpusError> {
    let mut number = std::process::id();
    loop {
        let folder = parent(target).join(format!("{}{number}", prefix(target)));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(1)
            }
            Err(error) => return Err(CorpusError::io("create", &folder)(error)),
        }
    }
}

/// Removes staging folders of `target` whose writers are gone. What cannot be removed is left, it does no harm.
fn remove_abandoned(target: &Path) {
    let prefix = prefix(target);
    let Ok(entries) = fs::read_dir(parent(target)) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            drop(lock);
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Waits until the names in a folder are on disk.
fn sync_folder(folder: &Path) -> Result<(), CorpusError> {
    // Elsewhere a folder cannot be opened as a file, and renames are durable or not without a say.
    if cfg!(unix) {
        File::open(folder).and_then(|file| file.sync_all()).map_err(CorpusError::io("sync", folder))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        fs::read_dir(folder).unwrap().map(|entry| name(entry.unwrap())).collect()
    }

    #[test]
    fn nothing_is_seen_before_the_commit_and_all_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("new/shards");
        let staging = Staging::create(&target).unwrap();
        staging.write("a", b"contents").unwrap();
        assert!(!target.exists());
        staging.commit().unwrap();
        assert_eq!(names(&target), ["a"]);
        assert_eq!(names(&dir.path().join("new")), ["shards"]);
    }

    #[test]
    fn nothing_is_left_of_what_was_not_committed() {
        let dir = tempfile::tempdir().unwrap();
        drop(Staging::create(&dir.path().join("shards")).unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn what_exists_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("shards");
        let (first, second) = (Staging::create(&target).unwrap(), Staging::create(&target).unwrap());
        first.write("first", b"").unwrap();
        first.commit().unwrap();
        assert!(matches!(second.commit(), Err(CorpusError::OutputExists(_))));
        assert_eq!(names(&target), ["first"]);
        assert_eq!(names(dir.path()), ["shards"]);
    }

    #[test]
    fn the_folders_of_killed_writers_are_removed_and_those_of_live_ones_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("shards");
        let abandoned = dir.path().join("shards.tmp-0");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join(LOCK), "").unwrap();
        let live = Staging::create(&target).unwrap();
        assert!(!abandoned.exists());
        let other = Staging::create(&target).unwrap();
        assert!(live.folder.exists() && other.folder.exists());
    }
}
