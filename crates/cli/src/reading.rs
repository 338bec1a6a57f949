//! How labelled files were read in training, so that those that the run is used on are read likewise.

use crate::config::FinetuneConfig;
use crate::run::RunFile;
use firebrand_corpus::CorpusError;
use firebrand_corpus::labelled::{Columns, EmptyTexts, LabelledData, Loaded, Reading};
use firebrand_corpus::records::Format;
use firebrand_corpus::sources::FormatChoice;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The section `[reading]` of a run: what the config, the manifest of a dataset and the files themselves came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReadAs {
    /// A file that was read so.
    file: PathBuf,
    format: FormatChoice,
    no_header: bool,
    empty_texts: EmptyTexts,
    /// What was set.
    columns: Columns,
    /// What was found by name.
    found: Columns,
}

impl ReadAs {
    /// Of data that was loaded.
    pub(crate) fn new(data: &LabelledData, loaded: &Loaded) -> Self {
        let file = loaded.files.first().map(|file| file.path.clone()).unwrap_or_default();
        Self { file, found: loaded.found.clone(), ..Self::as_configured(data) }
    }

    fn as_configured(data: &LabelledData) -> Self {
        let LabelledData { format, no_header, empty_texts, columns, .. } = data;
        Self {
            file: data.files.first().cloned().unwrap_or_default(),
            format: *format,
            no_header: *no_header,
            empty_texts: *empty_texts,
            columns: columns.clone(),
            found: Columns::default(),
        }
    }

    /// Of a run; one that does not say so was read as its config says.
    pub(crate) fn of(run: &RunFile<FinetuneConfig>) -> Self {
        run.reading.clone().unwrap_or_else(|| Self::as_configured(&run.config.data))
    }

    /// How a file is read whose name says the same format as those of training: as they were; and of any other what its name says.
    /// Labels are not looked at, and examples without a text are errors.
    pub(crate) fn reading(&self, path: &Path) -> Reading {
        let is_alike = Format::of(path) == Format::of(&self.file);
        let (format, no_header) = match is_alike {
            true => (self.format, self.no_header),
            false => Default::default(),
        };
        let unlabelled = |columns: &Columns| Columns { label: None, ..columns.clone() };
        Reading {
            format,
            no_header,
            empty_texts: EmptyTexts::Refuse,
            columns: unlabelled(&self.columns),
            found: unlabelled(&self.found),
        }
    }

    /// What became of examples without a text.
    pub(crate) fn empty_texts(&self) -> EmptyTexts {
        self.empty_texts
    }
}

/// Adds to the error of a text that is empty what to do about it.
pub(crate) fn advised(error: CorpusError, advice: &str) -> anyhow::Error {
    match error {
        CorpusError::EmptyText { .. } => crate::exit::usage(format!("{error}: {advice}")),
        other => other.into(),
    }
}
