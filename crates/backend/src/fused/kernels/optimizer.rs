//! AdamW on slices, and the sum of squares that clips gradients.

use super::memory::{BLOCK, for_each_mut};
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

/// What one AdamW update works on: the parameters, their gradients, the running means of those and of their squares.
pub(crate) struct Update<'a> {
    pub(crate) params: &'a mut [f32],
    pub(crate) grads: &'a [f32],
    pub(crate) m: &'a mut [f32],
    pub(crate) v: &'a mut [f32],
    pub(crate) factors: Factors,
}

/// One AdamW step on all tensors: their blocks are shared out among the threads together, so that the many small ones
/// cost no more than their numbers.
pub(crate) fn adamw<'a>(updates: impl IntoIterator<Item = Update<'a>>) {
    let mut blocks = Vec::new();
    for Update { params, grads, m, v, factors } in updates {
        let n = params.len();
        assert!(
            grads.len() == n && m.len() == n && v.len() == n,
            "{n} parameters, {} gradients, {} and {} means",
            grads.len(),
            m.len(),
            v.len()
        );
        let moments = m.chunks_mut(BLOCK).zip(v.chunks_mut(BLOCK));
        let values = params.chunks_mut(BLOCK).zip(grads.chunks(BLOCK));
        blocks.extend(values.zip(moments).map(|(values, moments)| (values, moments, factors)));
    }
    let work = blocks.len() * BLOCK;
    for_each_mut(&mut blocks, work, |((params, grads), (m, v), factors)| {
        adamw_block(params, grads, m, v, *factors);
    });
}

/// The sum of squares of each tensor, in double precision: the same bits for any number of threads.
pub(crate) fn sums_of_squares(tensors: &[&[f32]]) -> Vec<f64> {
    let blocks = tensors.iter().flat_map(|values| values.chunks(BLOCK));
    let mut blocks: Vec<(&[f32], f64)> = blocks.map(|block| (block, 0.0)).collect();
    let work = blocks.len() * BLOCK;
    for_each_mut(&mut blocks, work, |(block, sum)| *sum = squares_block(block));
    // Summed in order.
    let mut sums = blocks.into_iter().map(|(_, sum)| sum);
    tensors.iter().map(|values| sums.by_ref().take(values.len().div_ceil(BLOCK)).sum()).collect()
}

#[inline(always)]
fn add_body<const FMA: bool>(sum: &mut [f32], more: &[f32]) {
    for (sum, &more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

vectorized!(fn add_block(sum: &mut [f32], more: &[f32]) = add_body);

/// Adds `more` to `sum`, in place.
pub(crate) fn add(sum: &mut [f32], more: &[f32]) {
    assert_eq!(sum.len(), more.len(), "only equals can be added");
    if sum.len() <= BLOCK {
        add_block(sum, more);
    } else {
        let mut blocks: Vec<_> = sum.chunks_mut(BLOCK).zip(more.chunks(BLOCK)).collect();
        for_each_mut(&mut blocks, more.len(), |(sum, more)| add_block(sum, more));
    }
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
        let factors = Factors::from(&STEP);
        adamw([Update { params: &mut params, grads: &grads, m: &mut m, v: &mut v, factors }]);
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
    fn sums_of_squares_are_the_same_for_any_number_of_threads_and_in_any_company() {
        let values = &state(5 * BLOCK + 7)[1];
        let exact: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let alone = sums_of_squares(&[values])[0];
        assert!((alone - exact).abs() < 1e-9 * exact);
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let sums = pool.install(|| sums_of_squares(&[&values[..3], &[], values, &[2.0]]));
            assert_eq!((sums[1], sums[2].to_bits(), sums[3]), (0.0, alone.to_bits(), 4.0));
        }
    }

    #[test]
    fn tensors_updated_together_get_the_bits_they_get_alone() {
        let sizes = [BLOCK + 13, 7, 3 * BLOCK, 1];
        let factors = Factors::from(&STEP);
        let mut together: Vec<[Vec<f32>; 4]> = sizes.iter().map(|&n| state(n)).collect();
        let mut alone = together.clone();
        adamw(together.iter_mut().map(|[params, grads, m, v]| Update { params, grads, m, v, factors }));
        for [params, grads, m, v] in &mut alone {
            adamw_block(params, grads, m, v, factors);
        }
        assert!(together == alone && together[0][0] != state(sizes[0])[0]);
    }

    #[test]
    fn sums_are_added_in_place() {
        for n in [0, 5, 2 * BLOCK + 3] {
            let [mut sum, more, ..] = state(n);
            let expected: Vec<f32> = sum.iter().zip(&more).map(|(a, b)| a + b).collect();
            let place = sum.as_ptr();
            add(&mut sum, &more);
            assert!(sum.as_ptr() == place && sum == expected, "{n}");
        }
    }
}
