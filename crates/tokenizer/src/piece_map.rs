//! Maps from pieces of text to what is known of them, made for pieces that are short and come again.

use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::ops::Range;

/// A piece of a text, and all of it in one number if it is short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'t> {
    bytes: &'t [u8],
    key: Key,
}

/// The bytes of a short piece, then zeros, and in the last byte how many there are; as two numbers, lowest byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64, u64);

/// The key of a longer piece.
const LONG: Key = Key(u64::MAX, u64::MAX);

/// Nearly all pieces of texts are no longer.
const SHORT: usize = 15;

impl<'t> Piece<'t> {
    pub(crate) fn new(bytes: &'t [u8]) -> Self {
        Self::within(bytes, 0..bytes.len())
    }

    /// A part of a text. Where more of the text follows, its key is found without looking at each byte.
    #[inline(always)]
    pub(crate) fn within(text: &'t [u8], range: Range<usize>) -> Self {
        let bytes = &text[range.clone()];
        if bytes.len() > SHORT {
            return Self { bytes, key: LONG };
        }
        let sixteen = match text.get(range.start..range.start + SHORT + 1).and_then(<[u8]>::as_array) {
            Some(sixteen) => *sixteen,
            None => {
                let mut copy = [0; SHORT + 1];
                copy[..bytes.len()].copy_from_slice(bytes);
                copy
            }
        };
        let count = bytes.len();
        let kept = u128::from_le_bytes(sixteen) & ((1 << (8 * count)) - 1);
        Self { bytes, key: Key(kept as u64, (kept >> 64) as u64 | (count as u64) << 56) }
    }

    pub(crate) fn bytes(&self) -> &'t [u8] {
        self.bytes
    }

    /// The same for the same bytes, spread over all numbers.
    pub(crate) fn hash(&self) -> u64 {
        match self.key {
            LONG => FxBuildHasher.hash_one(self.bytes),
            key => place(key) as u64,
        }
    }
}

/// What is known of pieces.
#[derive(Clone, Debug)]
pub(crate) struct PieceMap<V> {
    short: FxHashMap<Key, V>,
    long: FxHashMap<Box<[u8]>, V>,
}

impl<V> PieceMap<V> {
    #[inline]
    pub(crate) fn get(&self, piece: Piece<'_>) -> Option<&V> {
        match piece.key {
            LONG => self.long.get(piece.bytes),
            key => self.short.get(&key),
        }
    }

    pub(crate) fn insert(&mut self, piece: Piece<'_>, value: V) {
        match piece.key {
            LONG => self.long.insert(piece.bytes.into(), value),
            key => self.short.insert(key, value),
        };
    }
}

impl<V> Default for PieceMap<V> {
    fn default() -> Self {
        Self { short: FxHashMap::default(), long: FxHashMap::default() }
    }
}

/// Longer pieces are not remembered: they hardly come again.
const LONGEST_REMEMBERED: usize = 128;

/// The ids of the pieces of one text or several, so that those of a piece that comes again are copied.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The ids of short pieces that became few: the last of those that share a place, one look away.
    front: Vec<Place>,
    /// Where among all ids those of other short pieces stand.
    short: FxHashMap<Key, Ids>,
    /// By the hashes of longer ones: of two that share one, the last.
    long: FxHashMap<u64, Long>,
    /// The bytes of the longer ones.
    bytes: Vec<u8>,
}

/// A range of ids, among the first 2³² of them.
#[derive(Clone, Copy, Debug)]
struct Ids {
    start: u32,
    count: u32,
}

