//! Merging neighbours by rank: of all that may merge, those of the lowest rank do, leftmost first, until none may.
//!
//! Short rows of symbols are merged by scanning, long ones with a queue, so that none costs quadratic time. This module
//! knows neither what a symbol is nor where ranks come from: that is a [`Merging`].

use crate::pair::Pair;
use rustc_hash::FxHashSet;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Up to this many symbols a scan for the lowest rank is faster than a queue.
const SHORT: usize = 48;
/// The rank of neighbours that do not merge.
pub(crate) const NO_RANK: u32 = u32::MAX;

/// A pair of tokens and what it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) merged: u32,
}

impl Merge {
    pub(crate) fn pair(&self) -> Pair {
        Pair::new(self.left, self.right)
    }
}

/// Which neighbours merge, and into what. Several pairs may share a rank.
pub(crate) trait Merging {
    /// The rank of two neighbours, or [`NO_RANK`].
    fn rank(&self, left: u32, right: u32) -> u32;
    /// What two neighbours become that have this rank.
    fn merged(&self, left: u32, right: u32, rank: u32) -> u32;
}

/// Memory that is used again from row to row.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// What is to be merged, and then what came of it.
    pub(crate) symbols: Vec<u32>,
    ranks: Vec<u32>,
}

/// Merges the symbols of `scratch`.
pub(crate) fn merge(merging: &impl Merging, scratch: &mut Scratch) {
    let Scratch { symbols, ranks } = scratch;
    if symbols.len() <= SHORT {
        merge_by_scanning(merging, symbols, ranks);
    } else {
        merge_skipping(merging, symbols, || false);
    }
}

/// Quadratic in the number of symbols, with a tiny constant.
fn merge_by_scanning(merging: &impl Merging, symbols: &mut Vec<u32>, ranks: &mut Vec<u32>) {
    ranks.clear();
    ranks.extend(symbols.windows(2).map(|pair| merging.rank(pair[0], pair[1])));
    // `min_by_key` gives the first of equal minima: the leftmost pair.
    while let Some((at, &rank)) = ranks.iter().enumerate().min_by_key(|(_, rank)| **rank) {
        if rank == NO_RANK {
            break;
        }
        symbols[at] = merging.merged(symbols[at], symbols[at + 1], rank);
        symbols.remove(at + 1);
        ranks.remove(at);
        if at > 0 {
            ranks[at - 1] = merging.rank(symbols[at - 1], symbols[at]);
        }
        if at < ranks.len() {
            ranks[at] = merging.rank(symbols[at], symbols[at + 1]);
        }
    }
}

/// `O(n log n)`: a linked list of symbols and a queue of (rank, position), where outdated entries are skipped. An outdated
/// entry whose place holds another pair of the same rank by now is as good as that pair's own.
///
/// `skip` passes over a merge: until another is made, when it is asked again of all that could be (BPE-dropout, Provilkov et
/// al. 2020, <https://arxiv.org/abs/1910.13267>). Taking the lowest rank of those that are not passed over is asking in the
/// order of ranks until one is not.
pub(crate) fn merge_skipping(merging: &impl Merging, symbols: &mut Vec<u32>, mut skip: impl FnMut() -> bool) {
    let mut skipped = Vec::new();
    let end = symbols.len();
    let mut next: Vec<usize> = (1..=end).collect();
    let mut previous: Vec<usize> = (0..end).map(|at| at.wrapping_sub(1)).collect();
    let mut queue = Queue::default();
    for (at, pair) in symbols.windows(2).enumerate() {
        let rank = merging.rank(pair[0], pair[1]);
        if rank != NO_RANK {
            queue.push(rank, at);
        }
    }
    while let Some((rank, at)) = queue.pop() {
        let right = next[at];
        // A merged-away symbol has itself as its next one.
        if right == at || right == end || merging.rank(symbols[at], symbols[right]) != rank {
            continue;
        }
        if skip() {
            skipped.push((rank, at));
            continue;
        }
        skipped.drain(..).for_each(|(rank, at)| queue.push(rank, at));
        symbols[at] = merging.merged(symbols[at], symbols[right], rank);
        let after = next[right];
        next[at] = after;
        next[right] = right;
        if after < end {
            previous[after] = at;
        }
        let neighbours = [(previous[at], at), (at, after)];
        for (left, right) in neighbours.into_iter().filter(|&(left, right)| left < end && right < end) {
            let rank = merging.rank(symbols[left], symbols[right]);
            if rank != NO_RANK {
                queue.push(rank, left);
            }
        }
    }
    let (mut kept, mut at) = (0, 0);
    while at < end {
        symbols[kept] = symbols[at];
        kept += 1;
        at = next[at];
    }
    symbols.truncate(kept);
}

/// Positions by rank, the lowest rank first and of one rank the leftmost. As merging goes from left to right, nearly all
/// positions of a rank come in order: they are a list that is read once, where a heap of millions would wait for memory.
#[derive(Default)]
struct Queue {
    /// The ranks that have positions, but for the lowest.
    others: BTreeMap<u32, Positions>,
    /// The lowest, and its positions.
    rank: u32,
    lowest: Positions,
}

