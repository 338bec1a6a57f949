//! Character BPE with longest-prefix segmentation (SEMANTICS 1.1): the vocabulary grows by the most frequent pair of
//! neighbours, and a word becomes, again and again, the longest prefix that is a token.
//!
//! Merges have no rank here: a vocabulary is a set of strings. With no merge at all it is one token a character.
//!
//! - `reference` trains line by line as the algorithm is written down.
//! - `train` finds the same merges by touching only what a new token changes.
//! - `encode` segments in linear time, on the trie of [`double_array`](crate::double_array).

mod config;
mod encode;
mod reference;
#[cfg(test)]
mod tests;
mod train;

pub use config::{LongestPrefixConfig, LongestPrefixTrainer, UNKNOWN, VocabularySize};
pub(crate) use config::{Trained, byte_token};
pub(crate) use encode::{LongestPrefix, Unknown};
