//! Attention. Kept are its operands, its output and two numbers a row; the scores are computed again.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor, bf16};

use super::kernels::attention::{self as kernel, Bias, Gradients, Mask, Problem, Statistics};
use super::kernels::memory::{Shared, written};
use super::kernels::number::{Number, Numbers};
use super::kernels::rope::HeadLayout;
use super::operation::{Operation, apply};
use super::rope::Rope;
use super::tensor::{
    constant, contiguous, dims, from_vec, heads, into_vec, mask as mask_bytes, numbers, readable_heads,
    shape, slice,
};
use crate::ops::{self, AttentionMask};
use crate::precision::{self, Precision};

/// `q` is `[batch, s, heads, d_head]`, `k` and `v` `[batch, t, kv_heads, d_head]`, `bias` `[batch or 1, heads or 1, s, t]`;
/// returns `[batch, s, heads, d_head]`.
pub(crate) fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: &AttentionMask,
    bias: Option<Tensor<4>>,
    scale: f64,
) -> Tensor<4> {
    let attention = Attention::new(mask, scale);
    let inputs = [q.into(), k.into(), v.into()];
    match bias {
        None => apply(inputs, attention),
        Some(bias) => {
            let [q, k, v] = inputs;
            apply([q, k, v, bias.into()], attention)
        }
    }
}

/// `qkv` is `[batch, seq, (heads + 2 kv_heads) · d_head]`, f32 or bf16; returns `[batch, seq, heads · d_head]`.
pub(crate) fn self_attention(
    qkv: Tensor<3>,
    heads: ops::Heads,
    rotary: Option<&(Tensor<3>, Tensor<3>)>,
    mask: &AttentionMask,
    scale: f64,
) -> Tensor<3> {
    let rope = rotary.map(|(cos, sin)| Rope { cos: constant(cos.clone()), sin: constant(sin.clone()) });
    apply([qkv.into()], SelfAttention { attention: Attention::new(mask, scale), heads, rope })
}

/// An [`AttentionMask`] outside of any graph.
#[derive(Debug, Clone)]
enum Pattern {
    Full,
    Causal,
    Documents(Arc<[Vec<usize>]>),
    Prefix(Arc<[usize]>),
    Hidden(FlexTensor),
}

impl Pattern {
    fn mask(&self) -> Mask<'_> {
        match self {
            Pattern::Full => Mask::Full,
            Pattern::Causal => Mask::Causal,
            Pattern::Documents(starts) => Mask::Documents(starts),
            Pattern::Prefix(lengths) => Mask::Prefix(lengths),
            Pattern::Hidden(hidden) => {
                let (start, end) = hidden.layout().contiguous_offsets().expect("made contiguous before");
                Mask::Hidden(&hidden.bytes()[start..end])
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Attention {
    pattern: Pattern,
    scale: f32,
    precision: Precision,
}

impl Attention {
    fn new(mask: &AttentionMask, scale: f64) -> Self {
        let pattern = match mask {
            AttentionMask::Full => Pattern::Full,
            AttentionMask::Causal => Pattern::Causal,
            AttentionMask::Documents(starts) => Pattern::Documents(starts.clone()),
            AttentionMask::Prefix(lengths) => Pattern::Prefix(lengths.clone()),
            AttentionMask::Hidden(hidden) => Pattern::Hidden(mask_bytes(hidden.clone())),
        };
        Self { pattern, scale: scale as f32, precision: precision::current() }
    }

    fn problem<'a>(&'a self, [q, k, v]: [kernel::Heads<'a>; 3], bias: Option<&'a FlexTensor>) -> Problem<'a> {
        let bias = bias.map(|bias| {
            let [batch, heads, ..] = dims::<4>(bias);
            Bias { values: slice(bias), batch, heads }
        });
        Problem { q, k, v, mask: self.pattern.mask(), bias, scale: self.scale, precision: self.precision }
    }
}

#[derive(Debug, Clone)]
struct Saved {
    /// Queries, keys, values and perhaps the bias; or all of the former in one.
    inputs: Vec<FlexTensor>,
    out: FlexTensor,
    statistics: Statistics,
}

/// Inputs: queries, keys, values and perhaps a bias.
impl<const N: usize> Operation<N> for Attention {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; N], _tracked: bool) -> (FlexTensor, Saved) {
        let inputs: Vec<FlexTensor> = inputs
            .into_iter()
            .enumerate()
            .map(|(i, input)| if i < 3 { readable_heads(input) } else { contiguous(input) })
            .collect();
        let problem = self.problem([0, 1, 2].map(|i| heads(&inputs[i])), inputs.get(3));
        let (out, statistics) = kernel::forward::<f32>(&problem);
        let out = from_vec(out, shape(&inputs[0]));
        (out.clone(), Saved { inputs, out, statistics })
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N] {
        let Saved { inputs, out, statistics } = &saved;
        let problem = self.problem([0, 1, 2].map(|i| heads(&inputs[i])), inputs.get(3));
        let grad = contiguous(grad);
        let lens: Vec<usize> = inputs.iter().map(|input| shape(input).num_elements()).collect();
        let mut d_bias = wanted.get(3).is_some_and(|&wanted| wanted).then(|| vec![0.0; lens[3]]);
        let [q_layout, k_layout] = [0, 1].map(|i| HeadLayout::contiguous(dims(&inputs[i])));
        let (mut d_k, mut d_v) = (Vec::new(), Vec::new());
        #[allow(unsafe_code, reason = "the gradients are not cleared before they are written")]
        // SAFETY: three buffers of the shapes of queries, keys and values, all written in full, and a cleared one of that
        // of the bias.
        let d_q = unsafe {
            written(lens[0], |d_q| {
                d_k = written(lens[1], |d_k| {
                    d_v = written(lens[2], |d_v| {
                        let gradients = Gradients {
                            q: (Shared::new(d_q), q_layout),
                            k: (Shared::new(d_k), k_layout),
                            v: (Shared::new(d_v), k_layout),
                            bias: d_bias.as_deref_mut().map(Shared::of),
                        };
                        kernel::backward(&problem, statistics, slice(out), slice(&grad), gradients);
                    });
                });
            })
        };
        let mut gradients = [Some(d_q), Some(d_k), Some(d_v), d_bias].into_iter().zip(inputs);
        wanted.map(|wanted| {
            let (gradient, input) = gradients.next()?;
            gradient.filter(|_| wanted).map(|gradient| from_vec(gradient, shape(input)))
        })
    }
}

