//! Activation functions and their derivatives, elementwise.

use super::math::{erf, exp, sigmoid};
use super::memory::{BLOCK, Shared, Slot, block, for_each, for_each_mut, written};
use super::number::Number;
use super::vector::mul_add;
use crate::ops::Activation;

/// `√(2/π)` and the cubic's coefficient in GPT-2's GELU.
const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
pub(super) fn gelu<const FMA: bool>(x: f32) -> f32 {
    0.5 * x * (1.0 + erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// `Φ(x) + x φ(x)`
#[inline(always)]
fn gelu_slope<const FMA: bool>(x: f32) -> f32 {
    const INV_SQRT_2_PI: f32 = 0.398_942_3;
    let cumulative = 0.5 * (1.0 + erf::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2));
    mul_add::<FMA>(x * INV_SQRT_2_PI, exp::<FMA>(-0.5 * x * x), cumulative)
}

/// `½(1 + tanh z)`, which is `sigmoid(2z)`, for the inner polynomial `z` of `x`.
#[inline(always)]
fn gate<const FMA: bool>(x: f32) -> f32 {
    sigmoid::<FMA>(2.0 * SQRT_2_OVER_PI * x * mul_add::<FMA>(CUBIC * x, x, 1.0))
}

#[inline(always)]
pub(super) fn gelu_tanh<const FMA: bool>(x: f32) -> f32 {
    x * gate::<FMA>(x)
}

#[inline(always)]
fn gelu_tanh_slope<const FMA: bool>(x: f32) -> f32 {
    let gate = gate::<FMA>(x);
    let inner_slope = 2.0 * SQRT_2_OVER_PI * mul_add::<FMA>(3.0 * CUBIC * x, x, 1.0);
    mul_add::<FMA>(x * gate * (1.0 - gate), inner_slope, gate)
}

#[inline(always)]
pub(super) fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

#[inline(always)]
fn relu_slope(x: f32) -> f32 {
    if x > 0.0 { 1.0 } else { 0.0 }
}

#[inline(always)]
pub(super) fn silu<const FMA: bool>(x: f32) -> f32 {
    x * sigmoid::<FMA>(x)
}

/// `silu(x)` and its slope, `σ + silu (1 − σ)`.
#[inline(always)]
fn silu_and_slope<const FMA: bool>(x: f32) -> (f32, f32) {
    let sigmoid = sigmoid::<FMA>(x);
    let silu = x * sigmoid;
    (silu, mul_add::<FMA>(silu, 1.0 - sigmoid, sigmoid))
}

#[inline(always)]
pub(super) fn relu2<const FMA: bool>(x: f32) -> f32 {
    let positive = if x > 0.0 { x } else { 0.0 };
    positive * positive
}

#[inline(always)]
fn relu2_slope<const FMA: bool>(x: f32) -> f32 {
    if x > 0.0 { 2.0 * x } else { 0.0 }
}

#[inline(always)]
fn map<T: Number>(x: &[T], y: &mut [Slot<T>], f: impl Fn(f32) -> f32) {
    for (y, &x) in y.iter_mut().zip(x) {
        y.write(T::narrow(f(x.widen())));
    }
}

#[inline(always)]
fn scale<T: Number>(x: &[T], grad: &mut [T], slope: impl Fn(f32) -> f32) {
    for (grad, &x) in grad.iter_mut().zip(x) {
        *grad = T::narrow(grad.widen() * slope(x.widen()));
    }
}

#[inline(always)]
fn gated<T: Number>(x: &[T], width: usize, y: &mut [Slot<T>], f: impl Fn(f32) -> f32) {
    for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = x.split_at(width);
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            y.write(T::narrow(f(gate.widen()) * up.widen()));
        }
    }
}

#[inline(always)]
fn forward_body<const FMA: bool, T: Number>(
    activation: Activation,
    x: &[T],
    width: usize,
    y: &mut [Slot<T>],
) {
    match activation {
        Activation::Gelu => map(x, y, gelu::<FMA>),
        Activation::GeluTanh => map(x, y, gelu_tanh::<FMA>),
        Activation::Relu => map(x, y, relu),
        Activation::Relu2 => map(x, y, relu2::<FMA>),
        Activation::Swiglu => gated(x, width, y, silu::<FMA>),
        Activation::Geglu => gated(x, width, y, gelu_tanh::<FMA>),
    }
}

