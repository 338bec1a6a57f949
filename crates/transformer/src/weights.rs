//! A model's weights by name, in burn's layout, out of a module and into it.
//!
//! Names are the paths of the fields: `layers.0.attention.query.weight`. Optimizer state and checkpoints use them;
//! [`crate::hugging_face`] translates them.

use crate::TransformerError;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// A tensor on the host, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// The path of its field.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: Vec<f32>,
}

/// Every float parameter of `module`, in the order of its fields.
pub fn named_tensors<M: Module>(module: &M) -> Vec<NamedTensor> {
    let mut reader = Reader::default();
    module.visit(&mut reader);
    reader.tensors
}

/// `module` with its float parameters replaced by `tensors`.
///
/// # Errors
/// When a parameter is missing, left over, or of another shape.
pub fn with_tensors<M: Module>(module: M, tensors: Vec<NamedTensor>) -> Result<M, TransformerError> {
    let mut writer = Writer {
        path: Vec::new(),
        tensors: tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect(),
        problems: Vec::new(),
    };
    let module = module.map(&mut writer);
    writer.problems.extend(writer.tensors.keys().map(|name| format!("{name} has no place in the model")));
    match writer.problems.is_empty() {
        true => Ok(module),
        false => {
            let more = writer.problems.len().saturating_sub(5);
            writer.problems.truncate(5);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            Err(TransformerError::Weights(format!("{}{more}", writer.problems.join("; "))))
        }
    }
}

#[derive(Default)]
struct Reader {
    path: Vec<String>,
    tensors: Vec<NamedTensor>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data().convert::<f32>();
        let shape = data.shape().to_vec();
        let values = data.try_into_vec::<f32>().expect("converted to f32 above");
        self.tensors.push(NamedTensor { name: self.path.join("."), shape, values });
    }
}

struct Writer {
    path: Vec<String>,
    tensors: BTreeMap<String, NamedTensor>,
    problems: Vec<String>,
}

impl ModuleMapper for Writer {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let shape = param.val().dims().to_vec();
        let Some(tensor) = self.tensors.remove(&name) else {
            self.problems.push(format!("{name} is missing"));
            return param;
        };
        if tensor.shape != shape {
            self.problems.push(format!("{name} is {:?} and should be {shape:?}", tensor.shape));
            return param;
        }
        param.map(|old| {
            let device = old.device();
            let grad = old.is_require_grad();
            let new = Tensor::from_data(TensorData::new(tensor.values, shape.clone()), &device);
            if grad { new.require_grad() } else { new }
        })
    }
}
