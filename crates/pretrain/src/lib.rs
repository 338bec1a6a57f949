//! Pretraining objectives, one module each.
//!
//! Adding one: a module here that implements `firebrand_training::Objective`, and its line in the cli's registry.

mod bidirectional;
mod causal;
mod distillation;

pub use bidirectional::{BidirectionalBatch, BidirectionalLm};
pub use causal::{Causal, CausalBatch};
pub use distillation::{Distillation, DistillationBatch, DistillationConfig};
