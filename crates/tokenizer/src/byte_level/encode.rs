//! Encoding by merge ranks: of all neighbours that may merge, those of the lowest rank do, leftmost first,
//! until none may.
//!
//! Most pieces are a token, found in one look-up; a piece seen before in the same text is copied; others are
//! merged by scanning (short ones) or with a heap (long ones), so that no piece costs quadratic time.

use crate::pair::Pair;
use crate::pattern::Splitter;
use crate::piece_map::{Piece, PieceMap, Seen};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many bytes a scan for the lowest rank is faster than a heap.
const SHORT: usize = 48;
const NO_RANK: u32 = u32::MAX;

/// A pair of tokens and what it becomes. Its rank is its place among the merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) merged: u32,
}

/// The algorithm with its tables.
#[derive(Debug)]
pub(crate) struct ByteLevel {
    splitter: Splitter,
    merges: Vec<Merge>,
    ranks: FxHashMap<Pair, u32>,
    byte_ids: [u32; 256],
    /// Pieces that become exactly one token.
    whole: PieceMap<u32>,
    /// Whether a piece that is a token stays one, even where the merges would not make it.
    ignore_merges: bool,
}

/// Memory that is used again from piece to piece.
#[derive(Debug, Default)]
struct Scratch {
    symbols: Vec<u32>,
    ranks: Vec<u32>,
}

impl ByteLevel {
    /// From merges in rank order, the id of each byte, and all ordinary tokens as (bytes, id).
    ///
    /// A merge that makes a special token is kept for the files but never used: a document must not spell one,
    /// and where special tokens are wanted they are found before merging.
    pub(crate) fn new<'v>(
        splitter: Splitter,
        merges: Vec<Merge>,
        byte_ids: [u32; 256],
        tokens: impl IntoIterator<Item = (&'v [u8], u32)>,
        ignore_merges: bool,
        is_special: impl Fn(u32) -> bool,
    ) -> Self {
        let merges = last_of_each(merges);
        let ranks = merges
            .iter()
            .zip(0..)
            .filter(|(merge, _)| !is_special(merge.merged))
            .map(|(merge, rank)| (Pair::new(merge.left, merge.right), rank))
            .collect();
        let mut new = Self { splitter, merges, ranks, byte_ids, whole: PieceMap::default(), ignore_merges };
        let mut scratch = Scratch::default();
        let mut out = Vec::new();
        for (bytes, id) in tokens {
            out.clear();
            new.merge_piece(bytes, &mut scratch, &mut out);
            if ignore_merges || out == [id] {
                new.whole.insert(Piece::new(bytes), id);
            }
        }
        new
    }

    pub(crate) fn splitter(&self) -> &Splitter {
        &self.splitter
    }

    pub(crate) fn ignore_merges(&self) -> bool {
        self.ignore_merges
    }

    /// The merges in rank order, each pair once.
    pub(crate) fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// Appends the ids of a text. What was seen is that of all texts whose ids are in `out`.
    pub(crate) fn encode(&self, text: &str, seen: &mut Seen, out: &mut Vec<u32>) {
        let mut scratch = Scratch::default();
        self.splitter.for_each_piece(text, |range| {
            self.encode_piece(Piece::within(text.as_bytes(), range), seen, &mut scratch, out);
        });
    }

    /// Appends the ids of any bytes: as text where they are UTF-8, each run of others as a piece of its own.
    pub(crate) fn encode_bytes(&self, bytes: &[u8], out: &mut Vec<u32>) {
        let (mut seen, mut scratch) = (Seen::new(bytes.len()), Scratch::default());
        for chunk in bytes.utf8_chunks() {
            let text = chunk.valid().as_bytes();
            self.splitter.for_each_piece(chunk.valid(), |range| {
                self.encode_piece(Piece::within(text, range), &mut seen, &mut scratch, out);
            });
            if !chunk.invalid().is_empty() {
                self.encode_piece(Piece::new(chunk.invalid()), &mut seen, &mut scratch, out);
            }
        }
    }

