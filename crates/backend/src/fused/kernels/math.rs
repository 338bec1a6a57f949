//! Exponential, hyperbolic tangent and error function, without branches so that they vectorize.
//!
//! Polynomials of the Cephes library (Moshier) and, for the error function, of Eigen. Accuracy is stated at each and
//! tested against double precision.

use super::vector::mul_add;

/// Evaluates a polynomial, highest power first.
#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut y = coefficients[0];
    for &coefficient in &coefficients[1..] {
        y = mul_add::<FMA>(y, x, coefficient);
    }
    y
}

/// `eˣ` within 2 ulp for −86.9 ≤ x ≤ 88.72; below that 0, above it infinity.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    /// Adding this rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x < -86.9 { -86.9 } else { x };
    let clamped = if clamped > 88.8 { 88.8 } else { clamped };
    // x = n ln 2 + r, with |r| ≤ ½ ln 2
    let shifted = mul_add::<FMA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<FMA>(n, -LN_2_HIGH, clamped);
    let r = mul_add::<FMA>(n, -LN_2_LOW, r);
    let tail = polynomial::<FMA, 6>(
        r,
        [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5],
    );
    let exp_r = mul_add::<FMA>(tail, r * r, r) + 1.0;
    // 2ⁿ as 2 · 2ⁿ⁻¹, since 2¹²⁸ is not a number yet a product with it may be.
    let half_scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(126 << 23));
    let y = exp_r * half_scale * 2.0;
    let y = if x < -86.9 { 0.0 } else { y };
    if x > 88.72 { f32::INFINITY } else { y }
}

/// `1 / (1 + e⁻ˣ)` within 4 ulp.
#[inline(always)]
pub(super) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// The hyperbolic tangent, within 4 ulp.
#[inline(always)]
pub(super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let square = x * x;
    let tail = polynomial::<FMA, 5>(
        square,
        [-5.704_988_6e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1],
    );
    let near_zero = mul_add::<FMA>(tail * square, x, x);
    let magnitude = 1.0 - 2.0 / (exp::<FMA>(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { near_zero } else { magnitude.copysign(x) }
}

/// The error function, within 5e-7.
#[inline(always)]
pub(super) fn erf<const FMA: bool>(x: f32) -> f32 {
    // Beyond 4 the function is 1 to f32's precision.
    let x = if x > 4.0 { 4.0 } else { x };
    let x = if x < -4.0 { -4.0 } else { x };
    let square = x * x;
    let numerator = polynomial::<FMA, 7>(
        square,
        [
            -2.726_142_3e-10,
            2.770_681_4e-8,
            -2.101_024e-6,
            -5.692_506_4e-5,
            -7.349_906_3e-4,
            -2.954_6e-3,
            -1.609_603_3e-2,
        ],
    );
    let denominator = polynomial::<FMA, 5>(
        square,
        [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2],
    );
    x * numerator / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from `low` to `high`, with exact endpoints.
    fn between(low: f32, high: f32) -> impl Iterator<Item = f32> {
        const STEPS: u32 = 200_000;
        (0..=STEPS).map(move |i| low + (high - low) * (i as f32 / STEPS as f32))
    }

    /// The distance in units of the last place of `exact`.
    fn ulps(got: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        let ulp = f64::from(f32::from_bits(rounded.abs().to_bits() + 1)) - f64::from(rounded.abs());
        (f64::from(got) - exact).abs() / ulp
    }

    /// erf by its series, all of whose terms are positive.
    fn erf_f64(x: f64) -> f64 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term.abs() > 1e-18 * sum.abs() {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
    }

    fn worst(range: impl Iterator<Item = f32>, error: impl Fn(f32) -> f64) -> f64 {
        range.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_two_ulp() {
        let fused = worst(between(-86.9, 88.72), |x| ulps(exp::<true>(x), f64::from(x).exp()));
        let plain = worst(between(-86.9, 88.72), |x| ulps(exp::<false>(x), f64::from(x).exp()));
        assert!(fused <= 2.0 && plain <= 2.0, "{fused} {plain}");
        assert_eq!(exp::<true>(0.0), 1.0);
        assert_eq!(exp::<true>(-87.1), 0.0);
        assert_eq!(exp::<true>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<true>(-1e30), 0.0);
        assert_eq!(exp::<true>(89.0), f32::INFINITY);
        assert!(exp::<true>(f32::NAN).is_nan());
    }

    #[test]
    fn sigmoid_and_tanh_are_within_four_ulp() {
        let error =
            worst(between(-80.0, 80.0), |x| ulps(sigmoid::<true>(x), 1.0 / (1.0 + (-f64::from(x)).exp())));
        assert!(error <= 4.0, "{error}");
        for range in [(-12.0, 12.0), (-0.7, 0.7)] {
            let error = worst(between(range.0, range.1), |x| ulps(tanh::<true>(x), f64::from(x).tanh()));
            assert!(error <= 4.0, "{error}");
        }
        assert_eq!(tanh::<true>(100.0), 1.0);
        assert!(sigmoid::<true>(-200.0) == 0.0 && tanh::<true>(f32::NAN).is_nan());
    }

    #[test]
    fn erf_is_within_5e_7() {
        let fused = worst(between(-5.0, 5.0), |x| (f64::from(erf::<true>(x)) - erf_f64(f64::from(x))).abs());
        let plain = worst(between(-5.0, 5.0), |x| (f64::from(erf::<false>(x)) - erf_f64(f64::from(x))).abs());
        assert!(fused <= 5e-7 && plain <= 5e-7, "{fused} {plain}");
        assert!(erf::<true>(f32::NAN).is_nan());
    }
}
