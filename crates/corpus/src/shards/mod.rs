//! Token shards: encoded text in a folder, read through memory maps.
//!
//! | file | contents |
//! |---|---|
//! | `manifest.json` | format version, tokenizer, origin; tokens, documents, bytes of text and sha256 of each token file |
//! | `tokens.json` | the tokenizer's token table, as it was given |
//! | `train-00000.bin`, … | ids of a split, little endian: 16 bits in vocabularies of at most 65,536 tokens, else 32 |
//!
//! When the tokenizer has an end-of-text token, every document is followed by it and the first document of a split
//! preceded by it: so every token of a document has one before it that it can be predicted from, and the nats of a
//! split are those of all its documents. Otherwise documents follow each other directly.
//!
//! A folder of shards is complete or not there: [`ShardWriter`] works in a folder beside it, `NAME.preparing`, and
//! renames what is in it at the end. There it also keeps a journal, so that a process that is killed is taken up by the
//! next. Knows nothing of tokenizers but what [`TokenizerInfo`] says.

mod journal;
mod manifest;
mod open;
mod split;
mod workspace;
mod writer;

pub(crate) use manifest::FORMAT_VERSION;
pub use manifest::{FileSummary, Provenance};
pub use open::Shards;
pub use split::TokenSplit;
pub(crate) use workspace::Workspace;
pub(crate) use writer::is_taken;
pub use writer::{SHARD_TOKENS, ShardWriter};

/// What shards record of the tokenizer that made them.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizerInfo {
    /// sha256 of the tokenizer, in hexadecimal: two tokenizers with the same hash encode alike.
    pub sha256: String,
    /// Ids are below this.
    pub vocab_size: usize,
    /// The id that separates documents, if there is one.
    pub end_of_text: Option<u32>,
    /// The tokenizer's token table, serialized; stored and handed back as it is.
    pub token_table: serde_json::Value,
}
