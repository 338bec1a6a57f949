//! llama2.c's model files (`stories260K.bin`): a header of seven numbers, then all weights as f32.
//!
//! | numbers | what |
//! |---|---|
//! | 7, little-endian i32 | `d_model`, `d_ff`, `n_layers`, `n_heads`, `n_kv_heads`, `vocab_size` (negative where the head is a matrix of its own), `seq_len` |
//! | f32 | token embedding; of all layers the first norm, queries, keys, values, outputs, the second norm, gates, downs, ups; the last norm; cosines and sines, which are not read; the head, if it has its own |
//!
//! Matrices are `[d_out, d_in]`. Rotary positions turn neighbouring numbers of a head, where ours turn its halves.

use crate::TransformerError;
use crate::config::{ModelConfig, Preset};
use crate::decoder::Decoder;
use crate::model::Model;
use crate::weights::{NamedTensor, with_tensors};
use burn::tensor::Device;
use std::path::Path;

const HEADER: usize = 7 * size_of::<i32>();

/// The model of a file on `device`.
///
/// # Errors
/// When the file cannot be read, describes no model, or has another length than its header says.
pub fn load(path: &Path, device: &Device) -> Result<Decoder, TransformerError> {
    let content = std::fs::read(path).map_err(|error| TransformerError::io(path, error))?;
    let wrong = |message: String| TransformerError::format(path, message);
    let Some((header, weights)) = content.split_at_checked(HEADER) else {
        return Err(wrong(format!("has {} bytes: a model of llama2.c begins with 28", content.len())));
    };
    let numbers: Vec<i32> = header.as_chunks().0.iter().copied().map(i32::from_le_bytes).collect();
    let size = |at: usize| usize::try_from(numbers[at]).ok().filter(|size| (1..1 << 24).contains(size));
    let (Some(d_model), Some(d_ff), Some(n_layers), Some(n_heads), Some(n_kv_heads), Some(seq_len)) =
        (size(0), size(1), size(2), size(3), size(4), size(6))
    else {
        return Err(wrong(format!("begins with {numbers:?}, which are no sizes of a model of llama2.c")));
    };
    let vocab_size = numbers[5].unsigned_abs() as usize;
    let mut config = ModelConfig::preset(Preset::Llama, vocab_size, d_model, n_layers, n_heads, seq_len);
    (config.n_kv_heads, config.d_ff, config.tied_head) = (n_kv_heads, d_ff, numbers[5] > 0);
    config.validate().map_err(|error| wrong(error.to_string()))?;
    let kv_width = config.n_kv_heads * config.d_head();
    let n_weights = config.n_params() as u128 + (seq_len * config.d_head()) as u128;
    if weights.len() as u128 != 4 * n_weights {
        return Err(wrong(format!(
            "holds {} bytes of weights, but its header describes a model of {}: it is cut short, or in another version of the \
             format (only the first, without a magic number, is read)",
            weights.len(),
            4 * n_weights
        )));
    }
    let mut left = weights.as_chunks().0.iter().copied().map(f32::from_le_bytes);
    let mut take = |n: usize| -> Vec<f32> { left.by_ref().take(n).collect() };
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: Vec<usize>, values| tensors.push(NamedTensor { name, shape, values });
    add("token_embedding".into(), vec![vocab_size, d_model], take(vocab_size * d_model));
    let norms = |which| (0..n_layers).map(move |layer| format!("layers.{layer}.{which}.weight"));
    let matrices = [
        ("attention.query", d_model, d_model),
        ("attention.key", kv_width, d_model),
        ("attention.value", kv_width, d_model),
        ("attention.output", d_model, d_model),
        ("mlp.gate", d_ff, d_model),
        ("mlp.down", d_model, d_ff),
        ("mlp.up", d_ff, d_model),
    ];
    for (index, (which, d_out, d_in)) in matrices.into_iter().enumerate() {
        // Norms stand before the matrices that read what they give.
        let norm = match index {
            0 => Some("attention_norm"),
            4 => Some("mlp_norm"),
            _ => None,
        };
        norm.into_iter().flat_map(norms).for_each(|name| add(name, vec![d_model], take(d_model)));
        let rotated = index < 2;
        for layer in 0..n_layers {
            let weight = take(d_out * d_in);
            let from = |row: usize| if rotated { neighbour(row, config.d_head()) } else { row };
            let values = (0..d_in)
                .flat_map(|i| (0..d_out).map(move |j| (i, j)))
                .map(|(i, j)| weight[from(j) * d_in + i]);
            add(format!("layers.{layer}.{which}.weight"), vec![d_in, d_out], values.collect());
        }
    }
    add("norm.weight".into(), vec![d_model], take(d_model));
    take(seq_len * config.d_head());
    if !config.tied_head {
        add("head".into(), vec![vocab_size, d_model], take(vocab_size * d_model));
    }
    with_tensors(Decoder::blank(&config, device)?, tensors)
}

/// Which row of llama2.c's matrix is our row: of a head, its halves are every second number there.
fn neighbour(row: usize, d_head: usize) -> usize {
    let (head, at) = (row / d_head, row % d_head);
    head * d_head + if at < d_head / 2 { 2 * at } else { 2 * (at - d_head / 2) + 1 }
}
