//! A tag for each word.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::spans::are_of_spans;
use super::{Confusion, LabelScores, Scores, spans_of_tags};

/// How good predictions of tags are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaggingReport {
    /// How many texts there are.
    pub examples: usize,
    /// How many words.
    pub words: u64,
    /// The part of the words whose tag was predicted.
    pub accuracy: f64,
    /// Means over the tags that are there or were predicted.
    #[serde(rename = "macro")]
    pub macro_scores: Scores,
    /// Of whole spans, where the tags are those of spans.
    pub spans: Option<SpanScores>,
    /// Of each tag.
    pub tags: Vec<LabelScores>,
    /// `[tag][predicted]`: how often.
    pub confusion: Confusion,
}

/// How good predictions of spans are: one is right if its words and its label are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanScores {
    /// Of all spans together.
    pub micro: Scores,
    /// Means over the labels of spans.
    #[serde(rename = "macro")]
    pub macro_scores: Scores,
    /// Of each label; its examples are spans.
    pub labels: Vec<LabelScores>,
}

impl TaggingReport {
    /// Of the predicted tags of each text's words, and of those that are right.
    ///
    /// # Panics
    /// If there are not as many of both, texts or words.
    pub fn new(predicted: &[Vec<usize>], tags: &[Vec<usize>], names: &[String]) -> Self {
        assert_eq!(predicted.len(), tags.len(), "tags for each text");
        let pairs = tags.iter().zip(predicted).flat_map(|(tags, predicted)| {
            assert_eq!(tags.len(), predicted.len(), "a tag for each word");
            tags.iter().copied().zip(predicted.iter().copied())
        });
        let confusion = Confusion::new(names.len(), pairs);
        Self {
            examples: tags.len(),
            words: confusion.total(),
            accuracy: confusion.accuracy(),
            macro_scores: confusion.macro_scores(),
            spans: are_of_spans(names).then(|| SpanScores::new(predicted, tags, names)),
            tags: confusion.label_scores(names),
            confusion,
        }
    }

    pub(super) fn figures(&self) -> Vec<(&'static str, f64)> {
        let spans = self.spans.as_ref().map(|spans| ("span_f1", spans.micro.f1));
        spans.into_iter().chain([("accuracy", self.accuracy), ("macro_f1", self.macro_scores.f1)]).collect()
    }
}

impl SpanScores {
    fn new(predicted: &[Vec<usize>], tags: &[Vec<usize>], names: &[String]) -> Self {
        // Of each label: right, predicted, there.
        let mut counts: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
        for (predicted, tags) in predicted.iter().zip(tags) {
            let spans = |tags: &[usize]| spans_of_tags(tags.iter().map(|&tag| &*names[tag]));
            let there = spans(tags);
            let known: BTreeSet<_> =
                there.iter().map(|span| (span.words.start, span.words.end, &span.label)).collect();
            for span in &there {
                counts.entry(span.label.clone()).or_default().2 += 1;
            }
            for span in spans(predicted) {
                let count = counts.entry(span.label.clone()).or_default();
                count.0 += u64::from(known.contains(&(span.words.start, span.words.end, &span.label)));
                count.1 += 1;
            }
        }
        let all =
            counts.values().fold((0, 0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1, sum.2 + count.2));
        let labels: Vec<LabelScores> = counts
            .into_iter()
            .map(|(label, (right, predicted, there))| LabelScores {
                label,
                scores: Scores::new(right, predicted, there),
                examples: there,
                predicted,
            })
            .collect();
        let macro_scores = Scores::mean(labels.iter().map(|label| &label.scores));
        Self { micro: Scores::new(all.0, all.1, all.2), macro_scores, labels }
    }
}
