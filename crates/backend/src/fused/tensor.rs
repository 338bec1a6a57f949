//! Tensors of the flex backend as slices and back.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Bool, DType, Shape, Tensor, TensorData, bf16};

use super::kernels::attention::Heads;
use super::kernels::gemm::View;
use super::kernels::number::{Buffer, Number, Numbers};
use super::kernels::rope::HeadLayout;

/// The tensor with its numbers one after another: itself, or a copy.
pub(super) fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() { x } else { x.to_contiguous() }
}

/// The numbers of a [`contiguous`] tensor of f32.
pub(super) fn slice(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("made contiguous before, and f32 is checked where fused operations are chosen")
}

/// The numbers of a [`contiguous`] tensor of either type.
pub(super) fn numbers(x: &FlexTensor) -> Numbers<'_> {
    match x.dtype() {
        DType::BF16 => Numbers::Bf16(x.as_slice::<bf16>().expect("made contiguous before")),
        _ => Numbers::F32(slice(x)),
    }
}

/// The numbers themselves, without copying them if nothing else holds the tensor.
pub(super) fn into_vec<T: Number>(x: FlexTensor) -> Vec<T> {
    x.into_data().try_into_vec().expect("the type is checked where fused operations are chosen")
}

/// A tensor of these numbers, without copying them.
pub(super) fn from_vec<T: Number>(values: Vec<T>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A tensor of these numbers, without copying them.
pub(super) fn from_buffer(values: Buffer, shape: Shape) -> FlexTensor {
    match values {
        Buffer::F32(values) => from_vec(values, shape),
        Buffer::Bf16(values) => from_vec(values, shape),
    }
}

/// The shape of a tensor.
pub(super) fn shape(x: &FlexTensor) -> Shape {
    x.layout().shape().clone()
}

/// The shape of a tensor of `N` dimensions.
pub(super) fn dims<const N: usize>(x: &FlexTensor) -> [usize; N] {
    std::array::from_fn(|i| x.layout().shape()[i])
}

/// The strides from `x` if they all go forward.
fn strides<const N: usize>(x: &FlexTensor) -> Option<[usize; N]> {
    let mut strides = [0; N];
    for (to, &from) in strides.iter_mut().zip(x.layout().strides()) {
        *to = usize::try_from(from).ok()?;
    }
    Some(strides)
}

/// A tensor that [`matrix`] can read: itself, unless something runs backwards.
pub(super) fn readable_matrix(x: FlexTensor) -> FlexTensor {
    match strides::<2>(&x) {
        // A broadcast dimension is left to the copy, so that the product meets ordinary strides only.
        Some([row, col]) if row > 0 && col > 0 => x,
        _ => x.to_contiguous(),
    }
}

/// A two-dimensional tensor as a matrix, wherever its numbers lie.
pub(super) fn matrix(x: &FlexTensor) -> View<'_> {
    let [row_stride, col_stride] = strides(x).expect("made readable before");
    View::strided(&x.storage::<f32>()[x.layout().start_offset()..], row_stride, col_stride)
}

/// A tensor that [`heads`] can read: itself, unless the numbers of a head are apart.
pub(super) fn readable_heads(x: FlexTensor) -> FlexTensor {
    match strides::<4>(&x) {
        Some([.., 1]) => x,
        _ => x.to_contiguous(),
    }
}

/// A `[batch, seq, heads, d_head]` tensor as heads, wherever they lie.
pub(super) fn heads(x: &FlexTensor) -> Heads<'_> {
    let [batch, seq, head, _] = strides(x).expect("made readable before");
    let layout = HeadLayout { shape: dims(x), strides: [batch, seq, head] };
    Heads { values: Numbers::F32(&x.storage()[x.layout().start_offset()..]), layout }
}

/// A tensor of which no gradient is taken, outside of any graph.
pub(super) fn constant<const D: usize>(x: Tensor<D>) -> FlexTensor {
    let x = if x.device().is_autodiff() { x.inner() } else { x };
    contiguous(x.try_into_primitive::<Flex>().expect("fused operations are chosen for tensors on flex"))
}

/// The bytes of a mask, one each, outside of any graph.
pub(super) fn mask<const D: usize>(x: Tensor<D, Bool>) -> FlexTensor {
    let x = if x.device().is_autodiff() { x.inner() } else { x };
    contiguous(x.try_into_primitive::<Flex>().expect("fused operations are chosen for tensors on flex"))
}
