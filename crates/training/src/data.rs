//! What a run trains on: which rows make up which step, and what is held out.

use crate::TrainingError;
use firebrand_corpus::batches::{TokenBatch, WindowOrder, eval_batches};
use firebrand_corpus::shards::TokenSplit;
use std::ops::Range;

/// Examples that are trained on together.
pub trait Rows: Sized {
    /// How many there are.
    fn count(&self) -> usize;

    /// How many tokens the model reads of them.
    fn tokens(&self) -> u64;

    /// Some of them, in their order.
    fn part(&self, range: Range<usize>) -> Self;
}

impl Rows for TokenBatch {
    fn count(&self) -> usize {
        self.rows
    }

    fn tokens(&self) -> u64 {
        // The last token of a row is a target only.
        (self.rows * (self.len - 1)) as u64
    }

    fn part(&self, range: Range<usize>) -> Self {
        let ids = self.ids[range.start * self.len..range.end * self.len].to_vec();
        TokenBatch { ids, rows: range.len(), len: self.len }
    }
}

/// Rows as they come, or why they cannot be read.
pub type RowsIterator<'a, R> = Box<dyn Iterator<Item = Result<R, TrainingError>> + 'a>;

/// What a run trains on. It has no state: the rows of a step follow from the step, so that a run goes on at any of them.
pub trait Data {
    /// What objectives make of it what a model is given.
    type Rows: Rows;

    /// The rows of step `step` (from 0), `batch_size` of them.
    ///
    /// # Errors
    /// When they cannot be read.
    fn step(&self, step: u64, batch_size: usize) -> Result<Self::Rows, TrainingError>;

    /// What is held out, about `rows` at a time: all of it, or as many tokens from its start as `limit` says (0: all). `None` where
    /// nothing is.
    fn held_out(&self, limit: usize, rows: usize) -> Option<RowsIterator<'_, Self::Rows>>;

    /// UTF-8 bytes of the held-out text that its targets stand for, for bits per byte; 0 where they are not known.
    fn held_out_bytes(&self) -> u64 {
        0
    }
}

/// Windows of streams of tokens.
#[derive(Debug, Clone, Copy)]
pub struct Windows<'a> {
    /// The tokens to train on.
    pub train: &'a TokenSplit,
    /// Which windows of them make up which step.
    pub order: &'a WindowOrder,
    /// Tokens in a window, the last target left out.
    pub seq_len: usize,
    /// The tokens to evaluate on.
    pub held_out: Option<&'a TokenSplit>,
    /// UTF-8 bytes of the held-out text that its targets stand for.
    pub held_out_bytes: u64,
}

/// The windows of `split`, `rows` at a time, until `limit` tokens of them were given (0: all).
pub fn held_out_windows(
    split: &TokenSplit,
    seq_len: usize,
    limit: usize,
    rows: usize,
) -> RowsIterator<'_, TokenBatch> {
    let mut left = if limit == 0 { usize::MAX } else { limit };
    let batches = eval_batches(split, seq_len, rows).take_while(move |batch| {
        let go_on = left > 0;
        left = left.saturating_sub(batch.as_ref().map_or(0, |batch| batch.tokens() as usize));
        go_on
    });
    Box::new(batches.map(|batch| batch.map_err(TrainingError::from)))
}

impl Data for Windows<'_> {
    type Rows = TokenBatch;

    fn step(&self, step: u64, batch_size: usize) -> Result<TokenBatch, TrainingError> {
        let starts = self.order.batch(step, batch_size);
        Ok(TokenBatch::read(self.train, &starts, self.seq_len + 1)?)
    }

    fn held_out(&self, limit: usize, rows: usize) -> Option<RowsIterator<'_, TokenBatch>> {
        Some(held_out_windows(self.held_out?, self.seq_len, limit, rows))
    }

    fn held_out_bytes(&self) -> u64 {
        self.held_out_bytes
    }
}
