//! The bootstrap [Efron 1979]: what a figure would have been on other examples like these, by drawing from these with
//! replacement.

use super::Statistic;
use firebrand_corpus::batches::{below, keyed_rng};

/// How resamples are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// The same seed gives the same resamples.
    pub seed: u64,
    /// How many.
    pub resamples: usize,
    /// The share of resamples that an interval holds: 0.95.
    pub confidence: f64,
}

/// Where a figure lies on `confidence` of the resamples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Bootstrap {
    /// The values of some statistics of the same examples on every resample: `[statistics][resamples]`. All of them see the same
    /// draws.
    ///
    /// # Panics
    /// If they are not of as many examples.
    pub fn replicates(&self, statistics: &[&Statistic]) -> Vec<Vec<f64>> {
        let n = statistics.first().map_or(0, |first| first.len());
        assert!(statistics.iter().all(|statistic| statistic.len() == n), "statistics of the same examples");
        let mut replicates = vec![Vec::with_capacity(self.resamples); statistics.len()];
        if n == 0 {
            return replicates;
        }
        let mut times = vec![0_u32; n];
        for resample in 0..self.resamples {
            times.fill(0);
            let mut rng = keyed_rng(self.seed, "bootstrap", resample as u64);
            (0..n).for_each(|_| times[below(&mut rng, n as u64) as usize] += 1);
            for (statistic, replicates) in statistics.iter().zip(&mut replicates) {
                replicates.push(statistic.over(&times));
            }
        }
        replicates
    }

    /// The percentile interval of values on resamples. `None` where there is nothing to tell: fewer than two examples make no
    /// resample that differs.
    pub fn interval(&self, replicates: &[f64]) -> Option<Interval> {
        let mut sorted: Vec<f64> = replicates.iter().copied().filter(|value| value.is_finite()).collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let tail = (1.0 - self.confidence) / 2.0;
        Some(Interval { low: quantile(&sorted, tail), high: quantile(&sorted, 1.0 - tail) })
    }

    /// The interval of one statistic; `None` with fewer than two examples.
    pub fn of(&self, statistic: &Statistic) -> Option<Interval> {
        (statistic.len() > 1).then(|| self.interval(&self.replicates(&[statistic])[0])).flatten()
    }
}

/// The value below which a share of the sorted values lies, between two of them by a line, as numpy's `quantile` does.
///
/// # Panics
/// If there are none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { seed: 3, resamples: 4000, confidence: 0.95 };

    #[test]
    fn quantiles_lie_on_lines_between_values() {
        let values = [1.0, 2.0, 4.0];
        let found = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&values, share));
        assert_eq!(found, [1.0, 1.5, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn resamples_are_those_of_the_seed_and_alike_for_all_statistics() {
        let one = Statistic::accuracy([true, false, true, false, true]);
        let other = Statistic::accuracy([false, true, false, true, false]);
        let replicates = BOOTSTRAP.replicates(&[&one, &other]);
        // They are each other's complement on every resample, which independent draws would not be.
        assert!(replicates[0].iter().zip(&replicates[1]).all(|(a, b)| (a + b - 1.0).abs() < 1e-12));
        assert_eq!(replicates[0], BOOTSTRAP.replicates(&[&one])[0]);
        assert_ne!(replicates[0], Bootstrap { seed: 4, ..BOOTSTRAP }.replicates(&[&one])[0]);
    }

    /// Of three examples there are 27 resamples, each as likely: the exact distribution.
    #[test]
    fn the_distribution_is_that_of_all_resamples() {
        let values = [0.0, 1.0, 5.0];
        let statistic = Statistic::Ratio { numerators: values.to_vec(), denominators: vec![1.0; 3] };
        let found = &BOOTSTRAP.replicates(&[&statistic])[0];
        let mut sums: Vec<f64> = Vec::new();
        for a in values {
            for b in values {
                sums.extend(values.map(|c| a + b + c));
            }
        }
        for sum in [0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 10.0, 11.0, 15.0] {
            let exact = sums.iter().filter(|&&other| other == sum).count() as f64 / 27.0;
            let share = found.iter().filter(|&&mean| (3.0 * mean - sum).abs() < 1e-9).count() as f64 / 4000.0;
            // Five standard deviations of a share of 4,000 draws.
            assert!((share - exact).abs() < 5.0 * (exact * (1.0 - exact) / 4000.0).sqrt(), "{sum}: {share}");
        }
    }

    #[test]
    fn intervals_cover_the_truth_about_as_often_as_they_say() {
        // 400 samples of 60 throws of a coin that falls on heads 7 times of 10.
        let bootstrap = Bootstrap { resamples: 400, ..BOOTSTRAP };
        let covers = |sample: &u64| {
            let mut rng = keyed_rng(11, "coins", *sample);
            let coins: Vec<bool> = (0..60).map(|_| below(&mut rng, 10) < 7).collect();
            let interval = bootstrap.of(&Statistic::accuracy(coins)).expect("60 examples");
            interval.low <= 0.7 && 0.7 <= interval.high
        };
        let covered = (0..400).filter(covers).count();
        assert!((360..=395).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn one_example_has_no_interval_and_equal_ones_an_empty_one() {
        assert_eq!(BOOTSTRAP.of(&Statistic::accuracy([true])), None);
        let certain = BOOTSTRAP.of(&Statistic::accuracy([true, true, true]));
        assert_eq!(certain, Some(Interval { low: 1.0, high: 1.0 }));
    }
}
