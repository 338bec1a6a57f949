//! The shape of `tokenizer.json`, as far as every reader and writer needs it.
//!
//! Parts that come in many kinds (normalizer, pre-tokenizer, …) are kept as values: [`super::read`] looks at
//! them and names the one it cannot use.

use super::unique;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Serialize, Deserialize)]
pub(super) struct File {
    pub(super) version: Option<String>,
    #[serde(default)]
    pub(super) truncation: Value,
    #[serde(default)]
    pub(super) padding: Value,
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    #[serde(default, deserialize_with = "unique::value")]
    pub(super) normalizer: Value,
    #[serde(default, deserialize_with = "unique::value")]
    pub(super) pre_tokenizer: Value,
    #[serde(default, deserialize_with = "unique::value")]
    pub(super) post_processor: Value,
    #[serde(default, deserialize_with = "unique::value")]
    pub(super) decoder: Value,
    /// A [`Bpe`] or a [`LongestPrefix`], by its `type`.
    #[serde(deserialize_with = "unique::value")]
    pub(super) model: Value,
}

#[derive(Serialize, Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    pub(super) single_word: bool,
    #[serde(default)]
    pub(super) lstrip: bool,
    #[serde(default)]
    pub(super) rstrip: bool,
    #[serde(default)]
    pub(super) normalized: bool,
    #[serde(default)]
    pub(super) special: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Bpe {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) dropout: Option<f64>,
    pub(super) unk_token: Option<String>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub(super) fuse_unk: bool,
    #[serde(default)]
    pub(super) byte_fallback: bool,
    #[serde(default)]
    pub(super) ignore_merges: bool,
    /// Token to id. Not checked here, since other kinds of model have other shapes.
    #[serde(default)]
    pub(super) vocab: Value,
    #[serde(default)]
    pub(super) merges: Value,
}

/// A model that takes the longest prefix: WordPiece, or our own kind where characters fall back to bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct LongestPrefix {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) unk_token: Option<String>,
    pub(super) continuing_subword_prefix: Option<String>,
    /// A longer word is unknown as a whole.
    pub(super) max_input_chars_per_word: Option<u64>,
    #[serde(default)]
    pub(super) vocab: Value,
}

/// The kind of a part: its `type`, or what it is instead.
pub(super) fn kind(part: &Value) -> &str {
    match part {
        Value::Null => "null",
        Value::Object(fields) => {
            fields.get("type").and_then(Value::as_str).unwrap_or("an object without a type")
        }
        _ => "not an object",
    }
}

/// The parts of a sequence, or the part itself when it is none; nothing for null.
pub(super) fn in_turn<'v>(part: &'v Value, list: &str) -> Vec<&'v Value> {
    match (kind(part), part.get(list).and_then(Value::as_array)) {
        ("null", _) => Vec::new(),
        ("Sequence", Some(parts)) => parts.iter().flat_map(|part| in_turn(part, list)).collect(),
        _ => vec![part],
    }
}

pub(super) fn flag(part: &Value, name: &str, default: bool) -> bool {
    part.get(name).and_then(Value::as_bool).unwrap_or(default)
}

pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}
