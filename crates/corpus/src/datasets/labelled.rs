//! Labelled examples and minimal pairs of a dataset that is here, for whoever trains or tests on them.

use super::error::DatasetError;
use super::examples::{Example, Examples};
use super::manifest::{Kind, LabelSet};
use super::store::DatasetSplit;
use crate::labelled::{self, Columns, EmptyTexts, Known, Labels, Reading, read};
use crate::sources::FormatChoice;

/// Two sentences that differ in little.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinimalPair {
    /// The acceptable one.
    pub good: String,
    /// The other one.
    pub bad: String,
    /// What they test; empty where the dataset does not say.
    pub group: String,
}

impl DatasetSplit<'_> {
    /// How the labelled examples of a split are read; the labels are those of `set`.
    ///
    /// # Errors
    /// The split has no labels of this set, or is plain text.
    pub fn reading(&self, set: &LabelSet) -> Result<Reading, DatasetError> {
        let label = self.spec.labels.get(&set.name).ok_or_else(|| DatasetError::NoLabels {
            name: format!("split {}", self.name),
            wanted: Some(set.name.clone()),
            known: self.spec.labels.keys().cloned().collect(),
        })?;
        let columns = Columns {
            text: Some(self.spec.text_field()),
            text_b: self.spec.text_b.clone(),
            label: Some(label.clone()),
            separator: None,
            values: set.values.clone(),
        };
        Ok(Reading {
            format: FormatChoice::from(self.spec.format),
            no_header: !self.spec.header,
            empty_texts: EmptyTexts::Refuse,
            columns,
            found: Columns::default(),
        })
    }

    /// The labelled examples of a split in order; the labels are those of `set`, in its order.
    ///
    /// # Errors
    /// As [`DatasetSplit::reading`]; a file that cannot be read, a label that is none, which is said with its line.
    pub fn labelled(&self, set: &LabelSet) -> Result<(Vec<labelled::Example>, Labels), DatasetError> {
        let labels = Labels::new(set.names.iter().cloned());
        let read = read(&self.paths, &self.reading(set)?, labelled::Kind::Class, &mut Known::Only(&labels))?;
        Ok((read.examples, labels))
    }

    /// The minimal pairs of a split, in order.
    ///
    /// # Errors
    /// The split holds no minimal pairs. While reading: as [`DatasetSplit::labelled`].
    pub fn minimal_pairs(
        &self,
    ) -> Result<impl Iterator<Item = Result<MinimalPair, DatasetError>> + use<>, DatasetError> {
        if self.spec.good.is_none() {
            return Err(DatasetError::NoLabels {
                name: format!("split {}", self.name),
                wanted: Some("good and bad".into()),
                known: self.spec.labels.keys().cloned().collect(),
            });
        }
        Ok(MinimalPair::all(Examples::of_split(self, Kind::Pairs, None)))
    }
}

impl MinimalPair {
    /// Examples of two texts as pairs: the first one is the acceptable one, the label what they test.
    ///
    /// # Errors
    /// While reading: as [`DatasetSplit::labelled`].
    pub fn all(mut examples: Examples) -> impl Iterator<Item = Result<Self, DatasetError>> + use<> {
        std::iter::from_fn(move || {
            let pair = |example: Example, groups: &[String]| Self {
                good: example.text,
                bad: example.text_b.unwrap_or_default(),
                group: example.label.map(|group| groups[group].clone()).unwrap_or_default(),
            };
            let next = examples.next_example().transpose()?;
            Some(next.map(|example| pair(example, examples.labels())))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;

    use super::super::{Dataset, Options, SplitName, Store, built_in, fetch};
    use super::*;

    /// A built-in dataset with these files, copied from a folder.
    fn copied(folder: &Path, name: &str, files: &[(&str, &str)]) -> Dataset {
        let from = folder.join("from");
        std::fs::create_dir(&from).unwrap();
        for (name, text) in files {
            std::fs::write(from.join(name), text).unwrap();
        }
        let manifest = built_in().iter().find(|manifest| manifest.name == name).unwrap();
        let store = Store::new(folder.join("store"));
        let options = Options { from: Some(from), ..Options::default() };
        fetch(manifest, &store, &options, &mut |_| {}).unwrap();
        store.open(name).unwrap()
    }

    fn name<'a>(labels: &'a Labels, example: &labelled::Example) -> &'a str {
        match example.target {
            labelled::Target::Class(label) => &labels.names()[label],
            _ => panic!("{example:?}"),
        }
    }

    #[test]
    fn labels_get_their_numbers_whether_files_have_numbers_or_names() {
        let folder = tempfile::tempdir().unwrap();
        let csv = "label,text\n4,\"a, b\"\nWorld,c\n";
        let dataset = copied(folder.path(), "agnews", &[("train.csv", csv)]);
        let (split, set) =
            (dataset.split(SplitName::Train).unwrap(), dataset.manifest.label_set(None).unwrap());
        let (examples, labels) = split.labelled(set).unwrap();
        let found: Vec<(&str, &str)> =
            examples.iter().map(|example| (&*example.text, name(&labels, example))).collect();
        assert_eq!(found, [("a, b", "Sci/Tech"), ("c", "World")]);
        assert_eq!(labels.names(), set.names);
        assert_eq!(set.names[3], "Sci/Tech");
        let error = dataset.split(SplitName::Test).unwrap_err().to_string();
        assert_eq!(error, "dataset agnews has no test split here; there is train");
    }

    #[test]
    fn of_several_label_sets_one_is_chosen_and_a_wrong_label_is_located() {
        let folder = tempfile::tempdir().unwrap();
        let lines = concat!(
            r#"{"text": "Who?", "label": "HUM", "fine_label": "HUM:ind"}"#,
            "\n",
            r#"{"text": "Why?", "label": "DESC", "fine_label": "DESC:raeson"}"#,
        );
        let dataset = copied(folder.path(), "trec", &[("train.jsonl", lines)]);
        let split = dataset.split(SplitName::Train).unwrap();
        let labels = |set: &str| -> Result<Vec<String>, DatasetError> {
            let set = dataset.manifest.label_set(Some(set)).unwrap();
            let (examples, labels) = split.labelled(set)?;
            Ok(examples.iter().map(|example| name(&labels, example).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(labels("coarse").unwrap(), ["HUM", "DESC"]);
        let error = labels("fine").unwrap_err().to_string();
        assert!(
            error.contains("line 2: the label `DESC:raeson` is none of those that are known: ABBR:abb, "),
            "{error}"
        );
        assert!(dataset.manifest.label_set(Some("finest")).is_err());
        assert!(split.minimal_pairs().is_err(), "questions are no pairs");
    }

    #[test]
    fn minimal_pairs_come_with_what_they_test() {
        let folder = tempfile::tempdir().unwrap();
        let line = |group: &str| {
            serde_json::json!({"sentence_good": "It is.", "sentence_bad": "It are.", "UID": group})
                .to_string()
        };
        let files = [("b.jsonl", line("two")), ("a.jsonl", line("one"))];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        let dataset = copied(folder.path(), "blimp", &files);
        let pairs: Vec<MinimalPair> =
            dataset.split(SplitName::Test).unwrap().minimal_pairs().unwrap().map(Result::unwrap).collect();
        let pair =
            |group: &str| MinimalPair { good: "It is.".into(), bad: "It are.".into(), group: group.into() };
        assert_eq!(pairs, [pair("one"), pair("two")]);
    }
}
