//! The operations that models spend their time in.
//!
//! Each has one meaning and two ways: `primitive` composes it of burn's operations, which run on every device and
//! differentiate by themselves; `fused` does it in one step on the CPU. Layouts are those in which neighbours meet
//! without copies: activations `[batch, seq, d_model]`, heads `[batch, seq, heads, d_head]`.

pub(crate) mod primitive;

pub use crate::fused::checkpoint::{Detached, Leaves, Part, can_checkpoint};

use std::sync::Arc;

use crate::fused;
use crate::precision::{self, Precision};
use burn::tensor::{Bool, DType, Int, Tensor};

/// Which keys a query may look at. Queries are the last `s` of `t` positions where there are more keys than queries.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one mask a forward pass, and a tensor is a handle")]
pub enum AttentionMask {
    /// Every query sees every key.
    Full,
    /// Query `i` of `s` sees keys `0 ..= i + (t - s)` of `t`: with cached keys the queries are the last `s` positions.
    Causal,
    /// Causal within documents that were packed into one sequence: position `i` sees keys `starts[i] ..= i`, with
    /// `starts` `[batch][seq]` the first position of its document.
    Documents(Arc<[Vec<usize>]>),
    /// The first `prefix` positions of each example, `[batch]`, see each other; those after them look back [Raffel 2020].
    Prefix(Arc<[usize]>),
    /// Any pattern. `hidden` is `[batch, s, t]`, true where a query must not look.
    Hidden(Tensor<3, Bool>),
}

/// A linear map: weight `[d_in, d_out]` and perhaps a bias `[d_out]`.
#[derive(Debug, Clone)]
pub struct Map {
    /// `[d_in, d_out]`
    pub weight: Tensor<2>,
    /// `[d_out]`
    pub bias: Option<Tensor<1>>,
}

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// RMS norm: `x / sqrt(mean(x²) + eps) · gain` [Zhang & Sennrich 2019].
    Rms,
    /// Layer norm, with the biased variance [Ba 2016].
    Layer,
}

/// A norm over the last dimension.
#[derive(Debug, Clone)]
pub struct Norm {
    /// Which one.
    pub kind: NormKind,
    /// `[d]`
    pub gain: Tensor<1>,
    /// `[d]`, for layer norm.
    pub bias: Option<Tensor<1>>,
    /// Added to the mean square or variance.
    pub eps: f64,
}

/// What stands between the two maps of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// GELU with the error function: `x · Φ(x)` [Hendrycks & Gimpel 2016].
    Gelu,
    /// GELU as GPT-2 computes it: `½x(1 + tanh(√(2/π)(x + 0.044715x³)))`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²` [So 2021].
    Relu2,
    /// SwiGLU [Shazeer 2020]: of `[…, 2 · d_ff]` the first half is the gate, and the output is `silu(gate) · up`.
    Swiglu,
    /// GEGLU [Shazeer 2020], as T5 1.1: the same with `GeluTanh` of the gate.
    Geglu,
}

impl Activation {
    /// Every one there is.
    pub const ALL: [Self; 6] =
        [Self::Gelu, Self::GeluTanh, Self::Relu, Self::Relu2, Self::Swiglu, Self::Geglu];

    /// How many numbers it takes for each that it gives.
    pub fn inputs(self) -> usize {
        if matches!(self, Self::Swiglu | Self::Geglu) { 2 } else { 1 }
    }
}

/// What a projection does to its input first.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one a projection, and a tensor is a handle")]
pub enum Before {
    /// Nothing.
    Nothing,
    /// Normalizes it.
    Norm(Norm),
    /// Applies an activation.
    Activation(Activation),
}