#[derive(Debug)]
struct Long {
    bytes: Range<usize>,
    ids: Ids,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Place {
    /// A key, with the number of ids in its highest four bits. Zero where there is none.
    key: Key,
    ids: [u32; FEW],
}

const FEW: usize = 4;
/// The highest four bits of a key are free, for no short piece has more than 15 bytes.
const COUNT_SHIFT: u32 = 60;
/// So many places that they stay in the second cache of a processor.
const MOST_PLACES: usize = 4096;

impl Seen {
    /// For texts of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let places = (bytes / 16).next_power_of_two().min(MOST_PLACES);
        Self {
            front: vec![Place { key: Key(0, 0), ids: [0; FEW] }; places],
            short: FxHashMap::default(),
            long: FxHashMap::default(),
            bytes: Vec::new(),
        }
    }

    /// For many texts.
    pub(crate) fn of_many() -> Self {
        Self::new(usize::MAX / 2)
    }

    /// Appends the ids of a piece to `out`, which holds those of all pieces before: that of the token which `whole` says it is,
    /// copied ones, or else those that `encode` finds.
    #[inline(always)]
    pub(crate) fn append(
        &mut self,
        piece: Piece<'_>,
        out: &mut Vec<u32>,
        whole: impl FnOnce() -> Option<u32>,
        encode: impl FnOnce(&mut Vec<u32>),
    ) {
        let Piece { bytes, key } = piece;
        if key == LONG {
            return self.append_other(bytes, key, out, whole, encode);
        }
        let at = place(key) & (self.front.len() - 1);
        let Place { key: known, ids } = self.front[at];
        let start = out.len();
        if known.0 == key.0 && (known.1 ^ key.1) << (64 - COUNT_SHIFT) == 0 {
            out.extend_from_slice(&ids);
            out.truncate(start + (known.1 >> COUNT_SHIFT) as usize);
            return;
        }
        self.append_other(bytes, key, out, whole, encode);
        let count = out.len() - start;
        if (1..=FEW).contains(&count) {
            let ids = std::array::from_fn(|id| out.get(start + id).copied().unwrap_or(0));
            self.front[at] = Place { key: Key(key.0, key.1 | (count as u64) << COUNT_SHIFT), ids };
        }
    }

    #[inline(never)]
    fn append_other(
        &mut self,
        bytes: &[u8],
        key: Key,
        out: &mut Vec<u32>,
        whole: impl FnOnce() -> Option<u32>,
        encode: impl FnOnce(&mut Vec<u32>),
    ) {
        let piece = Piece { bytes, key };
        if let Some(id) = whole() {
            out.push(id);
        } else if bytes.len() > LONGEST_REMEMBERED {
            encode(out);
        } else if let Some(Ids { start, count }) = self.known(piece) {
            let start = start as usize;
            out.extend_from_within(start..start + count as usize);
        } else {
            let start = out.len();
            encode(out);
            // A piece has no more ids than bytes.
            let count = (out.len() - start) as u32;
            if let Ok(start) = u32::try_from(start) {
                self.remember(piece, Ids { start, count });
            }
        }
    }

    fn known(&self, Piece { bytes, key }: Piece<'_>) -> Option<Ids> {
        if key != LONG {
            return self.short.get(&key).copied();
        }
        let long = self.long.get(&FxBuildHasher.hash_one(bytes))?;
        (self.bytes[long.bytes.clone()] == *bytes).then_some(long.ids)
    }

    fn remember(&mut self, Piece { bytes, key }: Piece<'_>, ids: Ids) {
        if key != LONG {
            self.short.insert(key, ids);
            return;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let place = start..self.bytes.len();
        self.long.insert(FxBuildHasher.hash_one(bytes), Long { bytes: place, ids });
    }
}

/// Counts pieces.
#[derive(Debug)]
pub(crate) struct Counter {
    /// Which of the pieces a short one is: the last of those that share a place, one look away.
    front: Vec<(Key, u32)>,
    index: PieceMap<u32>,
    counts: Vec<(Box<str>, u64)>,
}

impl Default for Counter {
    fn default() -> Self {
        Self { front: vec![(LONG, 0); MOST_PLACES], index: PieceMap::default(), counts: Vec::new() }
    }
}

impl Counter {
    /// Counts a part of a text.
    #[inline(always)]
    pub(crate) fn count(&mut self, text: &str, range: Range<usize>) {
        let Piece { bytes, key } = Piece::within(text.as_bytes(), range.clone());
        let at = place(key) & (MOST_PLACES - 1);
        let (known, number) = self.front[at];
        if known == key && key != LONG {
            self.counts[number as usize].1 += 1;
            return;
        }
        let number = self.number(bytes, key, &text[range]);
        self.counts[number as usize].1 += 1;
        self.front[at] = (key, number);
    }

