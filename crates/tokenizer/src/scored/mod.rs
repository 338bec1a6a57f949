//! BPE by scores, as sentencepiece and llama2.c have it: a text starts as characters (bytes where a character is no token),
//! and of all neighbours that together are a token those of the highest score merge, leftmost first.
//!
//! There is no pattern. Instead, every text begins with a space that is not its own, the *prefix*, so that a word at the
//! beginning is the same token as elsewhere: `encode("a b")` are the ids of " a b". An empty text has none. Behind a special
//! token a text begins anew. Decoding takes the prefix off again, at the beginning of the ids and behind a special token, so
//! that what is decoded is what was encoded. Where ids go on a text that is already there, this must be said:
//! [`Tokenizer::decode_behind`](crate::Tokenizer::decode_behind).
//!
//! This module knows nothing of files.

mod encode;
#[cfg(test)]
mod tests;

pub(crate) use encode::{Scored, Start};

/// What stands before every text.
pub(crate) const PREFIX: char = ' ';
