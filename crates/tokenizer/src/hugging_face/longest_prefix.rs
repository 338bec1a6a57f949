//! Longest-prefix tokenizers as WordPiece, which takes the longest prefix too.
//!
//! WordPiece gives up a whole word for one unknown character. So the pre-tokenizer isolates every character that is not in
//! the vocabulary, as a word of its own; then both give the same ids for every text. Where unknown characters fall back to
//! bytes there is no such model: those are written as a kind of our own, which Hugging Face refuses by its name.

use super::read::{Source, build_vocabulary, read_split, read_vocab, typed};
use super::schema::{File, LongestPrefix as Model, flag, in_turn, kind};
use super::write::{split, splits};
use crate::added::{AddedToken, AddedTokens};
use crate::longest_prefix::{LongestPrefix, Unknown, byte_token};
use crate::pattern::Splitter;
use crate::tokenizer::{Algorithm, Frame, Parts};
use crate::{Pattern, TokenizerError};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;

pub(super) const WORD_PIECE: &str = "WordPiece";
pub(super) const WITH_BYTES: &str = "LongestPrefixWithBytes";

/// No word is too long.
const ANY_LENGTH: u64 = u32::MAX as u64;

/// Pre-tokenizer, decoder and model.
pub(super) fn write(parts: &Parts, algorithm: &LongestPrefix) -> (Value, Value, Value) {
    let mut stages = splits(algorithm.splitter().patterns());
    let vocab = parts.vocabulary.iter().map(|(id, text)| (text.to_owned(), json!(id))).collect();
    let vocab = Value::Object(vocab);
    let fuse = json!({"type": "Fuse"});
    let (decoder, model) = match algorithm.unknown() {
        Unknown::Token(unknown) => {
            stages.push(split(&outside(&alphabet(parts, *unknown))));
            let model = Model {
                kind: WORD_PIECE.to_owned(),
                unk_token: parts.vocabulary.text(*unknown).map(str::to_owned),
                continuing_subword_prefix: Some(String::new()),
                max_input_chars_per_word: Some(ANY_LENGTH),
                vocab,
            };
            (fuse, json!(model))
        }
        Unknown::Bytes(_) => {
            let decoder = json!({"type": "Sequence", "decoders": [{"type": "ByteFallback"}, fuse]});
            (decoder, json!({"type": WITH_BYTES, "vocab": vocab}))
        }
    };
    (json!({"type": "Sequence", "pretokenizers": stages}), decoder, model)
}

/// The characters that words are made of, in ascending order.
fn alphabet(parts: &Parts, unknown: u32) -> Vec<char> {
    let added: FxHashSet<u32> = parts.added.tokens().iter().map(|token| token.id).collect();
    let mut characters: Vec<char> = parts
        .vocabulary
        .iter()
        .filter(|(id, _)| *id != unknown && !added.contains(id))
        .filter_map(|(_, text)| only_char(text))
        .collect();
    characters.sort_unstable();
    characters
}

pub(super) fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The regular expression of a character that is none of these, which are in ascending order.
fn outside(characters: &[char]) -> String {
    let mut expression = String::from("[^");
    for run in characters.chunk_by(|&a, &b| a as u32 + 1 == b as u32) {
        let (first, last) = (run[0] as u32, run[run.len() - 1] as u32);
        let _ = write!(expression, "\\x{{{first:X}}}-\\x{{{last:X}}}");
    }
    expression.push(']');
    expression
}

