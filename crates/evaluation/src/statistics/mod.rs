//! How sure a figure is that was measured on some examples, and whether two differ by more than chance.
//!
//! Pure functions of their arguments: draws are keyed by a seed and the number of the resample, so that all metrics and all
//! runs of one task are resampled alike, which is what makes a comparison paired.

mod bootstrap;
mod paired;
mod statistic;

pub use bootstrap::{Bootstrap, Interval, quantile};
pub use paired::{Paired, Test, mcnemar, sign_flips};
pub use statistic::Statistic;
