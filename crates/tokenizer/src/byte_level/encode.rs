//! Encoding by merge ranks, piece by piece.
//!
//! Most pieces are a token, found in one look-up; a piece seen before in the same text is copied; for others what merging gives
//! is searched ([`backtracking`](super::backtracking)), or they are merged ([`merging`](crate::merging)) if the ranks are odd.
//! Long pieces come in parts ([`windows`]).

use super::backtracking::{Backtracking, DeadEnds};
use crate::merging::{self, Merge, Merging, NO_RANK, last_of_each, live_merges, merge, merge_skipping};
use crate::pair::Pair;
use crate::pattern::Splitter;
use crate::piece_map::{Piece, PieceMap};
use crate::seen::Seen;
use crate::vocabulary::Vocabulary;
use crate::windows;
use rustc_hash::{FxHashMap, FxHashSet};

/// Memory that is used again from piece to piece.
#[derive(Debug, Default)]
struct Scratch {
    dead_ends: DeadEnds,
    merging: merging::Scratch,
}

/// The algorithm with its tables.
#[derive(Debug)]
pub(crate) struct ByteLevel {
    splitter: Splitter,
    merges: Vec<Merge>,
    ranks: FxHashMap<Pair, u32>,
    byte_ids: [u32; 256],
    /// The number of bytes of each token.
    lengths: Vec<u32>,
    /// If merges are made in the order of their ranks, as they are in vocabularies that were trained.
    backtracking: Option<Backtracking>,
    /// Whether a piece that is a token stays one, even where the merges would not make it.
    ignore_merges: bool,
    /// If so, those that they would not make.
    unmade: PieceMap<u32>,
}

impl ByteLevel {
    /// From merges in rank order, the id of each byte, and which tokens are ordinary.
    ///
    /// A merge that makes a special token is kept for the files but never used: a document must not spell one,
    /// and where special tokens are wanted they are found before merging.
    pub(crate) fn new(
        splitter: Splitter,
        merges: Vec<Merge>,
        byte_ids: [u32; 256],
        vocabulary: &Vocabulary,
        is_ordinary: impl Fn(u32) -> bool,
        ignore_merges: bool,
        is_special: impl Fn(u32) -> bool,
    ) -> Self {
        let merges = last_of_each(merges);
        let ranks = merges
            .iter()
            .zip(0..)
            .filter(|(merge, _)| !is_special(merge.merged))
            .map(|(merge, rank)| (merge.pair(), rank))
            .collect();
        let mut new = Self {
            splitter,
            merges,
            ranks,
            byte_ids,
            lengths: vocabulary.lengths(),
            backtracking: None,
            ignore_merges,
            unmade: PieceMap::default(),
        };
        let tokens = || vocabulary.iter().filter_map(|(id, _)| Some((vocabulary.bytes(id).ok()?, id)));
        let live = new.live_merges(tokens()).collect::<Vec<_>>();
        let made: FxHashSet<u32> =
            byte_ids.into_iter().chain(live.iter().map(|(_, merge)| merge.merged)).collect();
        for (bytes, id) in tokens().filter(|(_, id)| ignore_merges && is_ordinary(*id) && !made.contains(id))
        {
            new.unmade.insert(Piece::new(bytes), id);
        }
        new.backtracking = Backtracking::new(&live, tokens().filter(|(_, id)| made.contains(id)).collect());
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

    /// Appends the ids of a text with merges passed over where `skip` says so. A piece is never looked up as a whole.
    pub(crate) fn encode_skipping(&self, text: &str, skip: &mut impl FnMut() -> bool, out: &mut Vec<u32>) {
        let mut symbols = Vec::new();
        self.splitter.for_each_piece(text, |range| {
            symbols.clear();
            symbols.extend(text.as_bytes()[range].iter().map(|&byte| self.byte_ids[usize::from(byte)]));
            merge_skipping(self, &mut symbols, &mut *skip);
            out.extend_from_slice(&symbols);
        });
    }

    #[inline(always)]
    fn encode_piece(&self, piece: Piece<'_>, seen: &mut Seen, scratch: &mut Scratch, out: &mut Vec<u32>) {
        let bytes = piece.bytes();
        seen.append(piece, out, |out| {
            if let Some(id) = self.unmade.get(piece) {
                return out.push(*id);
            }
            if windows::suit(bytes) {
                let n_bytes = |id: u32| self.lengths[id as usize] as usize;
                let merge = |part: &[u8], out: &mut Vec<u32>| self.merge_piece(part, scratch, out);
                windows::merge_in_windows(bytes, n_bytes, merge, out);
            } else {
                self.merge_piece(bytes, scratch, out);
            }
        });
    }

    /// Appends the tokens that merging makes of a piece.
    fn merge_piece(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if let Some(backtracking) = &self.backtracking {
            return backtracking.encode(piece, &mut scratch.dead_ends, out);
        }
        let scratch = &mut scratch.merging;
        scratch.symbols.clear();
        self.start(piece, &mut scratch.symbols);
        merge(self, scratch);
        out.extend_from_slice(&scratch.symbols);
    }

    /// Appends the tokens that merging starts from.
    fn start(&self, piece: &[u8], symbols: &mut Vec<u32>) {
        symbols.extend(piece.iter().map(|&byte| self.byte_ids[usize::from(byte)]));
    }

    /// The id of each byte.
    pub(crate) fn byte_ids(&self) -> &[u32; 256] {
        &self.byte_ids
    }

    /// Those of the merges that texts can meet and whose tokens are among these, in rank order.
    pub(crate) fn live_merges<'v>(
        &self,
        tokens: impl IntoIterator<Item = (&'v [u8], u32)>,
    ) -> impl Iterator<Item = (u32, Merge)> {
        let start = |piece: &[u8], symbols: &mut Vec<u32>| {
            self.start(piece, symbols);
            true
        };
        live_merges(self, tokens, start).into_iter()
    }
}

impl Merging for ByteLevel {
    fn rank(&self, left: u32, right: u32) -> u32 {
        self.ranks.get(&Pair::new(left, right)).copied().unwrap_or(NO_RANK)
    }

    fn merged(&self, _: u32, _: u32, rank: u32) -> u32 {
        self.merges[rank as usize].merged
    }
}
