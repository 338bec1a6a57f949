//! Where the examples of a task come from.

use firebrand_corpus::datasets::SplitName;
use firebrand_corpus::generator::{Kind, Split};
use firebrand_corpus::{did_you_mean, nearest};
use std::path::PathBuf;

/// A file, a dataset by name, or what the built-in grammar makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// Relative to the suite's file.
    File(PathBuf),
    /// `dataset:NAME/SPLIT`.
    Dataset {
        /// Its name.
        name: String,
        /// The test split, unless another is named.
        split: SplitName,
    },
    /// `built-in:KIND/SPLIT`.
    BuiltIn {
        /// Stories, reviews or pairs.
        kind: Kind,
        /// The test split, unless another is named.
        split: Split,
    },
}

impl DataSource {
    /// Reads how it is written.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let split_of = |rest: &str| match rest.split_once('/') {
            Some((name, split)) => (name.to_owned(), Some(split.to_owned())),
            None => (rest.to_owned(), None),
        };
        let unknown = |what: &str, found: &str, known: &[&str]| {
            let hint = did_you_mean(nearest(found, known));
            format!("{text}: there is no {what} `{found}`{hint}: write {}", known.join(", "))
        };
        if let Some(rest) = text.strip_prefix("dataset:") {
            let (name, split) = split_of(rest);
            let wanted = split.as_deref().unwrap_or(SplitName::Test.name());
            let names = SplitName::ALL.map(SplitName::name);
            let split = SplitName::ALL.into_iter().find(|split| split.name() == wanted);
            let split = split.ok_or_else(|| unknown("split", wanted, &names))?;
            return Ok(Self::Dataset { name, split });
        }
        if let Some(rest) = text.strip_prefix("built-in:") {
            let (kind, split) = split_of(rest);
            let kinds = [Kind::Stories, Kind::Reviews, Kind::Pairs];
            let found = kinds.into_iter().find(|known| known.name() == kind);
            let found = found.ok_or_else(|| unknown("kind", &kind, &kinds.map(Kind::name)))?;
            let splits = [Split::Train, Split::Validation, Split::Test];
            let wanted = split.as_deref().unwrap_or(Split::Test.name());
            let split = splits.into_iter().find(|split| split.name() == wanted);
            let split = split.ok_or_else(|| unknown("split", wanted, &splits.map(Split::name)))?;
            return Ok(Self::BuiltIn { kind: found, split });
        }
        if text.trim().is_empty() {
            return Err("data has an empty name: name files, dataset:NAME or built-in:KIND".into());
        }
        Ok(Self::File(text.into()))
    }
}
