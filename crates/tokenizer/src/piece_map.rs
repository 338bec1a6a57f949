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
    /// Short pieces that became few ids: the last of those that share a place, one look away in a near cache.
    front: Vec<Place>,
    /// All of them.
    few: Places,
    /// Short pieces that became more, and where among all ids theirs stand.
    many: FxHashMap<Key, Range<usize>>,
    /// Longer pieces by the hashes of their bytes: of two that share one, the last.
    long: FxHashMap<u64, Long>,
    /// The bytes of the longer ones.
    bytes: Vec<u8>,
}

/// A short piece and its ids.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Place {
    /// Its key, with the number of ids in the highest four bits. Zero where there is none.
    key: Key,
    ids: [u32; FEW],
}

/// Where the bytes of a piece stand, and where its ids among all.
#[derive(Debug)]
struct Long {
    bytes: Range<usize>,
    ids: Range<usize>,
}

const FEW: usize = 4;
/// The highest four bits of a key are free, for no short piece has more than 15 bytes.
const COUNT_SHIFT: u32 = 60;
/// So many places that they stay in the second cache of a processor.
const MOST_PLACES: usize = 4096;

impl Place {
    const NONE: Self = Self { key: Key(0, 0), ids: [0; FEW] };

    #[inline(always)]
    fn holds(&self, key: Key) -> bool {
        self.key.0 == key.0 && (self.key.1 ^ key.1) << (64 - COUNT_SHIFT) == 0
    }

    #[inline(always)]
    fn append_to(&self, out: &mut Vec<u32>) {
        let start = out.len();
        out.extend_from_slice(&self.ids);
        out.truncate(start + (self.key.1 >> COUNT_SHIFT) as usize);
    }
}

impl Seen {
    /// For texts of so many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let places = (bytes / 16).next_power_of_two().min(MOST_PLACES);
        Self {
            front: vec![Place::NONE; places],
            few: Places::default(),
            many: FxHashMap::default(),
            long: FxHashMap::default(),
            bytes: Vec::new(),
        }
    }

    /// For many texts.
    pub(crate) fn of_many() -> Self {
        Self::new(usize::MAX / 2)
    }

    /// Appends the ids of a piece to `out`, which holds those of all pieces before: copied ones, or else those that `encode`
    /// appends.
    #[inline(always)]
    pub(crate) fn append(
        &mut self,
        piece: Piece<'_>,
        out: &mut Vec<u32>,
        encode: impl FnOnce(&mut Vec<u32>),
    ) {
        let Piece { bytes, key } = piece;
        if key == LONG {
            return self.append_long(bytes, out, encode);
        }
        let found = &self.front[place(key) & (self.front.len() - 1)];
        if found.holds(key) {
            return found.append_to(out);
        }
        self.append_short(key, out, encode);
    }

    #[inline(never)]
    fn append_short(&mut self, key: Key, out: &mut Vec<u32>, encode: impl FnOnce(&mut Vec<u32>)) {
        let front = place(key) & (self.front.len() - 1);
        if let Some(found) = self.few.get(key) {
            found.append_to(out);
            self.front[front] = found;
            return;
        }
        if let Some(ids) = self.many.get(&key) {
            return out.extend_from_within(ids.clone());
        }
        let start = out.len();
        encode(out);
        match &out[start..] {
            ids if ids.len() <= FEW => {
                let key = Key(key.0, key.1 | (ids.len() as u64) << COUNT_SHIFT);
                let new = Place { key, ids: std::array::from_fn(|id| ids.get(id).copied().unwrap_or(0)) };
                self.few.insert(new);
                self.front[front] = new;
            }
            _ => {
                self.many.insert(key, start..out.len());
            }
        }
    }

    #[inline(never)]
    fn append_long(&mut self, bytes: &[u8], out: &mut Vec<u32>, encode: impl FnOnce(&mut Vec<u32>)) {
        if bytes.len() > LONGEST_REMEMBERED {
            return encode(out);
        }
        let hash = FxBuildHasher.hash_one(bytes);
        if let Some(known) = self.long.get(&hash)
            && self.bytes[known.bytes.clone()] == *bytes
        {
            return out.extend_from_within(known.ids.clone());
        }
        let (first, start) = (self.bytes.len(), out.len());
        encode(out);
        self.bytes.extend_from_slice(bytes);
        self.long.insert(hash, Long { bytes: first..self.bytes.len(), ids: start..out.len() });
    }
}

/// Places by their keys: a table of which no more than half is used, where one that is taken sends on to the next.
#[derive(Debug, Default)]
struct Places {
    /// None, or a power of two.
    places: Vec<Place>,
    used: usize,
}

impl Places {
    const FIRST: usize = 64;
    /// Of more pieces only the first are kept: [`place`] tells no more of them apart.
    const MOST: usize = 1 << 23;

    fn get(&self, key: Key) -> Option<Place> {
        let mut at = place(key);
        loop {
            // Nothing in an empty table, whose length less one is no mask.
            let found = self.places.get(at & self.places.len().wrapping_sub(1))?;
            if found.holds(key) {
                return Some(*found);
            }
            if found.key == Place::NONE.key {
                return None;
            }
            at += 1;
        }
    }

    fn insert(&mut self, new: Place) {
        if self.used == Self::MOST {
            return;
        }
        if 2 * self.used >= self.places.len() {
            let larger = vec![Place::NONE; (2 * self.places.len()).max(Self::FIRST)];
            for old in std::mem::replace(&mut self.places, larger) {
                if old.key != Place::NONE.key {
                    self.put(old);
                }
            }
        }
        self.used += 1;
        self.put(new);
    }

    fn put(&mut self, new: Place) {
        let mut at = place(Key(new.key.0, new.key.1 << (64 - COUNT_SHIFT) >> (64 - COUNT_SHIFT)));
        while self.places[at & (self.places.len() - 1)].key != Place::NONE.key {
            at += 1;
        }
        let mask = self.places.len() - 1;
        self.places[at & mask] = new;
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
                seen.append(Piece::new(piece), &mut out, |out| {
                    encoded += 1;
                    out.extend(ids.clone());
                });
                expected.extend(ids);
            }
        }
        assert_eq!(out, expected);
        assert_eq!(encoded, pieces().len() - 1, "the empty one is left out");
    }
}
