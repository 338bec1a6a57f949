//! Layer norm and RMS norm by rows, with their gradients.

use burn::tensor::bf16;

use super::memory::{Shared, Slot, as_written, block, for_each, written};
use super::number::Number;
use super::reduce::sum_over;
use super::vector::mul_add;

/// Rows in a block: the partial sums of the parameters' gradients are added block by block.
const ROWS: usize = 32;

/// What the backward pass needs of each row.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    /// The mean of each row; empty for RMS norm.
    pub(crate) mean: Vec<f32>,
    /// One over the (centred) root mean square of each row.
    pub(crate) inv_rms: Vec<f32>,
}

/// Rows that were normalized, as the backward pass has them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'a> {
    /// As they were before.
    Before(&'a [f32], &'a Statistics),
    /// Normalized, `(x − mean) / rms`, but not yet multiplied by the gain. The mean is known by its length alone.
    Normalized(&'a [bf16], &'a Statistics),
}

/// The gradients of a norm.
pub(crate) struct Gradients {
    /// `[d]`
    pub(crate) gain: Vec<f32>,
    /// `[d]`, for layer norm.
    pub(crate) bias: Vec<f32>,
}

/// What is done to rows of `d` numbers.
#[derive(Debug, Clone, Copy)]
struct Parameters<'a> {
    d: usize,
    /// Empty for one.
    gain: &'a [f32],
    bias: Option<&'a [f32]>,
    eps: f32,
}

/// One block of rows. `mean` is empty for RMS norm.
#[inline(always)]
fn forward_body<const FMA: bool, Y: Number>(
    x: &[f32],
    parameters: Parameters<'_>,
    y: &mut [Slot<Y>],
    mean: &mut [Slot],
    inv_rms: &mut [Slot],
) {
    let Parameters { d, gain, bias, eps } = parameters;
    let rows = x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(inv_rms);
    for (row, ((x, y), inv_rms)) in rows.enumerate() {
        let centre = match mean.get_mut(row) {
            Some(mean) => *mean.write(sum_over(x, x, |x, _, sum| sum + x) / d as f32),
            None => 0.0,
        };
        let squares = sum_over(x, x, |x, _, sum| mul_add::<FMA>(x - centre, x - centre, sum));
        let scale = 1.0 / (squares / d as f32 + eps).sqrt();
        inv_rms.write(scale);
        if gain.is_empty() {
            for (y, &x) in y.iter_mut().zip(x) {
                y.write(Y::narrow((x - centre) * scale));
            }
        } else if let Some(bias) = bias {
            for (((y, &x), &gain), &bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
                y.write(Y::narrow(mul_add::<FMA>((x - centre) * scale, gain, bias)));
            }
        } else {
            for ((y, &x), &gain) in y.iter_mut().zip(x).zip(gain) {
                y.write(Y::narrow((x - centre) * scale * gain));
            }
        }
    }
}

/// One block of normalized rows times the gain, plus the bias.
#[inline(always)]
fn affine_body<const FMA: bool, T: Number>(x: &[T], gain: &[f32], bias: Option<&[f32]>, y: &mut [Slot<T>]) {
    let d = gain.len();
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        match bias {
            Some(bias) => {
                for (((y, x), &gain), &bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
                    y.write(T::narrow(mul_add::<FMA>(x.widen(), gain, bias)));
                }
            }
            None => {
                for ((y, x), &gain) in y.iter_mut().zip(x).zip(gain) {
                    y.write(T::narrow(x.widen() * gain));
                }
            }
        }
    }
}

/// Rows from which the normalized ones are `(x − mean) · scale`.
#[derive(Debug, Clone, Copy)]
struct Block<'a, X> {
    x: &'a [X],
    /// Empty for zeros.
    mean: &'a [f32],
    scale: &'a [f32],
    inv_rms: &'a [f32],
    centred: bool,
}

