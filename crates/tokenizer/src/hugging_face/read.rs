//! Reading `tokenizer.json`, ours or others'.

use super::byte_level::{Files, Places, byte_level_parts};
use super::frame::{check_frame, read_frame};
use super::longest_prefix::only_char;
use super::schema::{Bpe, File, flag, in_turn, kind};
use super::{longest_prefix, scored};
use crate::added::{AddedToken, AddedTokens};
use crate::longest_prefix::{LongestPrefix, Unknown};
use crate::pattern::{DIGIT, DIGITS, Splitter};
use crate::tokenizer::{Algorithm, Frame, Parts};
use crate::vocabulary::{Token, Vocabulary, is_far_above};
use crate::{Normalization, Pattern, Tokenizer, TokenizerError, files};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// The file being read, for messages.
#[derive(Clone, Copy)]
pub(super) struct Source<'p>(pub(super) &'p Path);

impl Source<'_> {
    pub(super) fn malformed(self, field: impl Into<String>, message: impl Into<String>) -> TokenizerError {
        TokenizerError::Malformed { path: self.0.to_owned(), field: field.into(), message: message.into() }
    }

    pub(super) fn unsupported(
        self,
        field: &str,
        found: impl Into<String>,
        supported: &'static str,
    ) -> TokenizerError {
        TokenizerError::Unsupported {
            path: self.0.to_owned(),
            field: field.to_owned(),
            found: found.into(),
            supported,
        }
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, TokenizerError> {
        serde_json::from_str(&files::read(self.0)?)
            .map_err(|source| TokenizerError::Json { path: self.0.to_owned(), source })
    }
}

pub(super) fn load_json(path: &Path) -> Result<Tokenizer, TokenizerError> {
    let source = Source(path);
    let file: File = source.json()?;
    if scored::is_scored(&file) {
        return with_frame(source, scored::read(source, &file, read_added(&file, source)?)?, &file);
    }
    let normalization = read_normalization(&file.normalizer, source)?;
    let added = read_added(&file, source)?;
    let parts = match kind(&file.model) {
        longest_prefix::WORD_PIECE | longest_prefix::WITH_BYTES => {
            longest_prefix::read(source, &file, added)?
        }
        _ => bpe_parts(source, &file, added)?,
    };
    let added = parts.added.with_normalization(normalization)?;
    with_frame(source, Parts { added, ..parts }, &file)
}

fn read_normalization(normalizer: &Value, source: Source<'_>) -> Result<Normalization, TokenizerError> {
    match in_turn(normalizer, "normalizers")[..] {
        [] => Ok(Normalization::None),
        [part] if kind(part) == "NFC" => Ok(Normalization::Nfc),
        [part] if kind(part) == "NFKC" => Ok(Normalization::Nfkc),
        [first, second] if (kind(first), kind(second)) == ("NFC", "Lowercase") => {
            Ok(Normalization::Lowercase)
        }
        [part, ..] => {
            let found = if ["NFC", "NFKC"].contains(&kind(part)) { "several" } else { kind(part) };
            Err(source.unsupported(
                "normalizer",
                found,
                "tokenizers without one (null), with NFC, with NFKC, or with NFC and Lowercase",
            ))
        }
    }
}

/// The tokenizer with the special tokens that its file puts around a text.
fn with_frame(source: Source<'_>, parts: Parts, file: &File) -> Result<Tokenizer, TokenizerError> {
    let frame = read_frame(&file.post_processor, source)?;
    check_frame(&frame, &parts.vocabulary, source)?;
    Ok(Tokenizer::from_parts(Parts { frame, ..parts }))
}

/// A part of a file as what it should be.
pub(super) fn typed<T: serde::de::DeserializeOwned>(
    value: &Value,
    source: Source<'_>,
    field: &str,
) -> Result<T, TokenizerError> {
    T::deserialize(value).map_err(|error| source.malformed(field, error.to_string()))
}

fn bpe_parts(source: Source<'_>, file: &File, added: Vec<AddedToken>) -> Result<Parts, TokenizerError> {
    // Old files of GPT-2 don't name the type.
    if let Some(found) = file.model.get("type").and_then(Value::as_str).filter(|kind| *kind != "BPE") {
        return Err(source.unsupported("model.type", found, "BPE, and WordPiece as this program writes it"));
    }
    let model: Bpe = typed(&file.model, source, "model")?;
    check_supported(&model, source)?;
    let mut entries = read_vocab(&model.vocab, source, "model.vocab")?;
    entries.extend(added.iter().map(|token| (token.text.clone(), token.id)));
    let merges = read_merges(&model.merges, source)?;
    match read_splitter(file, source)? {
        Some(splitter) => {
            let ignore_merges = model.ignore_merges;
            let vocabulary = (source, "model.vocab");
            let merges_in = (source, Places::Indices);
            byte_level_parts(Files { vocabulary, merges_in, entries, merges, added, splitter, ignore_merges })
        }
        None => character_parts(source, &model, &file.decoder, entries, &merges, added),
    }
}

