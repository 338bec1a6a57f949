//! The merge loop of byte-pair training, incremental: a merge touches only the places where its pair stands.
//!
//! All distinct pieces lie in one row of slots, one slot a byte, with a wall between two pieces. A symbol fills
//! one or more slots, and the number of them is written at its first and its last slot, so that both
//! neighbours of a symbol are found in one step. For every pair the row knows its weighted count and the slots
//! where it starts, and at each slot which pair starts there; a queue yields the most frequent one. The work of a
//! merge is thus proportional to the occurrences of its pair, whether the pieces are short words or one text of
//! many megabytes.
//!
//! This module knows symbols and counts, not which string a symbol is.

use crate::TokenizerError;
use crate::pair::Pair;
use crate::queue::Queue;

/// What stands between two pieces.
const WALL: u32 = u32::MAX;
/// What fills the slots of a symbol after its first.
const INSIDE: u32 = u32::MAX - 1;
/// No pair.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Slot {
    symbol: u32,
    /// The number of slots of the symbol that starts or ends here.
    span: u32,
    /// The piece that this slot is part of.
    piece: u32,
    /// The pair of the symbol that starts here and the next one, by its number.
    pair: u32,
}

struct Occurrences {
    pair: Pair,
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
    slots: Vec<Slot>,
    /// How often each piece stands in the training texts.
    weights: Vec<u64>,
    /// By their numbers.
    pairs: Vec<Occurrences>,
    queue: Queue<(Pair, u32)>,
    /// By symbol, the pair of it and the symbol that is being made, and the pair of that and it.
    with_left: Vec<u32>,
    with_right: Vec<u32>,
}

impl Row {
    /// From the distinct pieces, with their number of occurrences and one symbol a byte; symbols are less than `most_symbols`.
    ///
    /// # Errors
    /// When the pieces don't fit in 2³² slots.
    pub(crate) fn new<'p>(
        pieces: impl Iterator<Item = (&'p [u8], u64)> + Clone,
        symbol_of: &[u32; 256],
        most_symbols: usize,
    ) -> Result<Self, TokenizerError> {
        let wall = |piece| Slot { symbol: WALL, span: 1, piece, pair: NONE };
        let (n_pieces, n_bytes) =
            pieces.clone().fold((0, 0), |(n, bytes), (piece, _)| (n + 1, bytes + piece.len()));
        let (mut slots, mut weights) =
            (Vec::with_capacity(n_bytes + n_pieces + 1), Vec::with_capacity(n_pieces));
        slots.push(wall(0));
        for (piece, weight) in pieces {
            // There are fewer pieces than slots, so that this number fits when the slots do.
            let index = weights.len() as u32;
            weights.push(weight);
            slots.extend(piece.iter().map(|&byte| {
                let symbol = symbol_of[usize::from(byte)];
                Slot { symbol, ..wall(index) }
            }));
            slots.push(wall(index));
        }
        if u32::try_from(slots.len()).is_err() {
            return Err(TokenizerError::TrainingTextTooLarge { limit: u32::MAX as usize });
        }
        let mut new = Self {
            slots,
            weights,
            pairs: Vec::new(),
            queue: Queue::new(),
            with_left: vec![NONE; most_symbols],
            with_right: vec![NONE; most_symbols],
        };
        new.count_all();
        Ok(new)
    }

    fn count_all(&mut self) {
        let symbols = || self.slots.iter().map(|slot| slot.symbol).filter(|&symbol| symbol != WALL);
        let (Some(first), Some(last)) = (symbols().min(), symbols().max()) else { return };
        let width = (last - first) as usize + 1;
        let mut numbers = vec![NONE; width * width];
        for slot in 1..self.slots.len() {
            let pair = Pair::new(self.slots[slot - 1].symbol, self.slots[slot].symbol);
            if pair.left() != WALL && pair.right() != WALL {
                let [left, right] = [pair.left(), pair.right()].map(|symbol| (symbol - first) as usize);
                let number = &mut numbers[left * width + right];
                if *number == NONE {
                    *number = self.new_pair(pair);
                }
                let number = *number;
                self.add(number, slot - 1);
            }
        }
        for (number, of) in (0..).zip(&self.pairs) {
            self.queue.push((of.pair, number), of.count);
        }
    }

    fn new_pair(&mut self, pair: Pair) -> u32 {
        let number = self.pairs.len() as u32;
        self.pairs.push(Occurrences { pair, count: 0, slots: Vec::new() });
        number
    }

    fn add(&mut self, number: u32, at: usize) {
        let slot = &mut self.slots[at];
        slot.pair = number;
        let occurrences = &mut self.pairs[number as usize];
        occurrences.count = occurrences.count.saturating_add(self.weights[slot.piece as usize]);
        occurrences.slots.push(at as u32);
    }

    fn remove(&mut self, at: usize) {
        let Slot { piece, pair, .. } = self.slots[at];
        let count = &mut self.pairs[pair as usize].count;
        *count = count.saturating_sub(self.weights[piece as usize]);
    }

    /// Takes the most frequent pair, the smallest of several, with its number and count.
    pub(crate) fn most_frequent(&mut self) -> Option<(u32, Pair, u64)> {
        let ((pair, number), count) = self.queue.pop(|(_, number)| self.pairs[number as usize].count)?;
        Some((number, pair, count))
    }

    /// Replaces a pair by a symbol wherever it stands, in each piece from left to right. The symbol stands nowhere yet.
    pub(crate) fn merge(&mut self, number: u32, merged: u32) {
        let pair = self.pairs[number as usize].pair;
        let first_new = self.pairs.len();
        let slots = std::mem::take(&mut self.pairs[number as usize].slots);
        // Every list grows from left to right: a pair's occurrences all come from one merge (or the beginning),
        // which goes from left to right itself.
        debug_assert!(slots.is_sorted(), "the occurrences of {pair:?} are out of order");
        for slot in slots {
            self.merge_at(slot as usize, pair, merged);
        }
        for number in first_new..self.pairs.len() {
            let of = &self.pairs[number];
            self.queue.push((of.pair, number as u32), of.count);
            for (known, symbol) in
                [(&mut self.with_left, of.pair.left()), (&mut self.with_right, of.pair.right())]
            {
                known[symbol as usize] = NONE;
            }
        }
    }

    fn merge_at(&mut self, slot: usize, pair: Pair, merged: u32) {
        let next = slot + self.slots[slot].span as usize;
        if self.slots[slot].symbol != pair.left() || self.slots[next].symbol != pair.right() {
            return; // Another merge, or an overlapping occurrence, was here first.
        }
        let end = next + self.slots[next].span as usize;
        let previous = slot - self.slots[slot - 1].span as usize;
        let (before, after) = (self.slots[previous].symbol, self.slots[end].symbol);
        if after != WALL {
            self.remove(next);
        }
        self.slots[next].symbol = INSIDE;
        self.slots[slot].symbol = merged;
        let span = (end - slot) as u32;
        self.slots[slot].span = span;
        self.slots[end - 1].span = span;
        if before != WALL {
            self.remove(previous);
            if self.with_left[before as usize] == NONE {
                self.with_left[before as usize] = self.new_pair(Pair::new(before, merged));
            }
            self.add(self.with_left[before as usize], previous);
        }
        if after != WALL {
            if self.with_right[after as usize] == NONE {
                self.with_right[after as usize] = self.new_pair(Pair::new(merged, after));
            }
            self.add(self.with_right[after as usize], slot);
        }
    }
}
