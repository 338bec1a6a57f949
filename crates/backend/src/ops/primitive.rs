//! The operations of [`ops`](super), composed of burn's: for every device and type, and what the fused ones are tested
//! against.

use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::{
    Activation, AdamwStep, AdamwTensors, AttentionMask, Before, Heads, LstmStates, Map, Norm, NormKind,
    Scores, vocabulary_logits,
};
use crate::draw::draw;

/// [`project`](super::project)
pub(crate) fn project<const D: usize>(
    x: Tensor<D>,
    before: Before,
    maps: Vec<Map>,
    residual: Option<Tensor<D>>,
) -> Tensor<D> {
    let h = match before {
        Before::Nothing => x,
        Before::Norm(parameters) => norm(x, parameters),
        Before::Activation(activation) => activate(x, activation),
    };
    let outputs: Vec<Tensor<D>> =
        maps.into_iter().map(|map| burn::tensor::module::linear(h.clone(), map.weight, map.bias)).collect();
    let y = Tensor::cat(outputs, D - 1);
    match residual {
        Some(residual) => residual + y,
        None => y,
    }
}

/// [`norm`](super::norm)
pub(crate) fn norm<const D: usize>(x: Tensor<D>, norm: Norm) -> Tensor<D> {
    let centred = match norm.kind {
        NormKind::Rms => x,
        NormKind::Layer => x.clone() - x.mean_dim(D - 1),
    };
    let mean_square = centred.clone().square().mean_dim(D - 1);
    let y = centred * (mean_square + norm.eps).sqrt().recip() * norm.gain.unsqueeze();
    match norm.bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}

/// Applies an [`Activation`]: `[…, d]` to `[…, d]`, with a gate `[…, 2 d]` to `[…, d]`.
pub(crate) fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Gelu => burn::tensor::activation::gelu(x),
        Activation::GeluTanh => {
            let inner =
                (x.clone() * x.clone().square() * 0.044715 + x.clone()) * (2.0 / std::f64::consts::PI).sqrt();
            // ½(1 + tanh z) = sigmoid(2z)
            x * sigmoid(inner * 2.0)
        }
        Activation::Relu => burn::tensor::activation::relu(x),
        Activation::Relu2 => burn::tensor::activation::relu(x).square(),
        Activation::Swiglu | Activation::Geglu => {
            let width = x.dims()[D - 1] / 2;
            let (gate, up) = (x.clone().narrow(D - 1, 0, width), x.narrow(D - 1, width, width));
            let gate = match activation {
                Activation::Geglu => activate(gate, Activation::GeluTanh),
                _ => gate.clone() * sigmoid(gate),
            };
            gate * up
        }
    }
}

/// [`lstm_from`](super::lstm_from), from what the inputs add to the gates, `[batch, seq, 4 · cell]`; from zeros without a state.
pub(crate) fn lstm(
    gates: Tensor<3>,
    recurrent: Tensor<2>,
    projection: Tensor<2>,
    clip: f32,
    state: Option<(Tensor<2>, Tensor<2>)>,
) -> LstmStates {
    let ([batch, seq, wide], [cell, width]) = (gates.dims(), projection.dims());
    let clipped = |x: Tensor<2>| if clip.is_finite() { x.clamp(-clip, clip) } else { x };
    let mut state = state;
    let (mut outputs, mut cells) = (Vec::with_capacity(seq), Vec::with_capacity(seq));
    for t in 0..seq {
        let mut z = gates.clone().narrow(1, t, 1).reshape([batch, wide]);
        if let Some((output, _)) = &state {
            z = z + output.clone().matmul(recurrent.clone());
        }
        let gate = |index: usize| z.clone().narrow(1, index * cell, cell);
        let mut c = sigmoid(gate(0)) * gate(1).tanh();
        if let Some((_, before)) = state.take() {
            c = sigmoid(gate(2)) * before + c;
        }
        let c = clipped(c);
        let h = clipped((sigmoid(gate(3)) * c.clone().tanh()).matmul(projection.clone()));
        outputs.push(h.clone().reshape([batch, 1, width]));
        cells.push(c.clone().reshape([batch, 1, cell]));
        state = Some((h, c));
    }
    LstmStates { outputs: Tensor::cat(outputs, 1), cells: Tensor::cat(cells, 1) }
}

