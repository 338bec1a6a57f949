//! Where shards are made: a folder beside the one they will be, kept when the process that fills it is killed.

use std::fs;
use std::path::{Path, PathBuf};

use firebrand_durable::{Lock, parent, sync_folder};

use super::journal::Journal;
use crate::error::CorpusError;

/// In the workspace: held by the process that works in it.
const LOCK: &str = "lock";
/// How far it has come: a [`Journal`].
const JOURNAL: &str = "journal.json";
/// Files that have been scanned: for [`Memory`](crate::sources::Memory).
const MEMORY: &str = "scanned.json";
/// The folder that becomes the target.
const SHARDS: &str = "shards";

/// The folder `TARGET.preparing`, which belongs to one process at a time. What is in it appears as `TARGET` at once.
///
/// It is removed when dropped, unless there is something in it that a later process can go on with.
pub(crate) struct Workspace {
    target: PathBuf,
    folder: PathBuf,
    lock: Option<Lock>,
    /// Whether there is something to go on with.
    kept: bool,
}

impl Workspace {
    /// Takes the workspace of `target`, whose parents are made.
    ///
    /// # Errors
    /// Another process has it, or it cannot be made.
    pub(crate) fn claim(target: &Path) -> Result<Self, CorpusError> {
        let folder = Self::folder_of(target);
        loop {
            fs::create_dir_all(&folder).map_err(CorpusError::io("create", &folder))?;
            let path = folder.join(LOCK);
            let lock = match Lock::take(&path) {
                Ok(Ok(lock)) => lock,
                Ok(Err(process)) => return Err(CorpusError::Busy { path: target.to_path_buf(), process }),
                // Its owner has just finished and removed it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(CorpusError::io("lock", &path)(error)),
            };
            if path.exists() {
                return Ok(Self { target: target.to_path_buf(), folder, lock: Some(lock), kept: false });
            }
        }
    }

