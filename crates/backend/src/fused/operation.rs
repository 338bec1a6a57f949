//! How a fused operation becomes a node in burn's graph of gradients.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;

/// Flex with gradients, as a device `.autodiff()` has it.
type Graph = Autodiff<Flex, NoCheckpointing>;

/// An operation on `N` tensors that can be differentiated by. What cannot (masks, targets, angles) it holds itself.
pub(super) trait Operation<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs.
    type Saved: Clone + Debug + Send + 'static;

    /// Computes the output. `tracked` says whether a backward pass may follow; else what is saved is dropped.
    fn forward(&self, inputs: [FlexTensor; N], tracked: bool) -> (FlexTensor, Self::Saved);

    /// Computes the gradients of the inputs, those that are `wanted`, from that of the output.
    fn backward(self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
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

/// One input of an operation, whatever its rank.
pub(super) enum Input {
    Plain(FlexTensor),
    Tracked(FloatTensor<Graph>),
}

impl<const D: usize> From<Tensor<D>> for Input {
    fn from(x: Tensor<D>) -> Self {
        const ON_FLEX: &str = "fused operations are chosen for tensors on flex";
        if x.device().is_autodiff() {
            Self::Tracked(x.try_into_primitive::<Graph>().expect(ON_FLEX))
        } else {
            Self::Plain(x.try_into_primitive::<Flex>().expect(ON_FLEX))
        }
    }
}

/// Applies an operation to its inputs, which are all on the same device, and records it if one of them has a gradient.
pub(super) fn apply<O: Operation<N>, const N: usize, const D: usize>(
    inputs: [Input; N],
    operation: O,
) -> Tensor<D> {
    let tracked = inputs.iter().filter(|input| matches!(input, Input::Tracked(_))).count();
    assert!(tracked == 0 || tracked == N, "the inputs of an operation are on one device");
    if tracked == 0 {
        let inputs = inputs.map(|input| match input {
            Input::Plain(tensor) => tensor,
            Input::Tracked(_) => unreachable!("counted above"),
        });
        return Tensor::from_primitive::<Flex>(operation.forward(inputs, false).0);
    }
    let inputs = inputs.map(|input| match input {
        Input::Tracked(tensor) => tensor,
        Input::Plain(_) => unreachable!("counted above"),
    });
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    let output = match Step::<O>(PhantomData).prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let (output, saved) = operation.forward(inputs, true);
            step.finish((operation, saved), output)
        }
        OpsKind::UnTracked(step) => step.finish(operation.forward(inputs, false).0),
    };
    Tensor::from_primitive::<Graph>(output)
}
