//! What is known of files from an earlier scan that was cut off, or whose encoding was.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{DocumentBoundary, InvalidUtf8, SourceFile, Sources};

/// Files that were scanned, kept in a file; or nowhere. A file that has another size or time of change is scanned again.
/// It only saves time: when it cannot be read or written, files are scanned.
pub(crate) struct Memory {
    path: Option<PathBuf>,
    /// What was learnt for longer than this is written down.
    every: Duration,
    known: Vec<Known>,
    new: Mutex<New>,
}

struct New {
    contents: Contents,
    saved: Instant,
}

/// What the file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    boundary: DocumentBoundary,
    field: String,
    invalid_utf8: InvalidUtf8,
    files: Vec<Known>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    file: SourceFile,
    state: State,
}

/// What changes when a file does: its size, and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    bytes: u64,
    modified: u64,
}

impl Memory {
    /// No memory.
    pub(super) fn none(sources: &Sources) -> Self {
        Self::new(None, Duration::ZERO, Vec::new(), sources)
    }

    /// What the file `path` remembers of files that were read as `sources` says. What takes longer than `every` will be
    /// written to it.
    pub(crate) fn open(path: PathBuf, every: Duration, sources: &Sources) -> Self {
        let json = fs::read(&path).ok();
        let known = json.and_then(|json| serde_json::from_slice::<Contents>(&json).ok());
        let same = |known: &Contents| {
            (known.boundary, &known.field, known.invalid_utf8)
                == (sources.boundary, &sources.field, sources.invalid_utf8)
        };
        let mut known = known.filter(same).map_or(Vec::new(), |known| known.files);
        known.retain(|known| sources.format.of(&known.file.path) == known.file.format);
        known.sort_by(|a, b| a.file.path.cmp(&b.file.path));
        Self::new(Some(path), every, known, sources)
    }

    fn new(path: Option<PathBuf>, every: Duration, known: Vec<Known>, sources: &Sources) -> Self {
        let (boundary, field) = (sources.boundary, sources.field.clone());
        let invalid_utf8 = sources.invalid_utf8;
        let contents = Contents { boundary, field, invalid_utf8, files: known.clone() };
        let new = New { contents, saved: Instant::now() };
        Self { path, every, known, new: Mutex::new(new) }
    }

    /// A file as it was scanned before, if it has not changed since.
    pub(super) fn recall(&self, path: &PathBuf) -> Option<SourceFile> {
        let index = self.known.binary_search_by(|known| known.file.path.cmp(path)).ok()?;
        let known = &self.known[index];
        (Self::state(path)? == known.state).then(|| known.file.clone())
    }

    /// The state a file is in; to be taken before it is scanned.
    pub(super) fn state(path: &Path) -> Option<State> {
        let metadata = fs::metadata(path).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(State { bytes: metadata.len(), modified: modified.as_nanos().try_into().ok()? })
    }

    /// Remembers a file that was in `state` before it was scanned.
    pub(super) fn keep(&self, file: &SourceFile, state: Option<State>) {
        let (Some(path), Some(state)) = (&self.path, state) else { return };
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        new.contents.files.retain(|known| known.file.path != file.path);
        new.contents.files.push(Known { file: file.clone(), state });
        if new.saved.elapsed() >= self.every
            && let Ok(json) = serde_json::to_vec(&new.contents)
        {
            // Without it the files are scanned once more, no harm done.
            let _ = firebrand_durable::write(path, &json);
            new.saved = Instant::now();
        }
    }
}
