//! The section `[data]`.

use firebrand_corpus::batches::Order;
use firebrand_corpus::sources::{DocumentBoundary, FormatChoice, HeldOut, InvalidUtf8, Sources};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is trained on: text, or shards that were prepared before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DataConfig {
    /// Text, JSON lines, CSV, TSV or Parquet, also `.gz` or `.zst`, or folders of such files; one alone needs no brackets.
    #[serde(deserialize_with = "one_or_more_paths")]
    pub(crate) texts: Vec<PathBuf>,
    /// A folder made by `firebrand prepare`, instead of `texts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shards: Option<PathBuf>,
    /// `characters`, or a tokenizer's folder.
    pub(crate) tokenizer: String,
    /// What the files are: `auto` goes by their names.
    pub(crate) format: FormatChoice,
    /// Which field of a record is its text.
    pub(crate) field: String,
    pub(crate) boundary: DocumentBoundary,
    pub(crate) held_out: HeldOut,
    /// What becomes of bytes that are no UTF-8: `refuse` or `replace`.
    pub(crate) invalid_utf8: InvalidUtf8,
    pub(crate) order: Order,
}

/// `"input.txt"` or `["a.txt", "b.txt"]`.
fn one_or_more_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    struct Paths;
    impl<'de> Visitor<'de> for Paths {
        type Value = Vec<PathBuf>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a path or a list of paths")
        }

        fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<Self::Value, E> {
            Ok(vec![path.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, paths: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(paths))
        }
    }
    deserializer.deserialize_any(Paths)
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            texts: Vec::new(),
            shards: None,
            tokenizer: "characters".into(),
            format: FormatChoice::default(),
            field: Sources::default().field,
            boundary: DocumentBoundary::default(),
            held_out: HeldOut::default(),
            invalid_utf8: InvalidUtf8::default(),
            order: Order::default(),
        }
    }
}
