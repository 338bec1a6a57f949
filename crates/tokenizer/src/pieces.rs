//! The distinct pieces of texts, counted: what every trainer learns from.
//!
//! Texts come one after the other or many at once, and need not stay in memory. Which pieces there are and how often does
//! not depend on how many threads count.

use crate::normalization::Normalization;
use crate::pattern::{DIGIT, Splitter, last_cut};
use crate::piece_map::{Counter, Piece, PieceMap};
use crate::{Pattern, TokenizerError};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How texts become pieces.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    pub(crate) normalization: Normalization,
    pub(crate) splitter: Splitter,
}

impl Pieces {
    /// # Errors
    /// When a custom pattern is not a regular expression.
    pub(crate) fn new(
        normalization: Normalization,
        split_digits: bool,
        pattern: Pattern,
    ) -> Result<Self, TokenizerError> {
        let digits = split_digits.then(|| Pattern::Custom(DIGIT.to_owned()));
        Ok(Self { normalization, splitter: Splitter::new(digits.into_iter().chain([pattern]))? })
    }

    /// Calls `each` with the normalized text and the place of each of its pieces.
    pub(crate) fn for_each(&self, text: &str, mut each: impl FnMut(&str, Range<usize>)) {
        let text = self.normalization.apply(text);
        self.splitter.for_each_piece(&text, |range| each(&text, range));
    }

    pub(crate) fn cutter(&self) -> Cutter {
        Cutter { between_words: self.splitter.cuts_between_words(), normalization: self.normalization }
    }
}

/// The distinct pieces of texts and how often each stands there: what a trainer learns from.
#[derive(Debug)]
pub struct PieceCounts {
    pieces: Pieces,
    /// A piece is counted in one of these, by its bytes, so that several can be added to at once.
    shards: Vec<Shard>,
    /// The most memory that training may take, in bytes.
    max_memory: Option<u64>,
    pruned: Pruned,
}

/// What was forgotten for want of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many pieces; one that came again afterwards is counted again.
    pub pieces: u64,
    /// How often they stood in the texts.
    pub occurrences: u64,
    /// How often the most frequent of them had stood there.
    pub at_most: u64,
}

impl Pruned {
    /// What is wrong when no piece is left.
    pub(crate) fn if_all_is_gone(self) -> TokenizerError {
        match self.pieces {
            0 => TokenizerError::EmptyTrainingText,
            pieces => TokenizerError::TooLittleMemory { pieces },
        }
    }
}

#[derive(Debug, Default)]
struct Shard {
    counts: Vec<(Box<str>, u64)>,
    index: PieceMap<u32>,
    bytes: u64,
}

const SHARDS: usize = 16;
/// About how long the parts are that are counted at once, in bytes.
const PART: usize = 1 << 20;
/// For less it is not worth while to count apart and add up.
const FEW_BYTES: usize = 1 << 16;

/// What training takes for each distinct piece and for each of their bytes, as measured: the piece, its place in the index,
/// and what merging knows of each byte.
const MEMORY_OF_PIECE: u64 = 136;
const MEMORY_OF_BYTE: u64 = 40;
/// Of the memory that pieces may take, what they take after pruning, in percent: so that it is not done again at once.
const KEPT_PERCENT: u64 = 60;

impl PieceCounts {
    pub(crate) fn new(pieces: Pieces) -> Self {
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        Self { pieces, shards, max_memory: None, pruned: Pruned::default() }
    }

    /// Forgets the rarest pieces whenever training would take more memory than so many bytes, beside that of the texts given
    /// at once. [`pruned`](Self::pruned) says what was forgotten; the same whatever the number of threads, but not however
    /// texts are given.
    pub fn set_max_memory(&mut self, bytes: u64) {
        self.max_memory = Some(bytes);
    }

    /// What was forgotten for want of memory.
    pub fn pruned(&self) -> Pruned {
        self.pruned
    }

