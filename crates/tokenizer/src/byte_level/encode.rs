//! Encoding by merge ranks, piece by piece.
//!
//! Most pieces are a token, found in one look-up; a piece seen before in the same text is copied; others are merged
//! ([`merging`](crate::merging)).

use crate::merging::{Merge, Merging, NO_RANK, Scratch, last_of_each, live_merges, merge, merge_skipping};
use crate::pair::Pair;
use crate::pattern::Splitter;
use crate::piece_map::{Piece, PieceMap, Seen};
use rustc_hash::FxHashMap;

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
            .map(|(merge, rank)| (merge.pair(), rank))
            .collect();
        let mut new = Self { splitter, merges, ranks, byte_ids, whole: PieceMap::default(), ignore_merges };
        let mut scratch = Scratch::default();
        let mut out = Vec::new();
        for (bytes, id) in tokens {
            out.clear();
            if !ignore_merges {
                new.merge_piece(bytes, &mut scratch, &mut out);
            }
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
        seen.append(piece, &self.whole, out, |out| self.merge_piece(bytes, scratch, out));
    }

    fn merge_piece(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
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
    ) -> impl Iterator<Item = Merge> {
        let start = |piece: &[u8], symbols: &mut Vec<u32>| {
            self.start(piece, symbols);
            true
        };
        live_merges(self, tokens, start).into_iter().map(|(_, merge)| merge)
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