fn check_supported(model: &Bpe, source: Source<'_>) -> Result<(), TokenizerError> {
    let none = "models without one (null)";
    if let Some(dropout) = model.dropout.filter(|dropout| *dropout != 0.0) {
        return Err(source.unsupported("model.dropout", dropout.to_string(), none));
    }
    for (field, text) in [
        ("model.continuing_subword_prefix", &model.continuing_subword_prefix),
        ("model.end_of_word_suffix", &model.end_of_word_suffix),
    ] {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            return Err(source.unsupported(field, format!("{text:?}"), none));
        }
    }
    if model.byte_fallback {
        return Err(source.unsupported(
            "model.byte_fallback",
            "true",
            "byte-level vocabularies, which need none",
        ));
    }
    Ok(())
}

fn read_added(file: &File, source: Source<'_>) -> Result<Vec<AddedToken>, TokenizerError> {
    let read = |token: &super::schema::AddedToken| {
        let options =
            [("single_word", token.single_word), ("lstrip", token.lstrip), ("rstrip", token.rstrip)];
        if let Some((option, _)) = options.into_iter().find(|(_, set)| *set) {
            let found = format!("{option} for {:?}", token.content);
            return Err(source.unsupported("added_tokens", found, "added tokens without such options"));
        }
        if token.content.is_empty() {
            return Err(source.malformed("added_tokens", format!("the token with id {} is empty", token.id)));
        }
        let (special, normalized) = (token.special, token.normalized);
        Ok(AddedToken { text: token.content.clone(), id: token.id, special, normalized })
    };
    let tokens = file.added_tokens.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut known: FxHashMap<&str, &AddedToken> = FxHashMap::default();
    for token in &tokens {
        let other = known.insert(&token.text, token);
        if other.is_some_and(|other| (other.special, other.normalized) != (token.special, token.normalized)) {
            let message = format!("{:?} is given twice, and differently", token.text);
            return Err(source.malformed("added_tokens", message));
        }
    }
    Ok(tokens)
}

pub(super) fn read_vocab(
    vocab: &Value,
    source: Source<'_>,
    field: &str,
) -> Result<Vec<(String, u32)>, TokenizerError> {
    let Some(vocab) = vocab.as_object() else {
        return Err(source.malformed(field, "must map each token to its id"));
    };
    let read = |(text, id): (&String, &Value)| {
        let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let bad = || source.malformed(format!("{field}[{text:?}]"), format!("{id} is not a token id"));
        Ok((text.clone(), number.ok_or_else(bad)?))
    };
    vocab.iter().map(read).collect()
}

/// Merges are strings with a space between the two tokens, or lists of the two.
pub(super) fn read_merges(
    merges: &Value,
    source: Source<'_>,
) -> Result<Vec<(String, String)>, TokenizerError> {
    let merges = match merges {
        Value::Null => &Vec::new(),
        Value::Array(merges) => merges,
        _ => return Err(source.malformed("model.merges", "must be a list")),
    };
    let read = |(index, merge): (usize, &Value)| {
        let pair = match merge {
            Value::String(line) => split_merge(line),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(left), Value::String(right)] => Some((left.as_str(), right.as_str())),
                _ => None,
            },
            _ => None,
        };
        let bad =
            || source.malformed(format!("model.merges[{index}]"), format!("{merge} is not a pair of tokens"));
        pair.map(|(left, right)| (left.to_owned(), right.to_owned())).ok_or_else(bad)
    };
    merges.iter().enumerate().map(read).collect()
}

/// The two tokens of a merge written with a space between them.
pub(super) fn split_merge(line: &str) -> Option<(&str, &str)> {
    line.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains(' '))
}

/// The patterns of a byte-level tokenizer; nothing when the file has no pre-tokenizer.
fn read_splitter(file: &File, source: Source<'_>) -> Result<Option<Splitter>, TokenizerError> {
    let field = "pre_tokenizer";
    let stages = in_turn(&file.pre_tokenizer, "pretokenizers");
    let Some((last, splits)) = stages.split_last() else { return Ok(None) };
    if kind(last) != "ByteLevel" {
        return Err(source.unsupported(field, kind(last), "ByteLevel, alone or after Split and Digits"));
    }
    // Absent, these are true in Hugging Face.
    if flag(last, "add_prefix_space", true) {
        return Err(source.unsupported(
            field,
            "ByteLevel with add_prefix_space",
            "it with add_prefix_space false",
        ));
    }
    let mut patterns = splits.iter().map(|part| read_split(part, source)).collect::<Result<Vec<_>, _>>()?;
    if flag(last, "use_regex", true) {
        patterns.push(Pattern::Gpt2);
    }
    if let Some(part) = in_turn(&file.decoder, "decoders").iter().find(|part| kind(part) != "ByteLevel") {
        return Err(source.unsupported(
            "decoder",
            kind(part),
            "ByteLevel where the pre-tokenizer is ByteLevel",
        ));
    }
    Splitter::new(patterns).map(Some)
}

