//! Windows that cover a held-out stream, each target once.

use super::TokenBatch;
use crate::error::CorpusError;
use crate::shards::TokenSplit;

/// A window to evaluate: the tokens `start..start + targets + 1`, of which all but the first are targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalWindow {
    /// Its first token.
    pub start: usize,
    /// How many targets it has: `seq_len`, or fewer in the last window.
    pub targets: usize,
}

/// The windows that make every token of a stream but the first a target exactly once: `⌊(n_tokens − 1) / seq_len⌋`
/// full ones, as in nanoGPT, and a shorter one for what is left. None when there are fewer than two tokens.
///
/// # Panics
/// If `seq_len` is 0.
pub fn eval_windows(n_tokens: usize, seq_len: usize) -> impl ExactSizeIterator<Item = EvalWindow> + Clone {
    assert!(seq_len > 0, "seq_len must be at least 1");
    let n_targets = n_tokens.saturating_sub(1);
    (0..n_targets.div_ceil(seq_len)).map(move |row| {
        let start = row * seq_len;
        EvalWindow { start, targets: seq_len.min(n_targets - start) }
    })
}

/// The same windows as batches of up to `batch_size` rows, read from a split; the shorter last window is a batch of
/// its own.
///
/// Bits per byte are the nats of all targets over `ln 2 ·` (the bytes of the split's text less those of its first
/// token, which is no target). With an end-of-text token the first token is that one, with no bytes.
///
/// # Errors
/// Each batch may fail as [`TokenSplit::fill`] does.
///
/// # Panics
/// If `seq_len` or `batch_size` is 0.
pub fn eval_batches(
    split: &TokenSplit,
    seq_len: usize,
    batch_size: usize,
) -> impl Iterator<Item = Result<TokenBatch, CorpusError>> + '_ {
    assert!(batch_size > 0, "batch_size must be at least 1");
    let mut windows = eval_windows(split.len(), seq_len).peekable();
    std::iter::from_fn(move || {
        let first = windows.next()?;
        let mut starts = vec![first.start];
        while starts.len() < batch_size
            && let Some(next) = windows.next_if(|next| next.targets == first.targets)
        {
            starts.push(next.start);
        }
        Some(TokenBatch::read(split, &starts, first.targets + 1))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_token_but_the_first_is_a_target_once(n_tokens in 0usize..500, seq_len in 1usize..40) {
            let windows: Vec<EvalWindow> = eval_windows(n_tokens, seq_len).collect();
            let targets: Vec<usize> =
                windows.iter().flat_map(|window| window.start + 1..window.start + 1 + window.targets).collect();
            prop_assert_eq!(targets, (1..n_tokens).collect::<Vec<_>>());
            let full = windows.iter().filter(|window| window.targets == seq_len).count();
            prop_assert_eq!(full, n_tokens.saturating_sub(1) / seq_len);
            prop_assert!(windows.iter().all(|window| window.targets > 0));
        }

        #[test]
        fn batches_hold_the_windows_in_order(n_tokens in 0u32..300, seq_len in 1usize..20, batch_size in 1usize..8) {
            let split = TokenSplit::from_ids((0..n_tokens).collect(), 300, 0, 1).unwrap();
            let mut targets = Vec::new();
            for batch in eval_batches(&split, seq_len, batch_size) {
                let batch = batch.unwrap();
                prop_assert!(batch.rows <= batch_size);
                for row in 0..batch.rows {
                    targets.extend_from_slice(&batch.row(row)[1..]);
                }
            }
            prop_assert_eq!(targets, (1..n_tokens).collect::<Vec<_>>());
        }
    }
}