/// [`rope`](super::rope)
pub(crate) fn rope(x: Tensor<4>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<4> {
    let half = x.dims()[3] / 2;
    // [batch or 1, seq, 1, d_head/2]
    let (cos, sin) = (cos.unsqueeze_dim::<4>(2), sin.unsqueeze_dim::<4>(2));
    let (x1, x2) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    Tensor::cat(vec![x1.clone() * cos.clone() - x2.clone() * sin.clone(), x2 * cos + x1 * sin], 3)
}

/// [`attention`](super::attention)
pub(crate) fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: &AttentionMask,
    bias: Option<Tensor<4>>,
    scale: f64,
) -> Tensor<4> {
    let [batch, s, heads, d_head] = q.dims();
    let [_, t, kv_heads, _] = k.dims();
    let (k, v) = (repeat_heads(k, heads / kv_heads), repeat_heads(v, heads / kv_heads));
    // [batch, heads, seq, d_head]
    let (q, k, v) = (q.swap_dims(1, 2), k.swap_dims(1, 2), v.swap_dims(1, 2));
    let scores = q.matmul(k.transpose()) * scale;
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    let hidden_mask = match mask {
        AttentionMask::Full => None,
        // One query sees all keys that are there: nothing to hide.
        AttentionMask::Causal if s == 1 => None,
        AttentionMask::Causal => Some(hidden_future(s, t, &scores.device())),
        AttentionMask::Documents(starts) => {
            let hidden = |example: usize, i: usize, j: usize| j > i || j < starts[example][i];
            Some(hidden_where([batch, s, t], hidden, &scores.device()))
        }
        AttentionMask::Prefix(lengths) => {
            let hidden = |example: usize, i: usize, j: usize| j > i && j >= lengths[example];
            Some(hidden_where([batch, s, t], hidden, &scores.device()))
        }
        AttentionMask::Hidden(hidden) => Some(hidden.clone().unsqueeze_dim::<4>(1)),
    };
    // Not minus infinity: a query that sees nothing would become NaN.
    let scores = match hidden_mask {
        Some(hidden_mask) => scores.mask_fill(hidden_mask.expand([batch, heads, s, t]), -1e30),
        None => scores,
    };
    softmax(scores, 3).matmul(v).swap_dims(1, 2).reshape([batch, s, heads, d_head])
}

/// [`self_attention`](super::self_attention)
pub(crate) fn self_attention(
    qkv: Tensor<3>,
    heads: Heads,
    rotary: Option<&(Tensor<3>, Tensor<3>)>,
    mask: &AttentionMask,
    scale: f64,
) -> Tensor<3> {
    let [batch, seq, _] = qkv.dims();
    let [mut q, mut k, v] = heads.split(qkv);
    if let Some((cos, sin)) = rotary {
        (q, k) = (rope(q, cos.clone(), sin.clone()), rope(k, cos.clone(), sin.clone()));
    }
    attention(q, k, v, mask, None, scale).reshape([batch, seq, heads.heads * heads.d_head])
}

/// `[batch, 1, s, t]`, true where `hidden(example, position of the query, key)`; queries are the last positions.
fn hidden_where(
    [batch, s, t]: [usize; 3],
    hidden: impl Fn(usize, usize, usize) -> bool,
    device: &Device,
) -> Tensor<4, Bool> {
    let mut values = Vec::with_capacity(batch * s * t);
    for example in 0..batch {
        for query in t - s..t {
            values.extend((0..t).map(|key| hidden(example, query, key)));
        }
    }
    Tensor::from_data(TensorData::new(values, [batch, 1, s, t]), device)
}

/// `[1, 1, s, t]`, true where key `j` lies in the future of query `i`.
fn hidden_future(s: usize, t: usize, device: &Device) -> Tensor<4, Bool> {
    Tensor::<2, Bool>::tril_mask([s, t], (t - s) as i64, device).unsqueeze::<4>()
}

