//! Operations of [`ops`](crate::ops) as single steps on the CPU (burn's flex backend, f32), each with its own gradient.
//!
//! Composed of burn's primitives, an operation reads and writes memory once for each of them and keeps every
//! intermediate for the backward pass. Here it is one pass over the data that keeps what its gradient needs.
//!
//! - `kernels` computes on slices and knows no tensors.
//! - `operation` attaches an operation to burn's graph of gradients.
//! - The other files say what each operation takes, keeps and returns.
//!
//! What is not f32 on flex goes through the primitives; [`applies`] decides.

#[macro_use]
pub(crate) mod kernels;

mod attention;
pub(crate) mod checkpoint;
mod cross_entropy;
mod distillation;
mod lstm;
mod norm;
mod operation;
mod optimizer;
mod projection;
mod rope;
mod seed;
mod tensor;
#[cfg(test)]
mod tests;
pub(crate) mod weights;

pub(crate) use attention::{attention, self_attention};
pub(crate) use checkpoint::checkpoint;
pub(crate) use cross_entropy::cross_entropy;
pub(crate) use distillation::distillation;
pub(crate) use kernels::gemm::has_bf16;
pub(crate) use lstm::lstm;
pub(crate) use norm::norm;
pub(crate) use optimizer::{adamw, add, sums_of_squares};
pub(crate) use projection::{Output, project};
pub(crate) use rope::rope;
pub(crate) use seed::seed_gradient;

use burn::tensor::{DType, Tensor};

/// Whether the fused kernels can take `x`, which is f32. The other operands of an operation are where and what its first one is, or
/// the primitives would refuse them as well.
pub(crate) fn applies<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && crate::device::is_flex(&x.device())
}

/// Whether [`self_attention`] can take `x`, which is f32 or what [`ops::project_narrow`](crate::ops::project_narrow) put
/// out.
pub(crate) fn applies_narrow<const D: usize>(x: &Tensor<D>) -> bool {
    matches!(x.dtype(), DType::F32 | DType::BF16) && crate::device::is_flex(&x.device())
}

/// Whether [`project`] can take `x`: as [`applies_narrow`], but weights are f32 always.
pub(crate) fn projects<const D: usize>(x: &Tensor<D>, maps: &[crate::ops::Map]) -> bool {
    applies_narrow(x) && maps.iter().all(|map| map.weight.dtype() == DType::F32)
}
