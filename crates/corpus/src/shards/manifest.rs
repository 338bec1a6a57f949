//! What `manifest.json` says.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::CorpusError;
use crate::records::Format;
use crate::sources::{DocumentBoundary, Split};

/// The version of the format this program writes, and the only one it reads. It goes up with every change after which
/// an older program would misread the shards.
pub(crate) const FORMAT_VERSION: u64 = 1;

/// The name of the manifest in a folder of shards.
pub(super) const MANIFEST: &str = "manifest.json";

/// The name of the token table in a folder of shards.
pub(super) const TOKEN_TABLE: &str = "tokens.json";

/// How an id is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dtype {
    U16,
    U32,
}

impl Dtype {
    /// The narrowest type for a vocabulary.
    pub(super) fn for_vocabulary(vocab_size: usize) -> Self {
        if vocab_size <= 1 << 16 { Self::U16 } else { Self::U32 }
    }

    /// Bytes an id takes.
    pub(super) fn width(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }
}

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// [`FORMAT_VERSION`].
    pub(super) format_version: u64,
    pub(super) tokenizer_sha256: String,
    pub(super) vocab_size: usize,
    pub(super) dtype: Dtype,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end_of_text: Option<u32>,
    /// sha256 of `tokens.json`.
    pub(super) token_table_sha256: String,
    /// Absent when the ids came from elsewhere than [`crate::prepare`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) made_from: Option<Provenance>,
    pub(super) splits: BTreeMap<Split, Vec<ShardFile>>,
}

/// What shards were made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Everything that decides what the shards hold, as one hash: [`cache_key`](crate::prepare::cache_key).
    pub key: String,
    /// Where documents of plain text ended.
    pub boundary: DocumentBoundary,
    /// The field of records that was their text; absent when there was plain text only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The files, those to train on first.
    pub files: Vec<FileSummary>,
}

/// A file that shards were made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSummary {
    /// Its name, without the folder.
    pub name: String,
    /// What it was read as; absent for plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Its size in bytes.
    pub bytes: u64,
    /// sha256 of its contents, in hexadecimal.
    pub sha256: String,
    /// How often bytes that are no UTF-8 were replaced in it; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<u64>,
}

/// One token file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShardFile {
    /// Its name in the folder.
    pub(super) name: String,
    /// Ids in it.
    pub(super) tokens: u64,
    /// Documents in it; none spans two files.
    pub(super) documents: u64,
    /// UTF-8 bytes of their text, separators not counted.
    pub(super) bytes: u64,
    /// sha256 of the file.
    pub(super) sha256: String,
}

impl Manifest {
    /// Reads and checks a manifest.
    pub(super) fn read(path: &Path) -> Result<Self, CorpusError> {
        let invalid = |reason: String| CorpusError::Manifest { path: path.to_path_buf(), reason };
        let text = std::fs::read(path).map_err(CorpusError::io("read", path))?;
        // The version first: another version may have other fields.
        let json: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
        let found =
            json["format_version"].as_u64().ok_or_else(|| invalid("it has no format_version".to_owned()))?;
        if found != FORMAT_VERSION {
            return Err(CorpusError::FormatVersion {
                path: path.to_path_buf(),
                found,
                supported: FORMAT_VERSION,
            });
        }
        let manifest: Self = serde_json::from_value(json).map_err(|error| invalid(error.to_string()))?;
        manifest.check().map_err(invalid)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.dtype != Dtype::for_vocabulary(self.vocab_size) {
            return Err(format!("a vocabulary of {} is not stored as {:?}", self.vocab_size, self.dtype));
        }
        if let Some(id) = self.end_of_text
            && id as usize >= self.vocab_size
        {
            return Err(format!("end_of_text {id} is outside the vocabulary of {}", self.vocab_size));
        }
        for (split, files) in &self.splits {
            let mut total = 0_u64;
            for file in files {
                // A name that is a path could point outside the folder.
                if Path::new(&file.name).file_name() != Some(file.name.as_ref()) {
                    return Err(format!("{:?} is not a plain file name", file.name));
                }
                let size = file.tokens.checked_mul(self.dtype.width() as u64);
                total = size
                    .and_then(|size| total.checked_add(size))
                    .filter(|&total| isize::try_from(total).is_ok())
                    .ok_or_else(|| format!("the {split} split is too large for this machine"))?;
            }
        }
        Ok(())
    }
}
