//! Named tensors in a safetensors file.

use crate::TransformerError;
use crate::weights::{NamedTensor, StoredTensor};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::Path;

/// Writes `tensors` as f32, the whole file or nothing. Of tensors on a device one at a time is on the host.
///
/// # Errors
/// When the file cannot be written; what was there before stays.
pub fn write_tensors<T: StoredTensor>(path: &Path, tensors: &[T]) -> Result<(), TransformerError> {
    let mut tensors: Vec<&T> = tensors.iter().collect();
    tensors.sort_by(|a, b| a.name().cmp(b.name()));
    let header = header(&tensors);
    let written = firebrand_durable::write_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        let mut bytes = Vec::with_capacity(BLOCK * size_of::<f32>());
        for tensor in tensors {
            for block in tensor.values().chunks(BLOCK) {
                bytes.clear();
                bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
                file.write_all(&bytes)?;
            }
        }
        Ok::<(), std::io::Error>(())
    });
    written.map_err(|error| TransformerError::io(path, error))
}

/// Numbers that are turned into bytes at a time.
const BLOCK: usize = 1 << 16;

/// The header of a safetensors file: JSON, padded so that the numbers are aligned. As the crate of that name writes it,
/// which however wants all of the file in memory.
fn header<T: StoredTensor>(tensors: &[&T]) -> String {
    let mut entries = Map::new();
    entries.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut start = 0;
    for tensor in tensors {
        let end = start + tensor.shape().iter().product::<usize>() * size_of::<f32>();
        let entry = json!({"dtype": "F32", "shape": tensor.shape(), "data_offsets": [start, end]});
        entries.insert(tensor.name().to_owned(), entry);
        start = end;
    }
    let mut header = Value::Object(entries).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    header
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

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;
    use std::collections::HashMap;

    #[test]
    fn a_file_is_to_the_byte_what_the_safetensors_crate_writes() {
        let tensor = |name: &str, shape: &[usize]| NamedTensor {
            name: name.into(),
            shape: shape.to_vec(),
            values: (0..shape.iter().product()).map(|i: usize| (i as f32).sin()).collect(),
        };
        let tensors =
            [tensor("norm.weight", &[3]), tensor("a \"quoted\" b", &[2, 5]), tensor("large", &[BLOCK + 9])];
        let bytes = tensors.each_ref().map(|tensor| -> Vec<u8> {
            tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()
        });
        let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).expect("as many as it says");
            (tensor.name.as_str(), view)
        });
        let expected = safetensors::serialize(views, Some(HashMap::from([("format".into(), "pt".into())])))
            .expect("well-formed");
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model.safetensors");
        write_tensors(&path, &tensors).expect("written");
        assert!(std::fs::read(&path).expect("read") == expected);
        let mut back = read_tensors(&path).expect("read");
        back.sort_by_key(|tensor| tensor.values.len());
        assert_eq!(back, tensors);
    }
}