/// `[batch, t, kv_heads, d_head]` with each head repeated `times` times in a row.
fn repeat_heads(x: Tensor<4>, times: usize) -> Tensor<4> {
    if times == 1 {
        return x;
    }
    let [batch, t, kv_heads, d_head] = x.dims();
    x.unsqueeze_dim::<5>(3).repeat_dim(3, times).reshape([batch, t, kv_heads * times, d_head])
}

/// [`cross_entropy_and_draws`](super::cross_entropy_and_draws)
pub(crate) fn cross_entropy(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    soft_cap: Option<f64>,
    uniform: &[f64],
) -> (Tensor<1>, Vec<u32>) {
    let logits = vocabulary_logits(hidden, head, soft_cap);
    let [n, vocab] = logits.dims();
    let log_probs = log_softmax(logits, 1);
    let mut drawn = Vec::with_capacity(uniform.len());
    if !uniform.is_empty() {
        assert_eq!(uniform.len(), n, "a number for each position");
        let weights = log_probs.clone().exp().into_data().convert::<f32>();
        let weights = weights.try_into_vec::<f32>().expect("converted to f32 just now");
        drawn.extend(weights.chunks(vocab).zip(uniform).map(|(weights, &uniform)| draw(weights, uniform)));
    }
    let nats = log_probs.gather(1, targets.unsqueeze_dim::<2>(1)).squeeze_dim::<1>(1).neg();
    (nats, drawn)
}

/// [`distillation`](super::distillation)
pub(crate) fn distillation(student: Scores, teacher: Scores, temperature: f64) -> Tensor<1> {
    let log_probs = |Scores { hidden, head, soft_cap }| {
        log_softmax(vocabulary_logits(hidden, head, soft_cap) / temperature, 1)
    };
    let constant = |x: Tensor<2>| if x.device().is_autodiff() { x.inner() } else { x };
    let Scores { hidden, head, soft_cap } = teacher;
    let teacher = log_probs(Scores { hidden: constant(hidden), head: constant(head), soft_cap });
    let teacher = if student.hidden.device().is_autodiff() { Tensor::from_inner(teacher) } else { teacher };
    // Row by row first: one running sum of so many numbers would lose the last digits of an f32.
    (teacher.clone().exp() * (teacher - log_probs(student))).sum_dim(1).sum()
}

/// [`sum_of_squares`](super::sum_of_squares)
pub(crate) fn sum_of_squares(x: Tensor<1>) -> f64 {
    // Flex sums more than 4 Mi numbers in no fixed order: sum rows first, then rows of rows.
    const ROW: usize = 1 << 16;
    let numbers = x.dims()[0];
    let squares = x.square();
    let whole = numbers / ROW;
    let mut sum = 0.0;
    if whole > 0 {
        let rows = squares.clone().narrow(0, 0, whole * ROW).reshape([whole, ROW]).sum_dim(1);
        let rows = rows.into_data().convert::<f32>();
        sum += rows.iter::<f32>().map(f64::from).sum::<f64>();
    }
    if whole * ROW < numbers {
        sum += f64::from(squares.narrow(0, whole * ROW, numbers - whole * ROW).sum().into_scalar::<f32>());
    }
    sum
}

/// One update of [`adamw`](super::adamw).
pub(crate) fn adamw(tensors: AdamwTensors, step: &AdamwStep) -> AdamwTensors {
    let AdamwTensors { value, gradient, m, v } = tensors;
    let scaled = gradient.clone() * step.gradient_scale;
    let m = m * step.beta1 + scaled.clone() * (1.0 - step.beta1);
    let v = v * step.beta2 + scaled.square() * (1.0 - step.beta2);
    let denominator = (v.clone() / step.correction2).sqrt() + step.eps;
    let value =
        value * (1.0 - step.lr * step.weight_decay) - m.clone() / denominator * (step.lr / step.correction1);
    AdamwTensors { value, gradient, m, v }
}

/// A scalar whose gradient with respect to `y` is `gradient`.
pub(crate) fn seed_gradient<const D: usize>(y: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    (y * gradient).sum()
}
