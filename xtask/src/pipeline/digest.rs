//! Hashes of files and folders, each computed once.
//!
//! A file's hash is remembered with its size and times, as git's index does: as long as they are the same, the file is
//! not read again. A file that changed within one tick of the clock has the same times before and after; so a hash is
//! kept for the next run only when the file had been left alone for a while before it was read.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::run_directory;

/// How long a file must have been left alone, in nanoseconds. The coarsest clock of a common file system ticks every 2 s.
const LEFT_ALONE: u128 = 2_000_000_000;

/// What is known of a file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    sha256: String,
    /// Whether the times prove that the file is still the one that was read.
    #[serde(skip, default = "yes")]
    lasting: bool,
}

/// What changes when a file does. Times are nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    modified: u128,
    /// When the file or what is known about it was changed, where the system records that: it shows a file that
    /// was exchanged for another with its times.
    changed: u128,
}

fn yes() -> bool {
    true
}

/// The hashes of all files that were asked for, by path.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// Where they are kept; nowhere when only looking.
    kept_in: Option<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
    dirty: bool,
}

impl Hashes {
    /// The hashes kept in `file`. What cannot be read is computed again.
    pub(super) fn open(file: &Path, may_write: bool) -> Self {
        let known =
            fs::read(file).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        Self { kept_in: may_write.then(|| file.to_path_buf()), known, dirty: false }
    }

    /// Keeps them for the next run.
    pub(super) fn save(&mut self) -> Result<()> {
        let Some(file) = self.kept_in.as_ref().filter(|_| self.dirty) else { return Ok(()) };
        let lasting: BTreeMap<_, _> = self.known.iter().filter(|(_, known)| known.lasting).collect();
        let json = serde_json::to_vec(&lasting).context("hashes are plain data")?;
        firebrand_durable::write(file, &json).with_context(|| format!("cannot write {}", file.display()))?;
        self.dirty = false;
        Ok(())
    }

    /// The hash of what is at `path`: a file, a run directory (of which counts what its users read), or another
    /// folder with all in it. `None` when nothing is there.
    pub(super) fn of(&mut self, path: &Path) -> Result<Option<String>> {
        let metadata = match fs::metadata(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        if !metadata.is_dir() {
            return self.of_file(path, &metadata).map(Some);
        }
        if path.join(run_directory::RUN_FILE).is_file() {
            return self.of_run(path);
        }
        let mut files = Vec::new();
        list(path, &mut files).with_context(|| format!("cannot read {}", path.display()))?;
        files.sort();
        self.of_files(path, &files).map(Some)
    }

    /// The hash of the run directory at `path`; `None` when there is no finished run.
    pub(super) fn of_run(&mut self, path: &Path) -> Result<Option<String>> {
        if run_directory::look(path)? != run_directory::Found::FinishedRun {
            return Ok(None);
        }
        let files = run_directory::CONTENT.iter().map(|name| path.join(name)).filter(|file| file.is_file());
        let files: Vec<PathBuf> = files.collect();
        self.of_files(path, &files).map(Some)
    }

    fn of_files(&mut self, folder: &Path, files: &[PathBuf]) -> Result<String> {
        let mut hash = Sha256::new();
        for file in files {
            let metadata = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy();
            // The length keeps names and hashes apart.
            hash.update(format!("{} {name} {}\n", name.len(), self.of_file(file, &metadata)?));
        }
        Ok(hex(&hash.finalize()))
    }

    fn of_file(&mut self, path: &Path, metadata: &Metadata) -> Result<String> {
        let stamp = stamp(metadata);
        let key = std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))?;
        if let Some(known) = self.known.get(&key).filter(|known| known.stamp == stamp) {
            return Ok(known.sha256.clone());
        }
        let begun = nanoseconds(Some(SystemTime::now()));
        let sha256 = sha256(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lasting = stamp.modified.max(stamp.changed) + LEFT_ALONE < begun;
        self.known.insert(key, Known { stamp, sha256: sha256.clone(), lasting });
        self.dirty |= lasting;
        Ok(sha256)
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    #[cfg(unix)]
    let changed = {
        use std::os::unix::fs::MetadataExt;
        u128::try_from(metadata.ctime()).unwrap_or(0) * 1_000_000_000
            + u128::try_from(metadata.ctime_nsec()).unwrap_or(0)
    };
    #[cfg(not(unix))]
    let changed = 0;
    Stamp { size: metadata.len(), modified: nanoseconds(metadata.modified().ok()), changed }
}

fn nanoseconds(time: Option<SystemTime>) -> u128 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos())
}

/// Of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every file below `folder`, without what is only there while something is written.
fn list(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let in_the_making = name.starts_with('.') && name.ends_with(".part") || name.ends_with(".lock");
        match entry.file_type()? {
            // Not through links: they may lead back here.
            kind if kind.is_dir() => list(&entry.path(), into)?,
            _ if in_the_making || entry.path().is_dir() => {}
            _ => into.push(entry.path()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Makes `path` look as if it had last been written an hour ago. Its time of change stays: that cannot be set.
    fn backdate(path: &Path) {
        let file = File::options().write(true).open(path).expect("it is there");
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("times can be set");
    }

    #[test]
    fn a_folder_has_the_hash_of_what_is_in_it() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let hash = || Hashes::default().of(folder.path()).expect("readable").expect("there");
        fs::create_dir(folder.path().join("b")).expect("created");
        let empty = hash();
        fs::write(folder.path().join("b/x"), "1").expect("written");
        let one = hash();
        fs::write(folder.path().join("b/.x.12-0.part"), "half").expect("written");
        assert_eq!(hash(), one, "what a killed process left is no content");
        fs::rename(folder.path().join("b/x"), folder.path().join("b/y")).expect("renamed");
        let renamed = hash();
        fs::write(folder.path().join("b/y"), "2").expect("written");
        let hashes = [empty, one, renamed, hash()];
        assert!((1..4).all(|i| !hashes[..i].contains(&hashes[i])), "{hashes:?}");
        assert_eq!(Hashes::default().of(&folder.path().join("c")).expect("readable"), None);
    }

    #[test]
    fn of_a_run_counts_what_its_users_read() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("run.toml"), "seed = 1").expect("written");
        assert_eq!(Hashes::default().of(folder.path()).expect("readable"), None, "it has no weights yet");
        fs::write(path("model.safetensors"), "weights").expect("written");
        let hash = || Hashes::default().of(folder.path()).expect("readable").expect("there");
        let before = hash();
        fs::write(path("metrics.jsonl"), "{\"tokens_per_s\":7}").expect("written");
        fs::write(path("score.json"), "{}").expect("written");
        assert_eq!(hash(), before);
        fs::write(path("model.safetensors"), "others").expect("written");
        assert_ne!(hash(), before);
    }

    #[test]
    fn a_hash_is_kept_only_of_files_left_alone() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (file, kept) = (folder.path().join("f"), folder.path().join("hashes.json"));
        fs::write(&file, "one").expect("written");
        backdate(&file);
        let mut hashes = Hashes::open(&kept, true);
        let one = hashes.of(&file).expect("readable");
        hashes.save().expect("writable");
        if cfg!(unix) {
            // Written just now, whatever its time of modification pretends.
            assert!(!kept.exists());
        }
        // The same size and time of modification, other contents.
        fs::write(&file, "two").expect("written");
        backdate(&file);
        assert_ne!(Hashes::open(&kept, true).of(&file).expect("readable"), one);
    }
}
