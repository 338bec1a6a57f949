//! A number for each example.

use serde::{Deserialize, Serialize};

use super::{MISTAKES, mean, pearson, spearman};

/// How good predictions of numbers are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionReport {
    /// How many examples there are.
    pub examples: usize,
    /// Pearson's correlation of numbers and predictions.
    pub pearson: Option<f64>,
    /// Spearman's.
    pub spearman: Option<f64>,
    /// The mean of the squared distances.
    pub mean_squared_error: f64,
    /// The mean of the distances.
    pub mean_absolute_error: f64,
    /// The part of the variance that is explained; `None` of a constant.
    pub r_squared: Option<f64>,
    /// The predictions that are furthest off.
    pub errors: Vec<Error>,
}

/// A prediction that is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Error {
    /// The place of the example among those that were predicted, from 0.
    pub example: usize,
    /// What is right.
    pub number: f64,
    /// What was predicted.
    pub predicted: f64,
}

impl RegressionReport {
    /// Of predictions and of what is right.
    ///
    /// # Panics
    /// If there are not as many of both.
    pub fn new(predicted: &[f64], numbers: &[f64]) -> Self {
        assert_eq!(predicted.len(), numbers.len(), "a number for each prediction");
        let squares = |other: &dyn Fn(usize) -> f64| {
            numbers.iter().enumerate().map(|(at, number)| (number - other(at)).powi(2)).sum::<f64>()
        };
        let average = mean(numbers.iter().copied());
        let (left, all) = (squares(&|at| predicted[at]), squares(&|_| average));
        let pairs = predicted.iter().zip(numbers).enumerate();
        let mut errors: Vec<Error> =
            pairs.map(|(example, (&predicted, &number))| Error { example, number, predicted }).collect();
        let distance = |error: &Error| (error.number - error.predicted).abs();
        let mean_absolute_error = mean(errors.iter().map(distance));
        errors.sort_by(|a, b| distance(b).total_cmp(&distance(a)).then(a.example.cmp(&b.example)));
        errors.truncate(MISTAKES);
        Self {
            examples: numbers.len(),
            pearson: pearson(predicted, numbers),
            spearman: spearman(predicted, numbers),
            mean_squared_error: left / numbers.len().max(1) as f64,
            mean_absolute_error,
            r_squared: (all > 0.0).then(|| 1.0 - left / all),
            errors,
        }
    }

    pub(super) fn figures(&self) -> Vec<(&'static str, f64)> {
        let correlations = [("pearson", self.pearson), ("spearman", self.spearman)];
        let known = correlations.into_iter().filter_map(|(name, value)| Some((name, value?)));
        known.chain([("mse", self.mean_squared_error), ("mae", self.mean_absolute_error)]).collect()
    }
}
