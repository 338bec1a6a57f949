//! Maps from pieces of text to what is known of them, made for pieces that are short and come again.

use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::ops::Range;

/// A piece of a text, and all of it in one number if it is short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'t> {
    pub(crate) bytes: &'t [u8],
    pub(crate) key: Key,
}

/// The bytes of a short piece, then zeros, and in the last byte how many there are; as two numbers, lowest byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) u64, pub(crate) u64);

/// The key of a longer piece.
pub(crate) const LONG: Key = Key(u64::MAX, u64::MAX);

/// So many places of 32 bytes stay in the second cache of a processor.
pub(crate) const MOST_PLACES: usize = 4096;
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
pub(crate) fn place(key: Key) -> usize {
    // The odd number next to 2⁶⁴ over the golden ratio; of a product the high bits are the mixed ones.
    ((key.0 ^ key.1.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// All strings of two letters up to 9 bytes, and long ones that differ at one place.
    pub(crate) fn pieces() -> Vec<Vec<u8>> {
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
}
