//! One label for each example.

use serde::{Deserialize, Serialize};

use crate::figures::likeliest;

use super::{Calibration, Confusion, LabelScores, Mistake, Scores, mean, surest};

/// How good predictions of one label for each example are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// How many examples there are.
    pub examples: usize,
    /// The part whose label was predicted.
    pub accuracy: f64,
    /// Means over the labels that are there or were predicted.
    #[serde(rename = "macro")]
    pub macro_scores: Scores,
    /// Matthews' correlation of labels and predictions.
    pub matthews: f64,
    /// The mean of −ln of the right label's probability, in nats.
    pub loss: f64,
    /// Of each label.
    pub labels: Vec<LabelScores>,
    /// `[label][predicted]`: how often.
    pub confusion: Confusion,
    /// Of the label with the highest probability.
    pub calibration: Calibration,
    /// The mistakes with the highest probability.
    pub mistakes: Vec<Mistake>,
}

impl ClassificationReport {
    /// Of the probability of each label for each example, and the labels that are right; `names` are those of the labels.
    ///
    /// # Panics
    /// If there are not as many labels as examples, or not as many probabilities as names.
    pub fn new(probabilities: &[Vec<f64>], labels: &[usize], names: &[String]) -> Self {
        assert_eq!(probabilities.len(), labels.len(), "a label for each example");
        assert!(probabilities.iter().all(|row| row.len() == names.len()), "a probability for each label");
        let predicted: Vec<usize> = probabilities.iter().map(|row| likeliest(row)).collect();
        let confusion = Confusion::new(names.len(), labels.iter().copied().zip(predicted.iter().copied()));
        let sureness = |example: usize| probabilities[example][predicted[example]];
        let right = |example: usize| labels[example] == predicted[example];
        let judged: Vec<(f64, bool)> =
            (0..labels.len()).map(|example| (sureness(example), right(example))).collect();
        let mistake = |example: usize| Mistake {
            example,
            label: names[labels[example]].clone(),
            predicted: names[predicted[example]].clone(),
            probability: sureness(example),
        };
        let mistakes = (0..labels.len()).filter(|&example| !right(example)).map(mistake).collect();
        Self {
            examples: labels.len(),
            accuracy: confusion.accuracy(),
            macro_scores: confusion.macro_scores(),
            matthews: confusion.matthews(),
            loss: mean(labels.iter().zip(probabilities).map(|(&label, row)| nats(row[label]))),
            labels: confusion.label_scores(names),
            confusion,
            calibration: Calibration::new(&judged),
            mistakes: surest(mistakes),
        }
    }

    /// The figures that say most, the first one first.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("accuracy", self.accuracy),
            ("macro_f1", self.macro_scores.f1),
            ("matthews", self.matthews),
            ("calibration_error", self.calibration.error),
            ("loss", self.loss),
        ]
    }
}

/// −ln of a probability, finite where the smallest probability there is stands for 0.
pub(super) fn nats(probability: f64) -> f64 {
    -probability.max(f64::MIN_POSITIVE).ln()
}
