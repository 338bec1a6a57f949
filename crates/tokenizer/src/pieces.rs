//! The distinct pieces of texts, counted: what every trainer learns from.

use crate::pattern::{Splitter, last_cut};
use crate::piece_map::PieceMap;

/// Counts the pieces of texts that come one after the other and need not stay in memory.
#[derive(Debug)]
pub(crate) struct PieceCounts {
    splitter: Splitter,
    /// The distinct pieces by first appearance, with their number of occurrences.
    counts: Vec<(Box<str>, u64)>,
    index: PieceMap<u32>,
}

impl PieceCounts {
    pub(crate) fn new(splitter: Splitter) -> Self {
        Self { splitter, counts: Vec::new(), index: PieceMap::default() }
    }

    /// Counts the pieces of a text. No piece spans two texts, so a document should come whole.
    pub(crate) fn feed(&mut self, text: &str) {
        let Self { splitter, counts, index } = self;
        splitter.for_each_piece(text, |piece| match index.get(piece.as_bytes()) {
            Some(&at) => counts[at as usize].1 += 1,
            None => {
                // More than 2³² distinct pieces are refused by the trainers; the count of one is then moot.
                index.insert(piece.as_bytes(), counts.len() as u32);
                counts.push((piece.into(), 1));
            }
        });
    }

    /// Says where texts may be cut.
    pub(crate) fn cutter(&self) -> Cutter {
        Cutter { between_words: self.splitter.cuts_between_words() }
    }

    /// The splitter, and the pieces with their counts.
    pub(crate) fn finish(self) -> (Splitter, Vec<(Box<str>, u64)>) {
        (self.splitter, self.counts)
    }
}

/// Where texts may be cut that are too long to come whole.
#[derive(Clone, Copy, Debug)]
pub struct Cutter {
    between_words: bool,
}

impl Cutter {
    /// The last place where a text may be cut such that feeding both sides, whatever follows, is feeding the whole;
    /// `None` where the pattern has no such place in this text.
    ///
    /// ```
    /// # use firebrand_tokenizer::{ByteLevelConfig, ByteLevelTrainer};
    /// let cutter = ByteLevelTrainer::new(ByteLevelConfig::default())?.cutter();
    /// // What follows could go on with `jum`, but no longer with `fox`.
    /// assert_eq!(cutter.safe_cut("a quick fox jum"), Some("a quick fox".len()));
    /// assert_eq!(cutter.safe_cut("fox"), None);
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    pub fn safe_cut(&self, text: &str) -> Option<usize> {
        if self.between_words { last_cut(text) } else { None }
    }
}
