//! Checkpoints: everything a run needs to go on, atomic and checksummed.
//!
//! `checkpoints/step-00000500/` holds `model.safetensors`, `optimizer.safetensors` (both by our tensor names),
//! `state.json` and `SHA256SUMS`, by which they are checked when they are read, and which `sha256sum --check` reads
//! too. The folder is written under another name, synced, and renamed. The two newest are kept; `checkpoints/best/`
//! holds the weights of the best evaluation.
//!
//! The best weights may be ahead of the newest checkpoint. That is fine: a run that goes on from it comes to the same
//! evaluation with the same weights, and writes them again.

use crate::TrainingError;
use firebrand_durable as durable;
use firebrand_transformer::{NamedTensor, StoredTensor, read_tensors, write_tensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Written in every `state.json`; another number is another version's.
const FORMAT: u32 = 2;
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
/// The SHA-256 of the other files, a line each.
const SUMS: &str = "SHA256SUMS";
const KEPT: usize = 2;
/// The folder of the best weights.
const BEST: &str = "best";
/// The end of the names of checkpoints in the making.
const STAGING: &str = ".tmp";

/// Where a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps made.
    pub step: u64,
    /// Optimizer updates made (those of the optimizer's state).
    pub updates: u64,
    /// The rank of the best evaluation so far, by the objective: the lowest held-out loss, in pretraining, by which name it is
    /// written.
    #[serde(rename = "best_val_loss", with = "exact")]
    pub best: Option<f64>,
    /// The step it was reached at.
    pub best_step: u64,
    /// Seconds spent training.
    pub seconds: f64,
}

/// A checkpoint in memory: one that was read, or with [`TensorHandle`](firebrand_transformer::TensorHandle)s one that is to be written.
#[derive(Debug, Clone)]
pub struct Checkpoint<T = NamedTensor> {
    /// Where the run stands.
    pub progress: Progress,
    /// The model's tensors.
    pub model: Vec<T>,
    /// The optimizer's tensors.
    pub optimizer: Vec<T>,
}

#[derive(Serialize, Deserialize)]
struct State {
    format: u32,
    progress: Progress,
}

