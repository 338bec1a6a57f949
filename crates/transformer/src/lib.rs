//! Transformer models: one config, a forward pass over token ids, a key–value cache, weights in and out.
//!
//! A model is described by a [`ModelConfig`] and built as what its kind says: a [`Decoder`], a [`Bidirectional`] model, which is two
//! decoders over one embedding and one head, a [`Permutation`] model, which predicts in any order, an [`Encoder`], or an
//! [`EncoderDecoder`]. A [`Classifier`] is any of them with a head that says something about texts, a [`Prompted`] one of them behind vectors
//! that were trained in the place of words. [`hugging_face`] maps them to folders that Hugging Face transformers reads,
//! where it knows such a model, and back.
//!
//! What it does not know: text, training data, optimizers, generation strategies. Ids come in, hidden states and
//! logits go out; heavy operations are those of `firebrand_backend::ops`.

mod bidirectional;
mod cache;
mod characters;
mod checkpoint;
mod classifier;
mod config;
mod decoder;
mod dropout;
mod encoder;
mod encoder_decoder;
mod error;
mod groups;
pub mod hugging_face;
mod inference;
mod init;
mod layer;
pub mod llama2c;
pub mod lora;
mod lstm;
mod memory;
mod model;
mod packed;
mod permutation;
mod prompted;
mod rounded;
mod scalar_mix;
mod stack;
mod tensor_file;
mod weights;

pub use bidirectional::Bidirectional;
pub use cache::Cache;
pub use characters::{Characters, Spellings};
pub use classifier::{Body, Classifier, HeadConfig, Padded, Pooling, Sequence, TaskKind};
pub use config::{
    EncoderHeads, GeneratorConfig, LayerKind, MlpKind, ModelConfig, ModelKind, NormKind, NormPlacement,
    PositionKind, Preset,
};
pub use decoder::Decoder;
pub use dropout::Dropout;
pub use encoder::{Encoder, Generator};
pub use encoder_decoder::{Encoded, EncoderDecoder, Memory, Pair, PairBatch};
pub use error::TransformerError;
pub use groups::LayerGroups;
pub use inference::{CpuCache, CpuDecoder, Wanted, WeightFormat};
pub use memory::Activations;
pub use model::{AnyModel, Model};
pub use packed::{Document, Packed};
pub use permutation::{FactorizationOrder, Permutation, TokenTree};
pub use prompted::{Beginning, Prefix, Prompted, SoftPrompt, TrainedPrompt};
pub use rounded::{Rounded, rounded};
pub use scalar_mix::ScalarMix;
pub use tensor_file::{read_tensors, write_tensors};
pub use weights::{
    NamedTensor, StoredTensor, TensorHandle, named_tensors, tensor_handles, tensor_names, with_tensors,
};
