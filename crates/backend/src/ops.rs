//! The operations that models spend their time in.
//!
//! Each has one meaning and two ways: `primitive` composes it of burn's operations, which run on every device and
//! differentiate by themselves; `fused` does it in one step on the CPU. Layouts are those in which neighbours meet
//! without copies: activations `[batch, seq, d_model]`, heads `[batch, seq, heads, d_head]`.

pub(crate) mod primitive;

pub use crate::fused::checkpoint::{Detached, Leaves, Part, can_checkpoint};

use crate::fused::{self, Activation};
use burn::tensor::{Bool, Int, Tensor};

/// Which keys a query may look at.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one mask a forward pass, and a tensor is a handle")]
pub enum AttentionMask {
    /// Every query sees every key.
    Full,
    /// Query `i` of `s` sees keys `0 ..= i + (t - s)` of `t`: with cached keys the queries are the last `s` positions.
    Causal,
    /// Any pattern. `hidden` is `[batch, s, t]`, true where a query must not look.
    Hidden(Tensor<3, Bool>),
}

/// A linear layer. `x` is `[…, d_in]`, `weight` `[d_in, d_out]`, `bias` `[d_out]`; returns `[…, d_out]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    if fused::applies(&x) { fused::linear(x, weight, bias) } else { primitive::linear(x, weight, bias) }
}

/// RMS norm over the last dimension: `x / sqrt(mean(x²) + eps) · gain` [Zhang & Sennrich 2019].
pub fn rms_norm<const D: usize>(x: Tensor<D>, gain: Tensor<1>, eps: f64) -> Tensor<D> {
    if fused::applies(&x) { fused::rms_norm(x, gain, eps) } else { primitive::rms_norm(x, gain, eps) }
}

/// Layer norm over the last dimension, with the biased variance [Ba 2016].
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<1>,
    bias: Option<Tensor<1>>,
    eps: f64,
) -> Tensor<D> {
    if fused::applies(&x) {
        fused::layer_norm(x, gain, bias, eps)
    } else {
        primitive::layer_norm(x, gain, bias, eps)
    }
}

/// GELU with the error function: `x · Φ(x)` [Hendrycks & Gimpel 2016].
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if fused::applies(&x) { fused::activate(x, Activation::Gelu) } else { primitive::gelu(x) }
}

/// GELU as GPT-2 computes it: `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if fused::applies(&x) { fused::activate(x, Activation::GeluTanh) } else { primitive::gelu_tanh(x) }
}

/// The gate of SwiGLU: `silu(gate) · up` [Shazeer 2020].
pub fn swiglu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    if fused::applies(&gate) { fused::swiglu(gate, up) } else { primitive::swiglu(gate, up) }
}

/// `max(x, 0)²` [So 2021].
pub fn relu2<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if fused::applies(&x) { fused::activate(x, Activation::Relu2) } else { primitive::relu2(x) }
}

/// Rotary position embedding, halves rotated against each other as Llama does [Su 2021].
///
/// `x` is `[batch, seq, heads, d_head]`; `cos` and `sin` are `[batch or 1, seq, d_head/2]`.
pub fn rope(x: Tensor<4>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<4> {
    if fused::applies(&x) { fused::rope(x, cos, sin) } else { primitive::rope(x, cos, sin) }
}

/// Scaled dot-product attention [Vaswani 2017] with grouped queries [Ainslie 2023].
///
/// `q` is `[batch, s, heads, d_head]`, `k` and `v` `[batch, t, kv_heads, d_head]`; `kv_heads` divides `heads`, and
/// consecutive query heads share a key head. Returns `[batch, s, heads, d_head]`.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: &AttentionMask, scale: f64) -> Tensor<4> {
    if fused::applies(&q) {
        fused::attention(q, k, v, mask, scale)
    } else {
        primitive::attention(q, k, v, mask, scale)
    }
}

/// Logits over the vocabulary. `hidden` is `[n, d_model]`, `head` `[vocab, d_model]`; returns `[n, vocab]`.
///
/// With a soft cap `c` the logits are `c · tanh(logits / c)` [Gemma 2].
pub fn vocabulary_logits(hidden: Tensor<2>, head: Tensor<2>, soft_cap: Option<f64>) -> Tensor<2> {
    let logits = linear(hidden, head.transpose(), None);
    match soft_cap {
        Some(cap) => (logits / cap).tanh() * cap,
        None => logits,
    }
}

