//! What can go wrong with a dataset. Every message says what is wrong with which file, and the way out.

use std::path::{Path, PathBuf};

use crate::error::CorpusError;
use crate::nearest::{did_you_mean, nearest};

/// An error about a dataset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The operating system refused something: missing rights, a full disk.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },

    /// A name that no dataset has.
    #[error(
        "no dataset `{name}`{} (firebrand data list shows them; data fetch --manifest takes your own)",
        did_you_mean(.nearest.as_deref())
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },

    /// A manifest that cannot be used.
    #[error("{origin}{}: {message}", line.map_or(String::new(), |line| format!(", line {line}")))]
    Manifest {
        /// The file, or the built-in manifest.
        origin: String,
        /// The line, from 1, where one is to blame.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },

    /// A dataset that is not on this machine.
    #[error("dataset {name} is not here (looked in {}): firebrand data fetch {name}", folder.display())]
    NotFetched {
        /// Its name.
        name: String,
        /// Where it would be.
        folder: PathBuf,
    },

    /// A file of a fetched dataset that is gone or has another size.
    #[error(
        "{}: {problem}; fetch it again with: firebrand data fetch {name} --force",
        path.display()
    )]
    Damaged {
        /// The dataset.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A dataset that lacks a split.
    #[error("dataset {name} has no {wanted} split here; there is {}", list(.known))]
    NoSplit {
        /// The dataset.
        name: String,
        /// What was asked for.
        wanted: String,
        /// The splits there are.
        known: Vec<String>,
    },

    /// A dataset that lacks labels.
    #[error("dataset {name} has no {}; there is {}", wanted.as_deref().map_or("labels".into(), |wanted| format!("labels `{wanted}`")), list(.known))]
    NoLabels {
        /// The dataset.
        name: String,
        /// The label set that was asked for.
        wanted: Option<String>,
        /// Those there are.
        known: Vec<String>,
    },

    /// Another process fetches the same dataset.
    #[error(
        "{}: {} is fetching this dataset; wait for it",
        folder.display(),
        holder.map_or("another process".to_string(), |holder| format!("process {holder}"))
    )]
    Busy {
        /// The dataset's folder.
        folder: PathBuf,
        /// Its process number.
        holder: Option<u32>,
    },

    /// No address gave the file.
    #[error(
        "cannot download {file}:\n  {}\n  try again later (what came is kept), name a --mirror, or take a copy by --from DIR",
        .attempts.join("\n  ")
    )]
    Download {
        /// The file.
        file: String,
        /// What each address said.
        attempts: Vec<String>,
    },

    /// A file with another checksum than the published or pinned one. It was not used.
    #[error(transparent)]
    Rejected(Box<Rejection>),

    /// A folder that holds no known cut of a dataset.
    #[error("--from {}: holds no known form of {name}\n{}", folder.display(), .forms.join("\n"))]
    NoForm {
        /// The dataset.
        name: String,
        /// The folder.
        folder: PathBuf,
        /// Each form and the files it lacks.
        forms: Vec<String>,
    },

    /// A variant the manifest does not describe.
    #[error("{name} has no variant `{wanted}`; there is {}", list(.known))]
    NoVariant {
        /// The dataset.
        name: String,
        /// What was asked for.
        wanted: String,
        /// The variants there are.
        known: Vec<String>,
    },

    /// An archive that cannot or must not be unpacked, or a file that cannot be converted.
    #[error("{}: {reason}", path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// More parts than can be compared.
    #[error("{found} files are too many to compare with each other: at most {most}")]
    TooManyParts {
        /// How many were given.
        found: usize,
        /// How many may be.
        most: usize,
    },

    /// A file that cannot be read, a record that is not what it should be.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
}

/// A file with another checksum than it should have.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is not the file it should be, and was not used\n  \
     sha256 expected: {expected} ({authority})\n  \
     sha256 found:    {found}{}",
    file.display(),
    self.more()
)]
pub struct Rejection {
    /// The file.
    pub file: PathBuf,
    /// The checksum it should have.
    pub expected: String,
    /// The checksum it has.
    pub found: String,
    /// Who says so.
    pub authority: &'static str,
    /// A download: where it came from, and where it is kept now.
    pub kept: Option<(String, PathBuf)>,
    /// The dataset's folder, when the checksum was pinned there by the first fetch.
    pub pinned_in: Option<PathBuf>,
    /// A copy: the other cuts that its folder would do for.
    pub variants: Vec<String>,
}

impl Rejection {
    fn more(&self) -> String {
        let mut more = String::new();
        if let Some((origin, kept)) = &self.kept {
            more += &format!("\n  it came from {origin} and is kept as {}", kept.display());
        }
        if let Some(folder) = &self.pinned_in {
            let folder = folder.display();
            more += &format!(
                "\n  the source has changed since the first fetch; to accept it, remove {folder} first"
            );
        }
        for variant in &self.variants {
            more += &format!("\n  if it is the other cut \"{variant}\", say --variant {variant}");
        }
        more
    }
}

impl DatasetError {
    /// Makes a closure for `map_err` that says what was attempted and on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::Io { action, path, reason }
    }

    /// The error for TOML that is malformed or has a key it should not have.
    pub(super) fn toml(origin: &str, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| text[..span.start].lines().count().max(1));
        // `lines` does not count a line that has not begun: a span at the start of a line.
        let line = error.span().zip(line).map(|(span, line)| {
            let at_start = span.start > 0 && text.as_bytes().get(span.start - 1) == Some(&b'\n');
            line + usize::from(at_start)
        });
        let message = error.message();
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let hint = match quoted.split_first() {
            Some((unknown, known)) if message.starts_with("unknown") => did_you_mean(nearest(unknown, known)),
            _ => String::new(),
        };
        Self::Manifest { origin: origin.to_owned(), line, message: format!("{message}{hint}") }
    }
}

fn list(known: &[String]) -> String {
    if known.is_empty() { "none".into() } else { known.join(", ") }
}
