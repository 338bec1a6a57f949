//! Activation functions and their derivatives, elementwise.

use rayon::prelude::*;

use super::math::{erf, exp, sigmoid};
use super::memory::{BLOCK, Slot, written};
use super::vector::mul_add;

/// An activation of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)`, with the error function.
    Gelu,
    /// GPT-2's approximation of it.
    GeluTanh,
    /// `max(x, 0)²`.
    Relu2,
}

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
pub(super) fn relu2<const FMA: bool>(x: f32) -> f32 {
    let positive = if x > 0.0 { x } else { 0.0 };
    positive * positive
}

#[inline(always)]
fn relu2_slope<const FMA: bool>(x: f32) -> f32 {
    if x > 0.0 { 2.0 * x } else { 0.0 }
}

#[inline(always)]
fn map(x: &[f32], y: &mut [Slot], f: impl Fn(f32) -> f32) {
    for (y, &x) in y.iter_mut().zip(x) {
        y.write(f(x));
    }
}

#[inline(always)]
fn scale(x: &[f32], grad: &mut [f32], slope: impl Fn(f32) -> f32) {
    for (grad, &x) in grad.iter_mut().zip(x) {
        *grad *= slope(x);
    }
}

#[inline(always)]
fn forward_body<const FMA: bool>(activation: Activation, x: &[f32], y: &mut [Slot]) {
    match activation {
        Activation::Gelu => map(x, y, gelu::<FMA>),
        Activation::GeluTanh => map(x, y, gelu_tanh::<FMA>),
        Activation::Relu2 => map(x, y, relu2::<FMA>),
    }
}

#[inline(always)]
fn backward_body<const FMA: bool>(activation: Activation, x: &[f32], grad: &mut [f32]) {
    match activation {
        Activation::Gelu => scale(x, grad, gelu_slope::<FMA>),
        Activation::GeluTanh => scale(x, grad, gelu_tanh_slope::<FMA>),
        Activation::Relu2 => scale(x, grad, relu2_slope::<FMA>),
    }
}

#[inline(always)]
fn swiglu_body<const FMA: bool>(gate: &[f32], up: &[f32], y: &mut [Slot]) {
    for ((y, &gate), &up) in y.iter_mut().zip(gate).zip(up) {
        y.write(gate * sigmoid::<FMA>(gate) * up);
    }
}

/// `d_gate` goes to a new buffer, `d_up` replaces the incoming gradient.
#[inline(always)]
fn swiglu_backward_body<const FMA: bool>(gate: &[f32], up: &[f32], grad: &mut [f32], d_gate: &mut [Slot]) {
    for (((d_gate, grad), &gate), &up) in d_gate.iter_mut().zip(grad).zip(gate).zip(up) {
        let sigmoid = sigmoid::<FMA>(gate);
        let silu = gate * sigmoid;
        // silu' = σ + silu (1 − σ)
        let slope = mul_add::<FMA>(silu, 1.0 - sigmoid, sigmoid);
        d_gate.write(*grad * up * slope);
        *grad *= silu;
    }
}

vectorized!(fn forward_block(activation: Activation, x: &[f32], y: &mut [Slot]) = forward_body);
vectorized!(fn backward_block(activation: Activation, x: &[f32], grad: &mut [f32]) = backward_body);
vectorized!(fn swiglu_block(gate: &[f32], up: &[f32], y: &mut [Slot]) = swiglu_body);
vectorized!(
    fn swiglu_backward_block(gate: &[f32], up: &[f32], grad: &mut [f32], d_gate: &mut [Slot]) = swiglu_backward_body
);

/// `f(x)`, elementwise.
pub(crate) fn forward(activation: Activation, x: &[f32]) -> Vec<f32> {
    #[allow(unsafe_code, reason = "the output is not cleared before it is written")]
    // SAFETY: the blocks of the output and of `x` pair up, and `map` writes every slot of a block.
    unsafe {
        written(x.len(), |y| {
            y.par_chunks_mut(BLOCK)
                .zip(x.par_chunks(BLOCK))
                .for_each(|(y, x)| forward_block(activation, x, y));
        })
    }
}

/// Multiplies `grad` by `f'(x)`, elementwise.
pub(crate) fn backward(activation: Activation, x: &[f32], grad: &mut [f32]) {
    assert_eq!(x.len(), grad.len(), "a gradient has the shape of what it is the gradient of");
    grad.par_chunks_mut(BLOCK)
        .zip(x.par_chunks(BLOCK))
        .for_each(|(grad, x)| backward_block(activation, x, grad));
}

/// `silu(gate) · up`, elementwise.
pub(crate) fn swiglu(gate: &[f32], up: &[f32]) -> Vec<f32> {
    assert_eq!(gate.len(), up.len(), "gate and up have the same shape");
    #[allow(unsafe_code, reason = "the output is not cleared before it is written")]
    // SAFETY: the blocks of all three pair up (equal lengths), and the kernel writes every slot of a block.
    unsafe {
        written(gate.len(), |y| {
            y.par_chunks_mut(BLOCK)
                .zip(gate.par_chunks(BLOCK))
                .zip(up.par_chunks(BLOCK))
                .for_each(|((y, gate), up)| swiglu_block(gate, up, y));
        })
    }
}

/// The gradient of [`swiglu`] for `gate`; the one for `up` replaces `grad`.
pub(crate) fn swiglu_backward(gate: &[f32], up: &[f32], grad: &mut [f32]) -> Vec<f32> {
    assert!(gate.len() == grad.len() && up.len() == grad.len(), "all have the same shape");
    #[allow(unsafe_code, reason = "the output is not cleared before it is written")]
    // SAFETY: the blocks of all four pair up (equal lengths), and the kernel writes every slot of a block.
    unsafe {
        written(grad.len(), |d_gate| {
            d_gate
                .par_chunks_mut(BLOCK)
                .zip(grad.par_chunks_mut(BLOCK))
                .zip(gate.par_chunks(BLOCK).zip(up.par_chunks(BLOCK)))
                .for_each(|((d_gate, grad), (gate, up))| swiglu_backward_block(gate, up, grad, d_gate));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::kernels::memory::as_written;

    fn inputs() -> Vec<f32> {
        (0..1003).map(|i| (i as f32 - 500.0) * 0.019).collect()
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
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu2] {
            let mut twin = slots(x.len());
            forward_body::<false>(activation, &x, &mut twin);
            // SAFETY: created with a value each.
            close(&forward(activation, &x), unsafe { as_written(&mut twin) });
            let (mut grad, mut twin) = (up.clone(), up.clone());
            backward(activation, &x, &mut grad);
            backward_body::<false>(activation, &x, &mut twin);
            close(&grad, &twin);
        }
        let mut twin = slots(x.len());
        swiglu_body::<false>(&x, &up, &mut twin);
        // SAFETY: created with a value each.
        close(&swiglu(&x, &up), unsafe { as_written(&mut twin) });
        let (mut grad, mut twin_grad, mut twin) = (x.clone(), x.clone(), slots(x.len()));
        let d_gate = swiglu_backward(&x, &up, &mut grad);
        swiglu_backward_body::<false>(&x, &up, &mut twin_grad, &mut twin);
        close(&grad, &twin_grad);
        // SAFETY: created with a value each.
        close(&d_gate, unsafe { as_written(&mut twin) });
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
