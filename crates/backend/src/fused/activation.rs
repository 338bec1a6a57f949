//! Activations: one pass forward, one backward in place of the gradient. The input is kept, nothing else.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::activation::{self as kernel, Activation};
use super::operation::{Operation, apply_1, apply_2};
use super::tensor::{contiguous, from_vec, into_vec, shape, slice};

/// Applies an activation elementwise.
pub(crate) fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    apply_1(x, activation)
}

impl Operation<1> for Activation {
    type Saved = FlexTensor;

    fn forward(&self, [x]: [FlexTensor; 1]) -> (FlexTensor, FlexTensor) {
        let x = contiguous(x);
        (from_vec(kernel::forward(*self, slice(&x)), shape(&x)), x)
    }

    fn backward(self, x: FlexTensor, grad: FlexTensor, _wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let mut grad = into_vec(grad);
        kernel::backward(self, slice(&x), &mut grad);
        [Some(from_vec(grad, shape(&x)))]
    }
}

/// `silu(gate) · up`, elementwise; both have the same shape.
pub(crate) fn swiglu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    apply_2(gate, up, Swiglu)
}

#[derive(Debug, Clone)]
struct Swiglu;

impl Operation<2> for Swiglu {
    type Saved = [FlexTensor; 2];

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let [gate, up] = inputs.map(contiguous);
        let y = kernel::swiglu(slice(&gate), slice(&up));
        (from_vec(y, shape(&gate)), [gate, up])
    }

    fn backward(
        self,
        [gate, up]: Self::Saved,
        grad: FlexTensor,
        wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let mut d_up = into_vec(grad);
        let d_gate = kernel::swiglu_backward(slice(&gate), slice(&up), &mut d_up);
        let gradients = [d_gate, d_up].map(|grad| from_vec(grad, shape(&gate)));
        let mut wanted = wanted.into_iter();
        gradients.map(|grad| wanted.next().unwrap_or_default().then_some(grad))
    }
}