    #[inline(always)]
    fn encode_piece(&self, piece: Piece<'_>, seen: &mut Seen, scratch: &mut Scratch, out: &mut Vec<u32>) {
        let bytes = piece.bytes();
        seen.append(piece, &self.whole, out, |out| self.merge_piece(bytes, scratch, out));
    }

    fn merge_piece(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        let Scratch { symbols, ranks } = scratch;
        symbols.clear();
        symbols.extend(piece.iter().map(|&byte| self.byte_ids[usize::from(byte)]));
        if piece.len() <= SHORT {
            self.merge_by_scanning(symbols, ranks);
            out.extend_from_slice(symbols);
        } else {
            out.extend(self.merge_with_heap(symbols));
        }
    }

    fn rank(&self, left: u32, right: u32) -> u32 {
        self.ranks.get(&Pair::new(left, right)).copied().unwrap_or(NO_RANK)
    }

    /// Quadratic in the number of symbols, with a tiny constant.
    fn merge_by_scanning(&self, symbols: &mut Vec<u32>, ranks: &mut Vec<u32>) {
        ranks.clear();
        ranks.extend(symbols.windows(2).map(|pair| self.rank(pair[0], pair[1])));
        // `min_by_key` gives the first of equal minima: the leftmost pair.
        while let Some((at, &rank)) = ranks.iter().enumerate().min_by_key(|(_, rank)| **rank) {
            if rank == NO_RANK {
                break;
            }
            symbols[at] = self.merges[rank as usize].merged;
            symbols.remove(at + 1);
            ranks.remove(at);
            if at > 0 {
                ranks[at - 1] = self.rank(symbols[at - 1], symbols[at]);
            }
            if at < ranks.len() {
                ranks[at] = self.rank(symbols[at], symbols[at + 1]);
            }
        }
    }

    /// `O(n log n)`: a linked list of symbols and a heap of (rank, position), where outdated entries are skipped.
    fn merge_with_heap<'s>(&self, symbols: &'s mut [u32]) -> impl Iterator<Item = u32> + use<'s> {
        let end = symbols.len();
        let mut next: Vec<usize> = (1..=end).collect();
        let mut previous: Vec<usize> = (0..end).map(|at| at.wrapping_sub(1)).collect();
        let mut heap: BinaryHeap<Reverse<(u32, usize)>> = symbols
            .windows(2)
            .enumerate()
            .map(|(at, pair)| Reverse((self.rank(pair[0], pair[1]), at)))
            .filter(|Reverse((rank, _))| *rank != NO_RANK)
            .collect();
        while let Some(Reverse((rank, at))) = heap.pop() {
            let right = next[at];
            // A merged-away symbol has itself as its next one.
            if right == at || right == end || self.rank(symbols[at], symbols[right]) != rank {
                continue;
            }
            symbols[at] = self.merges[rank as usize].merged;
            let after = next[right];
            next[at] = after;
            next[right] = right;
            if after < end {
                previous[after] = at;
            }
            let neighbours = [(previous[at], at), (at, after)];
            for (left, right) in neighbours.into_iter().filter(|&(left, right)| left < end && right < end) {
                let rank = self.rank(symbols[left], symbols[right]);
                if rank != NO_RANK {
                    heap.push(Reverse((rank, left)));
                }
            }
        }
        let mut at = 0;
        std::iter::from_fn(move || {
            let symbol = *symbols.get(at)?;
            at = next[at];
            Some(symbol)
        })
    }
}

/// Drops every pair that a file gives again later: its last rank counts, as in Hugging Face tokenizers.
fn last_of_each(merges: Vec<Merge>) -> Vec<Merge> {
    let mut seen = FxHashSet::default();
    let mut kept: Vec<_> =
        merges.into_iter().rev().filter(|merge| seen.insert(Pair::new(merge.left, merge.right))).collect();
    kept.reverse();
    kept
}
