//! tiktoken's rank files (`*.tiktoken`): a line a token, its bytes in base64 and its rank, which is its id.
//!
//! ```text
//! IQ== 0
//! Ig== 1
//! ```
//!
//! A file holds the ordinary tokens alone. What a piece is and which special tokens there are, tiktoken's Python package
//! knows by the file's name; so does [`Tokenizer::load`], and [`Tokenizer::load_tiktoken`] is told. tiktoken merges the
//! neighbours that *together* have the lowest rank, leftmost first, unless the whole piece is a token. Only one pair ever
//! becomes a given token (see [`live_merges`]), so that this is byte-level BPE with a merge for
//! each token that merging reaches, in the order of ranks, where a whole piece that is a token stays one; and as such
//! [`Tokenizer::save`] writes it for Hugging Face.
//!
//! One difference is left where a pattern is chosen by name: tiktoken's `cl100k_base` (0.14) makes *one* piece of all the white
//! space that ends a text; [`Pattern::Cl100k`], as GPT-4's expression was published first and as `tokenizer.json` files have it, cuts it
//! behind its last line break. With tiktoken's expression as a [`Pattern::Custom`] the ids are tiktoken's there too. And
//! where a custom pattern leaves a gap between two matches, tiktoken drops that text; here it is a piece.

mod read;
mod write;

use crate::added::{AddedToken, AddedTokens};
use crate::byte_level::ByteLevel;
use crate::bytes::stand_in;
#[cfg(doc)]
use crate::merging::live_merges;
use crate::pattern::Splitter;
use crate::splits::{Ranked, Splits};
use crate::tokenizer::{Algorithm, Frame, Parts, check_special_tokens};
use crate::vocabulary::{Token, Vocabulary, is_far_above};
use crate::{END_OF_TEXT, Pattern, Tokenizer, TokenizerError, merging};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use read::Line;
use rustc_hash::FxHashSet;
use std::path::Path;
use std::sync::Arc;

/// The extension of rank files.
pub(crate) const EXTENSION: &str = "tiktoken";

/// Special tokens with their ids.
type Special = &'static [(&'static str, u32)];

const CL100K_SPECIAL: Special = &[
    (END_OF_TEXT, 100_257),
    ("<|fim_prefix|>", 100_258),
    ("<|fim_middle|>", 100_259),
    ("<|fim_suffix|>", 100_260),
    ("<|endofprompt|>", 100_276),
];

/// What the names of the published files stand for.
const KNOWN: [(&str, Pattern, Special); 5] = [
    ("gpt2", Pattern::Gpt2, &[(END_OF_TEXT, 50_256)]),
    ("r50k_base", Pattern::Gpt2, &[(END_OF_TEXT, 50_256)]),
    ("p50k_base", Pattern::Gpt2, &[(END_OF_TEXT, 50_256)]),
    ("cl100k_base", Pattern::Cl100k, CL100K_SPECIAL),
    ("o200k_base", Pattern::O200k, &[(END_OF_TEXT, 199_999), ("<|endofprompt|>", 200_018)]),
];

/// Reads a file whose name says what it is.
pub(crate) fn load_by_name(path: &Path) -> Result<Tokenizer, TokenizerError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some((_, pattern, special)) = KNOWN.iter().find(|(name, ..)| *name == stem) else {
        return Err(TokenizerError::Unsupported {
            path: path.to_owned(),
            field: "the name".to_owned(),
            found: format!("{stem:?}"),
            supported: "gpt2, r50k_base, p50k_base, cl100k_base and o200k_base by their names, since a rank file holds \
                        neither pattern nor special tokens; `Tokenizer::load_tiktoken` takes those of any other",
        });
    };
    let special: Vec<_> = special.iter().map(|(text, id)| ((*text).to_owned(), *id)).collect();
    Tokenizer::load_tiktoken(path, pattern.clone(), &special)
}