/// Linear maps in one step with what comes before and after them: `residual + f(x) [W₁ | W₂ | …] + [b₁ | b₂ | …]`.
///
/// `x` is `[…, d]`, and may be what [`project_narrow`] returned; returns `[…, Σ d_out]`, the outputs of the maps side by
/// side. Either all maps have a bias or none.
pub fn project<const D: usize>(
    x: Tensor<D>,
    before: Before,
    maps: Vec<Map>,
    residual: Option<Tensor<D>>,
) -> Tensor<D> {
    if fused::projects(&x, &maps) {
        fused::project(x, before, maps, residual, fused::Output::Wide)
    } else {
        primitive::project(x, before, maps, residual)
    }
}

/// As [`project`] without a residual, for an output that products read: in bf16 where their precision is, since they
/// would round it to that anyway. Its gradient is in bf16 too. Half the memory, and as autocast has it.
///
/// [`project`] and [`self_attention`] take it as it is; anything else wants [`wide`] before.
pub fn project_narrow<const D: usize>(x: Tensor<D>, before: Before, maps: Vec<Map>) -> Tensor<D> {
    if fused::projects(&x, &maps) {
        fused::project(x, before, maps, None, fused::Output::Narrow)
    } else {
        primitive::project(x, before, maps, None)
    }
}

/// What [`project_narrow`] or [`self_attention`] returned in this precision, as f32.
pub fn wide<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if precision::current() == Precision::Bf16 { x.cast(DType::F32) } else { x }
}

/// A linear layer. `x` is `[…, d_in]`, `weight` `[d_in, d_out]`, `bias` `[d_out]`; returns `[…, d_out]`.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    project(x, Before::Nothing, vec![Map { weight, bias }], None)
}

/// An activation by itself: `[…, d]` to `[…, d]`, for SwiGLU `[…, 2 d]` to `[…, d]`. Composed of burn's operations: for small
/// tensors, such as what a head reads. In a layer it is part of a projection.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    primitive::activate(x, activation)
}

/// A norm over the last dimension.
pub fn norm<const D: usize>(x: Tensor<D>, norm: Norm) -> Tensor<D> {
    if fused::applies(&x) { fused::norm(x, norm) } else { primitive::norm(x, norm) }
}

/// The weights of an LSTM [Hochreiter & Schmidhuber 1997] whose outputs are projected [Sak 2014] and whose states are clipped, as
/// ELMo's.
///
/// From input `x` and output `h` of the step before: gates `[i | g | f | o] = x · input + h · recurrent`, cell state
/// `c ← clip(σ(f) · c + σ(i) · tanh(g))`, output `h ← clip(σ(o) · tanh(c) · projection)`.
#[derive(Debug, Clone)]
pub struct Lstm {
    /// `[d_in, 4 · cell]`
    pub input: Map,
    /// `[width, 4 · cell]`
    pub recurrent: Tensor<2>,
    /// `[cell, width]`
    pub projection: Tensor<2>,
    /// Cell states and outputs are kept in `−clip ..= clip`; infinite for none.
    pub clip: f32,
}

/// The state of an LSTM after each step.
#[derive(Debug, Clone)]
pub struct LstmStates {
    /// `[batch, seq, width]`
    pub outputs: Tensor<3>,
    /// `[batch, seq, cell]`
    pub cells: Tensor<3>,
}

/// An LSTM over whole sequences, which begin with states of zero. `x` is `[batch, seq, d_in]`; returns `[batch, seq, width]`.
///
/// What inputs add to the gates is one product in the precision of the scope; the recurrence is in f32 always.
pub fn lstm(x: Tensor<3>, lstm: Lstm) -> Tensor<3> {
    let Lstm { input, recurrent, projection, clip } = lstm;
    let gates = linear(x, input.weight, input.bias);
    if fused::applies(&gates) {
        fused::lstm(gates, recurrent, projection, clip)
    } else {
        primitive::lstm(gates, recurrent, projection, clip, None).outputs
    }
}

