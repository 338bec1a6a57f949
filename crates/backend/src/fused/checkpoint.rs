//! A part of a model that keeps its input only, and is run again for its gradients.

use std::fmt::{self, Debug};
use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;

use super::seed::seed_gradient;
use super::tensor::constant;

type Tracked = Autodiff<Flex>;

/// Why a tensor is what it is here.
const CHOSEN: &str = "`can_checkpoint` was asked before: float tensors on flex with autodiff";

/// A part of a model: from `[batch, seq, d_model]` to the same shape.
pub type Part = Arc<dyn Fn(Tensor<3>, Option<&mut Leaves>) -> Tensor<3> + Send + Sync>;

/// Whether [`ops::checkpoint`](crate::ops::checkpoint) can be used for `x`: on the device `cpu`, with autodiff.
pub fn can_checkpoint<const D: usize>(x: &Tensor<D>) -> bool {
    x.device().is_autodiff() && super::applies(x)
}

/// The parameters of a part, as the graph outside knows them.
#[derive(Debug, Clone, Default)]
pub struct Detached {
    /// `None` for one that is frozen.
    nodes: Vec<Option<NodeId>>,
}

impl Detached {
    /// Takes note of `parameter` and returns its numbers outside of any graph.
    ///
    /// # Panics
    /// Where [`can_checkpoint`] says no.
    pub fn detach<const D: usize>(&mut self, parameter: Tensor<D>) -> Tensor<D> {
        let parameter = parameter.try_into_primitive::<Tracked>().expect(CHOSEN);
        self.nodes.push(parameter.is_tracked().then(|| parameter.id()));
        Tensor::from_primitive::<Flex>(parameter.into_primitive())
    }
}

/// How to get one parameter's gradient.
type TakeGradient = Box<dyn FnOnce(&mut burn::tensor::Gradients) -> Option<FlexTensor>>;

/// The parameters of a part while it is run for its gradients: leaves of a graph of its own.
pub struct Leaves {
    tracked: Vec<bool>,
    gradients: Vec<TakeGradient>,
}

impl Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaves").field("tracked", &self.tracked).finish_non_exhaustive()
    }
}

impl Leaves {
    /// The next parameter as a leaf. `parameter` is what [`Detached::detach`] returned for it.
    pub fn attach<const D: usize>(&mut self, parameter: Tensor<D>) -> Tensor<D> {
        let leaf = Tensor::from_inner(parameter);
        let tracked = self.tracked.get(self.gradients.len()).copied().unwrap_or_default();
        let leaf = if tracked { leaf.require_grad() } else { leaf };
        let kept = leaf.clone();
        self.gradients.push(Box::new(move |gradients| kept.grad_remove(gradients).map(constant)));
        leaf
    }
}

/// See [`ops::checkpoint`](crate::ops::checkpoint).
pub(crate) fn checkpoint(x: Tensor<3>, parameters: Detached, part: Part) -> Tensor<3> {
    let x = x.try_into_primitive::<Tracked>().expect(CHOSEN);
    // The parameters hang on the graph by their input alone.
    let wanted = parameters.nodes.iter().any(Option::is_some);
    let x = if x.is_tracked() || !wanted { x } else { x.require_grad() };
    let (x, node) = x.into_parts();
    let y = constant(part(Tensor::from_primitive::<Flex>(x.clone()), None));
    let y = match Again.prepare::<NoCheckpointing>([node]).compute_bound().stateful() {
        OpsKind::Tracked(step) => step.finish(Kept { x, parameters, part }, y),
        OpsKind::UnTracked(step) => step.finish(y),
    };
    Tensor::from_primitive::<Tracked>(y)
}

/// What the backward pass needs.
#[derive(Clone)]
struct Kept {
    x: FlexTensor,
    parameters: Detached,
    part: Part,
}

impl Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("x", &self.x).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Again;

impl Backward<Flex, 1> for Again {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let Kept { x, parameters, part } = ops.state;
        let x = Tensor::<3>::from_inner(Tensor::from_primitive::<Flex>(x)).require_grad();
        let tracked = parameters.nodes.iter().map(Option::is_some).collect();
        let mut leaves = Leaves { tracked, gradients: Vec::new() };
        let y = part(x.clone(), Some(&mut leaves));
        // The outer graph is locked while this runs; the inner one shares no node with it.
        let mut inner = seed_gradient(y, Tensor::from_primitive::<Flex>(grad)).backward();
        let [parent] = ops.parents;
        if let (Some(parent), Some(grad)) = (parent, x.grad_remove(&mut inner)) {
            grads.register::<Flex>(parent.id, constant(grad));
        }
        assert_eq!(leaves.gradients.len(), parameters.nodes.len(), "a part attaches every parameter it has");
        for (node, gradient) in parameters.nodes.into_iter().zip(leaves.gradients) {
            if let (Some(node), Some(grad)) = (node, gradient(&mut inner)) {
                grads.register::<Flex>(node, grad);
            }
        }
    }
}