/// What every version's `state.json` has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The checkpoints of a run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    /// Those of the run in `run_dir`.
    pub fn new(run_dir: &Path) -> Self {
        Self { dir: run_dir.join("checkpoints") }
    }

    /// Writes a checkpoint and drops all but the newest two.
    ///
    /// # Errors
    /// When it cannot be written; older ones stay.
    pub fn save<T: StoredTensor>(&self, checkpoint: &Checkpoint<T>) -> Result<(), TrainingError> {
        let name = format!("step-{:08}", checkpoint.progress.step);
        self.write(&name, checkpoint)?;
        // Those of later steps are damaged, or the run would have gone on from them. They must not count as the newest.
        let written = self.dir.join(name);
        self.steps()?.iter().filter(|path| **path > written).try_for_each(|later| remove(later))?;
        self.drop_old()
    }

    fn drop_old(&self) -> Result<(), TrainingError> {
        self.steps()?.iter().rev().skip(KEPT).try_for_each(|old| remove(old))
    }

    /// Writes the best weights so far.
    ///
    /// # Errors
    /// When they cannot be written; the old ones stay.
    pub fn save_best<T: StoredTensor>(&self, progress: Progress, model: Vec<T>) -> Result<(), TrainingError> {
        self.write(BEST, &Checkpoint { progress, model, optimizer: Vec::new() })
    }

    /// The best weights, if any were kept.
    ///
    /// # Errors
    /// When they are damaged.
    pub fn load_best(&self) -> Result<Option<Checkpoint>, TrainingError> {
        // A kill between two renames leaves the old one aside.
        let best = self.dir.join(BEST);
        let candidates = [durable::aside(&best), best];
        candidates.iter().rev().find(|dir| dir.is_dir()).map(|dir| load(dir)).transpose()
    }

    /// The newest whole checkpoint, and what was wrong with newer ones and with the best weights. Without best weights
    /// the run goes on as if none had been found yet: it keeps the best of what is to come.
    ///
    /// # Errors
    /// When the folder cannot be read, or a checkpoint is another version's: going on without it would lose it.
    pub fn load_latest(&self) -> Result<(Option<Checkpoint>, Vec<TrainingError>), TrainingError> {
        let mut damaged = Vec::new();
        for dir in self.steps()?.iter().rev() {
            match load(dir) {
                Ok(mut checkpoint) => {
                    if checkpoint.progress.best.is_some()
                        && let Some(error) = self.trouble_with_best()
                    {
                        damaged.push(error);
                        checkpoint.progress.best = None;
                        checkpoint.progress.best_step = 0;
                    }
                    return Ok((Some(checkpoint), damaged));
                }
                Err(error @ TrainingError::CheckpointFormat { .. }) => return Err(error),
                Err(error) => damaged.push(error),
            }
        }
        Ok((None, damaged))
    }

    /// Why there are no best weights to read, if so.
    fn trouble_with_best(&self) -> Option<TrainingError> {
        match self.load_best() {
            Ok(Some(_)) => None,
            Ok(None) => Some(TrainingError::checkpoint(self.dir.join(BEST), "the best weights are missing")),
            Err(error) => Some(error),
        }
    }

    /// Puts right what a killed process left: checkpoints in the making and superfluous ones go, best weights that
    /// were moved aside come back. Only for the one process that trains this run.
    ///
    /// # Errors
    /// When something cannot be moved or removed.
    pub fn tidy(&self) -> Result<(), TrainingError> {
        let best = self.dir.join(BEST);
        durable::restore_folder(&best).map_err(|error| TrainingError::io(&best, error))?;
        for path in self.entries()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(STAGING) || name.ends_with(durable::ASIDE) {
                remove(&path)?;
            }
        }
        self.drop_old()
    }

    fn write<T: StoredTensor>(&self, name: &str, checkpoint: &Checkpoint<T>) -> Result<(), TrainingError> {
        let staging = self.dir.join(format!("{name}{STAGING}"));
        remove(&staging)?;
        let written = self.fill(&staging, checkpoint).and_then(|()| {
            let dir = self.dir.join(name);
            durable::replace_folder(&staging, &dir).map_err(|error| TrainingError::io(&dir, error))
        });
        if written.is_err() {
            // On a full disk the room it takes is wanted; the error that counts is the one being reported.
            let _ = durable::remove_folder(&staging);
        }
        written
    }

    fn fill<T: StoredTensor>(&self, staging: &Path, checkpoint: &Checkpoint<T>) -> Result<(), TrainingError> {
        std::fs::create_dir_all(staging).map_err(|error| TrainingError::io(staging, error))?;
        let write = |file: &str, text: &str| {
            let path = staging.join(file);
            durable::write(&path, text.as_bytes()).map_err(|error| TrainingError::io(&path, error))
        };
        write_tensors(&staging.join(MODEL), &checkpoint.model)?;
        write_tensors(&staging.join(OPTIMIZER), &checkpoint.optimizer)?;
        let state = State { format: FORMAT, progress: checkpoint.progress };
        write(STATE, &serde_json::to_string_pretty(&state).expect("plain data"))?;
        let mut sums = String::new();
        for file in [MODEL, OPTIMIZER, STATE] {
            sums += &sum_line(file, &digest(&staging.join(file))?);
            sums.push('\n');
        }
        write(SUMS, &sums)
    }

    /// Everything in the folder of checkpoints; nothing when there is none.
    fn entries(&self) -> Result<Vec<PathBuf>, TrainingError> {
        match std::fs::read_dir(&self.dir) {
            Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(TrainingError::io(&self.dir, error)),
        }
    }

    /// The folders of whole steps, oldest first.
    fn steps(&self) -> Result<Vec<PathBuf>, TrainingError> {
        let mut steps: Vec<PathBuf> = self
            .entries()?
            .into_iter()
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.and_then(|name| name.strip_prefix("step-"))
                    .is_some_and(|step| step.parse::<u64>().is_ok())
            })
            .collect();
        steps.sort();
        Ok(steps)
    }
}

fn load(dir: &Path) -> Result<Checkpoint, TrainingError> {
    let text = |file: &str| {
        let path = dir.join(file);
        std::fs::read_to_string(&path).map_err(|error| TrainingError::io(&path, error))
    };
    let (state, sums) = (text(STATE)?, text(SUMS));
    let check = |file: &str, sums: &str| {
        let path = dir.join(file);
        let expected = sum_line(file, &digest(&path)?);
        let reason = format!("is not what was written (its SHA-256 is not the one in {SUMS})");
        match sums.lines().any(|line| line == expected) {
            true => Ok(()),
            false => Err(TrainingError::checkpoint(path, reason)),
        }
    };
    // A format that a flipped bit made up is damage. Another version's checkpoint need not have our other files.
    sums.as_deref().map_or(Ok(()), |sums| check(STATE, sums))?;
    let path = dir.join(STATE);
    let malformed = |error: serde_json::Error| TrainingError::checkpoint(&path, error.to_string());
    let Format { format: found } = serde_json::from_str(&state).map_err(malformed)?;
    if found != FORMAT {
        return Err(TrainingError::CheckpointFormat { path, found, supported: FORMAT });
    }
    let sums = sums?;
    check(MODEL, &sums)?;
    check(OPTIMIZER, &sums)?;
    let state: State = serde_json::from_str(&state).map_err(malformed)?;
    Ok(Checkpoint {
        progress: state.progress,
        model: read_tensors(&dir.join(MODEL))?,
        optimizer: read_tensors(&dir.join(OPTIMIZER))?,
    })
}

/// A line of [`SUMS`], without its line end.
fn sum_line(file: &str, sha256: &str) -> String {
    format!("{sha256}  {file}")
}

fn digest(path: &Path) -> Result<String, TrainingError> {
    let mut file = std::fs::File::open(path).map_err(|error| TrainingError::io(path, error))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher).map_err(|error| TrainingError::io(path, error))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn remove(dir: &Path) -> Result<(), TrainingError> {
    durable::remove_folder(dir).map_err(|error| TrainingError::io(dir, error))
}

