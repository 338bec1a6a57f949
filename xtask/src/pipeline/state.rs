//! What a pipeline remembers in its folder: what each stage was made from, what came of it, and how long it took.
//!
//! `{out}/.pipeline/` holds a record a stage (`STAGE.json`, written when the stage starts and when it is done), its log
//! (`STAGE.log`), what it prints while it runs (`STAGE.out`), hashes, and a lock.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use firebrand_durable::Lock;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The folder in `{out}`.
pub(super) const FOLDER: &str = ".pipeline";
/// Names the pipeline that an output folder belongs to.
const OWNER: &str = "pipeline";

/// Everything that decides what comes of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// Arguments, with the folders as `{out}` and `{root}`.
    pub(super) command: Vec<String>,
    /// The hash of the firebrand binary.
    pub(super) binary: String,
    /// Hashes of what it reads, by path.
    pub(super) inputs: BTreeMap<String, String>,
}

/// What is known of a stage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// What it was started with; nothing while the outputs of an earlier start are removed.
    pub(super) key: Option<Key>,
    /// The command line, with the folders in their places: a run does not go on under other paths.
    pub(super) arguments: Vec<String>,
    /// Every path that may be there because of it, with `{out}`.
    pub(super) made: Vec<String>,
    /// Hashes of its outputs, by path, once it is done.
    pub(super) outputs: Option<BTreeMap<String, String>>,
    /// How long it worked, in all its starts with this key.
    pub(super) seconds: f64,
    /// How long it took the last time it was done.
    pub(super) expected: Option<f64>,
}

/// The state of one output folder.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
}

impl State {
    /// The state in the output folder `out`.
    pub(super) fn of(out: &Path) -> Self {
        Self { folder: out.join(FOLDER) }
    }

    /// Where hashes are kept.
    pub(super) fn hashes(&self) -> PathBuf {
        self.folder.join("hashes")
    }

    /// A file of a stage: `log` or `out`.
    pub(super) fn file(&self, stage: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{stage}.{kind}"))
    }

    /// Makes the folder and takes it for `pipeline` alone.
    pub(super) fn take(&self, pipeline: &str) -> Result<Lock> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))?;
        let path = self.folder.join("lock");
        let taken = Lock::take(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let lock = match taken {
            Ok(lock) => lock,
            Err(holder) => {
                let who = holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                bail!(
                    "{who} runs a pipeline in {}; wait for it, stop it, or choose another --out",
                    self.folder.parent().unwrap_or(&self.folder).display()
                );
            }
        };
        let owner = self.folder.join(OWNER);
        if self.owner().is_none() {
            let written = firebrand_durable::write(&owner, pipeline.as_bytes());
            written.with_context(|| format!("cannot write {}", owner.display()))?;
        }
        Ok(lock)
    }

    /// Refuses the folder of another pipeline.
    pub(super) fn check_owner(&self, pipeline: &str) -> Result<()> {
        let out = self.folder.parent().unwrap_or(&self.folder).display();
        match self.owner() {
            Some(owner) if owner != pipeline => Err(Failure::Usage(format!(
                "{out} belongs to the pipeline `{owner}`; choose another --out for `{pipeline}`"
            ))
            .into()),
            _ => Ok(()),
        }
    }

    fn owner(&self) -> Option<String> {
        let owner = fs::read_to_string(self.folder.join(OWNER)).ok()?;
        Some(owner.trim().to_owned()).filter(|owner| !owner.is_empty())
    }

    /// What is known of a stage. A record that cannot be read is that of another version: as good as none, but what it
    /// says was made is ours.
    pub(super) fn record(&self, stage: &str) -> Option<Record> {
        read(&self.file(stage, "json"))
    }

    /// Replaces what is known of a stage.
    pub(super) fn write(&self, stage: &str, record: &Record) -> Result<()> {
        let path = self.file(stage, "json");
        let json = serde_json::to_vec_pretty(record).context("a record is plain data")?;
        firebrand_durable::write(&path, &json).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Every path that some stage has made, also one that the pipeline no longer has.
    pub(super) fn made(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let records = entries.filter(|entry| entry.path().extension().is_some_and(|it| it == "json"));
        records.filter_map(|entry| read(&entry.path())).flat_map(|record| record.made).collect()
    }
}

/// Whether a pipeline has written into the folder `out`.
pub(crate) fn is_at_home(out: &Path) -> bool {
    State::of(out).owner().is_some()
}

fn read(path: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Removes a file or folder; one that is not there is fine.
pub(super) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}
