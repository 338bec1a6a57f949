//! The file formats of Hugging Face: `tokenizer.json`, `tokenizer_config.json`, and GPT-2's older pair of files.
//!
//! Which Hugging Face parts our tokenizers are written as:
//!
//! | ours | model | pre-tokenizer | decoder |
//! |---|---|---|---|
//! | byte-level, tiktoken's too (`ignore_merges`) | BPE | ByteLevel, after a Split for each pattern that isn't GPT-2's | ByteLevel |
//! | characters | BPE without merges, `<unk>` not fused | none | Fuse |
//! | longest prefix | WordPiece without a prefix | a Split by the pattern, and one that isolates unknown characters | Fuse |
//! | longest prefix with byte fallback | `LongestPrefixWithBytes`, which is ours alone | a Split by the pattern | ByteFallback, Fuse |
//! | scored (llama2.c) | BPE with byte fallback, after Prepend of a space; `TiedBPE`, which is ours alone, where scores are equal | none | ByteFallback, Fuse, Strip |
//!
//! Reading accepts these and what others write for the same thing; anything else is an error that names the part.

mod byte_level;
mod frame;
mod gpt2;
mod longest_prefix;
mod read;
mod schema;
mod scored;
mod unique;
mod write;

pub(crate) use gpt2::load_gpt2;
pub(crate) use write::save;

use crate::{Tokenizer, TokenizerError, llama2c, tiktoken};
use std::ffi::OsStr;
use std::path::Path;

const FILE: &str = "tokenizer.json";

/// Reads a tokenizer from a file or a folder.
pub(crate) fn load(path: &Path) -> Result<Tokenizer, TokenizerError> {
    if !path.is_dir() {
        return match path.extension().and_then(OsStr::to_str) {
            Some(tiktoken::EXTENSION) => tiktoken::load_by_name(path),
            Some(llama2c::EXTENSION) => llama2c::load(path),
            _ => read::load_json(path),
        };
    }
    let file = path.join(FILE);
    if file.exists() {
        return read::load_json(&file);
    }
    for (vocabulary, merges) in [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")] {
        let (vocabulary, merges) = (path.join(vocabulary), path.join(merges));
        if vocabulary.exists() && merges.exists() {
            return gpt2::load_gpt2(&vocabulary, &merges);
        }
    }
    Err(TokenizerError::NoTokenizer { path: path.to_owned() })
}
