//! One token a character (SEMANTICS 1.1 with `k = 0`): the smallest vocabulary that reads a text letter by
//! letter.
//!
//! A character outside the vocabulary becomes one `<unk>`.

use rustc_hash::FxHashMap;

/// The token of a character that isn't in the vocabulary.
pub const UNKNOWN: &str = "<unk>";

/// The algorithm with its table.
#[derive(Debug)]
pub(crate) struct Characters {
    ids: FxHashMap<char, u32>,
    unknown: u32,
}

impl Characters {
    pub(crate) fn new(ids: impl IntoIterator<Item = (char, u32)>, unknown: u32) -> Self {
        Self { ids: ids.into_iter().collect(), unknown }
    }

    /// The id of the token for characters outside the vocabulary.
    pub(crate) fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Appends the ids of a text.
    pub(crate) fn encode(&self, text: &str, out: &mut Vec<u32>) {
        out.extend(text.chars().map(|char| self.ids.get(&char).copied().unwrap_or(self.unknown)));
    }
}
