//! Text to token shards in one call.

use std::fs;
use std::path::Path;

use rayon::prelude::*;

use crate::digest;
use crate::error::CorpusError;
use crate::progress::{Progress, Stage};
use crate::shards::{
    FORMAT_VERSION, FileSummary, Provenance, SHARD_TOKENS, ShardWriter, Shards, TokenizerInfo,
};
use crate::sources::{Corpus, DocumentBoundary, SourceFile, Split};

/// How much text is in memory at a time, but for a document that is longer.
const CHUNK_BYTES: usize = 4 << 20;

/// Encodes a corpus into the shards `out_dir`, or opens them when they are there already, made from the same text with
/// the same tokenizer and settings.
///
/// `encode` turns the text of a document into ids, without separators. Documents are encoded in parallel, on rayon's
/// current pool, and written in order: the same bytes at any number of threads. Whole files as documents
/// ([`DocumentBoundary::File`]) are each encoded by one thread.
///
/// # Errors
/// Text that cannot be read or has changed since it was scanned; a tokenizer that has no end-of-text token, when
/// documents are smaller than files; an output that cannot be written or holds something else.
pub fn prepare(
    corpus: &Corpus,
    tokenizer: &TokenizerInfo,
    encode: impl Fn(&str) -> Vec<u32> + Sync,
    out_dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Shards, CorpusError> {
    if tokenizer.end_of_text.is_none() && corpus.boundary() != DocumentBoundary::File {
        return Err(CorpusError::NoSeparator { boundary: corpus.boundary().name() });
    }
    let key = cache_key(corpus, tokenizer);
    if let Some(shards) = made_before(out_dir, &key)? {
        return Ok(shards);
    }
    let mut writer =
        ShardWriter::create_with(out_dir, tokenizer.clone(), Some(provenance(corpus, &key)), SHARD_TOKENS)?;
    let total_bytes = corpus.bytes();
    let mut done = Progress { stage: Stage::Encode, bytes: 0, total_bytes, documents: 0, tokens: 0 };
    for split in Split::ALL {
        let mut documents = corpus.documents(split);
        loop {
            let chunk = next_chunk(&mut documents)?;
            if chunk.is_empty() {
                break;
            }
            let ids: Vec<Vec<u32>> = chunk.par_iter().map(|text| encode(text)).collect();
            for (text, ids) in chunk.iter().zip(&ids) {
                writer.write_document(split, ids, text.len())?;
                done.bytes += text.len() as u64;
            }
            done.documents += chunk.len() as u64;
            done.tokens = writer.tokens();
            progress(done);
        }
    }
    // What separated the documents is text that is done, too.
    done.bytes = total_bytes;
    progress(done);
    match writer.finish() {
        // Another process may have made the same shards at the same time.
        Err(error @ CorpusError::OutputExists(_)) => made_before(out_dir, &key)?.ok_or(error),
        result => result,
    }
}

/// [`prepare`] in a folder of `cache` named after the [`cache_key`], so that the same text is encoded once. A damaged
/// folder there is made again.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_cached(
    corpus: &Corpus,
    tokenizer: &TokenizerInfo,
    encode: impl Fn(&str) -> Vec<u32> + Sync,
    cache: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Shards, CorpusError> {
    let key = cache_key(corpus, tokenizer);
    let dir = cache.join(&key[..16]);
    let usable = matches!(Shards::open(&dir), Ok(shards) if is_made_of(&shards, &key));
    if !usable && dir.exists() {
        fs::remove_dir_all(&dir).map_err(CorpusError::io("remove", &dir))?;
    }
    prepare(corpus, tokenizer, encode, &dir, progress)
}

/// A hash of everything that decides what the shards hold: the contents of the files, how they are cut into documents
/// and splits, the tokenizer, and the format. Names and places of files don't count.
pub fn cache_key(corpus: &Corpus, tokenizer: &TokenizerInfo) -> String {
    let TokenizerInfo { sha256, vocab_size, end_of_text, token_table: _ } = tokenizer;
    let made_by = format!("shards {FORMAT_VERSION}\ntokenizer {sha256} {vocab_size} {end_of_text:?}\n");
    digest::of_bytes((made_by + &corpus.fingerprint()).as_bytes())
}

fn is_made_of(shards: &Shards, key: &str) -> bool {
    shards.provenance().is_some_and(|provenance| provenance.key == key)
}

/// The shards in `dir`, if they have this key. `None` when there are none; [`ShardWriter`] decides about other
/// contents.
fn made_before(dir: &Path, key: &str) -> Result<Option<Shards>, CorpusError> {
    if !dir.exists() {
        return Ok(None);
    }
    match Shards::open(dir) {
        Ok(shards) if is_made_of(&shards, key) => Ok(Some(shards)),
        Ok(_) => Err(CorpusError::OutputExists(dir.to_path_buf())),
        Err(CorpusError::NotShards(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the manifest says about where the shards come from.
fn provenance(corpus: &Corpus, key: &str) -> Provenance {
    let file = |file: &SourceFile| FileSummary {
        name: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    };
    let files = corpus.files().iter().map(file).collect();
    Provenance { key: key.to_owned(), boundary: corpus.boundary(), files }
}

/// The next documents, about [`CHUNK_BYTES`] of them; none at the end.
fn next_chunk(
    documents: &mut impl Iterator<Item = Result<String, CorpusError>>,
) -> Result<Vec<String>, CorpusError> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while bytes < CHUNK_BYTES
        && let Some(document) = documents.next().transpose()?
    {
        bytes += document.len();
        chunk.push(document);
    }
    Ok(chunk)
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
