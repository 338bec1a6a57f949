//! Rows of token ids.

use crate::error::CorpusError;
use crate::shards::TokenSplit;

/// Windows of one length, read from a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBatch {
    /// The ids, row by row: `[rows, len]`.
    pub ids: Vec<u32>,
    /// How many windows there are.
    pub rows: usize,
    /// Ids in each window: `seq_len + 1`, the inputs and one more target.
    pub len: usize,
}

impl TokenBatch {
    /// Reads the windows of `len` tokens that start at `starts`.
    ///
    /// # Errors
    /// As [`TokenSplit::fill`].
    ///
    /// # Panics
    /// If a window is not inside the split.
    pub fn read(split: &TokenSplit, starts: &[usize], len: usize) -> Result<Self, CorpusError> {
        let mut ids = vec![0; starts.len() * len];
        if len > 0 {
            for (row, &start) in ids.chunks_exact_mut(len).zip(starts) {
                split.fill(start, row)?;
            }
        }
        Ok(Self { ids, rows: starts.len(), len })
    }

    /// The ids of one window.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[u32] {
        assert!(row < self.rows, "row {row} of a batch of {}", self.rows);
        &self.ids[row * self.len..(row + 1) * self.len]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_windows_asked_for() {
        let split = TokenSplit::from_ids((100..120).collect(), 120, 0, 1).unwrap();
        let batch = TokenBatch::read(&split, &[17, 0, 5], 3).unwrap();
        assert_eq!(batch.ids, [117, 118, 119, 100, 101, 102, 105, 106, 107]);
        assert_eq!((batch.rows, batch.len), (3, 3));
        assert_eq!(batch.row(1), [100, 101, 102]);
    }
}