/// An LSTM that goes on from a state: outputs `[batch, width]` and cells `[batch, cell]` of the step before. For inference.
pub fn lstm_from(x: Tensor<3>, lstm: Lstm, state: (Tensor<2>, Tensor<2>)) -> LstmStates {
    let gates = linear(x, lstm.input.weight, lstm.input.bias);
    primitive::lstm(gates, lstm.recurrent, lstm.projection, lstm.clip, Some(state))
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
/// consecutive query heads share a key head. `bias`, `[batch or 1, heads or 1, s, t]`, is added to the scaled scores
/// [T5, ALiBi]. Returns `[batch, s, heads, d_head]`.
pub fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: &AttentionMask,
    bias: Option<Tensor<4>>,
    scale: f64,
) -> Tensor<4> {
    if fused::applies(&q) {
        fused::attention(q, k, v, mask, bias, scale)
    } else {
        primitive::attention(q, k, v, mask, bias, scale)
    }
}

/// Self-attention on what [`project`] puts out for queries, keys and values: `[batch, seq, (heads + 2 kv_heads) · d_head]`,
/// queries first. With `rotary` (cosines and sines as [`rope`] takes them) queries and keys are rotated.
/// Returns `[batch, seq, heads · d_head]`, as narrow as `qkv` is.
pub fn self_attention(
    qkv: Tensor<3>,
    heads: Heads,
    rotary: Option<&(Tensor<3>, Tensor<3>)>,
    mask: &AttentionMask,
    scale: f64,
) -> Tensor<3> {
    if fused::applies_narrow(&qkv) {
        fused::self_attention(qkv, heads, rotary, mask, scale)
    } else {
        primitive::self_attention(qkv, heads, rotary, mask, scale)
    }
}

/// How many heads an attention has, and how large they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Numbers in a head.
    pub d_head: usize,
}

impl Heads {
    /// Queries `[batch, seq, heads, d_head]`, keys and values `[batch, seq, kv_heads, d_head]`, as views of
    /// `[batch, seq, (heads + 2 kv_heads) · d_head]`.
    pub fn split(self, qkv: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, seq, _] = qkv.dims();
        let all = qkv.reshape([batch, seq, self.heads + 2 * self.kv_heads, self.d_head]);
        [
            all.clone().narrow(2, 0, self.heads),
            all.clone().narrow(2, self.heads, self.kv_heads),
            all.narrow(2, self.heads + self.kv_heads, self.kv_heads),
        ]
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
    cross_entropy_and_draws(hidden, head, targets, soft_cap, &[]).0
}

/// As [`cross_entropy`], and from the same logits for each position an id that is as likely as they say: the first at which the
/// probabilities add up to more than the position's number of `uniform`, in [0, 1). No gradient goes through the ids.
///
/// # Panics
/// When there are numbers, but not `n`.
pub fn cross_entropy_and_draws(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    soft_cap: Option<f64>,
    uniform: &[f64],
) -> (Tensor<1>, Vec<u32>) {
    if fused::applies(&hidden) {
        fused::cross_entropy(hidden, head, targets, soft_cap, uniform)
    } else {
        primitive::cross_entropy(hidden, head, targets, soft_cap, uniform)
    }
}

/// What logits over a vocabulary are made of, as [`vocabulary_logits`] makes them.
#[derive(Debug, Clone)]
pub struct Scores {
    /// `[n, d_model]`
    pub hidden: Tensor<2>,
    /// `[vocab, d_model]`
    pub head: Tensor<2>,
    /// Logits are `cap · tanh(logits / cap)`.
    pub soft_cap: Option<f64>,
}

/// How far a student's distributions over the vocabulary are from its teacher's: `KL(teacher ‖ student)` of
/// `softmax(logits / temperature)`, in nats, summed over the positions; returns `[1]` [Hinton 2015].
///
/// Both have the same `n` and `vocab`, each its own `d_model`. The teacher may be without a graph, and gets no gradient.
pub fn distillation(student: Scores, teacher: Scores, temperature: f64) -> Tensor<1> {
    if fused::applies(&student.hidden) && fused::applies(&teacher.hidden) {
        fused::distillation(student, teacher, temperature)
    } else {
        primitive::distillation(student, teacher, temperature)
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
