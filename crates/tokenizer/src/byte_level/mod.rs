//! Byte-level byte-pair encoding (SEMANTICS 1.2): 256 bytes and merges of neighbours in the order of their rank.
//!
//! Sennrich et al. 2016, <https://arxiv.org/abs/1508.07909>; on bytes: Radford et al. 2019 (GPT-2).

mod encode;
mod merges;
mod train;

pub(crate) use encode::{ByteLevel, Merge};
pub(crate) use train::Trained;
pub use train::{ByteLevelConfig, ByteLevelTrainer, END_OF_TEXT};

use rustc_hash::FxHashSet;

/// Drops every pair that comes again later. A pair is merged twice when new occurrences of it come up after its
/// first merge; it then ranks where it came last, as in Hugging Face tokenizers.
fn last_of_each(ranked: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    let mut seen = FxHashSet::default();
    let mut kept: Vec<_> = ranked.into_iter().rev().filter(|pair| seen.insert(*pair)).collect();
    kept.reverse();
    kept
}
