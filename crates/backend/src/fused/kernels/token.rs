//! What decoding needs besides products: norms, activations and rotary embedding, written
//! into buffers that are there already.

use super::activation::{gelu, gelu_tanh, relu, relu2, silu};
use super::memory::{BLOCK, Shared, as_written, block, for_each};
use super::reduce::sum_over;
use super::vector::mul_add;
use crate::ops::Activation;

/// Rows in a task of a norm.
const ROWS: usize = 32;

#[inline(always)]
fn norm_body<const FMA: bool>(
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    centred: bool,
    eps: f32,
    y: &mut [f32],
) {
    let d = gain.len();
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        let centre = if centred { sum_over(x, x, |x, _, sum| sum + x) / d as f32 } else { 0.0 };
        let squares = sum_over(x, x, |x, _, sum| mul_add::<FMA>(x - centre, x - centre, sum));
        let scale = 1.0 / (squares / d as f32 + eps).sqrt();
        for ((y, &x), &gain) in y.iter_mut().zip(x).zip(gain) {
            *y = (x - centre) * scale * gain;
        }
        if let Some(bias) = bias {
            y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
        }
    }
}

#[inline(always)]
fn activate_body<const FMA: bool>(activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Gelu => x.iter_mut().for_each(|x| *x = gelu::<FMA>(*x)),
        Activation::GeluTanh => x.iter_mut().for_each(|x| *x = gelu_tanh::<FMA>(*x)),
        Activation::Relu => x.iter_mut().for_each(|x| *x = relu(*x)),
        Activation::Relu2 => x.iter_mut().for_each(|x| *x = relu2::<FMA>(*x)),
        Activation::Swiglu | Activation::Geglu => unreachable!("a gated activation has two inputs"),
    }
}

#[inline(always)]
fn gated_body<const FMA: bool>(activation: Activation, gate_up: &[f32], width: usize, y: &mut [f32]) {
    match activation {
        Activation::Geglu => gate_with(gate_up, width, y, gelu_tanh::<FMA>),
        _ => gate_with(gate_up, width, y, silu::<FMA>),
    }
}

#[inline(always)]
fn gate_with(gate_up: &[f32], width: usize, y: &mut [f32], f: impl Fn(f32) -> f32) {
    for (gate_up, y) in gate_up.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = gate_up.split_at(width);
        for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
            *y = f(gate) * up;
        }
    }
}

/// All heads of one position.
#[inline(always)]
fn rotate_body<const FMA: bool>(x: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    for head in x.chunks_exact_mut(2 * half) {
        let (x1, x2) = head.split_at_mut(half);
        for (((x1, x2), &cos), &sin) in x1.iter_mut().zip(x2).zip(cos).zip(sin) {
            let (a, b) = (*x1, *x2);
            *x1 = mul_add::<FMA>(a, cos, -(b * sin));
            *x2 = mul_add::<FMA>(b, cos, a * sin);
        }
    }
}

vectorized!(
    fn norm_block(x: &[f32], gain: &[f32], bias: Option<&[f32]>, centred: bool, eps: f32, y: &mut [f32]) = norm_body
);
vectorized!(fn activate_block(activation: Activation, x: &mut [f32]) = activate_body);
vectorized!(
    fn gated_block(activation: Activation, gate_up: &[f32], width: usize, y: &mut [f32]) = gated_body
);
vectorized!(fn rotate_position(x: &mut [f32], cos: &[f32], sin: &[f32]) = rotate_body);
/// Elements `start .. start + len` of a buffer that tasks share.
///
/// # Safety
/// They must lie in the buffer, hold numbers, and be this task's alone while the slice lives.
#[allow(unsafe_code, reason = "tasks write disjoint parts of one buffer")]
unsafe fn part<'a>(buffer: Shared, start: usize, len: usize) -> &'a mut [f32] {
    // SAFETY: by this function's contract.
    unsafe { as_written(buffer.slots(start, len)) }
}

/// Normalizes the rows of `x`, `[rows, d]`, into `y`: layer norm if `centred`, else RMS norm.
#[allow(unsafe_code, reason = "tasks write disjoint rows")]
pub(crate) fn norm(x: &[f32], gain: &[f32], bias: Option<&[f32]>, centred: bool, eps: f32, y: &mut [f32]) {
    let d = gain.len();
    assert!(x.len() == y.len() && d > 0 && x.len().is_multiple_of(d), "x and y are [rows, {d}]");
    assert!(bias.is_none_or(|bias| bias.len() == d), "a bias has as many numbers as the gain");
    let (rows, out) = (x.len() / d, Shared::of(y));
    for_each(rows.div_ceil(ROWS), x.len() * 4, |index| {
        let (first, rows) = block(index, ROWS, rows);
        // SAFETY: these rows are this task's alone.
        let y = unsafe { part(out, first * d, rows * d) };
        norm_block(&x[first * d..][..rows * d], gain, bias, centred, eps, y);
    });
}

