//! Gradients into updates. State is kept by tensor name, on the run's device.

mod adamw;
mod muon;

use crate::config::{OptimizerConfig, OptimizerKind};
use crate::gradients::NamedGradients;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use firebrand_transformer::NamedTensor;
use std::collections::BTreeMap;

/// An optimizer and its state.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// Updates made so far; AdamW's bias correction depends on it.
    updates: u64,
    /// By kind and tensor name, each flattened: `m.layers.0.mlp.up.weight`.
    state: BTreeMap<String, Tensor<1>>,
}

impl Optimizer {
    /// A fresh optimizer.
    pub fn new(config: &OptimizerConfig) -> Self {
        Self { config: config.clone(), updates: 0, state: BTreeMap::new() }
    }

    /// Updates every tensor of `module` that has a gradient. `schedule` is the factor on the learning rates, `clip` the
    /// factor on the gradients.
    pub fn step<M: Module>(&mut self, module: M, gradients: NamedGradients, schedule: f64, clip: f64) -> M {
        self.updates += 1;
        module.map(&mut Update { path: Vec::new(), optimizer: self, gradients, schedule, clip })
    }

    /// The state as named tensors on the host, and the number of updates.
    pub fn export(&self) -> (Vec<NamedTensor>, u64) {
        let tensors = self.state.iter().map(|(name, tensor)| {
            let data = tensor.clone().into_data().convert::<f32>();
            let values = data.try_into_vec::<f32>().expect("converted to f32 above");
            NamedTensor { name: name.clone(), shape: vec![values.len()], values }
        });
        (tensors.collect(), self.updates)
    }

    /// An optimizer with exported state.
    pub fn import(config: &OptimizerConfig, state: Vec<NamedTensor>, updates: u64, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        let state = state.into_iter().map(|tensor| {
            let len = tensor.values.len();
            (tensor.name, Tensor::from_data(TensorData::new(tensor.values, [len]), &device))
        });
        Self { config: config.clone(), updates, state: state.collect() }
    }

    /// The tensor `kind.name` of the state, zeros at first.
    fn take(&mut self, kind: &str, name: &str, like: &Tensor<1>) -> Tensor<1> {
        self.state.remove(&format!("{kind}.{name}")).unwrap_or_else(|| like.zeros_like())
    }

    fn put(&mut self, kind: &str, name: &str, tensor: Tensor<1>) {
        self.state.insert(format!("{kind}.{name}"), tensor);
    }

    /// The new value of one tensor; all flattened. `matrix` is its shape if it has two dimensions.
    fn update(
        &mut self,
        name: &str,
        matrix: Option<[usize; 2]>,
        value: Tensor<1>,
        gradient: Tensor<1>,
        schedule: f64,
        clip: f64,
    ) -> Tensor<1> {
        // Embeddings and the head are tables of vectors, not maps: Muon is not for them.
        let is_map = name.starts_with("layers.");
        match (self.config.kind, matrix) {
            (OptimizerKind::Muon, Some(shape)) if is_map => {
                self.muon(name, shape, value, gradient, schedule, clip)
            }
            _ => self.adamw(name, matrix.is_some(), value, gradient, schedule, clip),
        }
    }
}

struct Update<'a> {
    path: Vec<String>,
    optimizer: &'a mut Optimizer,
    gradients: NamedGradients,
    schedule: f64,
    clip: f64,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let Some(gradient) = self.gradients.take(&name) else {
            return param;
        };
        let (id, value, mapper) = param.consume();
        let shape = value.dims();
        let numbers = shape.iter().product::<usize>();
        let matrix = (D == 2).then(|| [shape[0], shape[1]]);
        // The graph's handle is given up before the update, which can then be made in place.
        let value = value.inner().reshape([numbers]);
        let value = self.optimizer.update(&name, matrix, value, gradient, self.schedule, self.clip);
        let value = Tensor::from_inner(value.reshape(shape)).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}
