//! Generation strategies against a small model trait.
//!
//! A strategy decides which token ids follow a prompt. Everything here is written against [`LanguageModel`]: ids
//! in, logits out, and a cache that can be forked, reordered and cut back. This crate does not know tensors,
//! devices, architectures, text or tokenizers; its tests run every strategy on a fake model small enough to
//! enumerate.
//!
//! - [`model`]: the trait, and the logits it returns; [`HiddenStates`] is for strategies that look deeper.
//! - [`processors`]: what changes logits before a token is chosen, each a pure function.
//! - [`sampler`]: temperature, truncation, and seeded draws from the distribution that remains.
//! - [`strategy`]: the choice of strategy and the limits of a generation, as configuration.
//! - [`Constraint`]: what the new ids have to be, whatever the strategy.
//! - [`generate`](mod@generate): the way in. `follow` feeds one sequence a prompt and hands out tokens as they come; `beam`
//!   searches; `best_of` draws several and says which is best.
//! - [`generate_speculative`]: what a [`Draft`] proposes, kept where the model would have chosen it.
//! - [`generate_contrastive`]: what is likely and unlike the text so far.
//! - [`Guided`]: a model guided away from another prompt, with which every strategy works.
//! - [`Sliding`]: a model without a limit, which sees the newest ids only.
//! - [`NgramModel`]: n-grams with modified Kneser–Ney smoothing, for models to be compared with.
//! - [`observe`]: who watches, and what is told of how ids came about.
//! - [`error`]: everything that can go wrong.
//!
//! The order of the steps between logits and a token is fixed: penalties, bias, bans and forced tokens, the constraint, temperature,
//! top-k, top-p, min-p, typical, eta, mirostat, renormalization.
//!
//! A model of which nothing but the last id matters, and what greedy makes of it:
//!
//! ```
//! use std::{convert::Infallible, ops::ControlFlow};
//! use firebrand_decode::{GenerateConfig, LanguageModel, Logits, Positions, generate};
//!
//! /// After each id, the next one is the likely one.
//! struct Counting;
//!
//! impl LanguageModel for Counting {
//!     type State = Vec<Vec<u32>>; // a real cache holds keys and values
//!     type Error = Infallible;
//!
//!     fn vocab_size(&self) -> usize {
//!         10
//!     }
//!     fn max_len(&self) -> Option<usize> {
//!         None
//!     }
//!     fn start(&self, rows: usize) -> Self::State {
//!         vec![vec![]; rows]
//!     }
//!     fn step(&self, state: &mut Self::State, ids: &[&[u32]], wanted: Positions) -> Result<Logits, Infallible> {
//!         let (mut values, mut positions) = (vec![], vec![]);
//!         for (row, ids) in state.iter_mut().zip(ids) {
//!             row.extend(*ids);
//!             let count = if wanted == Positions::All { ids.len() } else { ids.len().min(1) };
//!             for id in &ids[ids.len() - count..] {
//!                 values.extend((0..10).map(|next| if next == (id + 1) % 10 { 1.0 } else { 0.0 }));
//!             }
//!             positions.push(count);
//!         }
//!         Ok(Logits::new(values, 10, &positions))
//!     }
//!     fn fork(&self, state: &Self::State, rows: &[usize]) -> Self::State {
//!         rows.iter().map(|&row| state[row].clone()).collect()
//!     }
//!     fn truncate(&self, state: &mut Self::State, row: usize, len: usize) {
//!         state[row].truncate(len);
//!     }
//! }
//!
//! let config = GenerateConfig { max_new_tokens: 4, end_of_text: Some(0), ..Default::default() };
//! let prompts = [vec![1, 2, 3], vec![7]];
//! let generations = generate(&Counting, &prompts, &config, &mut |_, _| ControlFlow::Continue(()))?;
//! assert_eq!(generations[0].ids, [4, 5, 6, 7]);
//! assert_eq!(generations[1].ids, [8, 9, 0]);
//! # Ok::<(), firebrand_decode::DecodeError>(())
//! ```

mod beam;
mod best_of;
mod choose;
mod constraint;
mod contrastive;
pub mod cost;
mod draft;
mod draft_length;
mod encoder_decoder;
pub mod error;
mod follow;
pub mod generate;
mod guided;
mod kneser_ney;
pub mod model;
mod ngrams;
pub mod observe;
pub mod processors;
mod prompted;
pub mod sampler;
mod sequence;
mod sliding;
mod speculative;
pub mod strategy;
mod timed;
mod transformer;
mod uncached;

pub use best_of::agreement;
pub use constraint::{Constrained, Constraint};
pub use contrastive::{Contrastive, generate_contrastive};
pub use draft::Draft;
pub use draft_length::DraftLength;
pub use encoder_decoder::EncoderDecoderModel;
pub use error::{ConfigError, DecodeError, PromptError};
pub use generate::{FinishReason, Generation, generate, generate_n_best};
pub use guided::{Guided, GuidedState};
pub use kneser_ney::{NgramCounts, NgramModel, TooManyNgrams};
pub use model::{Hidden, HiddenStates, LanguageModel, Logits, Positions};
pub use ngrams::NgramTable;
pub use observe::{Event, Observer};
pub use processors::Penalties;
pub use prompted::{PromptedModel, PromptedState};
pub use sampler::{Distribution, Draws, Mirostat, Sampling, Use};
pub use sliding::{Sliding, SlidingState};
pub use speculative::{Speculation, expected_speedup, expected_tokens, generate_speculative};
pub use strategy::{Beam, Best, BestOf, GenerateConfig, Stop, Strategy};
pub use timed::{Pass, Timed};
pub use transformer::{DecoderModel, DecoderState};
pub use uncached::{Uncached, UncachedState};