    /// Where the workspace of `target` is.
    pub(crate) fn folder_of(target: &Path) -> PathBuf {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".preparing");
        target.with_file_name(name)
    }

    /// Removes a workspace of shards that are complete: that of a process which was killed just before it did so. What
    /// cannot be removed is left, it does no harm.
    pub(crate) fn tidy(target: &Path) {
        if Self::folder_of(target).exists() {
            drop(Self::claim(target).map(Self::discard));
        }
    }

    /// The file that remembers what was scanned.
    pub(crate) fn memory(&self) -> PathBuf {
        self.folder.join(MEMORY)
    }

    /// The path of a file of the shards.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(SHARDS).join(name)
    }

    /// What an earlier process wrote about the shards with this key.
    pub(super) fn journal(&self, key: &str) -> Option<Journal> {
        let json = fs::read(self.folder.join(JOURNAL)).ok()?;
        serde_json::from_slice::<Journal>(&json).ok().filter(|journal| journal.key == key)
    }

    /// Begins without shards, or with those of a journal.
    pub(super) fn begin(&mut self, files: &[&str]) -> Result<(), CorpusError> {
        let shards = self.folder.join(SHARDS);
        if files.is_empty() {
            let journal = self.folder.join(JOURNAL);
            remove_file(&journal)?;
            firebrand_durable::remove_folder(&shards).map_err(CorpusError::io("remove", &shards))?;
        }
        fs::create_dir_all(&shards).map_err(CorpusError::io("create", &shards))?;
        for entry in fs::read_dir(&shards).map_err(CorpusError::io("list", &shards))? {
            let entry = entry.map_err(CorpusError::io("list", &shards))?;
            if !files.iter().any(|&file| entry.file_name() == file) {
                remove_file(&entry.path())?;
            }
        }
        self.kept = !files.is_empty();
        Ok(())
    }

    /// Writes down how far the shards have come. Everything it speaks of must be on disk.
    pub(super) fn write_journal(&mut self, journal: &Journal) -> Result<(), CorpusError> {
        let shards = self.folder.join(SHARDS);
        sync_folder(&shards).map_err(CorpusError::io("sync", &shards))?;
        let path = self.folder.join(JOURNAL);
        let json = super::writer::to_json(journal);
        firebrand_durable::write(&path, &json).map_err(CorpusError::io("write", &path))?;
        self.kept = true;
        Ok(())
    }

    /// Makes the shards appear at the target, which may be there as an empty folder. All files must be synced.
    pub(super) fn commit(self) -> Result<(), CorpusError> {
        let shards = self.folder.join(SHARDS);
        sync_folder(&shards).map_err(CorpusError::io("sync", &shards))?;
        fs::rename(&shards, &self.target).map_err(|error| match error.kind() {
            std::io::ErrorKind::DirectoryNotEmpty
            | std::io::ErrorKind::AlreadyExists
            | std::io::ErrorKind::NotADirectory => CorpusError::OutputExists(self.target.clone()),
            _ => CorpusError::io("create", &self.target)(error),
        })?;
        let parent = parent(&self.target);
        sync_folder(parent).map_err(CorpusError::io("sync", parent))?;
        self.discard();
        Ok(())
    }

    /// Gives up what is there.
    pub(crate) fn discard(mut self) {
        self.kept = false;
        // Best effort: what is left does no harm. The lock goes last, so that nobody finds less than they should.
        let _ = remove_file(&self.memory());
        drop(self);
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // That what was scanned is written down means that it took its time.
        if self.kept || self.memory().exists() {
            return;
        }
        let _ = firebrand_durable::remove_folder(&self.folder.join(SHARDS));
        let _ = fs::remove_file(self.folder.join(JOURNAL));
        let _ = fs::remove_file(self.folder.join(LOCK));
        self.lock = None;
        // If there is something else in it, it stays.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Removes a file, which may not be there.
fn remove_file(path: &Path) -> Result<(), CorpusError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CorpusError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    fn begun(target: &Path) -> Workspace {
        let mut workspace = Workspace::claim(target).unwrap();
        workspace.begin(&[]).unwrap();
        workspace
    }

    fn journal(key: &str) -> Journal {
        Journal { key: key.to_owned(), splits: BTreeMap::new() }
    }

    #[test]
    fn nothing_is_seen_before_the_commit_and_all_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("new/shards");
        let workspace = begun(&target);
        fs::write(workspace.path("a"), "contents").unwrap();
        assert!(!target.exists());
        workspace.commit().unwrap();
        assert_eq!(names(&target), ["a"]);
        assert_eq!(names(&dir.path().join("new")), ["shards"]);
    }

    #[test]
    fn nothing_is_left_where_there_is_nothing_to_go_on_with() {
        let dir = tempfile::tempdir().unwrap();
        drop(begun(&dir.path().join("shards")));
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn what_a_journal_speaks_of_is_there_for_the_next_and_the_rest_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("shards");
        let mut workspace = begun(&target);
        fs::write(workspace.path("a"), "a").unwrap();
        fs::write(workspace.path("b"), "b").unwrap();
        workspace.write_journal(&journal("key")).unwrap();
        drop(workspace);
        let mut next = Workspace::claim(&target).unwrap();
        assert!(next.journal("another key").is_none());
        assert!(next.journal("key").is_some());
        next.begin(&["a"]).unwrap();
        assert_eq!(names(&dir.path().join("shards.preparing/shards")), ["a"]);
        next.begin(&[]).unwrap();
        assert!(next.journal("key").is_none());
        assert!(names(&dir.path().join("shards.preparing/shards")).is_empty());
    }

    #[test]
    fn what_exists_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("shards");
        let workspace = begun(&target);
        fs::create_dir(&target).unwrap();
        fs::write(target.join("first"), "").unwrap();
        assert!(matches!(workspace.commit(), Err(CorpusError::OutputExists(_))));
        assert_eq!(names(&target), ["first"]);
        assert_eq!(names(dir.path()), ["shards"]);
    }

    #[test]
    fn two_do_not_work_on_the_same_shards() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("shards");
        let first = begun(&target);
        let error = Workspace::claim(&target).err().unwrap().to_string();
        let expected = format!("is being prepared by another process (number {})", std::process::id());
        assert!(error.contains(&expected), "{error}");
        // Another target has a workspace of its own.
        drop(begun(&dir.path().join("others")));
        drop(first);
        drop(begun(&target));
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn what_somebody_else_put_into_the_folder_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("shards");
        let workspace = begun(&target);
        fs::write(dir.path().join("shards.preparing/notes"), "mine").unwrap();
        workspace.commit().unwrap();
        Workspace::tidy(&target);
        assert_eq!(names(&dir.path().join("shards.preparing")), ["notes"]);
    }
}
