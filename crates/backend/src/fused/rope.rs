//! Rotary position embedding. Nothing but the angles is kept: the gradient is rotated back.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::rope::rotate;
use super::operation::{Operation, apply_1};
use super::tensor::{constant, from_vec, heads, readable_heads, shape, slice};

/// `x` is `[batch, seq, heads, d_head]`; `cos` and `sin`, which get no gradient, `[batch or 1, seq, d_head / 2]`.
pub(crate) fn rope(x: Tensor<4>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<4> {
    apply_1(x, Rope { cos: constant(cos), sin: constant(sin) })
}

#[derive(Debug, Clone)]
struct Rope {
    cos: FlexTensor,
    sin: FlexTensor,
}

impl Rope {
    fn rotate(&self, x: &FlexTensor, back: bool) -> FlexTensor {
        let heads = heads(x);
        let y = rotate(heads.values, heads.layout, slice(&self.cos), slice(&self.sin), back);
        from_vec(y, shape(x))
    }
}

impl Operation<1> for Rope {
    type Saved = ();

    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, ()) {
        (self.rotate(&readable_heads(x), false), ())
    }

    fn backward(self, (): (), grad: FlexTensor, _wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.rotate(&readable_heads(grad), true))]
    }
}