/// The positions of one rank.
#[derive(Default)]
struct Positions {
    /// Those that came in order, and how many of them are taken.
    in_order: Vec<usize>,
    taken: usize,
    /// All others.
    others: BinaryHeap<Reverse<usize>>,
}

impl Queue {
    fn push(&mut self, rank: u32, at: usize) {
        if rank == self.rank {
            self.lowest.push(at);
            return;
        }
        if rank < self.rank {
            let higher = std::mem::take(&mut self.lowest);
            self.others.insert(std::mem::replace(&mut self.rank, rank), higher);
            self.lowest.push(at);
            return;
        }
        self.others.entry(rank).or_default().push(at);
    }

    fn pop(&mut self) -> Option<(u32, usize)> {
        loop {
            if let Some(at) = self.lowest.pop() {
                return Some((self.rank, at));
            }
            (self.rank, self.lowest) = self.others.pop_first()?;
        }
    }
}

impl Positions {
    fn push(&mut self, at: usize) {
        if self.in_order.last().is_none_or(|&last| last <= at) {
            self.in_order.push(at);
        } else {
            self.others.push(Reverse(at));
        }
    }

    fn pop(&mut self) -> Option<usize> {
        let listed = self.in_order.get(self.taken).copied();
        match (listed, self.others.peek()) {
            (Some(listed), Some(&Reverse(other))) if other < listed => {
                self.others.pop();
                Some(other)
            }
            (Some(listed), _) => {
                self.taken += 1;
                Some(listed)
            }
            (None, _) => self.others.pop().map(|Reverse(other)| other),
        }
    }
}

/// Drops every pair that a file gives again later: its last rank counts, as in Hugging Face tokenizers.
pub(crate) fn last_of_each(merges: Vec<Merge>) -> Vec<Merge> {
    let mut seen = FxHashSet::default();
    let mut kept: Vec<_> = merges.into_iter().rev().filter(|merge| seen.insert(merge.pair())).collect();
    kept.reverse();
    kept
}

/// Remembers which pair was merged last.
struct Recorder<'m, M> {
    merging: &'m M,
    last: Cell<Option<(u32, u32, u32)>>,
}

impl<M: Merging> Merging for Recorder<'_, M> {
    fn rank(&self, left: u32, right: u32) -> u32 {
        self.merging.rank(left, right)
    }

    fn merged(&self, left: u32, right: u32, rank: u32) -> u32 {
        self.last.set(Some((rank, left, right)));
        self.merging.merged(left, right, rank)
    }
}

/// The merges that texts can meet, with their ranks, in the order of these: for each of the tokens (bytes, id) that its own
/// bytes are merged to, the last merge on the way. No other pair ever becomes that token.
///
/// Why: say a pair becomes a token somewhere in a text. Until then no merge crossed its borders, and those inside were
/// made in the order in which merging the token's bytes alone makes them, since the lowest rank of all, leftmost, is so
/// among those inside too. So the two symbols are those that the token's bytes alone come to, which is always one pair.
///
/// `start` appends the symbols that merging starts from, or says that there are none.
pub(crate) fn live_merges<'v>(
    merging: &impl Merging,
    tokens: impl IntoIterator<Item = (&'v [u8], u32)>,
    start: impl Fn(&[u8], &mut Vec<u32>) -> bool,
) -> Vec<(u32, Merge)> {
    let recorder = Recorder { merging, last: Cell::new(None) };
    let mut scratch = Scratch::default();
    let mut live = Vec::new();
    for (bytes, merged) in tokens {
        scratch.symbols.clear();
        recorder.last.set(None);
        if !start(bytes, &mut scratch.symbols) {
            continue;
        }
        merge(&recorder, &mut scratch);
        if scratch.symbols == [merged]
            && let Some((rank, left, right)) = recorder.last.get()
        {
            live.push((rank, Merge { left, right, merged }));
        }
    }
    live.sort_by_key(|(rank, merge)| (*rank, merge.merged));
    live
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Pushes and pops in any order, low ranks between higher ones.
        #[test]
        fn the_queue_gives_the_lowest_rank_leftmost(steps in prop::collection::vec(prop::option::of((0_u32..6, 0_usize..20)), 0..200)) {
            let (mut queue, mut heap) = (Queue::default(), BinaryHeap::new());
            for step in steps {
                match step {
                    Some((rank, at)) => {
                        queue.push(rank, at);
                        heap.push(Reverse((rank, at)));
                    }
                    None => prop_assert_eq!(queue.pop(), heap.pop().map(|Reverse(entry)| entry)),
                }
            }
            while let Some(Reverse(entry)) = heap.pop() {
                prop_assert_eq!(queue.pop(), Some(entry));
            }
            prop_assert_eq!(queue.pop(), None);
        }
    }
}
