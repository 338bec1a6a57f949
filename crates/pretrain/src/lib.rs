//! Pretraining objectives, one module each.
//!
//! Adding one: a module here that implements `firebrand_training::Objective`, and its line in the cli's registry.

mod bidirectional;
mod causal;
mod distillation;
mod draws;
mod fill_in_the_middle;
mod masked;
mod masking;
mod next_sentence;
mod permutation;
mod prefix;
mod replaced_token;

pub use bidirectional::{BidirectionalBatch, BidirectionalLm};
pub use causal::{Causal, CausalBatch};
pub use distillation::{Distillation, DistillationBatch, DistillationConfig};
pub use fill_in_the_middle::{FillInTheMiddle, FillInTheMiddleConfig, MiddleTokens};
pub use masked::{MaskedBatch, MaskedConfig, MaskedLm};
pub use masking::{Masking, Noised};
pub use next_sentence::{NextSentence, Pair};
pub use permutation::{PermutationBatch, PermutationConfig, PermutationLm};
pub use prefix::{PrefixBatch, PrefixLm};
pub use replaced_token::{ReplacedToken, ReplacedTokenBatch, ReplacedTokenConfig};
