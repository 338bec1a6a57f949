//! Labelled examples and minimal pairs of a dataset that is here, for whoever trains or tests on them.

use super::error::DatasetError;
use super::examples::{Example, Examples};
use super::manifest::{Kind, LabelSet};
use super::store::DatasetSplit;

/// A text, or two, and a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledExample {
    /// The text.
    pub text: String,
    /// The second text of a pair.
    pub text_b: Option<String>,
    /// The number of the label: its place in [`LabelSet::names`].
    pub label: usize,
}

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
    /// The labelled examples of a split in order; the labels are those of `set`.
    ///
    /// # Errors
    /// The split has no labels of this set. While reading: a file that cannot be read, a label that is none, which is
    /// said with its line.
    pub fn labelled(
        &self,
        set: &LabelSet,
    ) -> Result<impl Iterator<Item = Result<LabelledExample, DatasetError>> + use<>, DatasetError> {
        if !self.spec.labels.contains_key(&set.name) {
            return Err(DatasetError::NoLabels {
                name: format!("split {}", self.name),
                wanted: Some(set.name.clone()),
                known: self.spec.labels.keys().cloned().collect(),
            });
        }
        let labelled = |Example { text, text_b, label }| LabelledExample {
            text,
            text_b,
            label: label.expect("every record has a label or is an error where a label set is asked for"),
        };
        let examples = Examples::of_split(self, Kind::Labelled, Some(set));
        Ok(examples.map(move |example| example.map(labelled)))
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
        let mut examples = Examples::of_split(self, Kind::Pairs, None);
        Ok(std::iter::from_fn(move || {
            let pair = |example: Example, groups: &[String]| MinimalPair {
                good: example.text,
                bad: example.text_b.unwrap_or_default(),
                group: example.label.map(|group| groups[group].clone()).unwrap_or_default(),
            };
            let next = examples.next_example().transpose()?;
            Some(next.map(|example| pair(example, examples.labels())))
        }))
    }
}
