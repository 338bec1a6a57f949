//! Passes over all logits of a position, written so that compilers do many at a time. A vocabulary takes longer than a small model
//! otherwise.

/// So many running results side by side.
const LANES: usize = 16;

/// Whether `is` holds of one of them.
pub(super) fn any(logits: &[f32], is: impl Fn(f32) -> bool) -> bool {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let found = chunks.iter().any(|chunk| chunk.iter().fold(false, |found, &logit| found | is(logit)));
    found || rest.iter().any(|&logit| is(logit))
}

/// The largest, minus infinity for none. No logit is NaN.
pub(super) fn maximum(logits: &[f32]) -> f32 {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The sum of `exp(logit − largest)`, to 14 digits.
pub(super) fn sum_of_exponentials(logits: &[f32], largest: f64) -> f64 {
    const WIDE: usize = 8;
    let (chunks, rest) = logits.as_chunks::<WIDE>();
    let mut lanes = [0.0; WIDE];
    for chunk in chunks {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane += exp(f64::from(logit) - largest);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&logit| exp(f64::from(logit) - largest)).sum::<f64>()
}

/// `e^x` of an `x` that is at most 0, without branches or calls. What is below `1e-300` is about that.
///
/// `e^x = 2^n e^r` with `|r| ≤ ln 2 / 2`, and the Taylor series of `e^r` up to `r^12 / 12!`, which is below 1e-14.
#[inline(always)]
fn exp(x: f64) -> f64 {
    /// Added to a number, leaves its nearest integer in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const LOWEST: f64 = -690.0;
    let x = if x > LOWEST { x } else { LOWEST };
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let sum = TAYLOR.iter().fold(0.0, |sum, coefficient| sum * r + coefficient);
    f64::from_bits(sum.to_bits().wrapping_add(rounded.to_bits() << 52))
}

/// `1 / k!` for `k` from 12 down to 0.
const TAYLOR: [f64; 13] = {
    let (mut coefficients, mut k, mut factorial) = ([1.0; 13], 1, 1.0);
    while k < 13 {
        factorial *= k as f64;
        coefficients[12 - k] = 1.0 / factorial;
        k += 1;
    }
    coefficients
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for step in 0..60_000 {
            let x = -f64::from(step) * 0.01;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "{x}: {} and {}", exp(x), x.exp());
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f64::NEG_INFINITY) < 1e-299 && exp(-1e30) < 1e-299);
    }

    #[test]
    fn passes_over_any_number_of_logits_are_those_of_one_at_a_time() {
        for len in 0..70 {
            let mut logits: Vec<f32> = (0..len).map(|i| ((i * 37 % 23) as f32) / 4.0 - 3.0).collect();
            assert_eq!(maximum(&logits), logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - 3.0).exp()).sum();
            assert!((sum_of_exponentials(&logits, 3.0) - sum).abs() <= 1e-13 * sum);
            assert!(!any(&logits, f32::is_nan));
            for at in 0..len {
                let old = std::mem::replace(&mut logits[at], f32::NAN);
                assert!(any(&logits, f32::is_nan));
                logits[at] = old;
            }
        }
    }
}
