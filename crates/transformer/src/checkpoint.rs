//! A layer that keeps its input only and is run again in the backward pass.

use crate::dropout::Dropout;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use firebrand_backend::ops::{self, Detached, Leaves};
use std::sync::{Arc, Mutex, PoisonError};

/// `run` of a layer and `x`, which is `[batch, seq, d_model]`: the same numbers and gradients.
pub(crate) fn forward<L: Module + Send + Sync + 'static>(
    layer: &L,
    x: Tensor<3>,
    dropout: &mut Option<&mut Dropout>,
    run: impl Fn(&L, Tensor<3>, &mut Option<&mut Dropout>) -> Tensor<3> + Send + Sync + 'static,
) -> Tensor<3> {
    let mut parameters = Detached::default();
    let layer = layer.clone().map(&mut Detach(&mut parameters));
    // Both runs begin with the masks as they are now; where the first one ends, the next layer goes on.
    let before = dropout.as_deref().cloned();
    let after = Arc::new(Mutex::new(None));
    let end = after.clone();
    let part = move |x: Tensor<3>, leaves: Option<&mut Leaves>| {
        let mut masks = before.clone();
        let first = leaves.is_none();
        let attached = leaves.map(|leaves| layer.clone().map(&mut Attach(leaves)));
        let y = run(attached.as_ref().unwrap_or(&layer), x, &mut masks.as_mut());
        if first {
            *end.lock().unwrap_or_else(PoisonError::into_inner) = masks;
        }
        y
    };
    let y = ops::checkpoint(x, parameters, Arc::new(part));
    let after = after.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let (Some(dropout), Some(after)) = (dropout, after) {
        **dropout = after;
    }
    y
}

/// Takes a layer's parameters out of their graph.
struct Detach<'a>(&'a mut Detached);

impl ModuleMapper for Detach<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        Param::from_mapped_value(id, self.0.detach(value), mapper)
    }
}

/// Puts them into a graph of their own, in the same order.
struct Attach<'a>(&'a mut Leaves);

impl ModuleMapper for Attach<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        Param::from_mapped_value(id, self.0.attach(value), mapper)
    }
}
