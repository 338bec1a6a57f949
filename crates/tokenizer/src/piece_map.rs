//! A map from pieces that finds short ones without following a pointer.

use rustc_hash::FxHashMap;
use std::ops::Range;

/// What is known of pieces.
#[derive(Clone, Debug)]
pub(crate) struct PieceMap<V> {
    /// Of up to [`SHORT`] bytes, which are the key themselves.
    short: FxHashMap<Key, V>,
    long: FxHashMap<Box<[u8]>, V>,
}

/// Nearly all pieces of texts are no longer.
const SHORT: usize = 16;

/// The first and the last bytes of a piece, which overlap, and their number: together all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64, u64, u8);

impl Key {
    #[inline]
    fn new(piece: &[u8]) -> Option<Self> {
        let [first, last] = match piece.len() {
            8..=SHORT => [piece.first_chunk()?, piece.last_chunk()?].map(|bytes| u64::from_le_bytes(*bytes)),
            4..8 => {
                [piece.first_chunk()?, piece.last_chunk()?].map(|bytes| u32::from_le_bytes(*bytes).into())
            }
            2..4 => {
                [piece.first_chunk()?, piece.last_chunk()?].map(|bytes| u16::from_le_bytes(*bytes).into())
            }
            1 => [piece[0].into(), 0],
            0 => [0, 0],
            _ => return None,
        };
        Some(Self(first, last, piece.len() as u8))
    }
}

impl<V> PieceMap<V> {
    #[inline]
    pub(crate) fn get(&self, piece: &[u8]) -> Option<&V> {
        match Key::new(piece) {
            Some(key) => self.short.get(&key),
            None => self.long.get(piece),
        }
    }

    pub(crate) fn insert(&mut self, piece: &[u8], value: V) {
        match Key::new(piece) {
            Some(key) => self.short.insert(key, value),
            None => self.long.insert(piece.into(), value),
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

/// Where among the ids of one text or several those of a piece stand: most pieces come again.
#[derive(Debug, Default)]
pub(crate) struct Seen(PieceMap<Range<usize>>);

impl Seen {
    /// Appends the ids of a piece to `out`, which holds those of all pieces before: copied, or else by `encode`.
    #[inline]
    pub(crate) fn copy_or(&mut self, piece: &[u8], out: &mut Vec<u32>, encode: impl FnOnce(&mut Vec<u32>)) {
        if piece.len() > LONGEST_REMEMBERED {
            encode(out);
        } else if let Some(known) = self.0.get(piece) {
            out.extend_from_within(known.clone());
        } else {
            let start = out.len();
            encode(out);
            self.0.insert(piece, start..out.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_every_length_are_told_apart() {
        let mut map = PieceMap::default();
        // All strings of two letters up to 9 bytes, and long ones that differ at one place.
        let short = (0..10_usize).flat_map(|len| {
            (0..1_u32 << len)
                .map(move |bits| (0..len).map(|at| b'a' + (bits >> at & 1) as u8).collect::<Vec<u8>>())
        });
        let long = (10..40).flat_map(|len| {
            (0..len).map(move |at| (0..len).map(|i| if i == at { b'x' } else { b'y' }).collect::<Vec<u8>>())
        });
        let pieces: Vec<Vec<u8>> = short.chain(long).collect();
        for (number, piece) in pieces.iter().enumerate() {
            assert!(map.get(piece).is_none(), "{piece:?}");
            map.insert(piece, number);
        }
        assert!(pieces.iter().enumerate().all(|(number, piece)| map.get(piece) == Some(&number)));
        assert!(map.get(b"\0").is_none() && map.get(b"a\0").is_none());
    }
}
