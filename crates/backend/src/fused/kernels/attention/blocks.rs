//! The elementwise part of attention, on one block of scores, `[queries, keys]`.

use super::super::math::exp;
use super::super::memory::Slot;
use super::super::number::Number;
use super::super::reduce::{exponentials, maximum, sum_over};
use super::super::vector::mul_add;
use super::mask::Window;

/// The score of a hidden key. Not minus infinity: a query that sees nothing would become NaN.
const HIDDEN: f32 = -1e30;

/// Rows of numbers to add to scores, so far apart.
type BiasRows<'a> = Option<(&'a [f32], usize)>;

/// Adds a row of the bias to scores.
#[inline(always)]
fn add_bias(scores: &mut [f32], bias: BiasRows<'_>, row: usize, first: usize) {
    if let Some((bias, stride)) = bias {
        for (score, bias) in scores.iter_mut().zip(&bias[row * stride + first..]) {
            *score += bias;
        }
    }
}

/// Turns scores into `e^(score − max)` with the largest score so far, and brings `max` and `sum` up to date. What was
/// summed before must be multiplied by `corrections`.
#[inline(always)]
fn softmax_body<const FMA: bool>(
    scores: &mut [f32],
    keys: usize,
    window: Window<'_>,
    bias: BiasRows<'_>,
    max: &mut [f32],
    sum: &mut [f32],
    corrections: &mut [f32],
) {
    let rows = scores.chunks_exact_mut(keys).zip(max).zip(sum).zip(corrections);
    for (row, (((scores, max), sum), correction)) in rows.enumerate() {
        let (first, end, hidden) = window.of(row, keys);
        if first >= end {
            scores.fill(0.0);
            *correction = 1.0;
            continue;
        }
        scores[..first].fill(0.0);
        scores[end..].fill(0.0);
        let scores = &mut scores[first..end];
        add_bias(scores, bias, row, first);
        if let Some(hidden) = hidden {
            for (score, &hidden) in scores.iter_mut().zip(&hidden[first..]) {
                *score = if hidden == 0 { *score } else { HIDDEN };
            }
        }
        let largest = max.max(maximum(scores));
        *correction = exp::<FMA>(*max - largest);
        *sum = mul_add::<FMA>(*sum, *correction, exponentials::<FMA>(scores, largest));
        *max = largest;
    }
}

/// Turns scores into weights, and the gradient of the weights into that of the scores.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "two blocks, the mask, the bias and three rows' worth of numbers"
)]
fn gradient_body<const FMA: bool>(
    scores: &mut [f32],
    grad: &mut [f32],
    keys: usize,
    window: Window<'_>,
    bias: BiasRows<'_>,
    max: &[f32],
    inv_sum: &[f32],
    delta: &[f32],
) {
    let rows =
        scores.chunks_exact_mut(keys).zip(grad.chunks_exact_mut(keys)).zip(max).zip(inv_sum).zip(delta);
    for (row, ((((scores, grad), &max), &inv_sum), &delta)) in rows.enumerate() {
        let (first, end, hidden) = window.of(row, keys);
        let end = end.max(first);
        for outside in [&mut *scores, &mut *grad] {
            outside[..first].fill(0.0);
            outside[end..].fill(0.0);
        }
        let (scores, grad) = (&mut scores[first..end], &mut grad[first..end]);
        add_bias(scores, bias, row, first);
        match hidden {
            Some(hidden) => {
                for ((score, grad), &hidden) in scores.iter_mut().zip(grad).zip(&hidden[first..]) {
                    let masked = if hidden == 0 { *score } else { HIDDEN };
                    *score = exp::<FMA>(masked - max) * inv_sum;
                    // The score of a hidden key is a constant: it has a weight perhaps, but no gradient.
                    *grad = if hidden == 0 { *score * (*grad - delta) } else { 0.0 };
                }
            }
            None => {
                for (score, grad) in scores.iter_mut().zip(grad) {
                    *score = exp::<FMA>(*score - max) * inv_sum;
                    *grad = *score * (*grad - delta);
                }
            }
        }
    }
}

