//! Whether draws are as likely as they should be.

/// Asserts that events that were counted have these probabilities, by Pearson's chi-squared test: one that is right fails with a
/// probability of 1/1000, and with the fixed seeds of tests either always or never.
#[track_caller]
pub(crate) fn check_frequencies(counts: &[u64], probabilities: &[f64]) {
    assert_eq!(counts.len(), probabilities.len());
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{probabilities:?} leave something out");
    let total: u64 = counts.iter().sum();
    let (mut statistic, mut freedom) = (0.0, -1.0);
    for (&count, probability) in counts.iter().zip(probabilities) {
        let expected = probability * total as f64;
        if expected == 0.0 {
            assert_eq!(count, 0, "what is impossible happened: {counts:?}");
            continue;
        }
        assert!(expected >= 5.0, "{expected} is too few to say anything: {counts:?}");
        statistic += (count as f64 - expected).powi(2) / expected;
        freedom += 1.0;
    }
    // The quantile of 0.999, by Wilson and Hilferty's approximation.
    let spread: f64 = 2.0 / (9.0 * freedom);
    let limit = freedom * (1.0 - spread + 3.09 * spread.sqrt()).powi(3);
    assert!(statistic < limit, "chi-squared {statistic:.1} above {limit:.1}: {counts:?}");
}