    #[inline(never)]
    fn number(&mut self, bytes: &[u8], key: Key, text: &str) -> u32 {
        let piece = Piece { bytes, key };
        if let Some(&number) = self.index.get(piece) {
            return number;
        }
        // More than 2³² distinct pieces are refused by the trainers; the count of one is then moot.
        let number = self.counts.len() as u32;
        self.index.insert(piece, number);
        self.counts.push((text.into(), 0));
        number
    }

    /// The distinct pieces and how often each came.
    pub(crate) fn finish(self) -> impl Iterator<Item = (Box<str>, u64)> {
        self.counts.into_iter()
    }
}

/// Spreads keys over all numbers.
#[inline(always)]
fn place(key: Key) -> usize {
    // The odd number next to 2⁶⁴ over the golden ratio; of a product the high bits are the mixed ones.
    ((key.0 ^ key.1.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All strings of two letters up to 9 bytes, and long ones that differ at one place.
    fn pieces() -> Vec<Vec<u8>> {
        let short = (0..10_usize).flat_map(|len| {
            (0..1_u32 << len)
                .map(move |bits| (0..len).map(|at| b'a' + (bits >> at & 1) as u8).collect::<Vec<u8>>())
        });
        let long = (10..40).flat_map(|len| {
            (0..len).map(move |at| (0..len).map(|i| if i == at { b'x' } else { b'y' }).collect::<Vec<u8>>())
        });
        short.chain(long).collect()
    }

    #[test]
    fn pieces_of_every_length_are_told_apart() {
        let mut map = PieceMap::default();
        let pieces = pieces();
        for (number, piece) in pieces.iter().enumerate() {
            assert!(map.get(Piece::new(piece)).is_none(), "{piece:?}");
            map.insert(Piece::new(piece), number);
        }
        let number_of = |piece: &[u8]| map.get(Piece::new(piece)).copied();
        assert!(pieces.iter().enumerate().all(|(number, piece)| number_of(piece) == Some(number)));
        assert!(number_of(b"\0").is_none() && number_of(b"a\0").is_none());
    }

    #[test]
    fn a_piece_is_the_same_whatever_follows() {
        for piece in pieces() {
            for follows in ["", "b", "a longer text than any key"] {
                let text = [b"before", &*piece, follows.as_bytes()].concat();
                let within = Piece::within(&text, 6..6 + piece.len());
                assert_eq!((within.bytes(), within.key), (&*piece, Piece::new(&piece).key));
            }
        }
    }

    /// Few places, so that pieces push each other out, and ids as many as a piece has bytes.
    #[test]
    fn ids_come_again_as_they_were() {
        let (mut seen, mut out, mut expected, mut encoded) = (Seen::new(64), Vec::new(), Vec::new(), 0);
        for _ in 0..3 {
            for piece in pieces().iter().filter(|piece| !piece.is_empty()) {
                let ids = piece.iter().map(|&byte| u32::from(byte));
                let is_whole = || (piece == b"ab").then_some(7);
                seen.append(Piece::new(piece), &mut out, is_whole, |out| {
                    encoded += 1;
                    out.extend(ids.clone());
                });
                if piece == b"ab" { expected.push(7) } else { expected.extend(ids) }
            }
        }
        assert_eq!(out, expected);
        assert_eq!(encoded, pieces().len() - 2, "the empty one is left out, `ab` is known");
    }
}
