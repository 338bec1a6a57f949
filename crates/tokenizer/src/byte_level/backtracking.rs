//! What merging gives, without merging: the longest token that goes with the one before, again and again.
//!
//! Tokens side by side are what merging makes of their bytes if each two neighbours are what it makes of theirs alone (as
//! in the crate `bpe`, <https://github.com/github/rust-gems>). Why: say some merge is the first to cross the border of two
//! of them. Until then those inside were made in the order in which merging the bytes of these two alone makes them, so that
//! this one would be made there too.
//!
//! So there is one way to put together a text such that all neighbours go together, and any search finds it. Longest first,
//! it hardly ever has to go back; and it comes to no place twice, since all tokens up to there are what merging makes
//! of that much.

use crate::double_array::{DoubleArray, ROOT};
use crate::merging::Merge;
use crate::pair::Pair;
use rustc_hash::FxHashMap;
use std::hint::select_unpredictable;

const NONE: u32 = u32::MAX;

/// The tables of the search.
#[derive(Debug)]
pub(super) struct Backtracking {
    /// All tokens that texts can become, and at each node the longest that its bytes begin with.
    trie: DoubleArray<Longest>,
    /// By id.
    tokens: Vec<Token>,
    ranks: FxHashMap<Pair, u32>,
    filter: Filter,
}

/// A token with its number of bytes, side by side so that both are there at once.
#[derive(Clone, Copy, Debug)]
struct Longest {
    token: u32,
    n_bytes: u32,
}

impl Default for Longest {
    fn default() -> Self {
        Self { token: NONE, n_bytes: 0 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Token {
    /// The time of the merge that makes it: one more than its rank, 0 for a byte.
    made: u32,
    left: u32,
    right: u32,
    n_bytes: u32,
    /// The longest token that it begins with; [`NONE`] for a byte.
    shorter: u32,
}

/// As at an id that texts cannot become.
const UNUSED: Token = Token { made: 0, left: NONE, right: NONE, n_bytes: 0, shorter: NONE };

impl Backtracking {
    /// From the merges that texts can meet with their ranks, all different and ascending, and all tokens that these start from
    /// or lead to, as (bytes, id). Nothing if some token can be made before a part of it could: merges are then not made in
    /// the order of their ranks, which no trained vocabulary has.
    pub(super) fn new(live: &[(u32, Merge)], mut tokens: Vec<(&[u8], u32)>) -> Option<Self> {
        tokens.sort_unstable();
        let largest = tokens.iter().map(|(_, id)| *id as usize + 1).max().unwrap_or(0);
        let mut known = vec![UNUSED; largest];
        for &(rank, Merge { left, right, merged }) in live {
            known[merged as usize] = Token { made: rank + 1, left, right, ..UNUSED };
        }
        let is_late = |(rank, merge): &(u32, Merge)| {
            [merge.left, merge.right].iter().any(|part| known[*part as usize].made > *rank)
        };
        if live.iter().any(is_late) {
            return None;
        }
        let strings: Vec<&[u8]> = tokens.iter().map(|(bytes, _)| *bytes).collect();
        let trie = DoubleArray::new(&strings, |trie: &DoubleArray<Longest>, made| {
            let shorter = trie.value(made.parent);
            let Some(string) = made.string else { return shorter };
            let token = tokens[string].1;
            let known = &mut known[token as usize];
            (known.n_bytes, known.shorter) = (made.depth, shorter.token);
            Longest { token, n_bytes: made.depth }
        });
        let ranks = live.iter().map(|(rank, merge)| (merge.pair(), *rank)).collect();
        Some(Self {
            trie,
            tokens: known,
            ranks,
            filter: Filter::new(live.iter().map(|(_, merge)| merge.pair())),
        })
    }

    /// Appends the tokens of a piece.
    pub(super) fn encode(&self, piece: &[u8], dead_ends: &mut DeadEnds, out: &mut Vec<u32>) {
        dead_ends.clear(piece.len());
        let mut at = 0;
        let mut next = self.longest(piece);
        while at < piece.len() {
            let last = if at == 0 { None } else { out.last().copied() };
            let fits = |next: Longest| {
                !dead_ends.contains(at + next.n_bytes as usize)
                    && last.is_none_or(|last| self.go_together(last, next.token))
            };
            while next.token != NONE && !fits(next) {
                next = self.shorter(next.token);
            }
            if next.token != NONE {
                out.push(next.token);
                at += next.n_bytes as usize;
                next = self.longest(&piece[at..]);
                continue;
            }
            dead_ends.add(at);
            let last = last.expect("some way leads through every piece");
            out.pop();
            at -= self.token(last).n_bytes as usize;
            next = self.shorter(last);
        }
    }

    fn shorter(&self, token: u32) -> Longest {
        match self.token(token).shorter {
            NONE => Longest::default(),
            token => Longest { token, n_bytes: self.token(token).n_bytes },
        }
    }

    fn token(&self, id: u32) -> &Token {
        &self.tokens[id as usize]
    }

    /// The longest token that some bytes begin with.
    #[inline]
    fn longest(&self, bytes: &[u8]) -> Longest {
        let mut node = ROOT;
        for &byte in bytes {
            let Some(child) = self.trie.child(node, byte) else { break };
            node = child;
        }
        self.trie.value(node)
    }

    /// Whether merging the bytes of both tokens gives both.
    fn go_together(&self, mut left: u32, mut right: u32) -> bool {
        // Back in time: which symbols lay at the border, and until when. Had they been a pair of lower rank, it had been merged.
        let mut until = u32::MAX;
        loop {
            if self.rank(left, right) < until {
                return false;
            }
            let (l, r) = (self.token(left), self.token(right));
            if l.made | r.made == 0 {
                return true;
            }
            // Of equal ranks the leftmost goes first: one in `left` before one across the border, that before one in `right`.
            // Which it is nothing foresees, so that a branch would often be mistaken.
            let in_left = l.made > r.made;
            until = select_unpredictable(in_left, l.made.wrapping_sub(1), r.made);
            (left, right) =
                (select_unpredictable(in_left, l.right, left), select_unpredictable(in_left, right, r.left));
        }
    }

    #[inline]
    fn rank(&self, left: u32, right: u32) -> u32 {
        let pair = Pair::new(left, right);
        if !self.filter.may_hold(pair) {
            return NONE;
        }
        self.ranks.get(&pair).copied().unwrap_or(NONE)
    }
}

/// Places of a piece to which no way leads.
#[derive(Debug, Default)]
pub(super) struct DeadEnds(Vec<u64>);

impl DeadEnds {
    fn clear(&mut self, len: usize) {
        self.0.clear();
        self.0.resize(len / 64 + 1, 0);
    }

    #[inline]
    fn contains(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }
}

/// Tells of most pairs that are no merge that they are none, in the nearest memory.
#[derive(Debug)]
struct Filter {
    bits: Vec<u64>,
    shift: u32,
}

impl Filter {
    fn new(pairs: impl ExactSizeIterator<Item = Pair>) -> Self {
        let bits = (pairs.len() * 16).next_power_of_two().max(64);
        let mut new = Self { bits: vec![0; bits / 64], shift: 64 - bits.trailing_zeros() };
        for pair in pairs {
            let bit = new.bit(pair);
            new.bits[bit / 64] |= 1 << (bit % 64);
        }
        new
    }

    #[inline]
    fn bit(&self, pair: Pair) -> usize {
        (pair.packed().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    #[inline]
    fn may_hold(&self, pair: Pair) -> bool {
        let bit = self.bit(pair);
        self.bits[bit / 64] >> (bit % 64) & 1 == 1
    }
}