    /// Counts the pieces of texts, on all threads of rayon's pool where there is enough to count. No piece spans two texts, so a document
    /// should come whole.
    pub fn feed_all(&mut self, texts: &[&str]) {
        let Self { pieces, shards, .. } = self;
        if texts.iter().map(|text| text.len()).sum::<usize>() < FEW_BYTES {
            let mut add = |piece: &str| shards[shard_of(piece)].add(piece, 1);
            texts.iter().for_each(|text| pieces.for_each(text, |text, range| add(&text[range])));
        } else {
            let parts: Vec<&str> = texts.iter().flat_map(|text| pieces.cutter().parts(text)).collect();
            // Each thread takes part after part, so that there are no more counters than threads to add up.
            let next = AtomicUsize::new(0);
            let count_some = |_| {
                let mut counter = Counter::default();
                while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    pieces.for_each(part, |text, range| counter.count(text, range));
                }
                let mut shards: [Vec<_>; SHARDS] = std::array::from_fn(|_| Vec::new());
                counter.finish().for_each(|(piece, count)| shards[shard_of(&piece)].push((piece, count)));
                shards
            };
            let n_threads = rayon::current_num_threads();
            let counted: Vec<_> = (0..n_threads).into_par_iter().with_max_len(1).map(count_some).collect();
            shards.par_iter_mut().enumerate().for_each(|(number, shard)| {
                counted
                    .iter()
                    .flat_map(|shards| &shards[number])
                    .for_each(|(piece, count)| shard.add(piece, *count));
            });
        }
        self.prune();
    }

    fn memory(&self) -> u64 {
        let of = |shard: &Shard| shard.counts.len() as u64 * MEMORY_OF_PIECE + shard.bytes * MEMORY_OF_BYTE;
        self.shards.iter().map(of).sum()
    }

    /// Forgets pieces, the rarest first, if all together would take too much.
    fn prune(&mut self) {
        let Some(max_memory) = self.max_memory.filter(|&bytes| self.memory() > bytes) else { return };
        let mut by_count: Vec<(u64, u64)> = self
            .shards
            .iter()
            .flat_map(|shard| &shard.counts)
            .map(|(piece, count)| (*count, MEMORY_OF_PIECE + piece.len() as u64 * MEMORY_OF_BYTE))
            .collect();
        by_count.sort_unstable();
        let mut memory = self.memory();
        let mut at_most = 0;
        for (count, bytes) in by_count {
            if memory <= max_memory / 100 * KEPT_PERCENT && count > at_most {
                break;
            }
            (memory, at_most) = (memory - bytes, count);
        }
        for shard in &mut self.shards {
            let Pruned { pieces, occurrences, .. } = &mut self.pruned;
            shard.counts.retain(|&(_, count)| {
                let kept = count > at_most;
                *pieces += u64::from(!kept);
                *occurrences += if kept { 0 } else { count };
                kept
            });
            for (piece, count) in std::mem::take(shard).counts {
                shard.add(&piece, count);
            }
        }
        self.pruned.at_most = self.pruned.at_most.max(at_most);
    }

    /// Says where texts may be cut.
    pub fn cutter(&self) -> Cutter {
        self.pieces.cutter()
    }

    /// How texts become pieces, and these with their counts.
    pub(crate) fn finish(self) -> (Pieces, Vec<(Box<str>, u64)>) {
        (self.pieces, self.shards.into_iter().flat_map(|shard| shard.counts).collect())
    }
}

impl Shard {
    fn add(&mut self, piece: &str, count: u64) {
        let key = Piece::new(piece.as_bytes());
        if let Some(&at) = self.index.get(key) {
            self.counts[at as usize].1 += count;
        } else {
            // More than 2³² distinct pieces are refused by the trainers; the count of one is then moot.
            self.index.insert(key, self.counts.len() as u32);
            self.counts.push((piece.into(), count));
            self.bytes += piece.len() as u64;
        }
    }
}

fn shard_of(piece: &str) -> usize {
    Piece::new(piece.as_bytes()).hash() as usize % SHARDS
}

