//! Numbers of tensors that outlive them, for inference without tensors.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::applies;
use super::tensor::{contiguous, slice};

/// Numbers of a tensor on the CPU, shared with it.
#[derive(Debug, Clone)]
pub struct Vector(FlexTensor);

impl Vector {
    /// The numbers of `x` in row-major order; `None` when it is not f32 on the CPU's device, or tracked for gradients.
    pub fn new<const D: usize>(x: Tensor<D>) -> Option<Self> {
        primitive(x).map(contiguous).map(Self)
    }

    /// The numbers.
    pub fn values(&self) -> &[f32] {
        slice(&self.0)
    }
}

/// The numbers of a matrix where they lie, and whether that is column after column.
pub(crate) fn either_way(x: Tensor<2>) -> Option<(bool, Vector)> {
    let [rows, cols] = x.dims();
    let x = primitive(x)?;
    if !x.is_contiguous() && rows > 1 && cols > 1 {
        let transposed = x.clone().transpose(0, 1);
        if transposed.is_contiguous() {
            return Some((true, Vector(transposed)));
        }
    }
    Some((false, Vector(contiguous(x))))
}

fn primitive<const D: usize>(x: Tensor<D>) -> Option<FlexTensor> {
    let untracked = applies(&x) && !x.device().is_autodiff();
    untracked.then(|| x.try_into_primitive::<Flex>().expect("just checked to be on flex"))
}
