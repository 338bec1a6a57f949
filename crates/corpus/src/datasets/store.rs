//! Where fetched datasets are, and what is known about them.
//!
//! `ROOT/NAME/data/` holds the files of a dataset, the manifest they were fetched by (`dataset.toml`) and a receipt
//! (`fetched.toml`). The folder appears as a whole, so a dataset is there or not. `ROOT/NAME/fetching/` holds what is
//! on its way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::built_in::{self, built_in};
use super::check;
use super::error::DatasetError;
use super::manifest::{LabelSet, Manifest, SplitName, SplitSpec};

/// The receipt's name.
pub(super) const RECEIPT: &str = "fetched.toml";
/// The manifest's name.
pub(super) const MANIFEST: &str = "dataset.toml";
/// The version of the receipt's format.
const FORMAT: u32 = 1;

/// The folder of all datasets.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// What was fetched, from where and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The version of this format.
    pub format: u32,
    /// The dataset.
    pub name: String,
    /// The cut that was taken, when it is not the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// When, in UTC: `2026-11-24T21:10:00Z`.
    pub fetched: String,
    /// What came, before unpacking.
    pub sources: Vec<ReceivedFile>,
    /// What is here.
    pub files: Vec<ReceivedFile>,
    /// The files of each split.
    pub splits: BTreeMap<SplitName, Vec<String>>,
}

/// A file that was received, or that became of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceivedFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its checksum.
    pub sha256: String,
    /// The address or path it came from; nothing for files that became of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Whether the checksum was published; otherwise this is the pin that later fetches are held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<bool>,
}

/// A dataset that is here.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What it is.
    pub manifest: Manifest,
    /// How it came here.
    pub receipt: Receipt,
    /// Where its files are.
    pub folder: PathBuf,
}

/// A split of a dataset that is here.
#[derive(Clone, Debug)]
pub struct DatasetSplit<'a> {
    /// Which.
    pub name: SplitName,
    /// Its files, in order.
    pub paths: Vec<PathBuf>,
    /// What is where in them.
    pub spec: &'a SplitSpec,
    /// The label sets of labelled data.
    pub labels: &'a [LabelSet],
}

impl Store {
    /// The store in this folder, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder of all datasets.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that holds a dataset's files once it is fetched.
    pub fn data(&self, name: &str) -> PathBuf {
        self.root.join(name).join("data")
    }

    /// The folder of what is on its way.
    pub(super) fn fetching(&self, name: &str) -> PathBuf {
        self.root.join(name).join("fetching")
    }

    /// The manifest that a name stands for: that of the fetched dataset, or a built-in one.
    ///
    /// # Errors
    /// There is none; the error names the nearest.
    pub fn manifest(&self, name: &str) -> Result<Manifest, DatasetError> {
        if let Some(manifest) = built_in().iter().find(|manifest| manifest.name == name) {
            return Ok(manifest.clone());
        }
        let own = self.data(name).join(MANIFEST);
        if check::is_name(name) && own.exists() {
            return Manifest::read(&own);
        }
        let nearest = built_in::nearest(name).map(str::to_owned);
        Err(DatasetError::Unknown { name: name.to_owned(), nearest })
    }

    /// The receipt of a dataset; `None` when it is not here.
    ///
    /// # Errors
    /// The receipt cannot be read.
    pub fn receipt(&self, name: &str) -> Result<Option<Receipt>, DatasetError> {
        let path = self.data(name).join(RECEIPT);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DatasetError::io("read", &path)(error)),
        };
        let damaged =
            |problem: String| DatasetError::Damaged { name: name.to_owned(), path: path.clone(), problem };
        let receipt: Receipt = toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        if receipt.format != FORMAT {
            let problem = format!("is in format {}, and this program reads format {FORMAT}", receipt.format);
            return Err(damaged(problem));
        }
        Ok(Some(receipt))
    }

    /// Opens a dataset that was fetched, and checks that its files are there in their sizes.
    ///
    /// # Errors
    /// No such dataset, one that is not here, or one whose files are damaged.
    pub fn open(&self, name: &str) -> Result<Dataset, DatasetError> {
        // An unknown name is a better thing to say than that it is not here.
        self.manifest(name)?;
        let folder = self.data(name);
        let Some(receipt) = self.receipt(name)? else {
            return Err(DatasetError::NotFetched { name: name.to_owned(), folder });
        };
        for file in &receipt.files {
            let path = folder.join(&file.name);
            let damaged = |problem: String| DatasetError::Damaged {
                name: name.to_owned(),
                path: path.clone(),
                problem,
            };
            let found = std::fs::metadata(&path).map_err(|error| damaged(error.to_string()))?.len();
            if found != file.bytes {
                return Err(damaged(format!(
                    "has {found} bytes, and had {} when it was fetched",
                    file.bytes
                )));
            }
        }
        let manifest = Manifest::read(&folder.join(MANIFEST))?;
        Ok(Dataset { manifest, receipt, folder })
    }
}

impl Receipt {
    pub(super) fn new(name: &str, variant: Option<&str>) -> Self {
        Self {
            format: FORMAT,
            name: name.to_owned(),
            variant: variant.map(str::to_owned),
            fetched: now(),
            sources: Vec::new(),
            files: Vec::new(),
            splits: BTreeMap::new(),
        }
    }

    /// The files whose checksums nobody published, which later fetches are held to.
    pub fn pinned(&self) -> impl Iterator<Item = &ReceivedFile> {
        self.sources.iter().filter(|file| file.published == Some(false))
    }
}

impl Dataset {
    /// The splits that are here, in the usual order.
    pub fn splits(&self) -> Vec<DatasetSplit<'_>> {
        self.receipt.splits.keys().filter_map(|&name| self.get(name)).collect()
    }

    /// A split.
    ///
    /// # Errors
    /// It is not here.
    pub fn split(&self, name: SplitName) -> Result<DatasetSplit<'_>, DatasetError> {
        self.get(name).ok_or_else(|| DatasetError::NoSplit {
            name: self.manifest.name.clone(),
            wanted: name.name().to_owned(),
            known: self.receipt.splits.keys().map(|name| name.name().to_owned()).collect(),
        })
    }

    fn get(&self, name: SplitName) -> Option<DatasetSplit<'_>> {
        let splits = match &self.receipt.variant {
            None => &self.manifest.splits,
            Some(wanted) => &self.manifest.variants.iter().find(|variant| variant.name == *wanted)?.splits,
        };
        let files = self.receipt.splits.get(&name)?;
        Some(DatasetSplit {
            name,
            paths: files.iter().map(|file| self.folder.join(file)).collect(),
            spec: splits.get(&name)?,
            labels: &self.manifest.labels,
        })
    }
}

/// The time in UTC to the second.
fn now() -> String {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    utc(since_1970.map_or(0, |elapsed| elapsed.as_secs()))
}

fn utc(seconds: u64) -> String {
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_554_611), "2026-11-24T21:10:11Z");
    }
}
