//! Run directories seen from outside: what one holds, what training measured in it, and removing one without ever
//! removing anything else.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::failure::Failure;

/// Written when a run starts; what makes a folder a run directory.
pub(crate) const RUN_FILE: &str = "run.toml";
/// The root holds the best weights once a run has finished.
const WEIGHTS_FILE: &str = "model.safetensors";
const METRICS_FILE: &str = "metrics.jsonl";
/// What a run writes before [`RUN_FILE`]: a folder that holds nothing else is one of a run that never began.
const FIRST_FILES: [&str; 2] = ["tokenizer.json", "tokenizer_config.json"];

/// Everything that belongs to a run in its folder; what else lies there is somebody else's.
pub(crate) const FILES: [&str; 9] = [
    "config.json",
    "generation_config.json",
    WEIGHTS_FILE,
    "tokenizer.json",
    "tokenizer_config.json",
    RUN_FILE,
    METRICS_FILE,
    "checkpoints",
    "tensorboard",
];

/// Those of [`FILES`] that whoever uses a run reads. The others hold clock times or are for training alone: a run that
/// was stopped and went on differs in them from one that was not.
pub(crate) const CONTENT: &[&str] = FILES.split_at(6).0;

/// What is at a path that a run is to be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, an empty folder, or a run that ended before it began.
    Nothing,
    /// A run that was stopped on its way.
    UnfinishedRun,
    /// A run with its weights.
    FinishedRun,
    /// Something that is no run directory.
    SomethingElse,
}

/// Looks at `path`.
pub(crate) fn look(path: &Path) -> Result<Found> {
    let cannot_read = || format!("cannot read {}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error).with_context(cannot_read),
        Ok(metadata) if !metadata.is_dir() => return Ok(Found::SomethingElse),
        Ok(_) => {}
    }
    let is_run = path.join(RUN_FILE).is_file();
    if is_run {
        let finished = path.join(WEIGHTS_FILE).is_file();
        return Ok(if finished { Found::FinishedRun } else { Found::UnfinishedRun });
    }
    let entries =
        fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).with_context(cannot_read)?;
    let only_first_files =
        entries.iter().all(|entry| FIRST_FILES.iter().any(|name| entry.file_name() == *name));
    Ok(if only_first_files { Found::Nothing } else { Found::SomethingElse })
}

/// Removes the run at `path`, if there is one.
///
/// # Errors
/// When something other than a run is there: that is left alone.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match look(path)? {
        Found::Nothing => Ok(()),
        Found::UnfinishedRun | Found::FinishedRun => {
            fs::remove_dir_all(path).with_context(|| format!("cannot remove the run {}", path.display()))
        }
        Found::SomethingElse => Err(not_a_run(path).into()),
    }
}

/// The refusal to write a run over something else.
pub(crate) fn not_a_run(path: &Path) -> Failure {
    Failure::Usage(format!(
        "{} exists and is no run directory (it has no {RUN_FILE}); it is left alone: choose another --out",
        path.display()
    ))
}

/// What was measured on held-out data while training, from one line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) struct Evaluation {
    /// Nats per token.
    pub(crate) val_loss: f64,
    /// Bits per byte, where it was recorded.
    pub(crate) val_bits_per_byte: Option<f64>,
    /// Nats per token of a bidirectional model's half that reads forwards.
    pub(crate) val_forward: Option<f64>,
}

/// Every evaluation on held-out data in the run at `path`, in the order of training.
pub(crate) fn evaluations(path: &Path) -> Result<Vec<Evaluation>> {
    let metrics = path.join(METRICS_FILE);
    let lines = fs::read_to_string(&metrics).with_context(|| format!("cannot read {}", metrics.display()))?;
    // Steps between evaluations have lines without a `val_loss`.
    Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_are_ever_removed() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (run, notes, file) =
            (folder.path().join("run"), folder.path().join("notes"), folder.path().join("file"));
        fs::create_dir(&run).expect("created");
        fs::create_dir(&notes).expect("created");
        fs::write(notes.join("diary.txt"), "dear diary").expect("written");
        fs::write(&file, "text").expect("written");

        assert_eq!(look(&run).expect("readable"), Found::Nothing);
        fs::write(run.join("tokenizer.json"), "").expect("written");
        assert_eq!(look(&run).expect("readable"), Found::Nothing);
        fs::write(run.join(RUN_FILE), "").expect("written");
        assert_eq!(look(&run).expect("readable"), Found::UnfinishedRun);
        fs::write(run.join(WEIGHTS_FILE), "").expect("written");
        assert_eq!(look(&run).expect("readable"), Found::FinishedRun);
        remove(&run).expect("a run can be removed");
        assert_eq!(look(&run).expect("readable"), Found::Nothing);

        for other in [notes, file] {
            assert_eq!(look(&other).expect("readable"), Found::SomethingElse);
            remove(&other).expect_err("anything else is refused");
            assert!(other.exists());
        }
    }

    #[test]
    fn evaluations_are_the_lines_with_a_validation_loss() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let lines = "{\"step\":1,\"train_loss\":5.0}\n\
                     {\"step\":2,\"train_loss\":4.0,\"val_loss\":4.5}\n\
                     {\"step\":3,\"val_loss\":4.25,\"val_bits_per_byte\":2.5,\"val_forward\":4.0}\n\
                     {\"step\":4,\"val_loss\":null}\n";
        fs::write(folder.path().join(METRICS_FILE), lines).expect("written");
        let expected = [
            Evaluation { val_loss: 4.5, val_bits_per_byte: None, val_forward: None },
            Evaluation { val_loss: 4.25, val_bits_per_byte: Some(2.5), val_forward: Some(4.0) },
        ];
        assert_eq!(evaluations(folder.path()).expect("readable"), expected);
    }
}
