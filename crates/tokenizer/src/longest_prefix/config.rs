//! What a vocabulary shall be, and the trainer that makes it.

use super::{reference, train};
use crate::pieces::{Cutter, PieceCounts, Pieces};
use crate::{END_OF_TEXT, Normalization, Pattern, TokenizerError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The token of a character that isn't in the vocabulary.
pub const UNKNOWN: &str = "<unk>";

/// The token of a byte where unknown characters fall back to their bytes: `<0x0A>`.
pub(crate) fn byte_token(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

/// How large a vocabulary shall be. It is smaller when the texts run out of pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VocabularySize {
    /// So many tokens: special ones, bytes to fall back to, the alphabet, merges.
    Tokens(usize),
    /// So many merges, the `k` of the algorithm, beside all other tokens.
    Merges(usize),
}

/// What a vocabulary for longest-prefix segmentation shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LongestPrefixConfig {
    /// Its size.
    pub size: VocabularySize,
    /// The special tokens; they have the first ids. `<unk>` is added to them unless there is `byte_fallback`.
    pub special_tokens: Vec<String>,
    /// How texts are cut into words, at training and at encoding.
    pub pattern: Pattern,
    /// Pairs that occur less often are not merged.
    pub min_frequency: u64,
    /// No token has more characters; `None` for no limit.
    pub max_token_length: Option<usize>,
    /// A character outside the vocabulary becomes a token for each of its UTF-8 bytes, instead of one `<unk>`.
    pub byte_fallback: bool,
    /// Every digit is a word of its own, before the pattern is applied, so that all numbers are spelled alike.
    pub split_digits: bool,
    /// How texts are normalized first.
    pub normalization: Normalization,
}

impl Default for LongestPrefixConfig {
    fn default() -> Self {
        Self {
            size: VocabularySize::Tokens(8192),
            special_tokens: vec![END_OF_TEXT.to_owned()],
            pattern: Pattern::default(),
            min_frequency: 1,
            max_token_length: None,
            byte_fallback: false,
            split_digits: false,
            normalization: Normalization::None,
        }
    }
}

/// Learns a vocabulary from texts that come one after the other and need not stay in memory: it keeps the distinct
/// words only.
///
/// ```
/// use firebrand_tokenizer::{LongestPrefixConfig, LongestPrefixTrainer, VocabularySize};
///
/// let config = LongestPrefixConfig { size: VocabularySize::Merges(2), ..LongestPrefixConfig::default() };
/// let mut trainer = LongestPrefixTrainer::new(config)?;
/// trainer.feed("low lower lowest");
/// let tokenizer = trainer.finish()?;
/// // First `l` `o`, then `lo` `w`: each three times.
/// let shown: Vec<_> = tokenizer.encode("lowly").iter().filter_map(|&id| tokenizer.id_to_token(id).map(str::to_owned)).collect();
/// assert_eq!(shown, ["low", "l", "<unk>"]);
/// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
/// ```
#[derive(Debug)]
pub struct LongestPrefixTrainer {
    config: LongestPrefixConfig,
    words: PieceCounts,
}

/// What training yields.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) config: LongestPrefixConfig,
    pub(crate) pieces: Pieces,
    /// Special tokens (with `<unk>`), bytes to fall back to, alphabet, merges: in the order of their ids.
    pub(crate) tokens: Vec<String>,
    /// How many of them are special, and where the alphabet begins.
    pub(crate) special: usize,
    pub(crate) alphabet: usize,
}

/// What a training algorithm is given: distinct words with counts, and when to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    pub(super) words: &'a [(Box<str>, u64)],
    pub(super) merges: usize,
    pub(super) min_frequency: u64,
    pub(super) max_token_length: usize,
}

/// The tokens of a training algorithm: what there is before it begins.
pub(super) struct Tokens {
    /// By id.
    pub(super) texts: Vec<String>,
    /// The first id of the alphabet, which is in ascending order.
    pub(super) alphabet: usize,
    /// Those that stand before the alphabet: never made by a merge, since a document must not spell them.
    pub(super) reserved: BTreeSet<String>,
}

