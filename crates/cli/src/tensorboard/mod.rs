//! Event files for TensorBoard: the lines of `metrics.jsonl` as scalars.
//!
//! A run has one file with contents, in `RUN/tensorboard/`. Whoever goes on with the run writes it anew from the lines
//! that are kept, and appends from there, so that each step is in it once, whatever was killed. Knows nothing of
//! training.

mod messages;
mod records;

use messages::{Event, FILE_VERSION, SessionLog, Status, Summary, Value, What};
use prost::Message;
use serde_json::Map;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A line of `metrics.jsonl`.
type Line = Map<String, serde_json::Value>;

/// What every event file's name begins with, and what ours end with: only those are ever removed.
const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".firebrand";

/// Where a run's event file is.
pub(crate) fn folder(run: &Path) -> PathBuf {
    run.join("tensorboard")
}

/// A run's event file, open for appending.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
    clock: Clock,
}

impl EventFile {
    /// Writes the event file of `run` with `lines`, the last of which was logged at `last_logged`, in place of the one
    /// there is.
    pub(crate) fn write(run: &Path, lines: &[Line], last_logged: SystemTime) -> io::Result<Self> {
        let folder = folder(run);
        std::fs::create_dir_all(&folder)?;
        let old = files(&folder)?;
        let mut clock = Clock::ending(lines, last_logged);
        let path = folder.join(format!("{PREFIX}{:010}{SUFFIX}", number_after(&old)));
        firebrand_durable::write_with(&path, |file| {
            let start = clock.start;
            put(file, start, 0, What::FileVersion(FILE_VERSION.into()))?;
            // A TensorBoard that is looking at the file before drops what it read, and takes this one in its place.
            let status = Status::Start.into();
            put(file, start, 0, What::SessionLog(SessionLog { status }))?;
            lines.iter().try_for_each(|line| put_line(file, &mut clock, line))
        })?;
        // A TensorBoard that reads the old file goes on to this one only as long as the old one is there: it stays,
        // empty, until the next time.
        if let Some(((_, newest), older)) = old.split_last() {
            older.iter().try_for_each(|(_, file)| std::fs::remove_file(file))?;
            firebrand_durable::write(newest, b"")?;
        }
        let file = File::options().append(true).open(&path)?;
        Ok(Self { path, file, clock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line, at once to be read.
    pub(crate) fn append(&mut self, line: &Line) -> io::Result<()> {
        put_line(&mut self.file, &mut self.clock, line)
    }
}

/// Our event files in a folder, with the number in their name, the newest last.
fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

/// The seconds since 1970, as names of event files have them, or more: TensorBoard reads files in the order of their
/// names and never goes back.
fn number_after(old: &[(u64, PathBuf)]) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    old.last().map_or(now, |(number, _)| now.max(number + 1))
}

/// The wall time of a line: when the run would have begun had it been trained without a pause, and the seconds of
/// training that the line tells. So a run that was stopped overnight has no gap, and one that was killed and resumed
/// looks like one that was not.
#[derive(Debug)]
struct Clock {
    /// Seconds since 1970.
    start: f64,
    /// The seconds of the line before: for lines of a version that did not write them.
    seconds: f64,
}

impl Clock {
    /// With the last of `lines` at `end`.
    fn ending(lines: &[Line], end: SystemTime) -> Self {
        let end = end.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        let seconds = lines.iter().rev().find_map(|line| line.get("seconds")?.as_f64()).unwrap_or(0.0);
        Self { start: end - seconds, seconds: 0.0 }
    }

    fn wall_time(&mut self, line: &Line) -> f64 {
        self.seconds = line.get("seconds").and_then(serde_json::Value::as_f64).unwrap_or(self.seconds);
        self.start + self.seconds
    }
}

fn put(file: &mut impl Write, wall_time: f64, step: i64, what: What) -> io::Result<()> {
    records::write(file, &Event { wall_time, step, what: Some(what) }.encode_to_vec())
}

fn put_line(file: &mut impl Write, clock: &mut Clock, line: &Line) -> io::Result<()> {
    let Some(step) = line.get("step").and_then(serde_json::Value::as_i64) else {
        return Ok(());
    };
    let value = |(key, value): (&String, &serde_json::Value)| {
        Some(Value { tag: tag(key)?, simple_value: Some(value.as_f64()? as f32) })
    };
    let summary = Summary { value: line.iter().filter_map(value).collect() };
    put(file, clock.wall_time(line), step, What::Summary(summary))
}

/// What a key is called in TensorBoard, which puts all names with the same text before the slash together.
fn tag(key: &str) -> Option<String> {
    let name = |split: &str, what: &str| match what {
        "loss" | "bits_per_byte" => format!("{what}/{split}"),
        // A term of the loss.
        term => format!("loss/{split}_{term}"),
    };
    match key {
        "step" | "seconds" => None,
        _ => Some(match key.split_once('_') {
            Some((split @ ("train" | "val"), what)) => name(split, what),
            _ => key.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests;
