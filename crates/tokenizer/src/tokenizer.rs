//! The tokenizer: text to ids and back.
//!
//! It puts the parts together (added tokens, an algorithm, a vocabulary) and knows neither how merges are
//! found nor what files look like.

use crate::added::{AddedToken, AddedTokens, Part};
use crate::byte_level::{ByteLevel, Trained};
use crate::bytes::{from_stand_ins, stand_in};
use crate::longest_prefix::{self, LongestPrefix, Unknown, byte_token};
use crate::merging::Merge;
use crate::pattern::{has_cut, last_cut};
use crate::scored::Scored;
use crate::seen::Seen;
use crate::vocabulary::{Token, Vocabulary};
use crate::{
    ByteLevelConfig, ByteLevelTrainer, END_OF_TEXT, LongestPrefixConfig, LongestPrefixTrainer, Normalization,
    Pattern, TokenEntry, TokenTable, TokenizerError, UNKNOWN, VocabularySize,
};
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Turns text into token ids and back. It never changes, and a clone shares its tables.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    parts: Arc<Parts>,
}

/// What a tokenizer consists of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) algorithm: Arc<Algorithm>,
    pub(crate) added: AddedTokens,
    pub(crate) frame: Frame,
}

/// How text without added tokens becomes ids.
#[derive(Debug)]
pub(crate) enum Algorithm {
    ByteLevel(Box<ByteLevel>),
    LongestPrefix(LongestPrefix),
    Scored(Scored),
}

/// Special tokens that a model's own format puts around every text, as Llama 3 its begin token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) before: Vec<u32>,
    pub(crate) after: Vec<u32>,
}

