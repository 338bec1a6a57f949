//! llama2.c's tokenizer files (`tok512.bin`, `tokenizer.bin`): every token with its score.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | the length of the longest token, a little-endian i32 |
//! | then for each token: 4 | its score, a little-endian f32 |
//! | 4 | its length, a little-endian i32 |
//! | its length | its UTF-8 bytes, spaces as spaces |
//!
//! The number of tokens is nowhere written: the model knows it, and the file ends. The first are `<unk>`, the begin and the end
//! of a text, and the 256 bytes as `<0x00>` to `<0xFF>`.
//!
//! The ids are those of `run.c`'s `encode` ([`scored`](crate::scored)), with three differences that no file made by llama2.c
//! shows: tokens of bytes and special tokens are never made by merging what a text spells, a zero byte does not end a text,
//! and a file in which `run.c` would read beyond its tables (a length above the longest, no token for a space) is refused. As `run.c` does
//! with a prompt, [`encode_with_special`](crate::Tokenizer::encode_with_special) begins a text with the begin token; the end token,
//! which would end a prompt, is not put behind it.

use crate::added::{AddedToken, AddedTokens};
use crate::longest_prefix::byte_token;
use crate::scored::{PREFIX, Scored, Start};
use crate::splits::Ranked;
use crate::tokenizer::{Algorithm, Frame, Parts};
use crate::vocabulary::{Token, Vocabulary};
use crate::{Tokenizer, TokenizerError, files};
use rustc_hash::FxHashMap;
use std::path::Path;
use std::sync::Arc;

/// The extension of these files.
pub(crate) const EXTENSION: &str = "bin";

/// The token that begins a text, `run.c` knows by its id; the one before it is for unknown text, the one behind it ends a text.
const BEGIN: u32 = 1;
const SPECIAL: usize = 3;
/// Special tokens and bytes.
const ORDINARY: usize = SPECIAL + 256;
/// `run.c` merges nothing whose score is not above this.
const LOWEST_SCORE: f32 = -1e10;

/// A token of the file.
#[derive(Debug)]
struct Scoring<'f> {
    score: f32,
    text: &'f str,
}

/// What is wrong with a file: where, and what.
type Wrong = (String, String);

pub(crate) fn load(path: &Path) -> Result<Tokenizer, TokenizerError> {
    let malformed = |(field, message)| TokenizerError::Malformed { path: path.to_owned(), field, message };
    let content = files::read_bytes(path)?;
    let tokens = read(&content).map_err(malformed)?;
    let (special, texts) = tokens.split_at(SPECIAL);
    let special = special.iter().zip(0..).map(|(token, id)| AddedToken {
        text: token.text.to_owned(),
        id,
        special: true,
        normalized: false,
    });
    let added = AddedTokens::new(special.collect())?;
    let ordinary = || texts.iter().zip(SPECIAL as u32..).skip(256);
    let byte_ids = Box::new(std::array::from_fn(|byte| (SPECIAL + byte) as u32));
    let start = Start::new(ordinary().map(|(token, id)| (token.text, id)), byte_ids).ok_or_else(|| {
        let message = format!("has no token for {PREFIX:?}, with which every text begins");
        malformed(("the file".to_owned(), message))
    })?;
    let algorithm = Scored::from_scores(start, &ranked(ordinary()));
    let vocabulary = tokens.iter().enumerate().map(|(id, token)| {
        let bytes = match id.checked_sub(SPECIAL) {
            Some(byte) if id < ORDINARY => vec![byte as u8],
            _ => token.text.as_bytes().to_vec(),
        };
        Some(Token { text: token.text.to_owned(), bytes })
    });
    Ok(Tokenizer::from_parts(Parts {
        vocabulary: Vocabulary::new(vocabulary),
        algorithm: Arc::new(Algorithm::Scored(algorithm)),
        added,
        frame: Frame { before: vec![BEGIN], after: Vec::new() },
    }))
}

