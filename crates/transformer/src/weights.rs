//! A model's weights by name, in burn's layout, out of a module and into it.
//!
//! Names are the paths of the fields: `layers.0.attention.query.weight`. Optimizer state and checkpoints use them;
//! [`crate::hugging_face`] translates them.

use crate::TransformerError;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use std::borrow::Cow;
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

/// A tensor that can be written to a file.
pub trait StoredTensor {
    /// The path of its field.
    fn name(&self) -> &str;
    /// Its shape.
    fn shape(&self) -> &[usize];
    /// Its numbers, row-major, on the host.
    fn values(&self) -> Cow<'_, [f32]>;
}

impl StoredTensor for NamedTensor {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn values(&self) -> Cow<'_, [f32]> {
        Cow::Borrowed(&self.values)
    }
}

/// A tensor on its device, which comes to the host when it is written: one after the other, not all at once.
#[derive(Debug, Clone)]
pub struct TensorHandle {
    /// The path of its field.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, flattened, outside of any graph.
    pub numbers: Tensor<1>,
}

impl StoredTensor for TensorHandle {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn values(&self) -> Cow<'_, [f32]> {
        let data = self.numbers.clone().into_data().convert::<f32>();
        Cow::Owned(data.try_into_vec::<f32>().expect("converted to f32 above"))
    }
}

/// Every float parameter of `module`, in the order of its fields, where it is: nothing is copied.
pub fn tensor_handles<M: Module>(module: &M) -> Vec<TensorHandle> {
    let mut handles = Handles::default();
    module.visit(&mut handles);
    handles.tensors
}

/// The name of every float parameter of `module`, in the order of its fields.
pub fn tensor_names<M: Module>(module: &M) -> Vec<String> {
    tensor_handles(module).into_iter().map(|tensor| tensor.name).collect()
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
struct Handles {
    path: Vec<String>,
    tensors: Vec<TensorHandle>,
}

impl ModuleVisitor for Handles {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let shape = value.dims().to_vec();
        let value = if value.device().is_autodiff() { value.inner() } else { value };
        let numbers = value.reshape([shape.iter().product::<usize>()]);
        self.tensors.push(TensorHandle { name: self.path.join("."), shape, numbers });
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