/// Cross-entropy over the vocabulary, in nats for each position.
///
/// `hidden` is `[n, d_model]`, `head` `[vocab, d_model]`, `targets` `[n]`; returns `[n]`, each `−log P(target)`.
pub fn cross_entropy(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    soft_cap: Option<f64>,
) -> Tensor<1> {
    if fused::applies(&hidden) {
        fused::cross_entropy(hidden, head, targets, soft_cap)
    } else {
        primitive::cross_entropy(hidden, head, targets, soft_cap)
    }
}

/// A scalar `[1]` to begin a backward pass at, so that `y` gets `gradient`, of the same shape, for its own. What number
/// the scalar holds means nothing.
pub fn seed_gradient<const D: usize>(y: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    if fused::applies(&y) { fused::seed_gradient(y, gradient) } else { primitive::seed_gradient(y, gradient) }
}

/// The sum of squares of each tensor, in a fixed order: the same bits each time. On the CPU one pass over all of them.
pub fn sums_of_squares(tensors: Vec<Tensor<1>>) -> Vec<f64> {
    if tensors.first().is_some_and(fused::applies) {
        fused::sums_of_squares(tensors)
    } else {
        tensors.into_iter().map(primitive::sum_of_squares).collect()
    }
}

/// The sum of squares of `x` `[numbers]`, as [`sums_of_squares`].
pub fn sum_of_squares(x: Tensor<1>) -> f64 {
    sums_of_squares(vec![x]).into_iter().sum()
}

/// `sum + more`, both `[numbers]` and outside of any graph; in the place of `sum` if nothing else holds it.
pub fn add_in_place(sum: Tensor<1>, more: Tensor<1>) -> Tensor<1> {
    if fused::applies(&sum) { fused::add(sum, more) } else { sum + more }
}

/// The numbers of one AdamW update.
#[derive(Debug, Clone, Copy)]
pub struct AdamwStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled decay.
    pub weight_decay: f64,
    /// `1 − beta1^t` at update `t`.
    pub correction1: f64,
    /// `1 − beta2^t` at update `t`.
    pub correction2: f64,
    /// Factor on the gradient, from clipping.
    pub gradient_scale: f64,
}

/// What one AdamW update works on: flat tensors, each `[numbers]`, outside of any graph.
#[derive(Debug, Clone)]
pub struct AdamwTensors {
    /// The parameters.
    pub value: Tensor<1>,
    /// Their gradients.
    pub gradient: Tensor<1>,
    /// The running mean of the gradients.
    pub m: Tensor<1>,
    /// The running mean of their squares.
    pub v: Tensor<1>,
}

/// One AdamW update [Loshchilov & Hutter 2019] of every tensor, each by its own numbers. Returns them in the same order
/// with new values and means. On the CPU one pass over all of them, in place where nothing else holds them.
pub fn adamw(updates: Vec<(AdamwTensors, AdamwStep)>) -> Vec<AdamwTensors> {
    if updates.first().is_some_and(|(tensors, _)| fused::applies(&tensors.value)) {
        fused::adamw(updates)
    } else {
        updates.into_iter().map(|(tensors, step)| primitive::adamw(tensors, &step)).collect()
    }
}

/// Runs `part`, which keeps `x` only and runs once more when gradients are wanted: less memory for more time
/// [Chen 2016]. `x` is `[batch, seq, d_model]`, with autodiff; so is the result.
///
/// `parameters` are those of `part`, taken out of their graph by [`Detached::detach`]; `part` knows them as they are
/// without it. It is run twice: without [`Leaves`], and with them, when it puts [`Leaves::attach`]'s in the place of each
/// parameter, in the order in which they were detached. Both runs must do the same. The gradients arrive where those of
/// the parameters themselves would, to the same bits.
///
/// # Panics
/// Where [`can_checkpoint`] says no.
pub fn checkpoint(x: Tensor<3>, parameters: Detached, part: Part) -> Tensor<3> {
    fused::checkpoint(x, parameters, part)
}
