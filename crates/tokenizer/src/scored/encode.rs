//! Encoding by scores in `O(n log n)`.

use super::PREFIX;
use crate::merging::{Merge, Merging, NO_RANK, Scratch, live_merges, merge};
use crate::pair::Pair;
use crate::piece_map::Piece;
use crate::seen::Seen;
use crate::splits::{Ranked, Splits};
use rustc_hash::{FxHashMap, FxHashSet};

/// What merging starts from: the tokens of characters, and those of the bytes of all other characters.
#[derive(Debug)]
pub(crate) struct Start {
    characters: FxHashMap<char, u32>,
    bytes: Box<[u32; 256]>,
    prefix: u32,
}

impl Start {
    /// From the tokens that text can become, as (text, id), and those of bytes; nothing when none is the prefix.
    pub(crate) fn new<'v>(
        tokens: impl IntoIterator<Item = (&'v str, u32)>,
        bytes: Box<[u32; 256]>,
    ) -> Option<Self> {
        let mut characters = FxHashMap::default();
        for (text, id) in tokens {
            let mut chars = text.chars();
            if let (Some(char), None) = (chars.next(), chars.next()) {
                characters.insert(char, id);
            }
        }
        let prefix = *characters.get(&PREFIX)?;
        Some(Self { characters, bytes, prefix })
    }

    fn push(&self, text: &str, symbols: &mut Vec<u32>) {
        for char in text.chars() {
            match self.characters.get(&char) {
                Some(&id) => symbols.push(id),
                None => self.push_bytes(char.encode_utf8(&mut [0; 4]).as_bytes(), symbols),
            }
        }
    }

    fn push_bytes(&self, bytes: &[u8], symbols: &mut Vec<u32>) {
        symbols.extend(bytes.iter().map(|&byte| self.bytes[usize::from(byte)]));
    }
}

/// The algorithm with its tables.
#[derive(Debug)]
pub(crate) struct Scored {
    start: Start,
    /// In the order of their ranks.
    merges: Vec<Merge>,
    /// Of each merge: equal ones where it is left to the place in the text which goes first.
    ranks: Vec<u32>,
    /// The place of each pair's merge in that list.
    places: FxHashMap<Pair, u32>,
    byte_ids: FxHashSet<u32>,
    /// Whether no token holds a space behind something else: then a text may be merged word by word.
    word_by_word: bool,
}

impl Scored {
    /// From the tokens that are made by merging, all with different bytes.
    pub(crate) fn from_scores(start: Start, tokens: &[Ranked<'_>]) -> Self {
        let own = tokens.iter().map(|token| (token.bytes, token.id));
        let symbols = |bytes: &[u8], symbols: &mut Vec<u32>| match std::str::from_utf8(bytes) {
            Ok(text) => {
                start.push(text, symbols);
                true
            }
            Err(_) => false,
        };
        let live = live_merges(&Splits::new(tokens), own, symbols);
        let texts: FxHashMap<u32, &[u8]> = tokens.iter().map(|token| (token.id, token.bytes)).collect();
        let word_by_word =
            live.iter().all(|(_, merge)| !texts.get(&merge.merged).is_some_and(|text| spans_words(text)));
        Self::new(start, live, word_by_word)
    }

    /// From merges with their ranks, in the order of these, each pair once. `text` is that of a token.
    pub(crate) fn from_merges<'v>(
        start: Start,
        merges: Vec<(u32, Merge)>,
        text: impl Fn(u32) -> &'v str,
    ) -> Self {
        let word_by_word = merges.iter().all(|(_, merge)| !spans_words(text(merge.merged).as_bytes()));
        Self::new(start, merges, word_by_word)
    }

    fn new(start: Start, merges: Vec<(u32, Merge)>, word_by_word: bool) -> Self {
        debug_assert!(merges.is_sorted_by_key(|(rank, _)| *rank), "merges in the order of ranks");
        let (ranks, merges): (Vec<u32>, Vec<Merge>) = merges.into_iter().unzip();
        let places = merges.iter().map(Merge::pair).zip(0..).collect();
        let byte_ids = start.bytes.iter().copied().collect();
        Self { start, merges, ranks, places, byte_ids, word_by_word }
    }

    /// The merges in the order of their ranks.
    pub(crate) fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// The rank of each merge when some are equal.
    pub(crate) fn tied_ranks(&self) -> Option<&[u32]> {
        self.ranks.windows(2).any(|pair| pair[0] == pair[1]).then_some(&*self.ranks)
    }

    /// Whether a token stands for one byte of a character that is no token.
    pub(crate) fn is_byte(&self, id: u32) -> bool {
        self.byte_ids.contains(&id)
    }

    /// Appends the ids of a text, prefix included. What was seen is that of all texts whose ids are in `out`.
    pub(crate) fn encode(&self, text: &str, seen: &mut Seen, out: &mut Vec<u32>) {
        self.encode_run(text, true, seen, &mut Scratch::default(), out);
    }

    /// Appends the ids of any bytes: as text where they are UTF-8, others as the tokens of bytes.
    pub(crate) fn encode_bytes(&self, bytes: &[u8], out: &mut Vec<u32>) {
        let (mut seen, mut scratch) = (Seen::new(bytes.len()), Scratch::default());
        for (number, chunk) in bytes.utf8_chunks().enumerate() {
            self.encode_run(chunk.valid(), number == 0, &mut seen, &mut scratch, out);
            self.start.push_bytes(chunk.invalid(), out);
        }
    }

    fn encode_run(
        &self,
        text: &str,
        prefixed: bool,
        seen: &mut Seen,
        scratch: &mut Scratch,
        out: &mut Vec<u32>,
    ) {
        let mut prefixed = prefixed;
        let mut encode = |word: &str| {
            if prefixed {
                // Kept apart from what was seen: the first word of a text has a symbol more.
                self.merge_word(&[self.start.prefix], word, scratch, out);
                prefixed = false;
            } else {
                let merged = |out: &mut _| self.merge_word(&[], word, scratch, out);
                seen.append(Piece::new(word.as_bytes()), out, merged);
            }
        };
        let mut begin = 0;
        if self.word_by_word {
            let bytes = text.as_bytes();
            for end in 1..bytes.len() {
                if bytes[end] == b' ' && bytes[end - 1] != b' ' {
                    encode(&text[begin..end]);
                    begin = end;
                }
            }
        }
        encode(&text[begin..]);
    }

    fn merge_word(&self, before: &[u32], word: &str, scratch: &mut Scratch, out: &mut Vec<u32>) {
        scratch.symbols.clear();
        scratch.symbols.extend_from_slice(before);
        self.start.push(word, &mut scratch.symbols);
        merge(self, scratch);
        out.extend_from_slice(&scratch.symbols);
    }

    fn place(&self, left: u32, right: u32) -> Option<usize> {
        self.places.get(&Pair::new(left, right)).map(|&place| place as usize)
    }
}

impl Merging for Scored {
    fn rank(&self, left: u32, right: u32) -> u32 {
        self.place(left, right).map_or(NO_RANK, |place| self.ranks[place])
    }

    fn merged(&self, left: u32, right: u32, _: u32) -> u32 {
        self.place(left, right).map_or(left, |place| self.merges[place].merged)
    }
}

/// Whether a token holds a space behind something else.
fn spans_words(text: &[u8]) -> bool {
    text.windows(2).any(|pair| pair[0] != b' ' && pair[1] == b' ')
}