/// One block of rows: `grad` becomes the gradient of what was normalized; `d_gain` and `d_bias` (empty: not wanted) are
/// added to.
#[inline(always)]
fn backward_body<const FMA: bool, X: Number>(
    block: Block<'_, X>,
    gain: &[f32],
    grad: &mut [f32],
    d_gain: &mut [f32],
    d_bias: &mut [f32],
) {
    let Block { x, mean, scale, inv_rms, centred } = block;
    let d = gain.len();
    let rows = x.chunks_exact(d).zip(grad.chunks_exact_mut(d)).zip(scale).zip(inv_rms);
    for (row, (((x, grad), &scale), &inv_rms)) in rows.enumerate() {
        let centre = mean.get(row).copied().unwrap_or(0.0);
        for ((sum, &grad), x) in d_gain.iter_mut().zip(&*grad).zip(x) {
            *sum = mul_add::<FMA>(grad, (x.widen() - centre) * scale, *sum);
        }
        for (sum, &grad) in d_bias.iter_mut().zip(&*grad) {
            *sum += grad;
        }
        // With g = grad · gain and x̂ the normalized row: dx = (g − mean(g) − x̂ mean(g x̂)) / rms.
        for (grad, &gain) in grad.iter_mut().zip(gain) {
            *grad *= gain;
        }
        let along = sum_over(x, grad, |x, g, sum| mul_add::<FMA>(x - centre, g, sum)) * scale / d as f32;
        let level = if centred { sum_over(grad, grad, |g, _, sum| sum + g) / d as f32 } else { 0.0 };
        for (grad, x) in grad.iter_mut().zip(x) {
            *grad = mul_add::<FMA>((centre - x.widen()) * scale, along, *grad - level) * inv_rms;
        }
    }
}

vectorized!(
    fn forward_block<Y: Number>(
        x: &[f32],
        parameters: Parameters<'_>,
        y: &mut [Slot<Y>],
        mean: &mut [Slot],
        inv_rms: &mut [Slot],
    ) = forward_body
);
vectorized!(
    fn affine_block<T: Number>(x: &[T], gain: &[f32], bias: Option<&[f32]>, y: &mut [Slot<T>]) = affine_body
);
vectorized!(
    fn backward_block<X: Number>(
        block: Block<'_, X>,
        gain: &[f32],
        grad: &mut [f32],
        d_gain: &mut [f32],
        d_bias: &mut [f32],
    ) = backward_body
);

/// Normalizes the rows of `x`, `[rows, d]`: layer norm if `centred`, else RMS norm.
pub(crate) fn forward(
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    eps: f32,
    centred: bool,
) -> (Vec<f32>, Statistics) {
    assert!(bias.is_none_or(|bias| bias.len() == gain.len()), "bias and gain have the same length");
    rows_forward(x, Parameters { d: gain.len(), gain, bias, eps }, centred)
}

/// [`forward`] without gain and bias, which [`affine`] applies: the two together are the norm, rounded in between.
pub(crate) fn normalize<Y: Number>(x: &[f32], d: usize, eps: f32, centred: bool) -> (Vec<Y>, Statistics) {
    rows_forward(x, Parameters { d, gain: &[], bias: None, eps }, centred)
}

#[allow(unsafe_code, reason = "outputs are not cleared before they are written")]
fn rows_forward<Y: Number>(x: &[f32], parameters: Parameters<'_>, centred: bool) -> (Vec<Y>, Statistics) {
    let d = parameters.d;
    let rows = x.len().checked_div(d).unwrap_or(0);
    assert_eq!(x.len(), rows * d, "rows have as many elements as the gain");
    let (mut mean, mut inv_rms) = (Vec::new(), Vec::new());
    // SAFETY: every block writes its part of each of the three outputs in full.
    let y = unsafe {
        written(x.len(), |y| {
            let y = Shared::new(y);
            inv_rms = written(rows, |inv_rms| {
                let inv_rms = Shared::new(inv_rms);
                mean = written(if centred { rows } else { 0 }, |mean| {
                    let mean = Shared::new(mean);
                    for_each(rows.div_ceil(ROWS), x.len() * 8, |index| {
                        let (start, len) = block(index, ROWS, rows);
                        forward_block(
                            &x[start * d..][..len * d],
                            parameters,
                            y.slots(start * d, len * d),
                            if centred { mean.slots(start, len) } else { &mut [] },
                            inv_rms.slots(start, len),
                        );
                    });
                });
            });
        })
    };
    (y, Statistics { mean, inv_rms })
}

