//! Attention. Kept are its operands, its output and two numbers a row; the scores are computed again.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::attention::{self as kernel, Mask, Statistics};
use super::operation::{Operation, apply_3};
use super::tensor::{contiguous, from_vec, heads, mask as mask_bytes, readable_heads, shape, slice};
use crate::ops::AttentionMask;

/// `q` is `[batch, s, heads, d_head]`, `k` and `v` `[batch, t, kv_heads, d_head]`; returns `[batch, s, heads, d_head]`.
pub(crate) fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: &AttentionMask,
    scale: f64,
) -> Tensor<4> {
    let pattern = match mask {
        AttentionMask::Full => Pattern::Full,
        AttentionMask::Causal => Pattern::Causal,
        AttentionMask::Hidden(hidden) => Pattern::Hidden(mask_bytes(hidden.clone())),
    };
    apply_3(q, k, v, Attention { pattern, scale: scale as f32 })
}

/// An [`AttentionMask`] outside of any graph.
#[derive(Debug, Clone)]
enum Pattern {
    Full,
    Causal,
    Hidden(FlexTensor),
}

impl Pattern {
    fn mask(&self) -> Mask<'_> {
        match self {
            Pattern::Full => Mask::Full,
            Pattern::Causal => Mask::Causal,
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
}

#[derive(Debug, Clone)]
struct Saved {
    inputs: [FlexTensor; 3],
    out: FlexTensor,
    statistics: Statistics,
}

impl Operation<3> for Attention {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, Saved) {
        let inputs = inputs.map(readable_heads);
        let [q, k, v] = inputs.each_ref().map(heads);
        let (out, statistics) = kernel::forward(q, k, v, self.pattern.mask(), self.scale);
        let out = from_vec(out, shape(&inputs[0]));
        (out.clone(), Saved { inputs, out, statistics })
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Saved { inputs, out, statistics } = &saved;
        let [q, k, v] = inputs.each_ref().map(heads);
        let (mask, grad) = (self.pattern.mask(), contiguous(grad));
        let forward = kernel::Saved { q, k, v, mask, scale: self.scale, out: slice(out), statistics };
        let gradients = kernel::backward(&forward, slice(&grad));
        let mut inputs = inputs.iter().zip(wanted);
        gradients.map(|gradient| {
            let (input, wanted) = inputs.next().expect("three gradients for three inputs");
            wanted.then(|| from_vec(gradient, shape(input)))
        })
    }
}
