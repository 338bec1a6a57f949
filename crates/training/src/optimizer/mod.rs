//! Gradients into updates. State is kept by tensor name, on the run's device.

mod adamw;
mod muon;

use crate::config::{OptimizerConfig, OptimizerKind};
use crate::gradients::NamedGradients;
use crate::rates::Rates;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use firebrand_transformer::lora::is_adapter;
use firebrand_transformer::{NamedTensor, TensorHandle};
use std::collections::BTreeMap;

/// An optimizer and its state.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// Updates made so far; AdamW's bias correction depends on it.
    updates: u64,
    /// By kind and tensor name, each flattened: `m.layers.0.mlp.up.weight`.
    state: BTreeMap<String, Tensor<1>>,
    rates: Rates,
}

impl Optimizer {
    /// A fresh optimizer.
    pub fn new(config: &OptimizerConfig) -> Self {
        Self { config: config.clone(), updates: 0, state: BTreeMap::new(), rates: Rates::default() }
    }

    /// With rates of their own for some tensors. Updates are counted as steps are.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates, ..self }
    }

    /// Before the first update, makes the state that AdamW will keep for the trained tensors of `module`.
    ///
    /// State lives as long as the run. Made before the first step's activations it lies below them in memory; made after
    /// them it lies in the gaps they leave, and later steps find no large ones.
    pub fn reserve<M: Module>(&mut self, module: &M) {
        if self.updates > 0 || !self.state.is_empty() {
            return;
        }
        module.visit(&mut Reserve { path: Vec::new(), optimizer: self });
    }

    /// Updates every tensor of `module` that has a gradient. `schedule` is the factor on the learning rates, `clip` the
    /// factor on the gradients.
    pub fn step<M: Module>(&mut self, module: M, gradients: NamedGradients, schedule: f64, clip: f64) -> M {
        self.updates += 1;
        let mut taken = Vec::new();
        let module = module.map(&mut Take { path: Vec::new(), gradients, taken: &mut taken });
        let updated = self.update(taken, schedule, clip);
        module.map(&mut Put { path: Vec::new(), updated })
    }

    /// The state as tensors by name, where they are, and the number of updates.
    pub fn export(&self) -> (Vec<TensorHandle>, u64) {
        let tensors = self.state.iter().map(|(name, tensor)| TensorHandle {
            name: name.clone(),
            shape: tensor.dims().to_vec(),
            numbers: tensor.clone(),
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
        Self { config: config.clone(), updates, state: state.collect(), rates: Rates::default() }
    }

    /// The tensor `kind.name` of the state, zeros at first.
    fn take(&mut self, kind: &str, name: &str, like: &Tensor<1>) -> Tensor<1> {
        self.state.remove(&format!("{kind}.{name}")).unwrap_or_else(|| like.zeros_like())
    }

    fn put(&mut self, kind: &str, name: &str, tensor: Tensor<1>) {
        self.state.insert(format!("{kind}.{name}"), tensor);
    }

    /// Whether a tensor of so many dimensions is updated by Muon; else by AdamW. Embeddings and the head are tables of
    /// vectors, and an adapter's factors halves of a map: Muon is not for them.
    fn takes_muon(&self, name: &str, dimensions: usize) -> bool {
        let in_a_layer = name.split('.').any(|part| part == "layers");
        let is_map = in_a_layer && !is_adapter(name);
        self.config.kind == OptimizerKind::Muon && dimensions == 2 && is_map
    }

    /// The new values of all tensors: AdamW's in one pass over all of them.
    fn update(&mut self, taken: Vec<TakenTensor>, schedule: f64, clip: f64) -> Updated {
        let mut updated = Updated::new();
        let mut for_adamw = Vec::new();
        for tensor in taken {
            match tensor.matrix() {
                Some(matrix) if self.takes_muon(&tensor.name, matrix.len()) => {
                    let TakenTensor { name, shape, value, gradient } = tensor;
                    let schedule = schedule * self.rates.of(&name).factor;
                    let value = self.muon(&name, matrix, value, gradient, schedule, clip);
                    updated.insert(name, (value, shape));
                }
                _ => for_adamw.push(tensor),
            }
        }
        self.adamw(for_adamw, schedule, clip, &mut updated);
        updated
    }
}

/// Makes AdamW's state, zeros, for every tensor that it will update.
struct Reserve<'a> {
    path: Vec<String>,
    optimizer: &'a mut Optimizer,
}

impl ModuleVisitor for Reserve<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (value, name) = (param.val(), self.path.join("."));
        if !value.is_require_grad() || self.optimizer.takes_muon(&name, D) {
            return;
        }
        let numbers = value.shape().num_elements();
        let device = value.device().without_autodiff();
        for kind in ["m", "v"] {
            self.optimizer.state.entry(format!("{kind}.{name}")).or_insert_with(|| {
                Tensor::from_data(TensorData::new(vec![0.0_f32; numbers], [numbers]), &device)
            });
        }
    }
}

/// A tensor of the module in the optimizer's hands.
struct TakenTensor {
    name: String,
    shape: Vec<usize>,
    /// `[numbers]`, held by nobody else: it can be updated in place.
    value: Tensor<1>,
    /// `[numbers]`
    gradient: Tensor<1>,
}

impl TakenTensor {
    /// The shape if it has two dimensions.
    fn matrix(&self) -> Option<[usize; 2]> {
        self.shape.as_slice().try_into().ok()
    }
}

/// New values, flattened, and their shapes, by name.
type Updated = BTreeMap<String, (Tensor<1>, Vec<usize>)>;

/// Takes every tensor that has a gradient out of the module. What stands in its place until [`Put`] means nothing.
struct Take<'a> {
    path: Vec<String>,
    gradients: NamedGradients,
    taken: &'a mut Vec<TakenTensor>,
}

impl ModuleMapper for Take<'_> {
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
        let device = value.device();
        // The graph's handle is given up before the update, which can then be made in place.
        let value = value.inner().reshape([shape.iter().product::<usize>()]);
        self.taken.push(TakenTensor { name, shape: shape.to_vec(), value, gradient });
        Param::from_mapped_value(id, Tensor::zeros([1; D], &device).require_grad(), mapper)
    }
}

/// Puts the new values in.
struct Put {
    path: Vec<String>,
    updated: Updated,
}

impl ModuleMapper for Put {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((value, shape)) = self.updated.remove(&self.path.join(".")) else {
            return param;
        };
        let (id, _, mapper) = param.consume();
        let shape: [usize; D] = shape.try_into().expect("the shape it had when it was taken");
        let value = Tensor::from_inner(value.reshape(shape)).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}
