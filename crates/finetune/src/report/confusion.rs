//! What was predicted for what: the table that accuracy, precision, recall, F1 and Matthews' correlation are made of.

use serde::{Deserialize, Serialize};

/// How often each label was predicted for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confusion {
    /// `counts[label][predicted]`.
    counts: Vec<Vec<u64>>,
}

/// Precision, recall and their harmonic mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Of what was predicted, the part that is right.
    pub precision: f64,
    /// Of what is right, the part that was predicted.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// The scores of one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelScores {
    /// Which.
    pub label: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: Scores,
    /// How many examples have it.
    pub examples: u64,
    /// For how many it was predicted.
    pub predicted: u64,
}

impl Scores {
    /// Of `right` predictions out of `predicted`, where `there` would be right. What is a part of nothing is 0.
    pub fn new(right: u64, predicted: u64, there: u64) -> Self {
        let part = |of: u64| if of == 0 { 0.0 } else { right as f64 / of as f64 };
        let f1 = match predicted + there {
            0 => 0.0,
            both => 2.0 * right as f64 / both as f64,
        };
        Self { precision: part(predicted), recall: part(there), f1 }
    }

    /// The mean of each score.
    pub(super) fn mean<'a>(scores: impl Iterator<Item = &'a Self> + Clone) -> Self {
        Self {
            precision: super::mean(scores.clone().map(|scores| scores.precision)),
            recall: super::mean(scores.clone().map(|scores| scores.recall)),
            f1: super::mean(scores.map(|scores| scores.f1)),
        }
    }
}

impl Confusion {
    /// Of pairs (label, predicted), all below `n_labels`.
    pub fn new(n_labels: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; n_labels]; n_labels];
        for (label, predicted) in pairs {
            counts[label][predicted] += 1;
        }
        Self { counts }
    }

    /// `[label][predicted]`: how often.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// How many pairs there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Those whose prediction is right.
    fn right(&self) -> u64 {
        self.counts.iter().enumerate().map(|(label, row)| row[label]).sum()
    }

    /// How many examples have each label.
    pub fn there(&self) -> Vec<u64> {
        self.counts.iter().map(|row| row.iter().sum()).collect()
    }

    /// How often each label was predicted.
    pub fn predicted(&self) -> Vec<u64> {
        (0..self.counts.len()).map(|label| self.counts.iter().map(|row| row[label]).sum()).collect()
    }

    /// The part that is right.
    pub fn accuracy(&self) -> f64 {
        if self.total() == 0 { 0.0 } else { self.right() as f64 / self.total() as f64 }
    }

    /// The scores of each label.
    pub fn scores(&self) -> Vec<Scores> {
        let (there, predicted) = (self.there(), self.predicted());
        (0..self.counts.len())
            .map(|label| Scores::new(self.counts[label][label], predicted[label], there[label]))
            .collect()
    }

    /// The scores of each label with its name.
    pub fn label_scores(&self, names: &[String]) -> Vec<LabelScores> {
        let counts = self.there().into_iter().zip(self.predicted());
        let scores = names.iter().zip(self.scores()).zip(counts);
        let one = |((name, scores), (examples, predicted)): ((&String, Scores), (u64, u64))| LabelScores {
            label: name.clone(),
            scores,
            examples,
            predicted,
        };
        scores.map(one).collect()
    }

    /// The means of the scores over the labels that are there or were predicted.
    pub fn macro_scores(&self) -> Scores {
        let counts = self.there().into_iter().zip(self.predicted());
        let met: Vec<Scores> = self
            .scores()
            .into_iter()
            .zip(counts)
            .filter(|(_, (there, predicted))| there + predicted > 0)
            .map(|(scores, _)| scores)
            .collect();
        Scores::mean(met.iter())
    }

    /// Matthews' correlation of labels and predictions for any number of labels [Gorodkin 2004]; 0 where either is constant.
    pub fn matthews(&self) -> f64 {
        let total = self.total() as f64;
        let (there, predicted) = (self.there(), self.predicted());
        let product = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum::<f64>();
        let covariance = self.right() as f64 * total - product(&there, &predicted);
        let spread = |counts: &[u64]| total * total - product(counts, counts);
        let scale = spread(&there).sqrt() * spread(&predicted).sqrt();
        if scale == 0.0 { 0.0 } else { covariance / scale }
    }
}
