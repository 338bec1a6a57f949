//! Transformer models: one config, a forward pass over token ids, a key–value cache, weights in and out.
//!
//! A model is described by a [`ModelConfig`] and built as a [`Decoder`]. [`hugging_face`] maps both to the folders
//! that Hugging Face transformers reads, and back.
//!
//! What it does not know: text, training data, optimizers, generation strategies. Ids come in, hidden states and
//! logits go out; heavy operations are those of `firebrand_backend::ops`.

mod cache;
mod checkpoint;
mod config;
mod decoder;
mod dropout;
mod error;
pub mod hugging_face;
mod inference;
mod init;
mod layer;
pub mod llama2c;
mod memory;
mod tensor_file;
mod weights;

pub use cache::Cache;
pub use config::{MlpKind, ModelConfig, NormKind, PositionKind, Preset};
pub use decoder::Decoder;
pub use dropout::Dropout;
pub use error::TransformerError;
pub use inference::{CpuCache, CpuDecoder, Wanted, WeightFormat};
pub use memory::Activations;
pub use tensor_file::{read_tensors, write_tensors};
pub use weights::{NamedTensor, StoredTensor, TensorHandle, named_tensors, tensor_handles, with_tensors};
