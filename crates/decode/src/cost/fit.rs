//! Least squares with coefficients that are times: none is below nothing.

/// Why nothing can be fitted.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CostError {
    /// A curve is not determined by so few points.
    #[error(
        "{distinct} different lengths were timed, and {needed} are needed to fit a curve: the model's context is too short"
    )]
    TooFew {
        /// How many there were.
        distinct: usize,
        /// How many coefficients there are.
        needed: usize,
    },
    /// What was measured is no time that a pass can take.
    #[error(
        "a pass over {n} tokens took {seconds} seconds, which is no time: the clock stood still or went back"
    )]
    Time {
        /// Its length.
        n: usize,
        /// Its time.
        seconds: f64,
    },
}

/// The coefficients `c ≥ 0` for which `terms(n) · c` comes nearest to the timings `(n, seconds)`: the sum of the squares of relative errors
/// is least, so that short passes count as much as long ones.
///
/// With a few coefficients the bound is no effort: where the best has zeros, the others are the best without those terms, and
/// all ways to leave terms out are tried.
pub(super) fn fit<const N: usize>(
    timings: &[(usize, f64)],
    terms: impl Fn(f64) -> [f64; N],
) -> Result<[f64; N], CostError> {
    if let Some(&(n, seconds)) = timings.iter().find(|(_, seconds)| !(seconds.is_finite() && *seconds > 0.0))
    {
        return Err(CostError::Time { n, seconds });
    }
    let mut lengths: Vec<usize> = timings.iter().map(|timing| timing.0).collect();
    lengths.sort_unstable();
    lengths.dedup();
    if lengths.len() < N {
        return Err(CostError::TooFew { distinct: lengths.len(), needed: N });
    }
    // Rows of an equation whose right side is 1; columns of the same size, as squares of lengths are large and seconds small.
    let mut rows: Vec<[f64; N]> =
        timings.iter().map(|&(n, seconds)| terms(n as f64).map(|term| term / seconds)).collect();
    let sizes: [f64; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].abs()).fold(0.0, f64::max));
    for row in &mut rows {
        row.iter_mut().zip(sizes).for_each(|(value, size)| *value /= size);
    }
    let error = |found: &[f64; N]| -> f64 { rows.iter().map(|row| (dot(row, found) - 1.0).powi(2)).sum() };
    let best = (1..1_usize << N)
        .filter_map(|kept| solve(&rows, kept))
        .filter(|found| found.iter().all(|value| value.is_finite() && *value >= 0.0))
        .min_by(|a, b| error(a).total_cmp(&error(b)));
    // One term alone, all of whose values are positive, always has a solution.
    let best = best.ok_or(CostError::TooFew { distinct: lengths.len(), needed: N })?;
    Ok(std::array::from_fn(|column| best[column] / sizes[column]))
}

fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Least squares by the normal equations, with the columns in the bits of `kept` alone; the other coefficients are 0. `None` where
/// the columns depend on each other.
fn solve<const N: usize>(rows: &[[f64; N]], kept: usize) -> Option<[f64; N]> {
    let columns: Vec<usize> = (0..N).filter(|column| kept >> column & 1 == 1).collect();
    // [columns, columns + 1]: the matrix with the right side behind it.
    let mut system: Vec<Vec<f64>> = columns
        .iter()
        .map(|&i| {
            let product = |j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
            let right: f64 = rows.iter().map(|row| row[i]).sum();
            columns.iter().map(|&j| product(j)).chain([right]).collect()
        })
        .collect();
    let size = columns.len();
    for at in 0..size {
        let pivot = (at..size).max_by(|&a, &b| system[a][at].abs().total_cmp(&system[b][at].abs()))?;
        system.swap(at, pivot);
        if system[at][at].abs() < 1e-12 {
            return None;
        }
        let pivot = system[at].clone();
        for row in (0..size).filter(|&row| row != at) {
            let factor = system[row][at] / pivot[at];
            system[row].iter_mut().zip(&pivot).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    let mut found = [0.0; N];
    for (at, &column) in columns.iter().enumerate() {
        found[column] = system[at][size] / system[at][at];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quadratic(n: f64) -> [f64; 3] {
        [1.0, n, n * n]
    }

    fn close(found: &[f64], expected: &[f64]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-7 * expected.abs(), "{found}, {expected}");
        }
    }

    #[test]
    fn known_coefficients_are_recovered() {
        for c in [[2e-3, 3e-5, 4e-8], [1e-3, 0.0, 5e-6], [5.0, 2.0, 0.1]] {
            let timings: Vec<(usize, f64)> =
                [8, 40, 100, 333, 640].map(|n| (n, dot(&quadratic(n as f64), &c))).to_vec();
            let found = fit(&timings, quadratic).expect("enough points");
            close(&found[..1], &c[..1]);
            for (n, seconds) in timings {
                close(&[dot(&quadratic(n as f64), &found)], &[seconds]);
            }
        }
        let line: Vec<(usize, f64)> = [0, 500, 1000].map(|n| (n, 1e-3 + 2e-6 * n as f64)).to_vec();
        close(&fit(&line, |n| [1.0, n]).expect("enough points"), &[1e-3, 2e-6]);
    }

    #[test]
    fn noise_of_a_percent_leaves_the_curve_within_one() {
        let true_seconds = |n: usize| 2e-3 + 3e-5 * n as f64 + 4e-8 * (n * n) as f64;
        let noise = [1.01, 0.99, 0.995, 1.005, 1.01, 0.99, 1.0];
        let timings: Vec<(usize, f64)> = [16, 32, 64, 128, 256, 384, 512]
            .iter()
            .zip(noise)
            .map(|(&n, noise)| (n, true_seconds(n) * noise))
            .collect();
        let found = fit(&timings, quadratic).expect("enough points");
        for n in [20, 100, 300, 500] {
            let ratio = dot(&quadratic(n as f64), &found) / true_seconds(n);
            assert!((ratio - 1.0).abs() < 0.015, "{n}: {ratio}");
        }
    }

    #[test]
    fn no_coefficient_is_below_nothing() {
        // Faster behind more ids: noise. The best line that does not fall is level.
        let found = fit(&[(10, 2.0), (20, 2.0), (30, 1.9)], |n| [1.0, n]).expect("enough points");
        assert_eq!(found[1], 0.0);
        assert!((1.9..2.0).contains(&found[0]), "{found:?}");
        // A line through the origin that bends down: the base cannot go below nothing either.
        let found = fit(&[(10, 0.5), (20, 2.0), (30, 4.5)], |n| [1.0, n]).expect("enough points");
        assert!(found[0] == 0.0 && found[1] > 0.0, "{found:?}");
    }

    #[test]
    fn what_determines_no_curve_is_an_error() {
        let too_few = |distinct| Err(CostError::TooFew { distinct, needed: 3 });
        assert_eq!(fit(&[], quadratic), too_few(0));
        assert_eq!(fit(&[(5, 1.0), (5, 1.1), (9, 2.0)], quadratic), too_few(2));
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = fit(&[(5, 1.0), (6, seconds), (9, 2.0)], quadratic).expect_err("no time");
            assert!(matches!(error, CostError::Time { n: 6, .. }), "{error}");
        }
    }
}
