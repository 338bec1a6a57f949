//! How good predictions are: numbers only, of probabilities and labels, without tensors or text.
//!
//! A [`Report`] is made of what a model said about each example and of what is right. All figures are those that
//! scikit-learn, SciPy and seqeval define (`tests/golden/make_report.py` has them compute ours); what is undefined, as a
//! correlation with a constant, is `None`, and a precision or recall of nothing is 0.

mod calibration;
mod classification;
mod confusion;
mod correlation;
mod multi_label;
mod regression;
mod several;
mod spans;
mod tagging;

use serde::{Deserialize, Serialize};

pub use calibration::{Bin, Calibration};
pub use classification::ClassificationReport;
pub use confusion::{Confusion, LabelScores, Scores};
pub use correlation::{pearson, spearman};
pub use multi_label::MultiLabelReport;
pub use regression::{Error, RegressionReport};
pub use several::{Spread, spreads};
pub use spans::{Span, spans_of_tags};
pub use tagging::{SpanScores, TaggingReport};

/// How many mistakes a report shows.
pub const MISTAKES: usize = 10;

/// How good predictions are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub enum Report {
    /// Of one label for each example.
    Classification(ClassificationReport),
    /// Of any number of labels for each.
    MultiLabel(MultiLabelReport),
    /// Of a number for each.
    Regression(RegressionReport),
    /// Of a tag for each word.
    Tagging(TaggingReport),
}

/// A prediction that is wrong, and how sure of it the model was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// The place of the example among those that were predicted, from 0.
    pub example: usize,
    /// What is right.
    pub label: String,
    /// What was predicted.
    pub predicted: String,
    /// With which probability.
    pub probability: f64,
}

impl Report {
    /// The figures that say most, the first one first.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Classification(report) => report.figures(),
            Self::MultiLabel(report) => report.figures(),
            Self::Regression(report) => report.figures(),
            Self::Tagging(report) => report.figures(),
        }
    }

    /// How many examples it is about.
    pub fn examples(&self) -> usize {
        match self {
            Self::Classification(report) => report.examples,
            Self::MultiLabel(report) => report.examples,
            Self::Regression(report) => report.examples,
            Self::Tagging(report) => report.examples,
        }
    }

    /// The mistakes that the model was surest of; none of numbers.
    pub fn mistakes(&self) -> &[Mistake] {
        match self {
            Self::Classification(report) => &report.mistakes,
            Self::MultiLabel(report) => &report.mistakes,
            Self::Regression(_) | Self::Tagging(_) => &[],
        }
    }
}

/// The surest of some mistakes, the surest first; of two as sure the earlier one.
fn surest(mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability).then(a.example.cmp(&b.example)));
    mistakes.truncate(MISTAKES);
    mistakes
}

/// A mean; 0 of nothing.
fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for value in values {
        sum += value;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests;
