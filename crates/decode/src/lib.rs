//! Generation strategies against a small model trait.
//!
//! A strategy decides which token ids follow a prompt. Everything here is written against [`LanguageModel`]: ids
//! in, logits out, and a cache that can be forked, reordered and cut back. This crate does not know tensors,
//! devices, architectures, text or tokenizers; its tests run every strategy on a fake model small enough to
//! enumerate.
//!
//! - [`model`]: the trait, and the logits it returns.
//! - [`processors`]: what changes logits before a token is chosen, each a pure function.
//! - [`sampler`]: temperature, truncation, and seeded draws from the distribution that remains.
//! - [`strategy`]: the choice of strategy and the limits of a generation, as configuration.
//! - [`generate`](mod@generate): the loop which feeds the model and hands out tokens.
//! - [`error`]: everything that can go wrong.
//!
//! The order of the steps between logits and a token is fixed: penalties, bans, temperature, top-k, top-p,
//! renormalization.

mod choose;
pub mod error;
pub mod generate;
pub mod model;
pub mod processors;
pub mod sampler;
pub mod strategy;

pub use error::{ConfigError, DecodeError, PromptError};
pub use generate::{FinishReason, Generation, generate};
pub use model::{LanguageModel, Logits, Positions};
pub use processors::Penalties;
pub use sampler::{Distribution, Draws, Sampling};
pub use strategy::{GenerateConfig, Strategy};