pub(super) fn read(source: Source<'_>, file: &File, added: Vec<AddedToken>) -> Result<Parts, TokenizerError> {
    let model: Model = typed(&file.model, source, "model")?;
    let with_bytes = model.kind == WITH_BYTES;
    let mut entries = read_vocab(&model.vocab, source, "model.vocab")?;
    entries.extend(added.iter().map(|token| (token.text.clone(), token.id)));
    let added = AddedTokens::new(added)?;
    let byte_of: FxHashMap<String, u8> = if with_bytes {
        (0..=255).map(|byte| (byte_token(byte), byte)).collect()
    } else {
        FxHashMap::default()
    };
    let bytes_of =
        |_: u32, text: &str| byte_of.get(text).map_or_else(|| text.as_bytes().to_vec(), |&byte| vec![byte]);
    let vocabulary = build_vocabulary(source, "model.vocab", entries, bytes_of)?;
    let id = |field: &str, text: &str| {
        let missing = || source.malformed(field, format!("{text:?} is not in the vocabulary"));
        vocabulary.id(text).ok_or_else(missing)
    };
    let unknown = if with_bytes {
        let mut ids = Box::new([0; 256]);
        for (to, byte) in ids.iter_mut().zip(0..=255) {
            let text = byte_token(byte);
            *to = id("model.vocab", &text)?;
            if added.is_special(*to) {
                let message = format!("{text:?} is the token of a byte and cannot be a special one");
                return Err(source.malformed("added_tokens", message));
            }
        }
        Unknown::Bytes(ids)
    } else {
        check_word_piece(&model, source)?;
        Unknown::Token(id("model.unk_token", model.unk_token.as_deref().unwrap_or_default())?)
    };
    let taken: FxHashSet<u32> = match &unknown {
        Unknown::Token(unknown) => std::iter::once(*unknown).collect(),
        Unknown::Bytes(ids) => ids.iter().copied().collect(),
    };
    let added_ids: FxHashSet<u32> = added.tokens().iter().map(|token| token.id).collect();
    let ordinary: Vec<(&str, u32)> = vocabulary
        .iter()
        .filter(|(id, text)| !text.is_empty() && !taken.contains(id) && !added_ids.contains(id))
        .map(|(id, text)| (text, id))
        .collect();
    let characters: FxHashSet<char> = ordinary.iter().filter_map(|(text, _)| only_char(text)).collect();
    for (text, _) in &ordinary {
        if let Some(char) = text.chars().find(|char| !characters.contains(char)) {
            let message = format!("the token {text:?} holds {char:?}, which is no token itself");
            return Err(source.malformed("model.vocab", message));
        }
    }
    let decoders = in_turn(&file.decoder, "decoders");
    if let Some(part) = decoders.iter().find(|part| !["Fuse", "ByteFallback"].contains(&kind(part))) {
        return Err(source.unsupported("decoder", kind(part), "Fuse, and ByteFallback before it"));
    }
    let mut patterns = Vec::new();
    for part in in_turn(&file.pre_tokenizer, "pretokenizers") {
        patterns.push(read_split(part, source)?);
        if flag(part, "invert", false) {
            return Err(source.unsupported("pre_tokenizer", "Split with invert", "it without"));
        }
    }
    let mut sorted: Vec<char> = characters.into_iter().collect();
    sorted.sort_unstable();
    if !with_bytes && patterns.pop() != Some(Pattern::Custom(outside(&sorted))) {
        return Err(source.unsupported(
            "pre_tokenizer",
            "one that leaves unknown characters in words, which WordPiece then gives up as a whole",
            "WordPiece as it writes it: a last Split isolates each character outside the vocabulary",
        ));
    }
    let algorithm = LongestPrefix::new(Splitter::new(patterns)?, ordinary, unknown);
    Ok(Parts {
        algorithm: Arc::new(Algorithm::LongestPrefix(algorithm)),
        vocabulary,
        added,
        frame: Frame::default(),
    })
}

fn check_word_piece(model: &Model, source: Source<'_>) -> Result<(), TokenizerError> {
    // What WordPiece does where a file says nothing.
    let prefix = model.continuing_subword_prefix.as_deref().unwrap_or("##");
    if !prefix.is_empty() {
        let found = format!("{prefix:?}");
        return Err(source.unsupported("model.continuing_subword_prefix", found, "\"\""));
    }
    let longest = model.max_input_chars_per_word.unwrap_or(100);
    if longest < ANY_LENGTH {
        let supported = "4294967295 and more: no word is too long";
        return Err(source.unsupported("model.max_input_chars_per_word", longest.to_string(), supported));
    }
    if model.unk_token.is_none() {
        return Err(source.unsupported("model.unk_token", "null", "a token for each unknown character"));
    }
    Ok(())
}
