//! Rotary position embedding. Nothing but the angles is kept: the gradient is rotated back.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::number::Number;
use super::kernels::rope::{HeadLayout, rotate};
use super::operation::{Operation, apply};
use super::tensor::{constant, dims, from_vec, into_vec, shape, slice};

/// `x` is `[batch, seq, heads, d_head]`; `cos` and `sin`, which get no gradient, `[batch or 1, seq, d_head / 2]`.
pub(crate) fn rope(x: Tensor<4>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<4> {
    apply([x.into()], Rope { cos: constant(cos), sin: constant(sin) })
}

/// The angles of a rotation.
#[derive(Debug, Clone)]
pub(super) struct Rope {
    pub(super) cos: FlexTensor,
    pub(super) sin: FlexTensor,
}

impl Rope {
    /// Rotates heads where they lie, there or back.
    pub(super) fn rotate<T: Number>(&self, x: &mut [T], layout: HeadLayout, back: bool) {
        rotate(x, layout, slice(&self.cos), slice(&self.sin), back);
    }

    fn rotated(&self, x: FlexTensor, back: bool) -> FlexTensor {
        let (shape, layout) = (shape(&x), HeadLayout::contiguous(dims(&x)));
        let mut values = into_vec::<f32>(x);
        self.rotate(&mut values, layout, back);
        from_vec(values, shape)
    }
}

impl Operation<1> for Rope {
    type Saved = ();

    fn forward(&self, [x]: [FlexTensor; 1], _tracked: bool) -> (FlexTensor, ()) {
        (self.rotated(x, false), ())
    }

    fn backward(self, (): (), grad: FlexTensor, _wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.rotated(grad, true))]
    }
}