/// A training algorithm: adds tokens and returns their pairs.
pub(super) type Train =
    fn(Job<'_>, &mut Tokens, &mut dyn FnMut(usize)) -> Result<Vec<(u32, u32)>, TokenizerError>;

impl LongestPrefixTrainer {
    /// A trainer that has seen no text yet.
    ///
    /// # Errors
    /// When a special token is empty, double or the token of a byte to fall back to, or the pattern is no regular
    /// expression.
    pub fn new(config: LongestPrefixConfig) -> Result<Self, TokenizerError> {
        crate::tokenizer::check_special_tokens(&config.special_tokens)?;
        let is_byte = |token: &&String| (0..=255).any(|byte| **token == byte_token(byte));
        if config.byte_fallback
            && let Some(token) = config.special_tokens.iter().find(is_byte)
        {
            return Err(TokenizerError::SpecialToken {
                token: token.clone(),
                reason: "is the token of a byte that unknown characters fall back to: choose another",
            });
        }
        let pieces = Pieces::new(config.normalization, config.split_digits, config.pattern.clone())?;
        Ok(Self { config, words: PieceCounts::new(pieces) })
    }

    /// The distinct words so far: to count many texts at once, within a given memory.
    pub fn pieces(&mut self) -> &mut PieceCounts {
        &mut self.words
    }

    /// Counts the words of a text. No word spans two texts, so a document should come whole.
    pub fn feed(&mut self, text: &str) {
        self.words.feed_all(&[text]);
    }

    /// Says where texts may be cut.
    pub fn cutter(&self) -> Cutter {
        self.words.cutter()
    }

    /// Chooses the merges: again and again the most frequent pair, the smaller ids winning a tie.
    ///
    /// # Errors
    /// When there was no text, all words were forgotten for want of memory, the vocabulary is smaller than the alphabet, a
    /// special token is a character of the texts,
    /// or there are more distinct words than fit.
    pub fn finish(self) -> Result<crate::Tokenizer, TokenizerError> {
        self.finish_with_progress(&mut |_| {})
    }

    /// As [`finish`](Self::finish), telling the number of merges made so far.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_with_progress(
        self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<crate::Tokenizer, TokenizerError> {
        crate::Tokenizer::from_longest_prefix(self.train(train::train, progress)?.0)
    }

    /// As [`finish`](Self::finish), by the algorithm as it is written down: segmenting everything anew for each merge. Of
    /// use to understand it, and to test the other by.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_by_reference(
        self,
        progress: &mut dyn FnMut(usize),
    ) -> Result<crate::Tokenizer, TokenizerError> {
        crate::Tokenizer::from_longest_prefix(self.train(reference::train, progress)?.0)
    }

    /// What training yields, and the pairs that were merged, in turn.
    pub(super) fn train(
        self,
        algorithm: Train,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Trained, Vec<(u32, u32)>), TokenizerError> {
        let Self { config, words } = self;
        let pruned = words.pruned();
        let (pieces, words) = words.finish();
        let characters: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars()).collect();
        if characters.is_empty() {
            return Err(pruned.if_all_is_gone());
        }
        let mut texts = config.special_tokens.clone();
        if !config.byte_fallback && !texts.iter().any(|token| token == UNKNOWN) {
            texts.push(UNKNOWN.to_owned());
        }
        let special = texts.len();
        let is_character = |token: &&String| characters.iter().any(|&char| token.chars().eq([char]));
        if let Some(token) = texts.iter().find(is_character) {
            return Err(TokenizerError::SpecialToken {
                token: token.clone(),
                reason: "is a character of the texts: choose a longer one",
            });
        }
        if config.byte_fallback {
            texts.extend((0..=255).map(byte_token));
        }
        let (alphabet, reserved) = (texts.len(), texts.iter().cloned().collect());
        texts.extend(characters.iter().map(char::to_string));
        let merges = match config.size {
            VocabularySize::Merges(merges) => merges,
            VocabularySize::Tokens(vocab_size) => {
                let (others, characters) = (alphabet, characters.len());
                vocab_size.checked_sub(texts.len()).ok_or(TokenizerError::AlphabetTooLarge {
                    vocab_size,
                    others,
                    characters,
                })?
            }
        };
        let job = Job {
            words: &words,
            merges,
            min_frequency: config.min_frequency,
            max_token_length: config.max_token_length.unwrap_or(usize::MAX),
        };
        let mut tokens = Tokens { texts, alphabet, reserved };
        let merges = algorithm(job, &mut tokens, progress)?;
        Ok((Trained { config, pieces, tokens: tokens.texts, special, alphabet }, merges))
    }
}
