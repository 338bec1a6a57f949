//! Results that stay between two calls of the benchmark, so that a long one is made in parts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A folder of results, each a file that says what it is the result of.
pub(super) struct Kept {
    folder: PathBuf,
    /// Of the binary and of what all results have in common.
    key: String,
}

#[derive(Serialize, Deserialize)]
struct Record<T> {
    key: String,
    result: T,
}

/// The binary that is measured, by its content.
pub(super) fn binary(firebrand: &Path) -> Result<String> {
    crate::pipeline::sha256(firebrand).with_context(|| format!("cannot read {}", firebrand.display()))
}

impl Kept {
    pub(super) fn new(folder: PathBuf, key: String) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder, key })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn key(&self, of: &str) -> String {
        format!("{}; {of}", self.key)
    }

    /// The result called `name`, if it is one of `of`.
    pub(super) fn get<T: DeserializeOwned>(&self, name: &str, of: &str) -> Option<T> {
        let record: Record<T> = serde_json::from_str(&fs::read_to_string(self.file(name)).ok()?).ok()?;
        (record.key == self.key(of)).then_some(record.result)
    }

    /// The same, or what `make` returns, which is kept.
    pub(super) fn get_or<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        of: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if let Some(result) = self.get(name, of) {
            eprintln!("{name}: as measured before, see {}", shown(&self.file(name)));
            return Ok(result);
        }
        let record = Record { key: self.key(of), result: make()? };
        let (file, json) = (self.file(name), serde_json::to_string(&record).context("cannot write JSON")?);
        firebrand_durable::write(&file, json.as_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(record.result)
    }
}

fn shown(file: &Path) -> String {
    crate::paths::shown(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_made_once_for_the_same_binary_and_settings() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let kept = |key: &str| Kept::new(folder.path().join("results"), key.to_owned()).expect("made");
        let first = kept("binary 1");
        let made = |kept: &Kept, of: &str, value: u32| kept.get_or("causal", of, || Ok(value)).expect("made");
        assert_eq!(first.get::<u32>("causal", "300 steps"), None);
        assert_eq!(made(&first, "300 steps", 1), 1);
        assert_eq!(made(&kept("binary 1"), "300 steps", 2), 1, "as it was made");
        assert_eq!(made(&first, "1200 steps", 3), 3, "other settings");
        assert_eq!(made(&kept("binary 2"), "1200 steps", 4), 4, "another binary");
        assert_eq!(kept("binary 2").get::<u32>("masked", "1200 steps"), None);
        fs::write(folder.path().join("results/causal.json"), "{\"key\":").expect("written");
        assert_eq!(made(&kept("binary 2"), "1200 steps", 5), 5, "a torn file is no result");
        let failed = kept("binary 3").get_or::<u32>("causal", "300 steps", || anyhow::bail!("stopped"));
        assert!(failed.is_err() && kept("binary 2").get("causal", "1200 steps") == Some(5u32));
    }
}
