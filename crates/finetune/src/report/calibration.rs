//! Whether probabilities mean what they say.

use serde::{Deserialize, Serialize};

/// Bins of equal width, as in [Guo 2017, <https://arxiv.org/abs/1706.04599>].
const BINS: usize = 15;

/// Whether predictions are right as often as their probabilities say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The expected calibration error: the mean distance of a bin's accuracy from its mean probability, weighted by
    /// examples.
    pub error: f64,
    /// The bins that hold an example.
    pub bins: Vec<Bin>,
}

/// Predictions of about one probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// The probabilities above this …
    pub above: f64,
    /// … up to this.
    pub up_to: f64,
    /// How many there are.
    pub examples: usize,
    /// Their mean.
    pub probability: f64,
    /// The part of the predictions that is right.
    pub accuracy: f64,
}

impl Calibration {
    /// Of predictions: the probability of each, and whether it is right.
    pub fn new(predictions: &[(f64, bool)]) -> Self {
        let edge = |bin: usize| bin as f64 / BINS as f64;
        let mut sums = [(0_usize, 0.0, 0_usize); BINS];
        for &(probability, right) in predictions {
            // The first bin has both of its edges.
            let bin = ((probability * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            let sum = &mut sums[bin];
            *sum = (sum.0 + 1, sum.1 + probability, sum.2 + usize::from(right));
        }
        let filled = sums.into_iter().enumerate().filter(|(_, (examples, ..))| *examples > 0);
        let bins: Vec<Bin> = filled
            .map(|(bin, (examples, probability, right))| Bin {
                above: edge(bin),
                up_to: edge(bin + 1),
                examples,
                probability: probability / examples as f64,
                accuracy: right as f64 / examples as f64,
            })
            .collect();
        let weighted = |bin: &Bin| bin.examples as f64 * (bin.accuracy - bin.probability).abs();
        let error = bins.iter().map(weighted).sum::<f64>() / predictions.len().max(1) as f64;
        Self { error, bins }
    }
}
