//! How a fused operation becomes a node in burn's graph of gradients.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// An operation on `N` tensors that can be differentiated by. What cannot (masks, targets, angles) it holds itself.
pub(super) trait Operation<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs.
    type Saved: Clone + Debug + Send + 'static;

    /// Computes the output.
    fn forward(&self, inputs: [FlexTensor; N]) -> (FlexTensor, Self::Saved);

    /// Computes the gradients of the inputs, those that are `wanted`, from that of the output.
    fn backward(self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn fused_1<O: Operation<1>>(a: FloatTensor<Self>, operation: O) -> FloatTensor<Self>;
    fn fused_2<O: Operation<2>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self>;
    fn fused_3<O: Operation<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn fused_1<O: Operation<1>>(a: FloatTensor<Self>, operation: O) -> FloatTensor<Self> {
        operation.forward([a]).0
    }

    fn fused_2<O: Operation<2>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        operation.forward([a, b]).0
    }

    fn fused_3<O: Operation<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        operation.forward([a, b, c]).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn fused_1<O: Operation<1>>(a: FloatTensor<Self>, operation: O) -> FloatTensor<Self> {
        record::<C, O, 1>([a], operation)
    }

    fn fused_2<O: Operation<2>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        record::<C, O, 2>([a, b], operation)
    }

    fn fused_3<O: Operation<3>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: O,
    ) -> FloatTensor<Self> {
        record::<C, O, 3>([a, b, c], operation)
    }
}

/// The backward step of `O`.
struct Step<O>(PhantomData<fn() -> O>);

impl<O> Debug for Step<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<O>())
    }
}

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = (O, O::Saved);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let (operation, saved) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let computed = operation.backward(saved, grad, wanted);
        for (parent, grad) in ops.parents.into_iter().zip(computed) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}

/// Runs the operation, and records it if one of its inputs has a gradient.
fn record<C: CheckpointStrategy, O: Operation<N>, const N: usize>(
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
    operation: O,
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let (output, saved) = operation.forward(inputs.map(|input| input.into_primitive()));
    match Step::<O>(PhantomData).prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish((operation, saved), output),
        OpsKind::UnTracked(step) => step.finish(output),
    }
}

/// Applies an operation to one tensor.
pub(super) fn apply_1<O: Operation<1>, const D: usize>(a: Tensor<D>, operation: O) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::fused_1(a.into_dispatch(), operation))
}

/// Applies an operation to two tensors.
pub(super) fn apply_2<O: Operation<2>, const A: usize, const B: usize, const D: usize>(
    a: Tensor<A>,
    b: Tensor<B>,
    operation: O,
) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Fused>::fused_2(a.into_dispatch(), b.into_dispatch(), operation))
}

/// Applies an operation to three tensors.
pub(super) fn apply_3<O: Operation<3>, const A: usize, const B: usize, const C: usize>(
    a: Tensor<A>,
    b: Tensor<B>,
    c: Tensor<C>,
    operation: O,
) -> Tensor<A> {
    let (a, b, c) = (a.into_dispatch(), b.into_dispatch(), c.into_dispatch());
    Tensor::from_dispatch(<Dispatch as Fused>::fused_3(a, b, c, operation))
}
