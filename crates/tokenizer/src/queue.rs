//! Pairs in the order of their counts, for the loops of both trainers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Keys by their counts, which fall and rise while they are here.
///
/// Those that are rare wait, roughly sorted, until their turn comes: of most it never does, as a vocabulary is full before.
/// The queue need not hear of counts that fall; one that rises is pushed again.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    /// Those with counts of `level` bits or more, or that were so frequent when they came.
    frequent: BinaryHeap<(u64, Reverse<K>)>,
    /// The others, by the bits of their counts.
    rare: [Vec<K>; LEVELS],
    level: usize,
}

const LEVELS: usize = u64::BITS as usize + 1;

fn bits(count: u64) -> usize {
    (u64::BITS - count.leading_zeros()) as usize
}

impl<K: Ord + Copy> Queue<K> {
    pub(crate) fn new() -> Self {
        Self { frequent: BinaryHeap::new(), rare: std::array::from_fn(|_| Vec::new()), level: LEVELS }
    }

    /// Adds a key, or one whose count has risen. Those that count 0 are left out.
    pub(crate) fn push(&mut self, key: K, count: u64) {
        match bits(count) {
            0 => {}
            bits if bits < self.level => self.rare[bits].push(key),
            _ => self.frequent.push((count, Reverse(key))),
        }
    }

    /// Takes the most frequent key, the smallest of several, with its count; `count_of` tells counts as they are now.
    pub(crate) fn pop(&mut self, count_of: impl Fn(K) -> u64) -> Option<(K, u64)> {
        loop {
            while let Some((count, Reverse(key))) = self.frequent.pop() {
                match count_of(key) {
                    now if now == count => return Some((key, count)),
                    now if now < count => self.push(key, now),
                    // It was pushed again when it rose.
                    _ => {}
                }
            }
            self.level = self.level.checked_sub(1)?;
            for key in std::mem::take(&mut self.rare[self.level]) {
                let now = count_of(key);
                if bits(now) <= self.level {
                    self.push(key, now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Against a search through all counts, while those of others fall and rise.
    #[test]
    fn the_most_frequent_comes_first_whatever_happens_to_counts() {
        let mut random = 1_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for most in [3, 40, 100_000] {
            let mut queue = Queue::new();
            let mut counts: BTreeMap<u64, u64> = (0..500).map(|key| (key, next(most))).collect();
            counts.iter().for_each(|(&key, &count)| queue.push(key, count));
            for _ in 0..2_000 {
                for _ in 0..3 {
                    let key = next(500);
                    let (old, new) = (counts[&key], next(most));
                    // What was taken does not come again.
                    if old > 0 {
                        counts.insert(key, new);
                        if new > old {
                            queue.push(key, new);
                        }
                    }
                }
                let expected = counts
                    .iter()
                    .filter(|(_, count)| **count > 0)
                    .max_by_key(|(key, count)| (**count, Reverse(**key)))
                    .map(|(&key, &count)| (key, count));
                assert_eq!(queue.pop(|key| counts[&key]), expected);
                if let Some((key, _)) = expected {
                    counts.insert(key, 0);
                }
            }
        }
    }
}