/// The dot products of the rows of two strided matrices.
#[inline(always)]
fn row_dots_body<const FMA: bool, T: Number>(
    a: &[T],
    b: &[T],
    stride: usize,
    width: usize,
    dots: &mut [f32],
) {
    for (row, dot) in dots.iter_mut().enumerate() {
        let (a, b) = (&a[row * stride..][..width], &b[row * stride..][..width]);
        *dot = sum_over(a, b, mul_add::<FMA>);
    }
}

#[inline(always)]
fn write_row_body<const FMA: bool, T: Number>(row: &[f32], factor: f32, to: &mut [Slot<T>]) {
    for (to, x) in to.iter_mut().zip(row) {
        to.write(T::narrow(x * factor));
    }
}

vectorized!(
    pub(super) fn softmax_block(
        scores: &mut [f32],
        keys: usize,
        window: Window<'_>,
        bias: BiasRows<'_>,
        max: &mut [f32],
        sum: &mut [f32],
        corrections: &mut [f32],
    ) = softmax_body
);
vectorized!(
    pub(super) fn gradient_block(
        scores: &mut [f32],
        grad: &mut [f32],
        keys: usize,
        window: Window<'_>,
        bias: BiasRows<'_>,
        max: &[f32],
        inv_sum: &[f32],
        delta: &[f32],
    ) = gradient_body
);
vectorized!(
    pub(super) fn row_dots<T: Number>(a: &[T], b: &[T], stride: usize, width: usize, dots: &mut [f32])
        = row_dots_body
);
vectorized!(
    /// Writes the numbers of a row times `factor`.
    pub(super) fn write_row<T: Number>(row: &[f32], factor: f32, to: &mut [Slot<T>]) = write_row_body
);

#[cfg(test)]
mod tests {
    use super::super::mask::Mask;
    use super::*;

    fn close(a: &[f32], b: &[f32]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 2e-6 * b.abs().max(1.0)), "{a:?}\n{b:?}");
    }

    #[test]
    fn vector_kernels_equal_their_scalar_twins() {
        let (rows, keys, t) = (5, 37, 40);
        let scores: Vec<f32> = (0..rows * keys).map(|i| ((i * 31) % 23) as f32 * 0.4 - 4.0).collect();
        let hidden: Vec<u8> = (0..rows * t).map(|i| u8::from(i % 3 == 0)).collect();
        let bias: Vec<f32> = (0..rows * t).map(|i| (i % 7) as f32 * 0.3).collect();
        let starts: Vec<Vec<usize>> = vec![(0..t).map(|i| i / 38 * 38).collect()];
        let masks = [Mask::Full, Mask::Causal, Mask::Documents(&starts), Mask::Hidden(&hidden)];
        for (mask, bias) in masks.into_iter().zip([None, Some((&bias[..], t)), None, Some((&bias[..], t))]) {
            let window = Window { mask, example: 0, query: 0, key: 2, s: rows, t };
            let start = || (scores.clone(), vec![f32::NEG_INFINITY; rows], vec![0.0; rows], vec![0.0; rows]);
            let (mut a, mut max, mut sum, mut correction) = start();
            softmax_block(&mut a, keys, window, bias, &mut max, &mut sum, &mut correction);
            let (mut b, mut twin_max, mut twin_sum, mut twin_correction) = start();
            softmax_body::<false>(
                &mut b,
                keys,
                window,
                bias,
                &mut twin_max,
                &mut twin_sum,
                &mut twin_correction,
            );
            close(&a, &b);
            close(&sum, &twin_sum);
            close(&correction, &twin_correction);
            assert_eq!(max, twin_max);

            let (max, inv_sum, delta) = (vec![5.0; rows], vec![0.2; rows], vec![0.1; rows]);
            let (mut a, mut grad) = (scores.clone(), scores.clone());
            gradient_block(&mut a, &mut grad, keys, window, bias, &max, &inv_sum, &delta);
            let (mut b, mut twin) = (scores.clone(), scores.clone());
            gradient_body::<false>(&mut b, &mut twin, keys, window, bias, &max, &inv_sum, &delta);
            close(&a, &b);
            close(&grad, &twin);
        }
        let (mut dots, mut twin) = (vec![0.0; 4], vec![0.0; 4]);
        row_dots(&scores, &scores[1..], 40, 35, &mut dots);
        row_dots_body::<false, f32>(&scores, &scores[1..], 40, 35, &mut twin);
        close(&dots, &twin);
    }
}
