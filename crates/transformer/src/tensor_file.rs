//! Named tensors in a safetensors file.

use crate::TransformerError;
use crate::weights::NamedTensor;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// Writes `tensors` as f32, the whole file or nothing.
///
/// # Errors
/// When the file cannot be written; what was there before stays.
pub fn write_tensors(path: &Path, tensors: &[NamedTensor]) -> Result<(), TransformerError> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|tensor| to_le_bytes(&tensor.values)).collect();
    let views: Result<Vec<(&str, TensorView<'_>)>, _> = tensors
        .iter()
        .zip(&bytes)
        .map(|(tensor, bytes)| {
            Ok((tensor.name.as_str(), TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?))
        })
        .collect();
    let file = views
        .and_then(|views| {
            safetensors::serialize(views, Some(HashMap::from([("format".into(), "pt".into())])))
        })
        .map_err(|error| TransformerError::format(path, error.to_string()))?;
    write_atomically(path, &file)
}

/// The tensors of a safetensors file, as f32 (F32, F16 and BF16 are read).
///
/// # Errors
/// When the file is absent, cut short, or holds another type.
pub fn read_tensors(path: &Path) -> Result<Vec<NamedTensor>, TransformerError> {
    let file = std::fs::read(path).map_err(|error| TransformerError::io(path, error))?;
    let broken = |error: safetensors::SafeTensorError| {
        TransformerError::format(
            path,
            format!("is no whole safetensors file ({error}); copy or download it again"),
        )
    };
    let tensors = SafeTensors::deserialize(&file).map_err(broken)?;
    tensors
        .iter()
        .map(|(name, view)| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => {
                    data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
                }
                Dtype::BF16 => {
                    data.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
                }
                Dtype::F16 => {
                    data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
                }
                // Mask buffers of old GPT-2 files; dropped by name later.
                Dtype::U8 | Dtype::BOOL => data.iter().map(|&b| f32::from(b)).collect(),
                other => {
                    return Err(TransformerError::format(
                        path,
                        format!("{name} is {other:?}; F32, F16 and BF16 are read"),
                    ));
                }
            };
            Ok(NamedTensor { name: name.to_string(), shape: view.shape().to_vec(), values })
        })
        .collect()
}

/// Writes a file that is afterwards the new one, or after an error still the old one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TransformerError> {
    firebrand_durable::write(path, bytes).map_err(|error| TransformerError::io(path, error))
}

fn to_le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
