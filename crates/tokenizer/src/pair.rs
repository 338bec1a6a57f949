//! A pair of tokens, the key of every trainer and encoder.

/// Two neighbouring symbols, packed so that packed pairs compare as pairs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pair(u64);

impl Pair {
    pub(crate) fn new(left: u32, right: u32) -> Self {
        Self(u64::from(left) << 32 | u64::from(right))
    }

    pub(crate) fn packed(self) -> u64 {
        self.0
    }

    pub(crate) fn left(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn right(self) -> u32 {
        self.0 as u32
    }
}
