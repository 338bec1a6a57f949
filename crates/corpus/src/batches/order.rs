//! The order in which training visits a token stream.

use serde::{Deserialize, Serialize};

use super::{Permutation, below, keyed_rng};
use crate::error::CorpusError;

/// How windows follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Every epoch cuts the stream into windows at another offset and visits each of them once, in random order.
    #[default]
    Epochs,
    /// Every window starts anywhere, independent of all others, as in nanoGPT.
    Random,
}

/// Which window the n-th example is, for n = 0, 1, 2, … without end.
///
/// A window is `seq_len + 1` consecutive tokens: `seq_len` inputs and, one further, `seq_len` targets. Consecutive
/// windows share one token, so that every token of the stream is a target once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowOrder {
    n_tokens: u64,
    seq_len: u64,
    seed: u64,
    order: Order,
}

impl WindowOrder {
    /// The order of windows over a stream of `n_tokens`.
    ///
    /// # Errors
    /// `seq_len` is 0, or the stream is shorter than one window.
    pub fn new(n_tokens: usize, seq_len: usize, seed: u64, order: Order) -> Result<Self, CorpusError> {
        if seq_len == 0 {
            return Err(CorpusError::ZeroSeqLen);
        }
        if n_tokens <= seq_len {
            return Err(CorpusError::TooShort { tokens: n_tokens, seq_len });
        }
        Ok(Self { n_tokens: n_tokens as u64, seq_len: seq_len as u64, seed, order })
    }

    /// Examples until the stream has been seen once: the windows that fit behind every offset in `0..seq_len`, at least
    /// one. (Fewer than `2 · seq_len` tokens at the edges are left out, other ones each epoch.)
    pub fn windows_per_epoch(&self) -> u64 {
        (self.n_tokens / self.seq_len).saturating_sub(1).max(1)
    }

    /// The epoch an example belongs to, from 0.
    pub fn epoch(&self, example: u64) -> u64 {
        example / self.windows_per_epoch()
    }

    /// Where the window of an example starts; it ends `seq_len + 1` tokens further, within the stream.
    pub fn start(&self, example: u64) -> usize {
        let start = match self.order {
            Order::Epochs => self.start_in_epoch(example),
            Order::Random => {
                below(&mut keyed_rng(self.seed, "random windows", example), self.n_tokens - self.seq_len)
            }
        };
        // It is less than `n_tokens`, which came as a usize.
        start as usize
    }

    fn start_in_epoch(&self, example: u64) -> u64 {
        let n_windows = self.windows_per_epoch();
        let mut rng = keyed_rng(self.seed, "window epochs", example / n_windows);
        // Every token but the first is a target of some window; these fit in no window at offset 0.
        let left_over = self.n_tokens - 1 - n_windows * self.seq_len;
        let offset = below(&mut rng, self.seq_len.min(left_over + 1));
        offset + self.seq_len * Permutation::new(n_windows, &mut rng).image(example % n_windows)
    }

    /// Where the windows of a step start. The i-th of them is example `step · batch_size + i`, whatever the step is
    /// split into.
    pub fn batch(&self, step: u64, batch_size: usize) -> Vec<usize> {
        let first = step * batch_size as u64;
        (first..first + batch_size as u64).map(|example| self.start(example)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_window_is_visited_once_an_epoch(
            seq_len in 1usize..20, more in 0usize..400, seed: u64, epoch in 0u64..5,
        ) {
            let n_tokens = seq_len + 1 + more;
            let order = WindowOrder::new(n_tokens, seq_len, seed, Order::Epochs).unwrap();
            let n = order.windows_per_epoch();
            let examples = epoch * n..(epoch + 1) * n;
            prop_assert!(examples.clone().all(|example| order.epoch(example) == epoch));
            let mut starts: Vec<usize> = examples.map(|example| order.start(example)).collect();
            starts.sort_unstable();
            // Side by side from some offset on, without holes or repetitions.
            prop_assert!(starts[0] < seq_len);
            prop_assert!(starts.windows(2).all(|pair| pair[1] == pair[0] + seq_len));
            prop_assert!(starts[starts.len() - 1] + seq_len < n_tokens);
            // What is left out is little, unless there is little.
            if n > 1 {
                prop_assert!(n_tokens - 1 - starts.len() * seq_len < 2 * seq_len);
            }
        }

        #[test]
        fn windows_lie_within_the_stream(
            seq_len in 1usize..50, more in 0usize..100, seed: u64, example: u32, random: bool,
        ) {
            let kind = if random { Order::Random } else { Order::Epochs };
            let n_tokens = seq_len + 1 + more;
            let order = WindowOrder::new(n_tokens, seq_len, seed, kind).unwrap();
            prop_assert!(order.start(u64::from(example)) + seq_len < n_tokens);
        }

        #[test]
        fn a_step_does_not_depend_on_how_it_is_split(seed: u64, step in 0u64..1000, micro in 1usize..6, random: bool) {
            let kind = if random { Order::Random } else { Order::Epochs };
            let order = WindowOrder::new(1000, 7, seed, kind).unwrap();
            let micro_batches = (0..4).flat_map(|i| order.batch(step * 4 + i, micro)).collect::<Vec<_>>();
            prop_assert_eq!(order.batch(step, 4 * micro), micro_batches);
        }
    }

    #[test]
    fn random_windows_start_anywhere_and_nowhere_else() {
        let order = WindowOrder::new(10, 4, 3, Order::Random).unwrap();
        let starts: BTreeSet<usize> = (0..500).map(|example| order.start(example)).collect();
        assert_eq!(starts, (0..6).collect());
    }

    #[test]
    fn epochs_differ_in_offset_and_order() {
        let order = WindowOrder::new(1001, 10, 0, Order::Epochs).unwrap();
        let n = order.windows_per_epoch();
        assert_eq!(n, 99);
        let epoch = |e: u64| (e * n..(e + 1) * n).map(|example| order.start(example)).collect::<Vec<_>>();
        let offsets: BTreeSet<usize> = (0..200).map(|e| epoch(e)[0] % 10).collect();
        assert_eq!(offsets.len(), 10);
        assert_ne!(epoch(0), epoch(1));
        let other_seed = WindowOrder::new(1001, 10, 1, Order::Epochs).unwrap();
        assert_ne!(order.batch(0, 8), other_seed.batch(0, 8));
    }

    #[test]
    fn the_order_is_pinned() {
        // Changing it would change every run: a resumed one would no longer equal an undisturbed one. A second
        // implementation, in Python, gave the same.
        let order = |kind| WindowOrder::new(1_003_854, 64, 1337, kind).unwrap();
        assert_eq!(order(Order::Epochs).batch(0, 4), [608_014, 702_414, 714_894, 96_974]);
        assert_eq!(order(Order::Random).batch(0, 4), [119_665, 936_966, 420_681, 295_185]);
    }

    #[test]
    fn text_shorter_than_a_context_is_an_error_with_both_numbers() {
        let error = WindowOrder::new(64, 64, 0, Order::Epochs).unwrap_err().to_string();
        assert!(error.contains("64 tokens") && error.contains("seq_len 64 needs 65"), "{error}");
        assert!(WindowOrder::new(65, 64, 0, Order::Random).is_ok());
        assert!(WindowOrder::new(65, 0, 0, Order::Random).is_err());
    }
}