/// Replaces every number by its activation.
#[allow(unsafe_code, reason = "tasks write disjoint blocks")]
pub(crate) fn activate(activation: Activation, x: &mut [f32]) {
    let (len, shared) = (x.len(), Shared::of(x));
    for_each(len.div_ceil(BLOCK), len * 16, |index| {
        let (first, len) = block(index, BLOCK, len);
        // SAFETY: this block is this task's alone.
        activate_block(activation, unsafe { part(shared, first, len) });
    });
}

/// `y = f(gate) · up`, `[rows, width]`, for an activation that has a gate: `gate_up` is `[rows, 2 · width]`, each row the gates first.
#[allow(unsafe_code, reason = "tasks write disjoint rows")]
pub(crate) fn gated(activation: Activation, gate_up: &[f32], width: usize, y: &mut [f32]) {
    assert!(gate_up.len() == 2 * y.len() && y.len().is_multiple_of(width), "y is half of every row");
    let (rows, shared) = (y.len() / width, Shared::of(y));
    for_each(rows.div_ceil(ROWS), gate_up.len() * 8, |index| {
        let (first, rows) = block(index, ROWS, rows);
        // SAFETY: these rows are this task's alone.
        let y = unsafe { part(shared, first * width, rows * width) };
        gated_block(activation, &gate_up[2 * first * width..][..2 * rows * width], width, y);
    });
}

/// Rotates every head of each row of `x`, `[rows, width]`, by that row's angles: `cos` and `sin` are
/// `[rows, d_head / 2]`.
#[allow(unsafe_code, reason = "tasks write disjoint rows")]
pub(crate) fn rotate(x: &mut [f32], width: usize, cos: &[f32], sin: &[f32]) {
    let rows = x.len() / width;
    assert!(cos.len() == sin.len() && cos.len().is_multiple_of(rows.max(1)), "angles for every row");
    let half = cos.len() / rows.max(1);
    assert!(half > 0 && width.is_multiple_of(2 * half), "a row is some heads of {}", 2 * half);
    let (len, shared) = (x.len(), Shared::of(x));
    for_each(rows.div_ceil(ROWS), len * 4, |index| {
        let (first, rows) = block(index, ROWS, rows);
        // SAFETY: these rows are this task's alone.
        let x = unsafe { part(shared, first * width, rows * width) };
        let angles = cos[first * half..].chunks_exact(half).zip(sin[first * half..].chunks_exact(half));
        x.chunks_exact_mut(width).zip(angles).for_each(|(x, (cos, sin))| rotate_position(x, cos, sin));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    #[track_caller]
    fn close(a: &[f32], b: &[f32]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 5e-6 * b.abs().max(1.0)), "{a:?}\n{b:?}");
    }

    #[test]
    fn vector_kernels_equal_their_scalar_twins() {
        let (x, gain, bias) = (numbers(3 * 37, 1), numbers(37, 2), numbers(37, 3));
        for (centred, bias) in [(true, Some(&bias[..])), (true, None), (false, None)] {
            let (mut y, mut twin) = (vec![0.0; 111], vec![0.0; 111]);
            norm(&x, &gain, bias, centred, 1e-5, &mut y);
            norm_body::<false>(&x, &gain, bias, centred, 1e-5, &mut twin);
            close(&y, &twin);
        }
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Relu2] {
            let (mut y, mut twin) = (x.clone(), x.clone());
            activate(activation, &mut y);
            activate_body::<false>(activation, &mut twin);
            close(&y, &twin);
            close(&y, &super::super::activation::forward(activation, &x, 37));
        }
        let (gate_up, mut y, mut twin) = (numbers(222, 4), vec![0.0; 111], vec![0.0; 111]);
        gated(Activation::Geglu, &gate_up, 37, &mut y);
        gated_body::<false>(Activation::Geglu, &gate_up, 37, &mut twin);
        close(&y, &twin);
        close(&y, &super::super::activation::forward(Activation::Geglu, &gate_up, 37));
        gated(Activation::Swiglu, &gate_up, 37, &mut y);
        gated_body::<false>(Activation::Swiglu, &gate_up, 37, &mut twin);
        close(&y, &twin);
        assert_eq!(y[37], gate_up[74] / (1.0 + (-gate_up[74]).exp()) * gate_up[111]);
        let (cos, sin): (Vec<f32>, Vec<f32>) = (0..10).map(|i| ((i as f32).cos(), (i as f32).sin())).unzip();
        let (mut y, mut twin) = (numbers(40, 1), numbers(40, 1));
        rotate(&mut y, 20, &cos, &sin);
        for (i, row) in twin.chunks_exact_mut(20).enumerate() {
            rotate_body::<false>(row, &cos[i * 5..][..5], &sin[i * 5..][..5]);
        }
        close(&y, &twin);
    }
}
