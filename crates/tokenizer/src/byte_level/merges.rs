//! The merge loop of byte-pair training, incremental: a merge touches only the places where its pair stands.
//!
//! All distinct pieces lie in one row of slots, one slot a byte, with a wall between two pieces. A symbol fills
//! one or more slots, and the number of them is written at its first and its last slot, so that both
//! neighbours of a symbol are found in one step. For every pair the row knows its weighted count and the slots
//! where it starts; a heap yields the most frequent one. The work of a merge is thus proportional to the
//! occurrences of its pair, whether the pieces are short words or one text of many megabytes.
//!
//! This module knows symbols and counts, not which string a symbol is.

use crate::TokenizerError;
use crate::pair::Pair;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What stands between two pieces.
const WALL: u32 = u32::MAX;
/// What fills the slots of a symbol after its first.
const INSIDE: u32 = u32::MAX - 1;

#[derive(Default)]
struct Occurrences {
    /// How often the pair stands in the training texts.
    ///
    /// A pair's own merge doesn't lower it: it replaces every occurrence there is, and later neighbours hold a
    /// later symbol.
    count: u64,
    /// The slots where it starts, among others where it did once; each once, in ascending order.
    slots: Vec<u32>,
}

/// The pieces of the training texts as symbols, and where each pair of symbols stands.
pub(crate) struct Row {
    symbols: Vec<u32>,
    /// The number of slots of the symbol that starts or ends here.
    spans: Vec<u32>,
    /// The piece that a slot is part of.
    pieces: Vec<u32>,
    /// How often each piece stands in the training texts.
    weights: Vec<u64>,
    pairs: FxHashMap<Pair, Occurrences>,
    heap: BinaryHeap<(u64, Reverse<Pair>)>,
}

impl Row {
    /// From the distinct pieces, with their number of occurrences and one symbol a byte.
    ///
    /// # Errors
    /// When the pieces don't fit in 2³² slots.
    pub(crate) fn new<'p>(
        pieces: impl IntoIterator<Item = (&'p [u8], u64)>,
        symbol_of: &[u32; 256],
    ) -> Result<Self, TokenizerError> {
        let mut new = Self {
            symbols: vec![WALL],
            spans: Vec::new(),
            pieces: vec![0],
            weights: Vec::new(),
            pairs: FxHashMap::default(),
            heap: BinaryHeap::new(),
        };
        for (piece, weight) in pieces {
            // There are fewer pieces than slots, so that this number fits when the slots do.
            let index = new.weights.len() as u32;
            new.weights.push(weight);
            new.symbols.extend(piece.iter().map(|&byte| symbol_of[usize::from(byte)]));
            new.symbols.push(WALL);
            new.pieces.resize(new.symbols.len(), index);
        }
        if u32::try_from(new.symbols.len()).is_err() {
            return Err(TokenizerError::TrainingTextTooLarge { limit: u32::MAX as usize });
        }
        new.spans = vec![1; new.symbols.len()];
        new.count_all();
        Ok(new)
    }

    fn count_all(&mut self) {
        for slot in 1..self.symbols.len() {
            let pair = Pair::new(self.symbols[slot - 1], self.symbols[slot]);
            if pair.left() != WALL && pair.right() != WALL {
                self.add(pair, slot - 1);
            }
        }
        let mut pairs: Vec<_> = Vec::with_capacity(self.pairs.len());
        #[expect(
            clippy::iter_over_hash_type,
            reason = "the heap orders the pairs, whatever order they come in"
        )]
        for (&pair, occurrences) in &self.pairs {
            pairs.push((occurrences.count, Reverse(pair)));
        }
        self.heap = pairs.into();
    }

    fn weight(&self, slot: usize) -> u64 {
        self.weights[self.pieces[slot] as usize]
    }

    fn add(&mut self, pair: Pair, slot: usize) {
        let weight = self.weight(slot);
        let occurrences = self.pairs.entry(pair).or_default();
        occurrences.count = occurrences.count.saturating_add(weight);
        occurrences.slots.push(slot as u32);
    }

    fn remove(&mut self, pair: Pair, slot: usize) {
        let weight = self.weight(slot);
        if let Some(occurrences) = self.pairs.get_mut(&pair) {
            occurrences.count = occurrences.count.saturating_sub(weight);
        }
    }

    /// Takes the most frequent pair, the smallest of several, with its count.
    pub(crate) fn most_frequent(&mut self) -> Option<(Pair, u64)> {
        loop {
            let (count, Reverse(pair)) = self.heap.pop()?;
            let now = self.pairs.get(&pair).map_or(0, |occurrences| occurrences.count);
            if now == count {
                return Some((pair, count));
            }
            if now > 0 {
                self.heap.push((now, Reverse(pair)));
            }
        }
    }

    /// Replaces a pair by a symbol wherever it stands, in each piece from left to right.
    pub(crate) fn merge(&mut self, pair: Pair, merged: u32) {
        let slots = self.pairs.get_mut(&pair).map_or_else(Vec::new, |found| std::mem::take(&mut found.slots));
        // Every list grows from left to right: a pair's occurrences all come from one merge (or the beginning),
        // which goes from left to right itself.
        debug_assert!(slots.is_sorted(), "the occurrences of {pair:?} are out of order");
        let mut new_pairs = Vec::new();
        for slot in slots {
            self.merge_at(slot as usize, pair, merged, &mut new_pairs);
        }
        new_pairs.sort_unstable();
        new_pairs.dedup();
        for pair in new_pairs {
            if let Some(Occurrences { count: count @ 1.., .. }) = self.pairs.get(&pair) {
                self.heap.push((*count, Reverse(pair)));
            }
        }
    }

    fn merge_at(&mut self, slot: usize, pair: Pair, merged: u32, new_pairs: &mut Vec<Pair>) {
        let next = slot + self.spans[slot] as usize;
        if self.symbols[slot] != pair.left() || self.symbols[next] != pair.right() {
            return; // Another merge, or an overlapping occurrence, was here first.
        }
        let end = next + self.spans[next] as usize;
        let previous = slot - self.spans[slot - 1] as usize;
        let (before, after) = (self.symbols[previous], self.symbols[end]);
        self.symbols[next] = INSIDE;
        self.symbols[slot] = merged;
        let span = (end - slot) as u32;
        self.spans[slot] = span;
        self.spans[end - 1] = span;
        if before != WALL {
            self.remove(Pair::new(before, pair.left()), slot);
            self.add(Pair::new(before, merged), previous);
            new_pairs.push(Pair::new(before, merged));
        }
        if after != WALL {
            self.remove(Pair::new(pair.right(), after), slot);
            self.add(Pair::new(merged, after), slot);
            new_pairs.push(Pair::new(merged, after));
        }
    }
}