/// Activations of one number: multiplies `grad` by the slope at `x`.
#[inline(always)]
fn backward_body<const FMA: bool, T: Number>(activation: Activation, x: &[T], grad: &mut [T]) {
    match activation {
        Activation::Gelu => scale(x, grad, gelu_slope::<FMA>),
        Activation::GeluTanh => scale(x, grad, gelu_tanh_slope::<FMA>),
        Activation::Relu => scale(x, grad, relu_slope),
        Activation::Relu2 => scale(x, grad, relu2_slope::<FMA>),
        Activation::Swiglu | Activation::Geglu => unreachable!("a gated activation has two inputs"),
    }
}

/// Gated activations: from the gradient of the output, `[rows, width]`, that of the input, `[rows, 2 · width]`.
#[inline(always)]
fn gated_backward_body<const FMA: bool, T: Number>(
    activation: Activation,
    x: &[T],
    width: usize,
    grad: &[T],
    d_x: &mut [Slot<T>],
) {
    match activation {
        Activation::Geglu => {
            gated_slopes(x, width, grad, d_x, |gate| (gelu_tanh::<FMA>(gate), gelu_tanh_slope::<FMA>(gate)))
        }
        _ => gated_slopes(x, width, grad, d_x, silu_and_slope::<FMA>),
    }
}

/// `of` gives what becomes of a gate, and the slope of that.
#[inline(always)]
fn gated_slopes<T: Number>(
    x: &[T],
    width: usize,
    grad: &[T],
    d_x: &mut [Slot<T>],
    of: impl Fn(f32) -> (f32, f32),
) {
    let rows = x.chunks_exact(2 * width).zip(grad.chunks_exact(width)).zip(d_x.chunks_exact_mut(2 * width));
    for ((x, grad), d_x) in rows {
        let ((gate, up), (d_gate, d_up)) = (x.split_at(width), d_x.split_at_mut(width));
        for ((((d_gate, d_up), gate), up), grad) in d_gate.iter_mut().zip(d_up).zip(gate).zip(up).zip(grad) {
            let (gate, up, grad) = (gate.widen(), up.widen(), grad.widen());
            let (value, slope) = of(gate);
            d_gate.write(T::narrow(grad * up * slope));
            d_up.write(T::narrow(grad * value));
        }
    }
}

vectorized!(
    fn forward_block<T: Number>(activation: Activation, x: &[T], width: usize, y: &mut [Slot<T>]) = forward_body
);
vectorized!(fn backward_block<T: Number>(activation: Activation, x: &[T], grad: &mut [T]) = backward_body);
vectorized!(
    fn gated_backward_block<T: Number>(
        activation: Activation,
        x: &[T],
        width: usize,
        grad: &[T],
        d_x: &mut [Slot<T>],
    ) = gated_backward_body
);

/// Rows in a block.
fn rows_of(width: usize) -> usize {
    (BLOCK / width.max(1)).max(1)
}

/// `f(x)` for rows of `width` outputs: `x` is `[rows, width]`, or `[rows, 2 · width]` where there is a gate, which comes first.
/// Returns `[rows, width]`.
#[allow(unsafe_code, reason = "the output is not cleared before it is written")]
pub(crate) fn forward<T: Number>(activation: Activation, x: &[T], width: usize) -> Vec<T> {
    let wide = activation.inputs() * width;
    let rows = x.len().checked_div(wide).unwrap_or(0);
    assert_eq!(x.len(), rows * wide, "an activation's input is [rows, {wide}]");
    // SAFETY: the blocks are disjoint and cover the output, and the kernel writes every slot of a block.
    unsafe {
        written(rows * width, |y| {
            let y = Shared::new(y);
            for_each(rows.div_ceil(rows_of(width)), x.len() * 16, |index| {
                let (start, rows) = block(index, rows_of(width), rows);
                let (x, y) = (&x[start * wide..][..rows * wide], y.slots(start * width, rows * width));
                forward_block(activation, x, width, y);
            });
        })
    }
}

