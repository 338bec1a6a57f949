//! Regular expressions and JSON schemas as a [`Constraint`](firebrand_decode::Constraint) for decoding: whatever the strategy, a
//! text that ended by itself matches the whole of them.
//!
//! This crate knows the bytes of tokens and what may follow them; not models, logits but for banning them, or strategies. The
//! parsing is llguidance's, on bytes, so that a token may hold part of a character.
//!
//! - [`Grammar`]: what is asked for, and the constraint it makes.
//! - `pattern`: what of a regular expression is supported, and messages for what is not.
//! - `states`: what may follow the ids so far, remembered.
//!
//! ```
//! use firebrand_constrain::Grammar;
//! use firebrand_decode::Constraint;
//! use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
//!
//! let tokenizer = Tokenizer::train_byte_level(["one two"], &ByteLevelConfig::default())?;
//! let grammar = Grammar::regular_expression("[0-9]{2}", &tokenizer.token_table(), tokenizer.end_of_text())?;
//! assert!(!grammar.is_complete(&tokenizer.encode("4")));
//! assert!(grammar.is_complete(&tokenizer.encode("42")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod grammar;
mod pattern;
mod states;

pub use error::ConstrainError;
pub use grammar::Grammar;