impl Tokenizer {
    /// Learns a byte-level vocabulary from texts. No token spans two texts, so a document should come whole.
    ///
    /// # Errors
    /// When the vocabulary is too small for 256 bytes and the special tokens, a special token or the pattern is
    /// not valid, or there is no text.
    pub fn train_byte_level<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        config: &ByteLevelConfig,
    ) -> Result<Self, TokenizerError> {
        let mut trainer = ByteLevelTrainer::new(config.clone())?;
        texts.into_iter().for_each(|text| trainer.feed(text));
        trainer.finish()
    }

    /// This tokenizer with further special tokens, behind all it has: the ids of texts stay what they are. One that it has, as a special
    /// token or as another one that is never cut (as some of T5's tokenizers have their `<extra_id_0>`), keeps its id.
    ///
    /// ```
    /// # use firebrand_tokenizer::Tokenizer;
    /// let tokenizer = Tokenizer::characters(["ab"], &[])?.with_special_tokens(&["[MASK]".into()])?;
    /// assert_eq!(tokenizer.token_to_id("[MASK]"), Some(3));
    /// assert_eq!(tokenizer.encode_with_special("ab[MASK]"), [1, 2, 3]);
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// When a token is empty, given twice, or an ordinary token already.
    pub fn with_special_tokens(&self, tokens: &[String]) -> Result<Self, TokenizerError> {
        check_special_tokens(tokens)?;
        let Parts { vocabulary, algorithm, added, frame } = &*self.parts;
        let is_special = |token: &&String| added.special().iter().any(|(text, _)| text == *token);
        let new: Vec<&String> = tokens.iter().filter(|token| !is_special(token)).collect();
        if new.is_empty() {
            return Ok(self.clone());
        }
        let is_added = |token: &String| added.tokens().iter().any(|known| known.text == *token);
        if let Some(token) = new.iter().find(|token| vocabulary.id(token).is_some() && !is_added(token)) {
            let reason = "is an ordinary token of this tokenizer: a text that holds it would be taken for the special one";
            return Err(TokenizerError::SpecialToken { token: (*token).clone(), reason });
        }
        let all = added.tokens().iter().cloned().map(|mut known| {
            if new.contains(&&known.text) {
                (known.special, known.normalized) = (true, false);
            }
            known
        });
        let unknown: Vec<&String> = new.iter().copied().filter(|token| !is_added(token)).collect();
        let behind = unknown.iter().zip(vocabulary.len() as u32..);
        let all = all.chain(behind.map(|(text, id)| AddedToken {
            text: (*text).clone(),
            id,
            special: true,
            normalized: false,
        }));
        Ok(Self::from_parts(Parts {
            vocabulary: vocabulary.with(unknown.iter().map(|text| text.as_str())),
            algorithm: Arc::clone(algorithm),
            added: AddedTokens::new(all.collect())?.with_normalization(added.normalization())?,
            frame: frame.clone(),
        }))
    }

    /// One token for each character (Unicode scalar) of the texts: special tokens, then characters by code
    /// point. A character that isn't in the texts becomes one `<unk>`, which is put after the special tokens
    /// unless it is one of them.
    ///
    /// ```
    /// # use firebrand_tokenizer::Tokenizer;
    /// let tokenizer = Tokenizer::characters(["abc"], &["<pad>".into()])?;
    /// assert_eq!(tokenizer.encode("cab!"), [4, 2, 3, 1]);
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// When a special token is empty, double, or a character of the texts, or there is no text.
    pub fn characters<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        special_tokens: &[String],
    ) -> Result<Self, TokenizerError> {
        let config = LongestPrefixConfig {
            size: VocabularySize::Merges(0),
            special_tokens: special_tokens.to_vec(),
            // Without merges words are of no consequence.
            pattern: Pattern::None,
            ..LongestPrefixConfig::default()
        };
        let mut trainer = LongestPrefixTrainer::new(config)?;
        let characters: BTreeSet<char> = texts.into_iter().flat_map(str::chars).collect();
        trainer.feed(&String::from_iter(characters));
        trainer.finish()
    }

    pub(crate) fn from_longest_prefix(trained: longest_prefix::Trained) -> Result<Self, TokenizerError> {
        let longest_prefix::Trained { config, pieces, tokens, special, alphabet, .. } = trained;
        let added = AddedTokens::new(added_special(tokens[..special].to_vec()))?
            .with_normalization(pieces.normalization)?;
        let id_of = |text: &str| tokens.iter().position(|token| token == text).unwrap_or_default() as u32;
        let unknown = if config.byte_fallback {
            Unknown::Bytes(Box::new(std::array::from_fn(|byte| id_of(&byte_token(byte as u8)))))
        } else {
            Unknown::Token(id_of(UNKNOWN))
        };
        let ordinary = tokens[alphabet..].iter().map(String::as_str).zip(alphabet as u32..);
        let algorithm = LongestPrefix::new(pieces.splitter, ordinary, unknown);
        let bytes_of = |id: usize, text: &str| match id.checked_sub(special) {
            Some(byte) if id < alphabet => vec![byte as u8],
            _ => text.as_bytes().to_vec(),
        };
        let tokens = (0..).zip(&tokens);
        let tokens = tokens.map(|(id, text)| Some(Token { bytes: bytes_of(id, text), text: text.clone() }));
        Ok(Self::from_parts(Parts {
            vocabulary: Vocabulary::new(tokens),
            algorithm: Arc::new(Algorithm::LongestPrefix(algorithm)),
            added,
            frame: Frame::default(),
        }))
    }

    pub(crate) fn from_parts(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    pub(crate) fn from_trained(trained: Trained) -> Result<Self, TokenizerError> {
        let Trained { config, pieces, texts, merges } = trained;
        let special = config.special_tokens.len();
        let tokens = texts.into_iter().enumerate().map(|(id, text)| {
            let stood_for = if id < special { None } else { from_stand_ins(&text) };
            Some(Token { bytes: stood_for.unwrap_or_else(|| text.clone().into_bytes()), text })
        });
        let vocabulary = Vocabulary::new(tokens);
        let added = AddedTokens::new(added_special(config.special_tokens))?
            .with_normalization(pieces.normalization)?;
        let merges = merges
            .into_iter()
            .map(|(left, right)| {
                let text = [left, right].map(|id| vocabulary.text(id).unwrap_or_default()).concat();
                let merged = vocabulary.id(&text).expect("training gave every merge a token");
                Merge { left, right, merged }
            })
            .collect();
        let byte_ids = std::array::from_fn(|byte| {
            let text = stand_in(byte as u8).to_string();
            vocabulary.id(&text).expect("training starts from all bytes")
        });
        let is_special = |id| added.is_special(id);
        let is_ordinary = |id| !is_special(id);
        let algorithm =
            ByteLevel::new(pieces.splitter, merges, byte_ids, &vocabulary, is_ordinary, false, is_special);
        Ok(Self::from_parts(Parts {
            algorithm: Arc::new(Algorithm::ByteLevel(Box::new(algorithm))),
            vocabulary,
            added,
            frame: Frame::default(),
        }))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Reads a `tokenizer.json`, or a folder that holds one (or else GPT-2's `vocab.json` and `merges.txt`); of other programs'
    /// files those that end in `.tiktoken` (by the names of the published ones; others by
    /// [`load_tiktoken`](Self::load_tiktoken)), and llama2.c's tokenizers, which end in `.bin`.
    ///
    /// # Errors
    /// When the file cannot be read, isn't a tokenizer, or uses a part that isn't supported; the message names
    /// file and part.
    pub fn load(path: &Path) -> Result<Self, TokenizerError> {
        crate::hugging_face::load(path)
    }

    /// Reads GPT-2's own pair of files: a vocabulary (`encoder.json`, `vocab.json`) and its merges (`vocab.bpe`,
    /// `merges.txt`). `<|endoftext|>` is special when the vocabulary has it.
    ///
    /// # Errors
    /// When a file cannot be read, or the merges don't fit the vocabulary.
    pub fn load_gpt2(vocabulary: &Path, merges: &Path) -> Result<Self, TokenizerError> {
        crate::hugging_face::load_gpt2(vocabulary, merges)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into a folder, which is made when it isn't there.
    /// Each file is replaced as a whole or not at all. `transformers` loads them with `AutoTokenizer`.
    ///
    /// ```
    /// # use firebrand_tokenizer::Tokenizer;
    /// let tokenizer = Tokenizer::characters(["to be or not to be"], &[])?;
    /// # let folder = tempfile::tempdir().expect("a folder to save in");
    /// # let folder = folder.path();
    /// tokenizer.save(folder)?;
    /// assert_eq!(Tokenizer::load(folder)?.encode("not"), tokenizer.encode("not"));
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// When the folder cannot be made or a file not be written.
    pub fn save(&self, dir: &Path) -> Result<(), TokenizerError> {
        crate::hugging_face::save(self, dir)
    }

    /// The ids of a document. No special token is added, and text that spells one stays text: a document
    /// cannot end itself.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_parts(text, false, &mut Seen::new(text.len()), &mut ids);
        ids
    }

    /// The ids of several documents, one after the other, and where those of each end. Faster than
    /// [`encode`](Self::encode) of many short ones, as what was found out of a word serves all of them.
    pub fn encode_all(&self, texts: &[&str]) -> (Vec<u32>, Vec<usize>) {
        let bytes = texts.iter().map(|text| text.len()).sum();
        let (mut ids, mut seen) = (Vec::new(), Seen::new(bytes));
        let end_of = |text: &&str| {
            self.encode_parts(text, false, &mut seen, &mut ids);
            ids.len()
        };
        let ends = texts.iter().map(end_of).collect();
        (ids, ends)
    }

    /// The ids of a text in which special tokens may be spelled out, with those that the model's format puts
    /// around a text, if any: the ids that Hugging Face's `AutoTokenizer` gives.
    ///
    /// ```
    /// # use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
    /// let tokenizer = Tokenizer::train_byte_level(["to be or not to be"], &ByteLevelConfig::default())?;
    /// let end = tokenizer.end_of_text().expect("special by default");
    /// assert_eq!(tokenizer.encode_with_special("<|endoftext|>"), [end]);
    /// assert!(!tokenizer.encode("<|endoftext|>").contains(&end));
    /// assert!(tokenizer.encode_refusing_special("<|endoftext|>").is_err());
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    pub fn encode_with_special(&self, text: &str) -> Vec<u32> {
        let mut ids = self.parts.frame.before.clone();
        self.encode_parts(text, true, &mut Seen::new(text.len()), &mut ids);
        ids.extend_from_slice(&self.parts.frame.after);
        ids
    }

    /// The last place where a text may be cut such that [`encode`](Self::encode) of what is before it and `encode` of
    /// what is behind it, whatever comes after the text, are together `encode` of the whole. `None` where the tokenizer
    /// has no such places in this text: a document must then be encoded in one piece.
    ///
    /// With one of the known patterns that is behind a word or number; a tokenizer of characters cuts anywhere.
    pub fn safe_cut(&self, text: &str) -> Option<usize> {
        match &*self.parts.algorithm {
            Algorithm::LongestPrefix(algorithm)
                if algorithm.n_merges() == 0
                    && self.parts.added.ordinary().next().is_none()
                    && self.parts.added.normalization() == Normalization::None =>
            {
                Some(text.len()).filter(|&end| end > 0)
            }
            Algorithm::LongestPrefix(algorithm)
                if algorithm.n_merges() > 0 && !algorithm.splitter().cuts_between_words() =>
            {
                None
            }
            Algorithm::ByteLevel(algorithm) if !algorithm.splitter().cuts_between_words() => None,
            // What is behind the cut would begin with a space of its own.
            Algorithm::Scored(_) => None,
            // An added token that has such a place inside could stand across the cut.
            _ if self.parts.added.ordinary().any(|token| has_cut(&token.text)) => None,
            _ => last_cut(text, self.parts.added.normalization()),
        }
    }

    pub(crate) fn encode_parts(&self, text: &str, with_special: bool, seen: &mut Seen, ids: &mut Vec<u32>) {
        self.parts.added.for_each_part(text, with_special, |part| match part {
            Part::Token(id) => ids.push(id),
            Part::Text(text) => self.encode_between_added(text, seen, ids),
        });
    }

    /// Appends the ids of text that has no added tokens in it, or where they aren't looked for.
    pub(crate) fn encode_between_added(&self, text: &str, seen: &mut Seen, ids: &mut Vec<u32>) {
        match &*self.parts.algorithm {
            Algorithm::ByteLevel(algorithm) => algorithm.encode(text, seen, ids),
            Algorithm::LongestPrefix(algorithm) => algorithm.encode(text, seen, ids),
            Algorithm::Scored(algorithm) => algorithm.encode(text, seen, ids),
        }
    }

    /// The ids of any bytes, UTF-8 or not. A byte-level tokenizer decodes them to the same bytes again, and for
    /// UTF-8 they are those of [`encode`](Self::encode) (unless the file it was loaded from has added tokens
    /// that are not special). A tokenizer of characters has `<unk>` for what is no character.
    pub fn encode_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        match &*self.parts.algorithm {
            Algorithm::ByteLevel(algorithm) => algorithm.encode_bytes(bytes, &mut ids),
            Algorithm::LongestPrefix(algorithm) => algorithm.encode_bytes(bytes, &mut ids),
            Algorithm::Scored(algorithm) => algorithm.encode_bytes(bytes, &mut ids),
        }
        ids
    }

    pub(crate) fn token_bytes(&self, id: u32) -> Result<&[u8], TokenizerError> {
        self.parts.vocabulary.bytes(id)
    }

    /// The size of the vocabulary, special tokens included: one more than the largest id.
    pub fn vocab_size(&self) -> usize {
        self.parts.vocabulary.len()
    }

    /// How many merges the vocabulary has.
    pub fn n_merges(&self) -> usize {
        match &*self.parts.algorithm {
            Algorithm::ByteLevel(algorithm) => algorithm.merges().len(),
            Algorithm::LongestPrefix(algorithm) => algorithm.n_merges(),
            Algorithm::Scored(algorithm) => algorithm.merges().len(),
        }
    }

    /// The id of `<|endoftext|>` when that is a special token.
    pub fn end_of_text(&self) -> Option<u32> {
        self.special_tokens().iter().find(|(token, _)| token == END_OF_TEXT).map(|(_, id)| *id)
    }

    /// The id that begins every text in the model's own format, if one does.
    pub fn begin_of_text(&self) -> Option<u32> {
        self.parts.frame.before.first().copied()
    }

    /// The special tokens with their ids.
    pub fn special_tokens(&self) -> &[(String, u32)] {
        self.parts.added.special()
    }

    /// The id of a token, written as in `tokenizer.json` (`Ġthe` for " the" in byte-level vocabularies).
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.parts.vocabulary.id(token)
    }

    /// The token of an id, written as in `tokenizer.json`.
    pub fn id_to_token(&self, id: u32) -> Option<&str> {
        self.parts.vocabulary.text(id)
    }

    /// What models, training and decoding need to know of the tokens.
    pub fn token_table(&self) -> TokenTable {
        TokenTable::new((0..self.vocab_size() as u32).map(|id| TokenEntry {
            // An id that no token uses stands for no text.
            bytes: self.token_bytes(id).unwrap_or_default().to_vec(),
            special: self.parts.added.is_special(id),
        }))
    }
}

/// The tokens that text can become, as (bytes, id).
pub(crate) fn ordinary_tokens<'v>(
    vocabulary: &'v Vocabulary,
    added: &AddedTokens,
) -> impl Iterator<Item = (&'v [u8], u32)> + use<'v> {
    let added: FxHashSet<u32> = added.tokens().iter().map(|token| token.id).collect();
    vocabulary
        .iter()
        .filter(move |(id, _)| !added.contains(id))
        .filter_map(|(id, _)| Some((vocabulary.bytes(id).ok()?, id)))
}

/// Special tokens that have the first ids.
fn added_special(texts: Vec<String>) -> Vec<AddedToken> {
    texts
        .into_iter()
        .zip(0..)
        .map(|(text, id)| AddedToken { text, id, special: true, normalized: false })
        .collect()
}

pub(crate) fn check_special_tokens(tokens: &[String]) -> Result<(), TokenizerError> {
    let mut seen = FxHashSet::default();
    for token in tokens {
        let reason = if token.is_empty() {
            "is empty: leave it out"
        } else if !seen.insert(token) {
            "is given twice: leave one out"
        } else {
            continue;
        };
        return Err(TokenizerError::SpecialToken { token: token.clone(), reason });
    }
    Ok(())
}