/// What [`normalize`] returned, `[rows, d]`, times the gain, plus the bias.
#[allow(unsafe_code, reason = "the output is not cleared before it is written")]
pub(crate) fn affine<T: Number>(x: &[T], gain: &[f32], bias: Option<&[f32]>) -> Vec<T> {
    let d = gain.len();
    let rows = x.len().checked_div(d).unwrap_or(0);
    assert!(bias.is_none_or(|bias| bias.len() == d), "bias and gain have the same length");
    // SAFETY: the blocks cover the output, and each is written in full.
    unsafe {
        written(x.len(), |y| {
            let y = Shared::new(y);
            for_each(rows.div_ceil(ROWS), x.len() * 4, |index| {
                let (start, len) = block(index, ROWS, rows);
                affine_block(&x[start * d..][..len * d], gain, bias, y.slots(start * d, len * d));
            });
        })
    }
}

/// Turns `grad` from the gradient of the output into that of what was normalized, and returns those of the parameters.
#[allow(unsafe_code, reason = "blocks write disjoint parts of one output")]
pub(crate) fn backward(rows: Rows<'_>, gain: &[f32], grad: &mut [f32], with_bias: bool) -> Gradients {
    let d = gain.len();
    let (numbers, statistics) = match rows {
        Rows::Before(x, statistics) => (x.len(), statistics),
        Rows::Normalized(x, statistics) => (x.len(), statistics),
    };
    let Statistics { mean, inv_rms } = statistics;
    let (count, centred) = (inv_rms.len(), !mean.is_empty());
    assert!(numbers == count * d && grad.len() == count * d, "gradient and input are [rows, d]");
    let blocks = count.div_ceil(ROWS);
    let bias_width = if with_bias { d } else { 0 };
    // [blocks, d (+ d)]
    let mut partial = vec![0.0; blocks * (d + bias_width)];
    let (shared_partial, shared_grad) = (Shared::of(&mut partial), Shared::of(grad));
    for_each(blocks, numbers * 8, |index| {
        let (start, len) = block(index, ROWS, count);
        // SAFETY: the rows of this block and its line of `partial` are this task's alone, and hold numbers.
        let (grad, sums) = unsafe {
            (
                as_written(shared_grad.slots(start * d, len * d)),
                as_written(shared_partial.slots(index * (d + bias_width), d + bias_width)),
            )
        };
        let (d_gain, d_bias) = sums.split_at_mut(d);
        let (these, numbers) = (start..start + len, start * d..(start + len) * d);
        let inv_rms = &inv_rms[these.clone()];
        match rows {
            Rows::Before(x, _) => {
                let mean = mean.get(these).unwrap_or_default();
                let block = Block { x: &x[numbers], mean, scale: inv_rms, inv_rms, centred };
                backward_block(block, gain, grad, d_gain, d_bias);
            }
            Rows::Normalized(x, _) => {
                let block = Block { x: &x[numbers], mean: &[], scale: &[1.0; ROWS][..len], inv_rms, centred };
                backward_block(block, gain, grad, d_gain, d_bias);
            }
        }
    });
    let mut sums = vec![0.0; d + bias_width];
    if !sums.is_empty() {
        for partial in partial.chunks_exact(d + bias_width) {
            for (sum, partial) in sums.iter_mut().zip(partial) {
                *sum += partial;
            }
        }
    }
    let bias = sums.split_off(d);
    Gradients { gain: sums, bias }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_kernels_equal_their_scalar_twins() {
        let (rows, d) = (5, 37);
        let x: Vec<f32> = (0..rows * d).map(|i| ((i * 31) % 17) as f32 * 0.3 - 1.0).collect();
        let gain: Vec<f32> = (0..d).map(|i| 1.0 + i as f32 * 0.01).collect();
        let close = |a: &[f32], b: &[f32]| {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 2e-6 * b.abs().max(1.0)), "{a:?}\n{b:?}");
        };
        for centred in [false, true] {
            let (y, statistics) = forward(&x, &gain, Some(&gain), 1e-5, centred);
            let mut twin = vec![Slot::new(0.0); rows * d];
            let (mut mean, mut inv_rms) = (vec![Slot::new(0.0); rows], vec![Slot::new(0.0); rows]);
            let mean: &mut [Slot] = if centred { &mut mean } else { &mut [] };
            let parameters = Parameters { d, gain: &gain, bias: Some(&gain), eps: 1e-5 };
            forward_body::<false, f32>(&x, parameters, &mut twin, mean, &mut inv_rms);
            #[allow(unsafe_code, reason = "reads slots that were created with a value")]
            // SAFETY: created with a value each.
            close(&y, unsafe { as_written(&mut twin) });

            let (mut grad, mut twin) = (y.clone(), y);
            let gradients = backward(Rows::Before(&x, &statistics), &gain, &mut grad, true);
            let (mut d_gain, mut d_bias) = (vec![0.0; d], vec![0.0; d]);
            let Statistics { mean, inv_rms } = &statistics;
            let block = Block { x: &x[..], mean, scale: inv_rms, inv_rms, centred };
            backward_body::<false, f32>(block, &gain, &mut twin, &mut d_gain, &mut d_bias);
            close(&grad, &twin);
            close(&gradients.gain, &d_gain);
            close(&gradients.bias, &d_bias);
        }
    }
    /// In two steps, with the rows kept normalized in bf16, gradients are those of one step but for the rounding.
    #[test]
    fn normalized_rows_are_as_good_as_those_before() {
        let (rows, d) = (40, 37);
        let x: Vec<f32> = (0..rows * d).map(|i| ((i * 31) % 17) as f32 * 0.3 - 1.0).collect();
        let gain: Vec<f32> = (0..d).map(|i| 1.0 + i as f32 * 0.01).collect();
        let bias: Vec<f32> = gain.iter().map(|x| x - 0.7).collect();
        let near = |a: &[f32], b: &[f32]| {
            let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
            let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
            let size = norm(&mut b.iter().copied());
            assert!(difference <= 4e-3 * size, "{difference} of {size}");
        };
        for (centred, bias) in [(false, None), (true, Some(&bias[..]))] {
            let (y, statistics) = forward(&x, &gain, bias, 1e-5, centred);
            let (normalized, narrow_statistics) = normalize::<bf16>(&x, d, 1e-5, centred);
            assert_eq!(statistics.inv_rms, narrow_statistics.inv_rms);
            let narrow: Vec<f32> = affine(&normalized, &gain, bias).into_iter().map(Number::widen).collect();
            near(&narrow, &y);
            // Not rounded in between, the two steps are one.
            let (normalized_f32, _) = normalize::<f32>(&x, d, 1e-5, centred);
            let two: Vec<f32> = affine(&normalized_f32, &gain, bias);
            assert!(two.iter().zip(&y).all(|(a, b)| (a - b).abs() <= 2e-6), "{two:?}\n{y:?}");

            let start: Vec<f32> = (0..rows * d).map(|i| ((i * 13) % 29) as f32 * 0.1 - 1.4).collect();
            let (mut grad, mut twin) = (start.clone(), start);
            let rounded = Rows::Normalized(&normalized, &narrow_statistics);
            let got = backward(rounded, &gain, &mut grad, bias.is_some());
            let expected = backward(Rows::Before(&x, &statistics), &gain, &mut twin, bias.is_some());
            near(&grad, &twin);
            near(&got.gain, &expected.gain);
            // The mean of nothing: a sum in f32 all the same.
            assert_eq!(got.bias, expected.bias);
        }
    }
}
