//! `metrics.jsonl`: one line a logged step, each step once, whatever was killed.

use crate::TrainingError;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The metrics file of a run, open for appending.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens the file and drops every line after step `step`, a torn one too: a resumed run writes them again.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self, TrainingError> {
        let kept: String = read_lines(path)?
            .into_iter()
            .filter(|line| step_of(line).is_some_and(|at| at <= step))
            .flat_map(|line| [line, "\n".to_string()])
            .collect();
        firebrand_durable::write(path, kept.as_bytes()).map_err(|error| TrainingError::io(path, error))?;
        let file = std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|error| TrainingError::io(path, error))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, line: &Map<String, Value>) -> Result<(), TrainingError> {
        let mut text = serde_json::to_string(line).expect("a map has string keys");
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|error| TrainingError::io(&self.path, error))
    }

    /// Waits until all lines are on disk. A checkpoint comes after this: a run that goes on from it has every line
    /// before it, even after a power cut.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn sync(&self) -> Result<(), TrainingError> {
        self.file.sync_data().map_err(|error| TrainingError::io(&self.path, error))
    }
}

/// The lines of a metrics file; none when there is no file.
///
/// # Errors
/// When it cannot be read.
pub fn read_metrics(path: &Path) -> Result<Vec<Map<String, Value>>, TrainingError> {
    Ok(read_lines(path)?.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn read_lines(path: &Path) -> Result<Vec<String>, TrainingError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_string).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(TrainingError::io(path, error)),
    }
}

fn step_of(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_checkpoint_and_torn_lines_go() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("metrics.jsonl");
        std::fs::write(&path, "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"st").expect("written");
        let mut metrics = Metrics::open(&path, 2).expect("opened");
        let line = serde_json::json!({"step": 3, "train_loss": 1.5});
        metrics.write(line.as_object().expect("an object")).expect("written");
        assert_eq!(
            std::fs::read_to_string(&path).expect("read"),
            "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"train_loss\":1.5}\n"
        );
    }
}
