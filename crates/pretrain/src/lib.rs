//! Pretraining objectives, one module each.
//!
//! Adding one: a module here that implements `firebrand_training::Objective`, and its line in the cli's registry. For an
//! encoder–decoder a `Noising` is enough.

mod bidirectional;
mod causal;
mod denoising;
mod distillation;
mod draws;
mod fill_in_the_middle;
mod masked;
mod masking;
mod mixture;
mod next_sentence;
mod pairs;
mod permutation;
mod prefix;
mod replaced_token;
mod sentinels;
mod span_corruption;

pub use bidirectional::{BidirectionalBatch, BidirectionalLm};
pub use causal::{Causal, CausalBatch};
pub use denoising::{Denoising, DenoisingConfig, MASK};
pub use distillation::{Distillation, DistillationBatch, DistillationConfig};
pub use fill_in_the_middle::{FillInTheMiddle, FillInTheMiddleConfig, MiddleTokens};
pub use firebrand_transformer::{Pair, PairBatch};
pub use masked::{MaskedBatch, MaskedConfig, MaskedLm};
pub use masking::{Masking, Noised};
pub use mixture::{Denoiser, Mixture, MixtureConfig, Mode, ModeTokens};
pub use next_sentence::{NextSentence, Pair as SentencePair};
pub use pairs::{EncoderDecoderLm, Noising};
pub use permutation::{PermutationBatch, PermutationConfig, PermutationLm};
pub use prefix::{PrefixBatch, PrefixLm};
pub use replaced_token::{ReplacedToken, ReplacedTokenBatch, ReplacedTokenConfig};
pub use sentinels::Sentinels;
pub use span_corruption::{SpanCorruption, SpanCorruptionConfig, Spans};
