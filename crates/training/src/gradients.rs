//! Gradients by tensor name, on the run's device and outside of any graph.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use firebrand_backend::ops;
use std::collections::BTreeMap;

/// The gradient of every trained tensor, flattened. Names are the paths of the fields.
#[derive(Debug, Default)]
pub struct NamedGradients {
    tensors: BTreeMap<String, Tensor<1>>,
}

impl NamedGradients {
    /// Adds the gradients of one backward pass.
    pub fn add<M: Module>(&mut self, module: &M, gradients: &mut Gradients) {
        module.visit(&mut Collector { path: Vec::new(), gradients, into: &mut self.tensors });
    }

    /// Takes the gradient of one tensor, `[numbers]`.
    pub fn take(&mut self, name: &str) -> Option<Tensor<1>> {
        self.tensors.remove(name)
    }

    /// Names and gradients, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The Euclidean norm of all gradients together. The order of summation is fixed.
    pub fn norm(&self) -> f64 {
        let squares = ops::sums_of_squares(self.tensors.values().cloned().collect());
        squares.into_iter().sum::<f64>().sqrt()
    }
}

struct Collector<'a> {
    path: Vec<String>,
    gradients: &'a mut Gradients,
    into: &'a mut BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let numbers = value.shape().num_elements();
        if let Some(gradient) = value.grad_remove(self.gradients) {
            let gradient = gradient.reshape([numbers]);
            let name = self.path.join(".");
            let sum = match self.into.remove(&name) {
                Some(sum) => ops::add_in_place(sum, gradient),
                None => gradient,
            };
            self.into.insert(name, sum);
        }
    }
}

/// What happens to gradients and target counts between backward and the optimizer: nothing on one device, a sum over
/// all of them with data parallelism.
pub trait Exchange {
    /// Sums the counts of every term over all devices. Called before the forward pass.
    fn counts(&mut self, counts: &mut [u64]);
    /// Sums the gradients over all devices.
    fn gradients(&mut self, gradients: &mut NamedGradients);
}

/// One device: what it computes is all there is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Exchange for Alone {
    fn counts(&mut self, _counts: &mut [u64]) {}
    fn gradients(&mut self, _gradients: &mut NamedGradients) {}
}