/// The tokens with ranks by their scores: the highest is 0, equal ones share one. Those that never merge are not among them.
fn ranked<'f>(tokens: impl Iterator<Item = (&'f Scoring<'f>, u32)>) -> Vec<Ranked<'f>> {
    // A character is there without merging, whatever its score.
    let mut tokens: Vec<_> = tokens
        .filter(|(token, _)| token.text.chars().nth(1).is_none() || token.score > LOWEST_SCORE)
        .collect();
    // Scores are numbers: the file was checked.
    tokens.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
    // By value, so that zero and minus zero are one.
    let groups = tokens.chunk_by(|(a, _), (b, _)| a.score == b.score);
    groups
        .zip(0..)
        .flat_map(|(group, rank)| {
            group.iter().map(move |(token, id)| Ranked { bytes: token.text.as_bytes(), id: *id, rank })
        })
        .collect()
}

/// Reads from the front of the file.
struct Reader<'f> {
    content: &'f [u8],
    offset: usize,
}

impl<'f> Reader<'f> {
    /// The next bytes, `what` of some token; no memory is taken for more than there are.
    fn take(&mut self, length: usize, what: &dyn Fn() -> String) -> Result<&'f [u8], Wrong> {
        let left = &self.content[self.offset..];
        let Some(taken) = left.get(..length) else {
            let message = format!(
                "{} takes {length} bytes, but only {} are left: this is no tokenizer of llama2.c, or not all of it",
                what(),
                left.len()
            );
            return Err((format!("byte {}", self.offset), message));
        };
        self.offset += length;
        Ok(taken)
    }

    fn word(&mut self, what: &dyn Fn() -> String) -> Result<[u8; 4], Wrong> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4, what)?);
        Ok(word)
    }
}

fn read(content: &[u8]) -> Result<Vec<Scoring<'_>>, Wrong> {
    let mut reader = Reader { content, offset: 0 };
    let longest = i32::from_le_bytes(reader.word(&|| "the length of the longest token".to_owned())?);
    let mut tokens: Vec<Scoring<'_>> = Vec::new();
    let mut known: FxHashMap<&str, usize> = FxHashMap::default();
    while reader.offset < content.len() {
        let (number, offset) = (tokens.len(), reader.offset);
        let wrong = |message: String| (format!("token {number} at byte {offset}"), message);
        let score = f32::from_le_bytes(reader.word(&|| format!("the score of token {number}"))?);
        let length = i32::from_le_bytes(reader.word(&|| format!("the length of token {number}"))?);
        let Some(length) = usize::try_from(length).ok().filter(|_| (1..=longest).contains(&length)) else {
            return Err(wrong(format!("its length is {length}; the longest is said to be {longest}")));
        };
        let bytes = reader.take(length, &|| format!("token {number}"))?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| wrong(format!("{:?} is not UTF-8", String::from_utf8_lossy(bytes))))?;
        if !score.is_finite() {
            return Err(wrong(format!("the score of {text:?} is {score}, not a number to compare by")));
        }
        if text.contains('\0') {
            return Err(wrong(format!("{text:?} holds a zero byte, where llama2.c sees its end")));
        }
        if let Some(other) = known.insert(text, number) {
            return Err(wrong(format!("{text:?} is token {other} too")));
        }
        if let Some(byte) = number.checked_sub(SPECIAL).filter(|_| number < ORDINARY) {
            let expected = byte_token(byte as u8);
            if text != expected {
                return Err(wrong(format!("is {text:?}, where llama2.c expects the byte {expected:?}")));
            }
        }
        tokens.push(Scoring { score, text });
    }
    if tokens.len() < ORDINARY {
        let message = format!(
            "has {} tokens, but {ORDINARY} stand for what is unknown, begin, end and bytes",
            tokens.len()
        );
        return Err((format!("byte {}", content.len()), message));
    }
    Ok(tokens)
}
