//! What a dataset is: the TOML file that describes it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::DatasetError;
use crate::generator;
use crate::records::{Field, Format};
use crate::sources::DocumentBoundary;

/// A dataset: what it is, where its files come from, what is in them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name on the command line and of the folder.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// A few sentences: what is in it, who made it, what to know before using it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where its makers describe it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub homepage: String,
    /// An SPDX expression, or `unknown`.
    pub licence: String,
    /// What the licence alone does not say, such as "research only".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence_note: String,
    /// The paper to cite.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub citation: String,
    /// What a record is.
    pub kind: Kind,
    /// Addresses of folders that hold every file that has no `urls` of its own, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_urls: Vec<String>,
    /// At most so many bytes may come out of the archives.
    #[serde(default = "default_unpacked_limit")]
    pub unpacked_limit: u64,
    /// What is downloaded (or generated).
    pub files: Vec<Source>,
    /// The label sets of labelled data; the first is the usual one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelSet>,
    /// The splits, in files that are there after unpacking.
    pub splits: BTreeMap<SplitName, SplitSpec>,
    /// Other cuts of the dataset, which people have on disk under other names: accepted by `--from`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

/// Larger than anything built in unpacks to, smaller than most disks.
fn default_unpacked_limit() -> u64 {
    8 << 30
}

/// What a record of a dataset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A document.
    Text,
    /// A text, or two, and a label.
    Labelled,
    /// Two sentences of which the first is the better one.
    Pairs,
}

impl Kind {
    /// The name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Labelled => "labelled",
            Self::Pairs => "pairs",
        }
    }
}

/// A part of a dataset with one purpose, as its makers cut it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitName {
    /// To learn from.
    Train,
    /// To choose by.
    Validation,
    /// To report on.
    Test,
}

impl SplitName {
    /// All of them, in the usual order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The name in manifests and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A file that is downloaded, or made by the built-in generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name on disk.
    pub name: String,
    /// Where it is, the first one first; `base_urls` when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// The published checksum. Without one, that of the first fetch is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What kind of archive it is.
    #[serde(default)]
    pub unpack: Unpack,
    /// Which members of the archive are wanted, by their paths in it; they land under their last names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// What its text is encoded in; it is UTF-8 afterwards.
    #[serde(default)]
    pub encoding: Encoding,
    /// Into which records it is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convert: Option<Convert>,
    /// Made here instead of downloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
}

/// How a downloaded file becomes the files of the dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unpack {
    /// It is one of them.
    #[default]
    None,
    /// One compressed file, `NAME.gz`.
    Gz,
    /// A zip archive.
    Zip,
    /// A tar archive.
    Tar,
    /// A compressed tar archive.
    #[serde(rename = "tar.gz")]
    TarGz,
}

/// The encoding of a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO-8859-1: a byte is a character.
    #[serde(rename = "latin-1")]
    Latin1,
}

/// How a text file of its own format becomes JSON lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Convert {
    /// Lines of `COARSE:fine text` become `label`, `fine_label` (the whole first word) and `text`.
    LabelLines,
    /// Documents, with this line between two of them, become `text`.
    Separated(String),
}

/// A file made by the built-in generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// `stories`, `reviews` or `pairs`.
    pub kind: GenerateKind,
    /// Which split of the language.
    pub split: SplitName,
    /// Bytes of stories, or number of reviews or pairs.
    pub amount: u64,
    /// The same seed gives the same bytes.
    #[serde(default)]
    pub seed: u64,
}

/// What the built-in generator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GenerateKind {
    /// Short stories.
    Stories,
    /// Labelled reviews.
    Reviews,
    /// Labelled pairs of sentences.
    Pairs,
}

impl From<GenerateKind> for generator::Kind {
    fn from(kind: GenerateKind) -> Self {
        match kind {
            GenerateKind::Stories => Self::Stories,
            GenerateKind::Reviews => Self::Reviews,
            GenerateKind::Pairs => Self::Pairs,
        }
    }
}

/// The labels there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelSet {
    /// What the labels say, as `sentiment`.
    pub name: String,
    /// Their names; the place in this list is the label's number.
    pub names: Vec<String>,
    /// What stands for a name in the files, where it is not the name itself.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

impl LabelSet {
    /// The number of the label that is written as `value` in a file.
    pub fn index(&self, value: &str) -> Option<usize> {
        let value = value.trim();
        let name = self.values.get(value).map_or(value, String::as_str);
        self.names.iter().position(|known| known == name)
    }
}

/// The files of a split and what is where in their records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// Names of files; in a variant also `*.ext` for all with that ending.
    pub files: Vec<String>,
    /// What they are; `.gz` and `.zst` may stand behind any of their names.
    pub format: Format,
    /// CSV and TSV: whether the first line names the columns.
    #[serde(default = "yes")]
    pub header: bool,
    /// Plain text: where documents end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<DocumentBoundary>,
    /// The text of a record; `text` unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Field>,
    /// Labelled pairs: the second text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_b: Option<Field>,
    /// Where the labels of each label set are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Field>,
    /// Minimal pairs: the acceptable sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Field>,
    /// Minimal pairs: the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<Field>,
    /// Minimal pairs: what they test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Field>,
}

fn yes() -> bool {
    true
}

impl SplitSpec {
    /// Where the text of a record is.
    pub fn text_field(&self) -> Field {
        self.text.clone().unwrap_or_else(|| Field::Name("text".into()))
    }
}

/// Another cut of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name on the command line.
    pub name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its splits; those whose files are there are taken.
    pub splits: BTreeMap<SplitName, SplitSpec>,
}

impl Manifest {
    /// Reads a manifest from a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no manifest: the error names line, key and the nearest known key.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let text = std::fs::read_to_string(path).map_err(DatasetError::io("read", path))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a manifest from its text; `origin` is what messages call it.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, DatasetError> {
        let manifest: Self =
            toml::from_str(text).map_err(|error| DatasetError::toml(origin, text, &error))?;
        manifest.check().map_err(|problem| DatasetError::Manifest {
            origin: origin.to_owned(),
            line: problem.line_in(text),
            message: problem.message,
        })?;
        Ok(manifest)
    }

    /// The usual label set of labelled data, or the one of this name.
    ///
    /// # Errors
    /// There is none, or none of this name.
    pub fn label_set(&self, name: Option<&str>) -> Result<&LabelSet, DatasetError> {
        let found = match name {
            None => self.labels.first(),
            Some(name) => self.labels.iter().find(|set| set.name == name),
        };
        found.ok_or_else(|| DatasetError::NoLabels {
            name: self.name.clone(),
            wanted: name.map(str::to_owned),
            known: self.labels.iter().map(|set| set.name.clone()).collect(),
        })
    }

    /// Bytes to download or generate, and whether that is all: some sizes may not be known.
    pub fn bytes(&self) -> (u64, bool) {
        let known = self.files.iter().filter_map(|file| file.bytes).sum();
        (known, self.files.iter().all(|file| file.bytes.is_some()))
    }

    /// Whether all of it is made here.
    pub fn is_generated(&self) -> bool {
        self.files.iter().all(|file| file.generate.is_some())
    }
}
