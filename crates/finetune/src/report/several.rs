//! Figures of several runs.

use serde::{Deserialize, Serialize};

use super::Report;

/// A figure over several runs that differ in their seed or their data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Which figure.
    pub name: String,
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation over the runs, as that of a sample (divided by one less than their number); 0 of one run.
    pub deviation: f64,
    /// The figure of each run.
    pub values: Vec<f64>,
}

/// The figures that all reports have, with mean and deviation.
pub fn spreads(reports: &[Report]) -> Vec<Spread> {
    let figures: Vec<Vec<(&'static str, f64)>> = reports.iter().map(Report::figures).collect();
    let names = figures.first().into_iter().flatten().map(|(name, _)| *name);
    let spread = |name: &'static str| {
        let value =
            |figures: &Vec<(&'static str, f64)>| Some(figures.iter().find(|(other, _)| *other == name)?.1);
        let values: Vec<f64> = figures.iter().map(value).collect::<Option<_>>()?;
        Some(Spread::new(name, values))
    };
    names.filter_map(spread).collect()
}

impl Spread {
    /// Of the figure of each run.
    pub fn new(name: &str, values: Vec<f64>) -> Self {
        let mean = super::mean(values.iter().copied());
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if values.len() < 2 { 0.0 } else { (squares / (values.len() - 1) as f64).sqrt() };
        Self { name: name.to_owned(), mean, deviation, values }
    }
}