/// The gradient of `x`, shaped as it, from that of the output, `[rows, width]`; in place where both are of a size.
#[allow(unsafe_code, reason = "the output is not cleared before it is written")]
pub(crate) fn backward<T: Number>(activation: Activation, x: &[T], width: usize, mut grad: Vec<T>) -> Vec<T> {
    assert_eq!(x.len(), activation.inputs() * grad.len(), "input and gradient have as many rows");
    let rows = grad.len().checked_div(width).unwrap_or(0);
    if activation.inputs() == 1 {
        let mut blocks: Vec<_> = grad.chunks_mut(BLOCK).zip(x.chunks(BLOCK)).collect();
        for_each_mut(&mut blocks, x.len() * 16, |(grad, x)| backward_block(activation, x, grad));
        return grad;
    }
    // SAFETY: the blocks are disjoint and cover the output, and the kernel writes every slot of a block.
    unsafe {
        written(x.len(), |d_x| {
            let d_x = Shared::new(d_x);
            for_each(rows.div_ceil(rows_of(width)), x.len() * 16, |index| {
                let (start, rows) = block(index, rows_of(width), rows);
                let part = |width: usize| (start * width, rows * width);
                let ((x_start, x_len), (start, len)) = (part(2 * width), part(width));
                let x = &x[x_start..][..x_len];
                let (grad, d_x) = (&grad[start..][..len], d_x.slots(x_start, x_len));
                gated_backward_block(activation, x, width, grad, d_x);
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::kernels::memory::as_written;

    fn inputs() -> Vec<f32> {
        (0..1002).map(|i| (i as f32 - 500.0) * 0.019).collect()
    }

    fn slots(n: usize) -> Vec<Slot> {
        vec![Slot::new(f32::NAN); n]
    }

    fn close(a: &[f32], b: &[f32]) {
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "element {i}: {a} and {b}");
        }
    }

    #[test]
    #[allow(unsafe_code, reason = "reads slots that were created with a value")]
    fn vector_kernels_equal_their_scalar_twins() {
        let x = inputs();
        let up: Vec<f32> = x.iter().rev().map(|x| x + 0.5).collect();
        for (activation, width) in [
            (Activation::Gelu, 17),
            (Activation::GeluTanh, 59),
            (Activation::Relu, 1002),
            (Activation::Relu2, 1002),
            (Activation::Geglu, 167),
            (Activation::Swiglu, 501),
            (Activation::Swiglu, 167),
        ] {
            let len = x.len() / (activation.inputs() * width) * activation.inputs() * width;
            let (x, up) = (&x[..len], &up[..len]);
            let mut twin = slots(len / activation.inputs());
            forward_body::<false, f32>(activation, x, width, &mut twin);
            // SAFETY: created with a value each.
            close(&forward(activation, x, width), unsafe { as_written(&mut twin) });
            let grad = &up[..len / activation.inputs()];
            let got = backward(activation, x, width, grad.to_vec());
            if activation.inputs() == 1 {
                let mut twin = grad.to_vec();
                backward_body::<false, f32>(activation, x, &mut twin);
                close(&got, &twin);
            } else {
                let mut twin = slots(len);
                gated_backward_body::<false, f32>(activation, x, width, grad, &mut twin);
                // SAFETY: created with a value each.
                close(&got, unsafe { as_written(&mut twin) });
            }
        }
    }

    #[test]
    fn slopes_equal_finite_differences_in_double_precision() {
        let slope = |f: &dyn Fn(f64) -> f64, x: f64| (f(x + 1e-5) - f(x - 1e-5)) / 2e-5;
        let gelu_tanh =
            |x: f64| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044715 * x * x * x)).tanh());
        for x in inputs() {
            let expected = slope(&gelu_tanh, f64::from(x));
            assert!((f64::from(gelu_tanh_slope::<true>(x)) - expected).abs() < 3e-6, "gelu_tanh'({x})");
            let h = 1e-2_f32;
            let expected = (gelu::<true>(x + h) - gelu::<true>(x - h)) / (2.0 * h);
            assert!((gelu_slope::<true>(x) - expected).abs() < 1e-3, "gelu'({x})");
        }
    }
}
