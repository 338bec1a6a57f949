//! Byte-level tokenizers as files say them: tokens in stand-ins for bytes, and merges as pairs of tokens.

use super::read::{Source, build_vocabulary};
use crate::TokenizerError;
use crate::added::{AddedToken, AddedTokens};
use crate::byte_level::ByteLevel;
use crate::bytes::{from_stand_ins, stand_in};
use crate::merging::Merge;
use crate::pattern::Splitter;
use crate::tokenizer::{Algorithm, Frame, Parts};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// How the place of a merge in its file is called.
pub(super) enum Places {
    /// By its index in the list of a `tokenizer.json`.
    Indices,
    /// By the number of its line.
    Lines(Vec<usize>),
}

impl Places {
    fn name(&self, index: usize) -> String {
        match self {
            Self::Indices => format!("model.merges[{index}]"),
            Self::Lines(lines) => format!("line {}", lines[index]),
        }
    }
}

/// What files say of a byte-level tokenizer, and where they say it.
pub(super) struct Files<'p> {
    /// The file and field of the tokens.
    pub(super) vocabulary: (Source<'p>, &'static str),
    /// The file of the merges.
    pub(super) merges_in: (Source<'p>, Places),
    pub(super) entries: Vec<(String, u32)>,
    pub(super) merges: Vec<(String, String)>,
    pub(super) added: Vec<AddedToken>,
    pub(super) splitter: Splitter,
    pub(super) ignore_merges: bool,
}

pub(super) fn byte_level_parts(files: Files<'_>) -> Result<Parts, TokenizerError> {
    let (source, field) = files.vocabulary;
    let added = AddedTokens::new(files.added)?;
    let added_ids: FxHashSet<u32> = added.tokens().iter().map(|token| token.id).collect();
    // A token with a character that stands for no byte decodes to its own text, as in Hugging Face.
    let bytes_of = |id: u32, text: &str| {
        let stood_for = if added_ids.contains(&id) { None } else { from_stand_ins(text) };
        stood_for.unwrap_or_else(|| text.as_bytes().to_vec())
    };
    let vocabulary = build_vocabulary(source, field, files.entries, bytes_of)?;
    let mut byte_ids = [0; 256];
    for byte in 0..=255 {
        let text = stand_in(byte).to_string();
        let missing = || source.malformed(field, format!("has no token {text:?} for the byte {byte:#04x}"));
        let id = vocabulary.id(&text).ok_or_else(missing)?;
        // A document could spell the special token by the byte, or would be decoded to the token's own text.
        if added.is_special(id) || vocabulary.bytes(id)? != [byte] {
            let message = format!("{text:?} is the token of the byte {byte:#04x} and cannot be another one");
            return Err(source.malformed("added_tokens", message));
        }
        byte_ids[usize::from(byte)] = id;
    }
    let (source, places) = files.merges_in;
    let find = |index: usize, text: &str| {
        let missing = || source.malformed(places.name(index), format!("{text:?} is not in the vocabulary"));
        vocabulary.id(text).ok_or_else(missing)
    };
    let mut merges = Vec::with_capacity(files.merges.len());
    for (index, (left, right)) in files.merges.iter().enumerate() {
        let merged = find(index, &[left.as_str(), right.as_str()].concat())?;
        merges.push(Merge { left: find(index, left)?, right: find(index, right)?, merged });
    }
    // Merges must not make an added token that stands for its own text, not for the bytes that were merged.
    let stands_for_itself = |id| {
        let text = vocabulary.text(id).unwrap_or_default();
        added_ids.contains(&id) && from_stand_ins(text).is_some_and(|bytes| bytes != text.as_bytes())
    };
    let is_special = |id| added.is_special(id) || stands_for_itself(id);
    let is_ordinary = |id| !added_ids.contains(&id);
    let (splitter, ignore_merges) = (files.splitter, files.ignore_merges);
    let algorithm =
        ByteLevel::new(splitter, merges, byte_ids, &vocabulary, is_ordinary, ignore_merges, is_special);
    Ok(Parts {
        algorithm: Arc::new(Algorithm::ByteLevel(Box::new(algorithm))),
        vocabulary,
        added,
        frame: Frame::default(),
    })
}
