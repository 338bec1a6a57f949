//! Byte-level byte-pair encoding (SEMANTICS 1.2): 256 bytes and merges of neighbours in the order of their rank.
//!
//! Sennrich et al. 2016, <https://arxiv.org/abs/1508.07909>; on bytes: Radford et al. 2019 (GPT-2).

mod backtracking;
mod encode;
mod merges;
#[cfg(test)]
mod tests;
mod train;

pub(crate) use encode::ByteLevel;
pub(crate) use train::Trained;
pub use train::{ByteLevelConfig, ByteLevelTrainer, END_OF_TEXT};
