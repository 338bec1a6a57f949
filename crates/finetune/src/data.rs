//! Which examples make up which step.

use crate::example::{Examples, Item};
use firebrand_corpus::batches::{Permutation, keyed_rng};
use firebrand_training::{Data, RowsIterator, TrainingError};

/// How many batches' examples are sorted by length together.
const BATCHES_IN_POOL: u64 = 16;

/// Examples to train on and examples to evaluate on.
///
/// Every epoch has its own order, which follows from (seed, epoch). With `group_by_length` the examples of some batches in that order,
/// all of one epoch, are sorted by length before they are cut into batches, so that little is padded, and those batches come in random
/// order; a batch in which one epoch ends and the next begins is taken as it comes. So of as many examples as there are, counted from
/// the start, each comes once. The rows of a step follow from the step, and do not depend on what it is cut into.
#[derive(Debug, Clone, Copy)]
pub struct ExampleData<'a, E> {
    /// To train on: at least one.
    pub train: &'a [E],
    /// To evaluate on; there may be none.
    pub held_out: &'a [E],
    /// Of the order.
    pub seed: u64,
    /// Put examples of like lengths into a batch.
    pub group_by_length: bool,
}

impl<E: Item> ExampleData<'_, E> {
    /// Which example is the `n`-th, in the order of the epochs.
    fn shuffled(&self, n: u64) -> usize {
        let count = self.train.len() as u64;
        let mut rng = keyed_rng(self.seed, "example epochs", n / count);
        Permutation::new(count, &mut rng).image(n % count) as usize
    }

    /// The examples of a step.
    fn of_step(&self, step: u64, batch_size: usize) -> Vec<usize> {
        let size = batch_size as u64;
        if !self.group_by_length {
            return (step * size..(step + 1) * size).map(|n| self.shuffled(n)).collect();
        }
        let count = self.train.len() as u64;
        let epoch = step * size / count;
        // The steps that are whole inside this epoch: a pool reaches from one of them to another, and never into the next epoch.
        let whole = (epoch * count).div_ceil(size)..(epoch + 1) * count / size;
        if !whole.contains(&step) {
            return (step * size..(step + 1) * size).map(|n| self.shuffled(n)).collect();
        }
        let first = step - (step - whole.start) % BATCHES_IN_POOL;
        let batches = BATCHES_IN_POOL.min(whole.end - first);
        let mut all: Vec<usize> =
            (first * size..(first + batches) * size).map(|n| self.shuffled(n)).collect();
        // The sort is stable, so that the order of examples of the same length is that of the epoch.
        all.sort_by_key(|&example| self.train[example].tokens());
        let mut rng = keyed_rng(self.seed, "example pools", first);
        let batch = Permutation::new(batches, &mut rng).image(step - first) as usize;
        all[batch * batch_size..(batch + 1) * batch_size].to_vec()
    }
}

impl<E: Item> Data for ExampleData<'_, E> {
    type Rows = Examples<E>;

    fn step(&self, step: u64, batch_size: usize) -> Result<Examples<E>, TrainingError> {
        let chosen = self.of_step(step, batch_size);
        Ok(Examples(chosen.into_iter().map(|example| self.train[example].clone()).collect()))
    }

    fn held_out(&self, limit: usize, rows: usize) -> Option<RowsIterator<'_, Examples<E>>> {
        in_batches(self.held_out, limit, rows)
    }
}

/// These examples, those of like lengths together, about `rows` at a time: all of them, or as many tokens from their start as
/// `limit` says (0: all). `None` where there are none.
pub fn in_batches<E: Item>(
    examples: &[E],
    limit: usize,
    rows: usize,
) -> Option<RowsIterator<'_, Examples<E>>> {
    if examples.is_empty() {
        return None;
    }
    let mut left = if limit == 0 { usize::MAX } else { limit };
    let mut chosen: Vec<&E> = examples.iter().collect();
    chosen.retain(|example| {
        let go_on = left > 0;
        left = left.saturating_sub(example.tokens());
        go_on
    });
    chosen.sort_by_key(|example| example.tokens());
    let batches: Vec<Examples<E>> = chosen
        .chunks(rows.max(1))
        .map(|batch| Examples(batch.iter().map(|&e| e.clone()).collect()))
        .collect();
    Some(Box::new(batches.into_iter().map(Ok)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Of(usize);

    impl Item for Of {
        fn tokens(&self) -> usize {
            self.0 % 7
        }
    }

    fn examples(count: usize) -> Vec<Of> {
        (0..count).map(Of).collect()
    }

    fn steps(data: &ExampleData<'_, Of>, steps: u64, size: usize) -> Vec<usize> {
        let step = |step| data.step(step, size).expect("in memory").0.into_iter().map(|of| of.0);
        (0..steps).flat_map(step).collect()
    }

    #[test]
    fn every_example_comes_once_an_epoch_and_epochs_differ() {
        let train = examples(64);
        for group_by_length in [false, true] {
            let data = ExampleData { train: &train, held_out: &[], seed: 3, group_by_length };
            // 16 steps of 4 are one epoch, and a pool.
            let all = steps(&data, 32, 4);
            let (first, second) = all.split_at(64);
            for epoch in [first, second] {
                let mut sorted = epoch.to_vec();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..64).collect::<Vec<usize>>());
            }
            assert_ne!(first, second);
            let other = ExampleData { seed: 4, ..data };
            assert_ne!(steps(&other, 16, 4), first);
        }
    }

    #[test]
    fn epochs_that_end_inside_of_a_batch_or_a_pool_have_every_example_once_too() {
        // Less than a batch, one that is no whole number of batches, of pools, and both.
        for (count, size) in [(3, 5), (37, 4), (80, 4), (101, 4), (131, 1)] {
            let train = examples(count);
            let data = ExampleData { train: &train, held_out: &[], seed: 3, group_by_length: true };
            let epochs = 6;
            let all = steps(&data, (epochs * count).div_ceil(size) as u64, size);
            for epoch in all.chunks_exact(count) {
                let mut sorted = epoch.to_vec();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<usize>>(), "{count} in batches of {size}");
            }
        }
    }

    #[test]
    fn grouping_puts_like_lengths_together_and_shuffles_the_batches() {
        let train = examples(70 * 16);
        let data = ExampleData { train: &train, held_out: &[], seed: 0, group_by_length: true };
        let lengths: Vec<Vec<usize>> = (0..16)
            .map(|step| steps(&data, step + 1, 10)[step as usize * 10..].iter().map(|n| n % 7).collect())
            .collect();
        let spread: usize = lengths.iter().map(|batch| batch[9] - batch[0]).sum();
        assert!(spread <= 7, "{lengths:?}");
        assert!(!lengths.windows(2).all(|pair| pair[0][0] <= pair[1][0]), "{lengths:?}");
    }

    #[test]
    fn all_that_is_held_out_is_evaluated_or_as_much_as_the_limit_says() {
        let (train, held_out) = (examples(1), examples(20));
        let data = ExampleData { train: &train, held_out: &held_out, seed: 0, group_by_length: true };
        let evaluated = |limit| {
            let batches = data.held_out(limit, 6).expect("some is held out");
            let mut all: Vec<usize> =
                batches.flat_map(|batch| batch.expect("in memory").0).map(|of| of.0).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(evaluated(0), (0..20).collect::<Vec<usize>>());
        // 0 + 1 + 2 + 3 tokens are more than 5.
        assert_eq!(evaluated(5), [0, 1, 2, 3]);
        assert!(ExampleData { held_out: &[], ..data }.held_out(0, 6).is_none());
    }
}
