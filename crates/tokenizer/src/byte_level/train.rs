//! Training a byte-level vocabulary: counting pieces, then choosing merges.
//!
//! Gives the merges and ids of Hugging Face tokenizers 0.23 on the same texts. It knows nothing of files.

use super::merges::Row;
use crate::bytes::{in_id_order, stand_in};
use crate::pieces::{Cutter, PieceCounts, Pieces};
use crate::{Normalization, Pattern, TokenizerError};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::Entry;

/// The special token that ends a document.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// What a byte-level vocabulary shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ByteLevelConfig {
    /// The number of tokens: special tokens, 256 bytes and merges. There are fewer when the texts run out of
    /// pairs.
    pub vocab_size: usize,
    /// The special tokens; they have the first ids.
    pub special_tokens: Vec<String>,
    /// How texts are cut into pieces, at training and at encoding.
    pub pattern: Pattern,
    /// Pairs that occur less often are not merged.
    pub min_frequency: u64,
    /// No token has more bytes; `None` for no limit.
    pub max_token_length: Option<usize>,
    /// Every digit is a piece of its own, before the pattern is applied, so that all numbers are spelled alike.
    pub split_digits: bool,
    /// How texts are normalized first.
    pub normalization: Normalization,
}

impl Default for ByteLevelConfig {
    fn default() -> Self {
        Self {
            vocab_size: 8192,
            special_tokens: vec![END_OF_TEXT.to_owned()],
            pattern: Pattern::default(),
            min_frequency: 1,
            max_token_length: None,
            split_digits: false,
            normalization: Normalization::None,
        }
    }
}

/// Learns a byte-level vocabulary from texts that come one after the other and need not stay in memory: it
/// keeps the distinct pieces only. [`finish`](Self::finish) makes the tokenizer.
///
/// A text too long for memory is fed in parts that end where its [`Cutter`] allows:
///
/// ```
/// use firebrand_tokenizer::{ByteLevelConfig, ByteLevelTrainer, Tokenizer};
///
/// let config = ByteLevelConfig { vocab_size: 280, ..ByteLevelConfig::default() };
/// let mut trainer = ByteLevelTrainer::new(config.clone())?;
/// let cutter = trainer.cutter();
/// let mut waiting = String::new();
/// for read in ["the lig", "ht in the nig", "ht is the li", "ght"] {
///     waiting.push_str(read);
///     if let Some(cut) = cutter.safe_cut(&waiting) {
///         trainer.feed(&waiting[..cut]);
///         waiting.drain(..cut);
///     }
/// }
/// trainer.feed(&waiting);
/// let whole = Tokenizer::train_byte_level(["the light in the night is the light"], &config)?;
/// assert_eq!(trainer.finish()?.token_table(), whole.token_table());
/// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
/// ```
#[derive(Debug)]
pub struct ByteLevelTrainer {
    config: ByteLevelConfig,
    pieces: PieceCounts,
}

/// What training yields: tokens in the order of their ids, and merges in the order of their ranks.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) config: ByteLevelConfig,
    pub(crate) pieces: Pieces,
    /// Special tokens, then bytes and merges written in stand-ins.
    pub(crate) texts: Vec<String>,
    pub(crate) merges: Vec<(u32, u32)>,
}

impl ByteLevelTrainer {
    /// A trainer that has seen no text yet.
    ///
    /// # Errors
    /// When the vocabulary is too small for the bytes and special tokens, a special token is empty, double or
    /// the text of a byte, or the pattern is no regular expression.
    pub fn new(config: ByteLevelConfig) -> Result<Self, TokenizerError> {
        let special_tokens = config.special_tokens.len();
        if config.vocab_size < 256 + special_tokens {
            return Err(TokenizerError::VocabSizeTooSmall { vocab_size: config.vocab_size, special_tokens });
        }
        crate::tokenizer::check_special_tokens(&config.special_tokens)?;
        let is_byte = |token: &&String| (0..=255).any(|byte| token.chars().eq([stand_in(byte)]));
        if let Some(token) = config.special_tokens.iter().find(is_byte) {
            return Err(TokenizerError::SpecialToken {
                token: token.clone(),
                reason: "is the text of a single byte in a byte-level vocabulary: choose a longer one",
            });
        }
        let pieces = Pieces::new(config.normalization, config.split_digits, config.pattern.clone())?;
        Ok(Self { config, pieces: PieceCounts::new(pieces) })
    }

    /// The distinct pieces so far: to count many texts at once, within a given memory.
    pub fn pieces(&mut self) -> &mut PieceCounts {
        &mut self.pieces
    }

    /// Counts the pieces of a text. No piece spans two texts, so a document should come whole.
    pub fn feed(&mut self, text: &str) {
        self.pieces.feed_all(&[text]);
    }

    /// Says where texts may be cut.
    pub fn cutter(&self) -> Cutter {
        self.pieces.cutter()
    }

    /// Chooses the merges: again and again the most frequent pair, the smaller ids winning a tie.
    ///
    /// # Errors
    /// When there was no text, or more distinct pieces than fit.
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
        crate::Tokenizer::from_trained(self.train(progress)?)
    }

    fn train(self, progress: &mut dyn FnMut(usize)) -> Result<Trained, TokenizerError> {
        let Self { config, pieces } = self;
        let pruned = pieces.pruned();
        let (pieces, counts) = pieces.finish();
        if counts.is_empty() {
            return Err(pruned.if_all_is_gone());
        }
        let mut texts = config.special_tokens.clone();
        let mut symbol_of = [0; 256];
        for byte in in_id_order() {
            symbol_of[usize::from(byte)] = texts.len() as u32;
            texts.push(stand_in(byte).to_string());
        }
        let mut row = Row::new(
            counts.iter().map(|(piece, count)| (piece.as_bytes(), *count)),
            &symbol_of,
            config.vocab_size,
        )?;
        drop(counts);
        let mut ids: FxHashMap<String, u32> = texts.iter().cloned().zip(0..).collect();
        let mut merges = Vec::new();
        while texts.len() < config.vocab_size {
            let Some((number, pair, count)) = row.most_frequent() else { break };
            if count < config.min_frequency {
                break;
            }
            let text = [&*texts[pair.left() as usize], &*texts[pair.right() as usize]].concat();
            // A stand-in is a character, and a pair that is taken does not come again.
            if config.max_token_length.is_some_and(|most| text.chars().count() > most) {
                continue;
            }
            let next_id = texts.len() as u32;
            let merged = match ids.entry(text) {
                // A string that is a token before it is made can only be a special one: it keeps its id, as in
                // Hugging Face tokenizers. The encoder will not use such a merge.
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    texts.push(new.key().clone());
                    *new.insert(next_id)
                }
            };
            merges.push((pair.left(), pair.right()));
            row.merge(number, merged);
            progress(merges.len());
        }
        Ok(Trained { config, pieces, texts, merges })
    }
}
