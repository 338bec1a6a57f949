//! What pieces became, so that one that comes again need not be encoded again.

use crate::piece_map::{Key, LONG, MOST_PLACES, Piece, place};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::ops::Range;

/// Longer pieces are not remembered: they hardly come again.
const LONGEST_REMEMBERED: usize = 128;

/// The ids of the pieces of one text or several, so that those of a piece that comes again are copied.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Short pieces that became few ids: the last of those that share a place, one look away in a near cache.
    front: Vec<Place>,
    /// All of them, as far as there is room.
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
            few: Places::new(bytes),
            many: FxHashMap::default(),
            long: FxHashMap::default(),
            bytes: Vec::new(),
        }
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
                let with_count = Key(key.0, key.1 | (ids.len() as u64) << COUNT_SHIFT);
                let ids = std::array::from_fn(|id| ids.get(id).copied().unwrap_or(0));
                let new = Place { key: with_count, ids };
                self.few.add(key, new);
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

/// Places by their keys: a table of fixed size, where one that is taken sends on to the next.
#[derive(Debug)]
struct Places {
    /// A power of two of them.
    places: Vec<Place>,
}

impl Places {
    /// How many places are looked at before a piece is taken for new.
    const FAR: usize = 16;
    const MOST: usize = 1 << 18;

    /// For texts of so many bytes.
    fn new(bytes: usize) -> Self {
        Self { places: vec![Place::NONE; (bytes / 128).next_power_of_two().min(Self::MOST)] }
    }

    /// The places where a piece may be.
    fn around(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        let (first, mask) = (place(key), self.places.len() - 1);
        (first..first + Self::FAR.min(self.places.len())).map(move |at| at & mask)
    }

    fn get(&self, key: Key) -> Option<Place> {
        for at in self.around(key) {
            let found = self.places[at];
            if found.holds(key) {
                return Some(found);
            }
            if found.key == Place::NONE.key {
                return None;
            }
        }
        None
    }

    /// Adds what is not there, if there is room.
    fn add(&mut self, key: Key, new: Place) {
        if let Some(free) = self.around(key).find(|&at| self.places[at].key == Place::NONE.key) {
            self.places[free] = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::piece_map::tests::pieces;

    /// Encodes all pieces a few times, the ids of each as many as it has bytes, and says how often one was not known.
    fn encode_all(mut seen: Seen, pieces: &[Vec<u8>]) -> usize {
        let (mut out, mut expected, mut encoded) = (Vec::new(), Vec::new(), 0);
        for _ in 0..3 {
            for piece in pieces {
                let ids = piece.iter().map(|&byte| u32::from(byte));
                seen.append(Piece::new(piece), &mut out, |out| {
                    encoded += 1;
                    out.extend(ids.clone());
                });
                expected.extend(ids);
            }
        }
        assert_eq!(out, expected);
        encoded
    }

    #[test]
    fn ids_come_again_as_they_were() {
        let mut pieces = pieces();
        pieces.retain(|piece| !piece.is_empty());
        assert_eq!(encode_all(Seen::new(1 << 20), &pieces), pieces.len());
        // There is no room for all, which only takes longer.
        assert!(encode_all(Seen::new(1 << 10), &pieces) > pieces.len());
    }
}
