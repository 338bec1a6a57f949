//! AdamW on slices, and the sum of squares that clips gradients.

use rayon::prelude::*;

use super::memory::BLOCK;
use super::vector::mul_add;
use crate::ops::AdamwStep;

/// The numbers an element needs, computed once a step in double precision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Factors {
    beta1: f32,
    beta2: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    grad_scale: f32,
    decay: f32,
    /// `lr / (1 − β₁ᵗ)`
    step_size: f32,
    /// `1 / √(1 − β₂ᵗ)`
    inv_root: f32,
    eps: f32,
}

impl From<&AdamwStep> for Factors {
    fn from(step: &AdamwStep) -> Self {
        Self {
            beta1: step.beta1 as f32,
            beta2: step.beta2 as f32,
            one_minus_beta1: (1.0 - step.beta1) as f32,
            one_minus_beta2: (1.0 - step.beta2) as f32,
            grad_scale: step.gradient_scale as f32,
            decay: (1.0 - step.lr * step.weight_decay) as f32,
            step_size: (step.lr / step.correction1) as f32,
            inv_root: (1.0 / step.correction2.sqrt()) as f32,
            eps: step.eps as f32,
        }
    }
}

#[inline(always)]
fn adamw_body<const FMA: bool>(params: &mut [f32], grads: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) {
    for (((param, &grad), m), v) in params.iter_mut().zip(grads).zip(m).zip(v) {
        let grad = grad * f.grad_scale;
        *m = mul_add::<FMA>(f.beta1, *m, f.one_minus_beta1 * grad);
        *v = mul_add::<FMA>(f.beta2, *v, f.one_minus_beta2 * grad * grad);
        let root = mul_add::<FMA>(v.sqrt(), f.inv_root, f.eps);
        *param = mul_add::<FMA>(*param, f.decay, -(f.step_size * *m / root));
    }
}

/// The sum of squares in double precision, lane by lane.
#[inline(always)]
fn squares_body<const FMA: bool>(values: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut lanes = [0.0_f64; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for i in 0..LANES {
            // The square of an f32 is exact in f64, so that fusing changes nothing.
            lanes[i] += f64::from(chunk[i]) * f64::from(chunk[i]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += f64::from(x) * f64::from(x);
    }
    lanes.iter().sum()
}

vectorized!(
    fn adamw_block(params: &mut [f32], grads: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) = adamw_body
);
vectorized!(fn squares_block(values: &[f32]) -> f64 = squares_body);

/// One AdamW step on `params`, with `m` and `v` the running means of gradients and of their squares.
pub(crate) fn adamw(params: &mut [f32], grads: &[f32], m: &mut [f32], v: &mut [f32], factors: Factors) {
    let n = params.len();
    assert!(
        grads.len() == n && m.len() == n && v.len() == n,
        "{n} parameters, {} gradients, {} and {} means",
        grads.len(),
        m.len(),
        v.len()
    );
    params
        .par_chunks_mut(BLOCK)
        .zip(grads.par_chunks(BLOCK))
        .zip(m.par_chunks_mut(BLOCK).zip(v.par_chunks_mut(BLOCK)))
        .for_each(|((params, grads), (m, v))| adamw_block(params, grads, m, v, factors));
}

/// The sum of the squares, in double precision: the same bits for any number of threads.
pub(crate) fn sum_of_squares(values: &[f32]) -> f64 {
    // Collected in order, then summed in order.
    let sums: Vec<f64> = values.par_chunks(BLOCK).map(squares_block).collect();
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// The third update.
    const STEP: AdamwStep = AdamwStep {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        weight_decay: 0.1,
        correction1: 1.0 - 0.9 * 0.9 * 0.9,
        correction2: 1.0 - 0.95 * 0.95 * 0.95,
        gradient_scale: 0.5,
    };

    fn state(n: usize) -> [Vec<f32>; 4] {
        let wave = |frequency: f32| (0..n).map(|i| (i as f32 * frequency).sin()).collect::<Vec<_>>();
        [wave(0.1), wave(0.37), wave(0.77), wave(0.53).iter().map(|x| x * x).collect()]
    }

    #[test]
    fn a_step_equals_the_definition_in_double_precision_and_the_scalar_twin() {
        let n = BLOCK + 13;
        let [before, grads, m_before, v_before] = state(n);
        let (mut params, mut m, mut v) = (before.clone(), m_before.clone(), v_before.clone());
        adamw(&mut params, &grads, &mut m, &mut v, Factors::from(&STEP));
        let (mut twin, mut twin_m, mut twin_v) = (before.clone(), m_before.clone(), v_before.clone());
        adamw_body::<false>(&mut twin, &grads, &mut twin_m, &mut twin_v, Factors::from(&STEP));
        for i in 0..n {
            let grad = f64::from(grads[i]) * 0.5;
            let mean = 0.9 * f64::from(m_before[i]) + 0.1 * grad;
            let square = 0.95 * f64::from(v_before[i]) + 0.05 * grad * grad;
            let (mean_hat, square_hat) = (mean / (1.0 - 0.9_f64.powi(3)), square / (1.0 - 0.95_f64.powi(3)));
            let expected = f64::from(before[i]) * (1.0 - 1e-4) - 1e-3 * mean_hat / (square_hat.sqrt() + 1e-8);
            let tolerance = 2e-7 + 1e-6 * (1e-3 * mean_hat / (square_hat.sqrt() + 1e-8)).abs();
            assert!(
                (f64::from(params[i]) - expected).abs() <= tolerance,
                "{i}: {} and {expected}",
                params[i]
            );
            assert!((params[i] - twin[i]).abs() <= 4e-7 && (m[i] - twin_m[i]).abs() <= 2e-7, "{i}");
            assert!((v[i] - twin_v[i]).abs() <= 2e-7, "{i}");
        }
    }

    #[test]
    fn the_sum_of_squares_is_the_same_for_any_number_of_threads() {
        let values = &state(5 * BLOCK + 7)[1];
        let exact: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let sums: Vec<u64> = [1, 2, 5]
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| sum_of_squares(values)).to_bits()
            })
            .to_vec();
        assert!(sums.iter().all(|&bits| bits == sums[0]));
        assert!((f64::from_bits(sums[0]) - exact).abs() < 1e-9 * exact);
        assert_eq!(sum_of_squares(&[]), 0.0);
    }
}