/// Where texts may be cut that are too long to come whole.
#[derive(Clone, Copy, Debug)]
pub struct Cutter {
    between_words: bool,
    normalization: Normalization,
}

impl Cutter {
    /// The last place where a text may be cut such that feeding both sides, whatever follows, is feeding the whole;
    /// `None` where the pattern has no such place in this text.
    ///
    /// ```
    /// # use firebrand_tokenizer::{ByteLevelConfig, ByteLevelTrainer};
    /// let cutter = ByteLevelTrainer::new(ByteLevelConfig::default())?.cutter();
    /// // What follows could go on with `jum`, but no longer with `fox`.
    /// assert_eq!(cutter.safe_cut("a quick fox jum"), Some("a quick fox".len()));
    /// assert_eq!(cutter.safe_cut("fox"), None);
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    pub fn safe_cut(&self, text: &str) -> Option<usize> {
        if self.between_words { last_cut(text, self.normalization) } else { None }
    }

    fn parts<'t>(&self, text: &'t str) -> Vec<&'t str> {
        parts_of(text, PART, |text| self.safe_cut(text))
    }
}

/// A text in parts of about so many bytes, cut where it may be.
pub(crate) fn parts_of(text: &str, bytes: usize, cut: impl Fn(&str) -> Option<usize>) -> Vec<&str> {
    let (mut parts, mut rest, mut wanted) = (Vec::new(), text, bytes);
    while rest.len() > wanted {
        let window = &rest[..rest.floor_char_boundary(wanted)];
        match cut(window) {
            Some(at) => {
                let (part, behind) = rest.split_at(at);
                parts.push(part);
                (rest, wanted) = (behind, bytes);
            }
            // Twice as much each time, so that a text without such a place is looked at once or twice in all.
            None => wanted *= 2,
        }
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use std::collections::BTreeMap;

    fn counts(pattern: Pattern) -> PieceCounts {
        PieceCounts::new(Pieces::new(Normalization::Nfc, false, pattern).unwrap())
    }

    /// Words that come often and words that come once, 2 MB of them.
    fn text() -> String {
        (0..200_000).map(|number| format!(" word{} {number}é", (number * number) % 97)).collect()
    }

    fn finished(counts: PieceCounts) -> BTreeMap<Box<str>, u64> {
        counts.finish().1.into_iter().collect()
    }

    #[test]
    fn any_number_of_threads_and_of_texts_counts_the_same() {
        let text = text();
        let expected = {
            let mut counts = counts(Pattern::Gpt2);
            // Too short to be counted by several threads.
            counts.cutter().parts(&text).iter().for_each(|part| {
                let cut =
                    counts.cutter().safe_cut(&part[..part.floor_char_boundary(part.len() / 2)]).unwrap();
                counts.feed_all(&[&part[..cut]]);
                counts.feed_all(&[&part[cut..]]);
            });
            finished(counts)
        };
        assert_eq!(expected.len(), 97 + 200_000 + 3);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut counts = counts(Pattern::Gpt2);
            pool.install(|| counts.feed_all(&[&text]));
            assert!(finished(counts) == expected, "{threads} threads");
        }
    }

    #[test]
    fn little_memory_keeps_the_frequent_pieces() {
        let text = text();
        let mut counts = counts(Pattern::Gpt2);
        counts.set_max_memory(1 << 20);
        counts.feed_all(&[&text]);
        let pruned = counts.pruned();
        assert!(counts.memory() <= 1 << 20);
        assert_eq!((pruned.pieces, pruned.occurrences, pruned.at_most), (200_000, 200_000, 1));
        assert_eq!(finished(counts).len(), 97 + 3);
    }

    #[test]
    fn a_text_without_a_place_to_cut_stays_whole() {
        let text = "a".repeat(3 * PART);
        assert_eq!(counts(Pattern::Gpt2).cutter().parts(&text).len(), 1);
        assert_eq!(counts(Pattern::None).cutter().parts("a b").len(), 1);
    }
}