impl Tokenizer {
    /// Reads a rank file of tiktoken, with what such a file does not hold: the pattern, and the special tokens with their ids.
    /// Gives the ids that `tiktoken.Encoding` gives.
    ///
    /// ```no_run
    /// # use firebrand_tokenizer::{Pattern, Tokenizer};
    /// let special = [("<|endoftext|>".to_owned(), 50256)];
    /// let tokenizer = Tokenizer::load_tiktoken("mine.tiktoken".as_ref(), Pattern::Gpt2, &special)?;
    /// // A published file is known by its name.
    /// let gpt4o = Tokenizer::load("o200k_base.tiktoken".as_ref())?;
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read, a line is no token and rank, a token or rank comes twice, one of the 256 bytes has none,
    /// or a special token is empty, double, or has the text or id of another.
    pub fn load_tiktoken(
        path: &Path,
        pattern: Pattern,
        special_tokens: &[(String, u32)],
    ) -> Result<Self, TokenizerError> {
        let splitter = Splitter::new([pattern])?;
        check_special_tokens(&special_tokens.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>())?;
        let lines = read::read(path)?;
        let malformed =
            |(field, message)| TokenizerError::Malformed { path: path.to_owned(), field, message };
        let tokens = tokens_by_id(&lines, special_tokens).map_err(malformed)?;
        let byte_ids = byte_ids(&lines).map_err(malformed)?;
        let added = special_tokens.iter().map(|(text, id)| AddedToken {
            text: text.clone(),
            id: *id,
            special: true,
            normalized: false,
        });
        let added = AddedTokens::new(added.collect())?;
        let merges = merges(lines.iter().map(|line| (&*line.bytes, line.rank)), &byte_ids);
        let vocabulary = Vocabulary::new(tokens);
        let is_special = |id| added.is_special(id);
        let is_ordinary = |id| !is_special(id);
        let algorithm =
            ByteLevel::new(splitter, merges, byte_ids, &vocabulary, is_ordinary, true, is_special);
        Ok(Self::from_parts(Parts {
            vocabulary,
            algorithm: Arc::new(Algorithm::ByteLevel(Box::new(algorithm))),
            added,
            frame: Frame::default(),
        }))
    }

    /// Writes a rank file of tiktoken: the ordinary tokens. The pattern, special tokens, and those that the model's format
    /// puts around a text have no place in such a file; give them to `tiktoken.Encoding` (or
    /// [`load_tiktoken`](Self::load_tiktoken)) again.
    ///
    /// # Errors
    /// When tiktoken would give other ids, which the message explains; or the file cannot be written. It is refused unless
    /// the tokenizer is byte-level, has no added tokens but special ones, all tokens are reached by merging (or whole pieces
    /// stay whole anyway), and the merges that texts can meet are those of tiktoken's rule, in the order of their tokens' ids.
    /// Then the ids are equal for every text.
    pub fn save_tiktoken(&self, path: &Path) -> Result<(), TokenizerError> {
        write::save(self, path)
    }
}

/// What is wrong with a file: where, and what.
type Wrong = (String, String);

/// Every token by its id.
fn tokens_by_id(lines: &[Line], special_tokens: &[(String, u32)]) -> Result<Vec<Option<Token>>, Wrong> {
    let n_tokens = lines.len() + special_tokens.len();
    let ids = lines.iter().map(|line| line.rank).chain(special_tokens.iter().map(|(_, id)| *id));
    let largest = ids.max().unwrap_or(0) as usize;
    if is_far_above(largest, n_tokens) {
        return Err((format!("the id {largest}"), format!("is far above the number of tokens, {n_tokens}")));
    }
    let names: FxHashSet<&str> = special_tokens.iter().map(|(text, _)| text.as_str()).collect();
    let mut tokens = vec![None; largest + 1];
    for Line { bytes, rank } in lines {
        let text: String = bytes.iter().map(|&byte| stand_in(byte)).collect();
        if names.contains(text.as_str()) {
            let message = format!("a special token is written {text:?} too: two tokens cannot have one name");
            return Err((format!("the token of rank {rank}"), message));
        }
        tokens[*rank as usize] = Some(Token { text, bytes: bytes.to_vec() });
    }
    for (text, id) in special_tokens {
        let token = Token { text: text.clone(), bytes: text.clone().into_bytes() };
        if let Some(other) = tokens[*id as usize].replace(token) {
            let message = format!("its id {id} is that of {:?}: choose another", other.text);
            return Err((format!("the special token {text:?}"), message));
        }
    }
    Ok(tokens)
}

/// The token of each byte.
fn byte_ids(lines: &[Line]) -> Result<[u32; 256], Wrong> {
    let mut found = [None; 256];
    for line in lines {
        if let [byte] = *line.bytes {
            found[usize::from(byte)] = Some(line.rank);
        }
    }
    let mut ids = [0; 256];
    for ((id, found), byte) in ids.iter_mut().zip(found).zip(0..=255) {
        let missing = || {
            let message = format!(
                "has no token: all 256 are needed, this one as \"{}\"",
                BASE64_STANDARD.encode([byte])
            );
            (format!("the byte {byte:#04x}"), message)
        };
        *id = found.ok_or_else(missing)?;
    }
    Ok(ids)
}

/// The merges of tiktoken's rule that texts can meet, in the order of rank: of tokens as (bytes, rank).
fn merges<'v>(
    tokens: impl Iterator<Item = (&'v [u8], u32)> + Clone,
    byte_ids: &[u32; 256],
) -> Vec<merging::Merge> {
    let ranked: Vec<Ranked<'_>> =
        tokens.clone().map(|(bytes, rank)| Ranked { bytes, id: rank, rank }).collect();
    let start = |bytes: &[u8], symbols: &mut Vec<u32>| {
        symbols.extend(bytes.iter().map(|&byte| byte_ids[usize::from(byte)]));
        true
    };
    let live = merging::live_merges(&Splits::new(&ranked), tokens, start);
    live.into_iter().map(|(_, merge)| merge).collect()
}
