//! Layer norm and RMS norm by rows, with their gradients.

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

/// The gradients of a norm.
pub(crate) struct Gradients {
    /// `[d]`
    pub(crate) gain: Vec<f32>,
    /// `[d]`, for layer norm.
    pub(crate) bias: Vec<f32>,
}

/// One block of rows. `mean` is empty for RMS norm.
#[inline(always)]
fn forward_body<const FMA: bool, Y: Number>(
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    eps: f32,
    y: &mut [Slot<Y>],
    mean: &mut [Slot],
    inv_rms: &mut [Slot],
) {
    let d = gain.len();
    let rows = x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(inv_rms);
    for (row, ((x, y), inv_rms)) in rows.enumerate() {
        let centre = match mean.get_mut(row) {
            Some(mean) => *mean.write(sum_over(x, x, |x, _, sum| sum + x) / d as f32),
            None => 0.0,
        };
        let squares = sum_over(x, x, |x, _, sum| mul_add::<FMA>(x - centre, x - centre, sum));
        let scale = 1.0 / (squares / d as f32 + eps).sqrt();
        inv_rms.write(scale);
        match bias {
            Some(bias) => {
                for (((y, &x), &gain), &bias) in y.iter_mut().zip(x).zip(gain).zip(bias) {
                    y.write(Y::narrow(mul_add::<FMA>((x - centre) * scale, gain, bias)));
                }
            }
            None => {
                for ((y, &x), &gain) in y.iter_mut().zip(x).zip(gain) {
                    y.write(Y::narrow((x - centre) * scale * gain));
                }
            }
        }
    }
}

/// One block of rows: `grad` becomes the gradient of `x`; `d_gain` and `d_bias` (empty: not wanted) are added to.
#[inline(always)]
fn backward_body<const FMA: bool>(
    x: &[f32],
    gain: &[f32],
    mean: &[f32],
    inv_rms: &[f32],
    grad: &mut [f32],
    d_gain: &mut [f32],
    d_bias: &mut [f32],
) {
    let d = gain.len();
    for (row, ((x, grad), &scale)) in x.chunks_exact(d).zip(grad.chunks_exact_mut(d)).zip(inv_rms).enumerate()
    {
        let centre = mean.get(row).copied().unwrap_or(0.0);
        for ((sum, &grad), &x) in d_gain.iter_mut().zip(&*grad).zip(x) {
            *sum = mul_add::<FMA>(grad, (x - centre) * scale, *sum);
        }
        for (sum, &grad) in d_bias.iter_mut().zip(&*grad) {
            *sum += grad;
        }
        // With g = grad · gain and x̂ the normalized row: dx = (g − mean(g) − x̂ mean(g x̂)) / rms.
        for (grad, &gain) in grad.iter_mut().zip(gain) {
            *grad *= gain;
        }
        let along = sum_over(x, grad, |x, g, sum| mul_add::<FMA>(x - centre, g, sum)) * scale / d as f32;
        let level = if mean.is_empty() { 0.0 } else { sum_over(grad, grad, |g, _, sum| sum + g) / d as f32 };
        for (grad, &x) in grad.iter_mut().zip(x) {
            *grad = mul_add::<FMA>((centre - x) * scale, along, *grad - level) * scale;
        }
    }
}

vectorized!(
    fn forward_block<Y: Number>(
        x: &[f32],
        gain: &[f32],
        bias: Option<&[f32]>,
        eps: f32,
        y: &mut [Slot<Y>],
        mean: &mut [Slot],
        inv_rms: &mut [Slot],
    ) = forward_body
);
vectorized!(
    fn backward_block(
        x: &[f32],
        gain: &[f32],
        mean: &[f32],
        inv_rms: &[f32],
        grad: &mut [f32],
        d_gain: &mut [f32],
        d_bias: &mut [f32],
    ) = backward_body
);

/// Normalizes the rows of `x`, `[rows, d]`: layer norm if `centred`, else RMS norm.
#[allow(unsafe_code, reason = "outputs are not cleared before they are written")]
pub(crate) fn forward<Y: Number>(
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    eps: f32,
    centred: bool,
) -> (Vec<Y>, Statistics) {
    let d = gain.len();
    let rows = x.len().checked_div(d).unwrap_or(0);
    assert_eq!(x.len(), rows * d, "rows have as many elements as the gain");
    assert!(bias.is_none_or(|bias| bias.len() == d), "bias and gain have the same length");
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
                            gain,
                            bias,
                            eps,
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

/// Turns `grad` from the gradient of the output into that of `x`, and returns those of the parameters.
#[allow(unsafe_code, reason = "blocks write disjoint parts of one output")]
pub(crate) fn backward(
    x: &[f32],
    gain: &[f32],
    statistics: &Statistics,
    grad: &mut [f32],
    with_bias: bool,
) -> Gradients {
    let d = gain.len();
    let rows = statistics.inv_rms.len();
    assert!(x.len() == rows * d && grad.len() == rows * d, "gradient and input are [rows, d]");
    let blocks = rows.div_ceil(ROWS);
    let bias_width = if with_bias { d } else { 0 };
    // [blocks, d (+ d)]
    let mut partial = vec![0.0; blocks * (d + bias_width)];
    let (shared_partial, shared_grad) = (Shared::of(&mut partial), Shared::of(grad));
    for_each(blocks, x.len() * 8, |index| {
        let (start, len) = block(index, ROWS, rows);
        // SAFETY: the rows of this block and its line of `partial` are this task's alone, and hold numbers.
        let (grad, sums) = unsafe {
            (
                as_written(shared_grad.slots(start * d, len * d)),
                as_written(shared_partial.slots(index * (d + bias_width), d + bias_width)),
            )
        };
        let (d_gain, d_bias) = sums.split_at_mut(d);
        let mean = if statistics.mean.is_empty() { &[] } else { &statistics.mean[start..start + len] };
        let inv_rms = &statistics.inv_rms[start..start + len];
        backward_block(&x[start * d..][..len * d], gain, mean, inv_rms, grad, d_gain, d_bias);
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
            forward_body::<false, f32>(&x, &gain, Some(&gain), 1e-5, &mut twin, mean, &mut inv_rms);
            #[allow(unsafe_code, reason = "reads slots that were created with a value")]
            // SAFETY: created with a value each.
            close(&y, unsafe { as_written(&mut twin) });

            let (mut grad, mut twin) = (y.clone(), y);
            let gradients = backward(&x, &gain, &statistics, &mut grad, true);
            let (mut d_gain, mut d_bias) = (vec![0.0; d], vec![0.0; d]);
            let Statistics { mean, inv_rms } = &statistics;
            backward_body::<false>(&x, &gain, mean, inv_rms, &mut twin, &mut d_gain, &mut d_bias);
            close(&grad, &twin);
            close(&gradients.gain, &d_gain);
            close(&gradients.bias, &d_bias);
        }
    }
}
