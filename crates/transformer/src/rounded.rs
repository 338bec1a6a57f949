//! Models whose matrices are what they would be in less than 32 bits.
//!
//! [`CpuDecoder`](crate::CpuDecoder) stores a decoder's weights like that and computes with them. What storing them costs other
//! models in likelihood can be told without: their tensors hold the rounded numbers here, in f32. As there, matrices and the output
//! head are rounded; embeddings, biases and norms are not.

use crate::TransformerError;
use crate::config::ModelConfig;
use crate::model::Model;
use crate::weights::{NamedTensor, named_tensors, with_tensors};
use burn::tensor::{Device, Tensor, TensorData};
use firebrand_backend::inference::{self, WeightFormat};

/// A model with rounded matrices.
#[derive(Debug)]
pub struct Rounded<M> {
    /// Its head is its own: a tied one is rounded, the embedding is not.
    pub model: M,
    /// Bytes that all weights would take.
    pub bytes: usize,
}

/// `model` with the numbers that its matrices stand for once they are stored as `format`.
///
/// # Errors
/// When the model is not on the CPU (`--device cpu`), or is one with autodiff.
pub fn rounded<M: Model>(model: &M, format: WeightFormat) -> Result<Rounded<M>, TransformerError> {
    let (config, device) = (model.config(), model.device());
    let mut tensors = named_tensors(model);
    if config.tied_head {
        let embedding = tensors.iter().find(|tensor| tensor.name == "token_embedding");
        let head = embedding.map(|embedding| NamedTensor { name: "head".into(), ..embedding.clone() });
        tensors.extend(head);
    }
    let mut bytes = 0;
    for tensor in &mut tensors {
        bytes += round(tensor, format, &device)?;
    }
    let free = M::blank(&ModelConfig { tied_head: false, ..config.clone() }, &device)?;
    Ok(Rounded { model: with_tensors(free, tensors)?, bytes })
}

/// Rounds a matrix; returns the bytes that the tensor is stored in.
fn round(tensor: &mut NamedTensor, format: WeightFormat, device: &Device) -> Result<usize, TransformerError> {
    let is_head = tensor.name == "head";
    let shape = match *tensor.shape.as_slice() {
        [d_in, d_out] if is_head || tensor.name.ends_with(".weight") => [d_in, d_out],
        _ => return Ok(4 * tensor.values.len()),
    };
    let values = TensorData::new(std::mem::take(&mut tensor.values), shape);
    let matrix = Tensor::<2>::from_data(values, device);
    // A head is `[vocab, d_model]`, and what shares a scale are inputs.
    let matrix = if is_head { matrix.transpose() } else { matrix };
    let (matrix, bytes) = inference::rounded(matrix, format).ok_or(TransformerError::NotOnCpu)?;
    let matrix = if is_head { matrix.transpose() } else { matrix };
    tensor.values = matrix.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
    Ok(bytes)
}
