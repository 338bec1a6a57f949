//! What happens, as an event file for TensorBoard.

use super::View;
use crate::commands::training::pace::Pace;
use crate::output::complain;
use crate::tensorboard::{self, EventFile};
use anyhow::Context;
use firebrand_training::{Event, read_metrics};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Follows a run with its event file.
pub(in crate::commands) struct EventFileView {
    run: PathBuf,
    /// Absent after it could not be written.
    file: Option<EventFile>,
}

impl EventFileView {
    /// Begins with the run's past up to `step`.
    pub(in crate::commands) fn new(run: &Path, step: u64) -> anyhow::Result<Self> {
        let mut lines = read_metrics(&run.join("metrics.jsonl"))?;
        lines.retain(|line| line.get("step").and_then(|at| at.as_u64()).is_some_and(|at| at <= step));
        let file = EventFile::write(run, &lines, SystemTime::now())
            .with_context(|| tensorboard::folder(run).display().to_string())?;
        Ok(Self { run: run.to_path_buf(), file: Some(file) })
    }
}

impl View for EventFileView {
    fn show(&mut self, event: &Event<'_>, _pace: &Pace) {
        let (Event::Logged(line), Some(file)) = (event, &mut self.file) else { return };
        if let Err(error) = file.append(line) {
            // All that is in it is in metrics.jsonl as well: no reason to end a run.
            complain(format_args!(
                "warning: {}: {error}; training goes on without it. It can be made later by: firebrand show {} \
                 --tensorboard",
                file.path().display(),
                self.run.display()
            ));
            self.file = None;
        }
    }
}