/// Queries, keys and values in one tensor, rotated in place.
#[derive(Debug, Clone)]
struct SelfAttention {
    attention: Attention,
    heads: ops::Heads,
    rope: Option<Rope>,
}

impl SelfAttention {
    /// Where the `count` heads from `first` on lie, of `heads + 2 kv_heads`.
    fn layout(&self, [batch, seq]: [usize; 2], first: usize, count: usize) -> (usize, HeadLayout) {
        let ops::Heads { heads, kv_heads, d_head } = self.heads;
        let row = (heads + 2 * kv_heads) * d_head;
        (first * d_head, HeadLayout { shape: [batch, seq, count, d_head], strides: [seq * row, row, d_head] })
    }

    /// The layouts of queries, keys and values.
    fn layouts(&self, size: [usize; 2]) -> [(usize, HeadLayout); 3] {
        let ops::Heads { heads, kv_heads, .. } = self.heads;
        [
            self.layout(size, 0, heads),
            self.layout(size, heads, kv_heads),
            self.layout(size, heads + kv_heads, kv_heads),
        ]
    }

    fn problem<'a>(&'a self, qkv: &'a FlexTensor) -> Problem<'a> {
        let [batch, seq, _] = dims(qkv);
        let heads = self
            .layouts([batch, seq])
            .map(|(start, layout)| kernel::Heads { values: numbers(qkv).from(start), layout });
        self.attention.problem(heads, None)
    }

    /// Rotates queries and keys, there or back.
    fn rotate<T: Number>(&self, qkv: &mut [T], size: [usize; 2], back: bool) {
        if let Some(rope) = &self.rope {
            let (_, layout) = self.layout(size, 0, self.heads.heads + self.heads.kv_heads);
            rope.rotate(qkv, layout, back);
        }
    }

    fn forward_of<T: Number>(&self, qkv: FlexTensor) -> (FlexTensor, Saved) {
        let [batch, seq, _] = dims(&qkv);
        let qkv = if self.rope.is_some() {
            let qkv_shape = shape(&qkv);
            let mut values = into_vec::<T>(qkv);
            self.rotate(&mut values, [batch, seq], false);
            from_vec(values, qkv_shape)
        } else {
            contiguous(qkv)
        };
        let (out, statistics) = kernel::forward::<T>(&self.problem(&qkv));
        let out = from_vec(out, [batch, seq, self.heads.heads * self.heads.d_head].into());
        (out.clone(), Saved { inputs: vec![qkv], out, statistics })
    }

    /// The gradient of queries, keys and values from `out` and its gradient.
    fn gradient<T: Number>(
        &self,
        qkv: &FlexTensor,
        out: &[T],
        grad: &[T],
        statistics: &Statistics,
    ) -> FlexTensor {
        let [batch, seq, width] = dims(qkv);
        #[allow(unsafe_code, reason = "the gradient is not cleared before it is written")]
        // SAFETY: queries, keys and values are all of the buffer, and all of them are written.
        let mut d_qkv = unsafe {
            written(batch * seq * width, |d_qkv| {
                let d_qkv = Shared::<T>::new(d_qkv);
                let [q, k, v] = self.layouts([batch, seq]).map(|(start, layout)| (d_qkv.from(start), layout));
                let gradients = Gradients { q, k, v, bias: None };
                kernel::backward(&self.problem(qkv), statistics, out, grad, gradients);
            })
        };
        self.rotate(&mut d_qkv, [batch, seq], true);
        from_vec(d_qkv, shape(qkv))
    }
}

/// The output and all gradients have the type of the input.
impl Operation<1> for SelfAttention {
    type Saved = Saved;

    fn forward(&self, [qkv]: [FlexTensor; 1], _tracked: bool) -> (FlexTensor, Saved) {
        let [_, _, width] = dims(&qkv);
        let ops::Heads { heads, kv_heads, d_head } = self.heads;
        assert_eq!(width, (heads + 2 * kv_heads) * d_head, "queries, keys and values side by side");
        match qkv.dtype() {
            DType::BF16 => self.forward_of::<bf16>(qkv),
            _ => self.forward_of::<f32>(qkv),
        }
    }

    fn backward(self, saved: Saved, grad: FlexTensor, _wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let Saved { inputs, out, statistics } = &saved;
        let grad = contiguous(grad);
        let gradient = match (numbers(out), numbers(&grad)) {
            (Numbers::F32(out), Numbers::F32(grad)) => self.gradient(&inputs[0], out, grad, statistics),
            (Numbers::Bf16(out), Numbers::Bf16(grad)) => self.gradient(&inputs[0], out, grad, statistics),
            _ => unreachable!("a gradient has the type of what it is the gradient of"),
        };
        [Some(gradient)]
    }
}
