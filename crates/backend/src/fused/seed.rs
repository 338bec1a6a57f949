//! A scalar whose gradient is chosen: where a backward pass begins with something else than ones.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::operation::{Operation, apply};
use super::tensor::{constant, from_vec};

/// A scalar whose gradient with respect to `y` is `gradient`.
pub(crate) fn seed_gradient<const D: usize>(y: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    let scalar: Tensor<D> = apply([y.into()], Seed(constant(gradient)));
    scalar.reshape([1])
}

#[derive(Debug, Clone)]
struct Seed(FlexTensor);

impl Operation<1> for Seed {
    type Saved = ();

    fn forward(&self, [y]: [FlexTensor; 1], _tracked: bool) -> (FlexTensor, ()) {
        let ones = vec![1; y.layout().shape().num_dims()];
        (from_vec(vec![0.0], ones.into()), ())
    }

    fn backward(self, (): (), _grad: FlexTensor, _wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.0)]
    }
}
