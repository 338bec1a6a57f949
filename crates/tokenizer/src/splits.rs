//! Merging by the rank of what comes out: any two neighbours that together are a token may merge, however that token is
//! split. So do tiktoken, by rank, and llama2.c, by score.
//!
//! The tables here hold every split of every token. They serve to find the few that texts can meet
//! ([`live_merges`](crate::merging::live_merges)), from which on it is an ordinary list of merges.

use crate::merging::{Merging, NO_RANK};
use crate::pair::Pair;
use rustc_hash::{FxHashMap, FxHashSet};

/// A token and when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranked<'v> {
    pub(crate) bytes: &'v [u8],
    pub(crate) id: u32,
    pub(crate) rank: u32,
}

/// Every pair of tokens that is a token, with its rank and that token.
#[derive(Debug)]
pub(crate) struct Splits(FxHashMap<Pair, (u32, u32)>);

impl Splits {
    /// Of tokens that all have different bytes.
    pub(crate) fn new(tokens: &[Ranked<'_>]) -> Self {
        let ids: FxHashMap<&[u8], u32> = tokens.iter().map(|token| (token.bytes, token.id)).collect();
        // Tokens may be very long, but then there are few lengths: only those are looked up.
        let lengths: FxHashSet<usize> = tokens.iter().map(|token| token.bytes.len()).collect();
        let mut lengths: Vec<usize> = lengths.into_iter().collect();
        lengths.sort_unstable();
        let mut pairs = FxHashMap::default();
        for &Ranked { bytes, id, rank } in tokens {
            for &at in lengths.iter().take_while(|&&at| at < bytes.len()) {
                if lengths.binary_search(&(bytes.len() - at)).is_ok()
                    && let Some(&left) = ids.get(&bytes[..at])
                    && let Some(&right) = ids.get(&bytes[at..])
                {
                    pairs.insert(Pair::new(left, right), (rank, id));
                }
            }
        }
        Self(pairs)
    }
}

impl Merging for Splits {
    fn rank(&self, left: u32, right: u32) -> u32 {
        self.0.get(&Pair::new(left, right)).map_or(NO_RANK, |(rank, _)| *rank)
    }

    fn merged(&self, left: u32, right: u32, _: u32) -> u32 {
        self.0.get(&Pair::new(left, right)).map_or(left, |(_, merged)| *merged)
    }
}