pub(super) fn read_split(part: &Value, source: Source<'_>) -> Result<Pattern, TokenizerError> {
    let field = "pre_tokenizer";
    let behavior = part.get("behavior").and_then(Value::as_str).unwrap_or_default();
    match kind(part) {
        "Digits" if flag(part, "individual_digits", false) => Ok(Pattern::Custom(DIGIT.into())),
        "Digits" => Ok(Pattern::Custom(DIGITS.into())),
        "Split" if behavior != "Isolated" => Err(source.unsupported(
            field,
            format!("Split with behavior {behavior:?}"),
            "Split with \"Isolated\"",
        )),
        "Split" => {
            match (part.pointer("/pattern/Regex"), part.pointer("/pattern/String")) {
                (Some(Value::String(expression)), _) => Ok(Pattern::from_expression(expression)),
                (_, Some(Value::String(text))) => Ok(Pattern::Custom(fancy_regex::escape(text).into_owned())),
                _ => Err(source
                    .malformed("pre_tokenizer", "Split needs a pattern: {\"Regex\": …} or {\"String\": …}")),
            }
        }
        kind => Err(source.unsupported(field, kind, "ByteLevel, alone or after Split and Digits")),
    }
}

fn character_parts(
    source: Source<'_>,
    model: &Bpe,
    decoder: &Value,
    entries: Vec<(String, u32)>,
    merges: &[(String, String)],
    added: Vec<AddedToken>,
) -> Result<Parts, TokenizerError> {
    let supported = "ByteLevel; none for a BPE model without merges, with a token for each character";
    if !merges.is_empty() {
        return Err(source.unsupported("pre_tokenizer", "null", supported));
    }
    if kind(decoder) != "Fuse" {
        return Err(source.unsupported("decoder", kind(decoder), "Fuse where there is no pre-tokenizer"));
    }
    let Some(unknown) = model.unk_token.as_deref().filter(|_| !model.fuse_unk) else {
        let found = if model.fuse_unk { "fused (fuse_unk)" } else { "null" };
        return Err(source.unsupported("model.unk_token", found, "a token for each unknown character"));
    };
    let vocabulary = build_vocabulary(source, "model.vocab", entries, |_, text| text.as_bytes().to_vec())?;
    let unknown = vocabulary.id(unknown).ok_or_else(|| {
        source.malformed("model.unk_token", format!("{unknown:?} is not in the vocabulary"))
    })?;
    let added = AddedTokens::new(added)?;
    let added_ids: FxHashSet<u32> = added.tokens().iter().map(|token| token.id).collect();
    let mut characters = Vec::new();
    for (id, text) in vocabulary.iter().filter(|(id, _)| *id != unknown && !added_ids.contains(id)) {
        // Without merges nothing but an added token can be longer; others are never used.
        if only_char(text).is_some() {
            characters.push((text, id));
        }
    }
    let splitter = Splitter::new([])?;
    let algorithm = LongestPrefix::new(splitter, characters, Unknown::Token(unknown));
    let algorithm = Arc::new(Algorithm::LongestPrefix(algorithm));
    Ok(Parts { algorithm, vocabulary, added, frame: Frame::default() })
}

pub(super) fn build_vocabulary(
    source: Source<'_>,
    field: &str,
    entries: Vec<(String, u32)>,
    bytes_of: impl Fn(u32, &str) -> Vec<u8>,
) -> Result<Vocabulary, TokenizerError> {
    let largest = entries.iter().map(|(_, id)| *id).max().unwrap_or(0) as usize;
    if is_far_above(largest, entries.len()) {
        let message = format!("the id {largest} is far above the number of tokens, {}", entries.len());
        return Err(source.malformed(field, message));
    }
    let mut tokens: Vec<Option<Token>> = vec![None; if entries.is_empty() { 0 } else { largest + 1 }];
    for (text, id) in entries {
        let slot = &mut tokens[id as usize];
        if let Some(other) = slot.as_ref().filter(|other| other.text != text) {
            let message = format!("the id {id} is given to both {:?} and {text:?}", other.text);
            return Err(source.malformed(field, message));
        }
        *slot = Some(Token { bytes: bytes_of(id, &text), text });
    }
    let vocabulary = Vocabulary::new(tokens);
    if let Some((id, text)) = vocabulary.iter().find(|(id, text)| vocabulary.id(text) != Some(*id)) {
        let other = vocabulary.id(text).unwrap_or_default();
        return Err(source.malformed("model.vocab", format!("{text:?} has two ids, {id} and {other}")));
    }
    Ok(vocabulary)
}