/// A loss to the last bit: serde_json's own way with numbers may be off by one.
mod exact {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(loss: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        loss.map(|loss| loss.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        let written = Option::<String>::deserialize(deserializer)?;
        written.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(step: u64) -> Checkpoint {
        let tensor =
            |name: &str| NamedTensor { name: name.into(), shape: vec![2], values: vec![step as f32, 0.5] };
        Checkpoint {
            progress: Progress { step, ..Progress::default() },
            model: vec![tensor("norm.weight")],
            optimizer: vec![tensor("m.norm.weight")],
        }
    }

    #[test]
    fn the_newest_two_are_kept_and_come_back_whole() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let checkpoints = Checkpoints::new(dir.path());
        for step in [5, 10, 15] {
            checkpoints.save(&checkpoint(step)).expect("saved");
        }
        assert_eq!(checkpoints.steps().expect("listed").len(), 2);
        let (latest, damaged) = checkpoints.load_latest().expect("read");
        let latest = latest.expect("one is there");
        assert_eq!((latest.progress.step, latest.model, damaged.len()), (15, checkpoint(15).model, 0));
    }

    #[test]
    fn a_damaged_checkpoint_is_reported_and_the_one_before_it_used() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let checkpoints = Checkpoints::new(dir.path());
        checkpoints.save(&checkpoint(5)).expect("saved");
        checkpoints.save(&checkpoint(10)).expect("saved");
        let file = dir.path().join("checkpoints/step-00000010/model.safetensors");
        let mut bytes = std::fs::read(&file).expect("read");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, bytes).expect("written");
        let (latest, damaged) = checkpoints.load_latest().expect("read");
        assert_eq!(latest.expect("one is whole").progress.step, 5);
        assert!(damaged[0].to_string().contains("step-00000010"), "{}", damaged[0]);
    }

    #[test]
    fn damaged_checkpoints_do_not_push_out_what_is_written_after_them() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let checkpoints = Checkpoints::new(dir.path());
        for step in [10, 15] {
            checkpoints.save(&checkpoint(step)).expect("saved");
            let file = dir.path().join(format!("checkpoints/step-{step:08}/model.safetensors"));
            std::fs::write(file, "cut").expect("written");
        }
        let (latest, damaged) = checkpoints.load_latest().expect("read");
        assert!(latest.is_none() && damaged.len() == 2, "{damaged:?}");
        checkpoints.save(&checkpoint(5)).expect("saved");
        let (latest, damaged) = checkpoints.load_latest().expect("read");
        assert_eq!((latest.expect("one is whole").progress.step, damaged.len()), (5, 0));
    }

    #[cfg(unix)]
    #[test]
    fn sha256sum_finds_checkpoints_whole() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Checkpoints::new(dir.path()).save(&checkpoint(5)).expect("saved");
        let mut sha256sum = std::process::Command::new("sha256sum");
        sha256sum
            .args(["--check", "--strict", SUMS])
            .current_dir(dir.path().join("checkpoints/step-00000005"));
        match sha256sum.output() {
            Ok(output) => {
                let printed = String::from_utf8_lossy(&output.stdout);
                assert_eq!(printed, format!("{MODEL}: OK\n{OPTIMIZER}: OK\n{STATE}: OK\n"));
            }
            Err(error) => eprintln!("SKIPPED: no sha256sum here: {error}"),
        }
    }

    #[test]
    fn another_versions_checkpoint_is_refused_and_a_flipped_bit_is_damage() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let checkpoints = Checkpoints::new(dir.path());
        checkpoints.save(&checkpoint(5)).expect("saved");
        let folder = dir.path().join("checkpoints/step-00000005");
        let state = std::fs::read_to_string(folder.join(STATE)).expect("read");
        std::fs::write(folder.join(STATE), state.replace("\"format\": 2", "\"format\": 3")).expect("written");
        let (latest, damaged) = checkpoints.load_latest().expect("not another version's");
        assert!(latest.is_none() && damaged[0].to_string().contains("state.json"), "{damaged:?}");
        // The first version kept its sums in the state.
        std::fs::write(folder.join(STATE), "{\"format\":1,\"sha256\":{}}").expect("written");
        std::fs::remove_file(folder.join(SUMS)).expect("removed");
        let error = checkpoints.load_latest().expect_err("another version's");
        assert!(matches!(error, TrainingError::CheckpointFormat { found: 1, .. }), "{error}");
    }

    #[test]
    fn tidying_leaves_whole_checkpoints_alone() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let checkpoints = Checkpoints::new(dir.path());
        checkpoints.save(&checkpoint(5)).expect("saved");
        checkpoints.save_best(Progress::default(), checkpoint(5).model).expect("saved");
        let folder = dir.path().join("checkpoints");
        std::fs::rename(folder.join("best"), folder.join("best.old")).expect("renamed");
        for left in ["step-00000010.tmp", "step-00000005.old"] {
            std::fs::create_dir(folder.join(left)).expect("created");
        }
        checkpoints.tidy().expect("tidied");
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        assert_eq!(names, ["best", "step-00000005"]);
    }
}
