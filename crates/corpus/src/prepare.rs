//! Text to token shards in one call.

mod pipeline;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::digest;
use crate::error::CorpusError;
use crate::progress::{Progress, Stage};
use crate::records::Format;
use crate::shards::{
    FORMAT_VERSION, FileSummary, Provenance, SHARD_TOKENS, ShardWriter, Shards, TokenizerInfo, Workspace,
    is_taken,
};
use crate::sources::{Corpus, Memory, SourceFile, Sources};

/// What was scanned for longer than this need not be scanned again after a kill.
const REMEMBER_AFTER: Duration = Duration::from_secs(2);

/// How often a process that waits for another looks whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How text becomes ids.
pub trait Encode: Sync {
    /// The ids of texts, without separators, one after the other; and where those of each end. What one text becomes
    /// must not depend on the others.
    fn encode(&self, texts: &[&str]) -> (Vec<u32>, Vec<usize>);

    /// Where the beginning of a document may be cut, as late as possible, such that the ids of both sides are together
    /// those of the whole, whatever follows. `None` where it may not be cut; then more of it is kept in memory.
    fn cut(&self, text: &str) -> Option<usize>;
}

/// A function encodes documents as a whole.
impl<F: Fn(&str) -> Vec<u32> + Sync> Encode for F {
    fn encode(&self, texts: &[&str]) -> (Vec<u32>, Vec<usize>) {
        let mut ids = Vec::new();
        let mut end_of = |text: &&str| {
            ids.extend(self(text));
            ids.len()
        };
        let ends = texts.iter().map(&mut end_of).collect();
        (ids, ends)
    }

    fn cut(&self, _text: &str) -> Option<usize> {
        None
    }
}

/// Scans text and encodes it into the shards `out_dir`, or opens them when they are there already, made from the same
/// text with the same tokenizer and settings.
///
/// Text is encoded in parallel, on rayon's current pool, and written in order: the same bytes at any number of threads.
/// A process that is killed is taken up by the next one with the same text, tokenizer and settings, where it last wrote
/// a journal; the result is the same as without.
///
/// # Errors
/// Text that cannot be read or changes meanwhile; a tokenizer that has no end-of-text token, when documents are smaller
/// than files; an output that cannot be written, holds something else, or is being made by another process.
pub fn prepare_sources(
    sources: &Sources,
    tokenizer: &TokenizerInfo,
    encode: &impl Encode,
    out_dir: &Path,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Shards, CorpusError> {
    if is_taken(out_dir) {
        return prepare(&sources.scan(progress)?, tokenizer, encode, out_dir, progress);
    }
    let workspace = Workspace::claim(out_dir)?;
    let memory = Memory::open(workspace.memory(), REMEMBER_AFTER, sources);
    let corpus = sources.scan_remembering(&memory, progress)?;
    check_separator(&corpus, tokenizer)?;
    prepare_in(workspace, &corpus, tokenizer, encode, out_dir, progress)
}

/// [`prepare_sources`] of text that has been scanned.
///
/// # Errors
/// As [`prepare_sources`].
pub fn prepare(
    corpus: &Corpus,
    tokenizer: &TokenizerInfo,
    encode: &impl Encode,
    out_dir: &Path,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Shards, CorpusError> {
    check_separator(corpus, tokenizer)?;
    if let Some(shards) = made_before(out_dir, &cache_key(corpus, tokenizer))? {
        Workspace::tidy(out_dir);
        return Ok(shards);
    }
    if is_taken(out_dir) {
        return Err(CorpusError::OutputExists(out_dir.to_path_buf()));
    }
    prepare_in(Workspace::claim(out_dir)?, corpus, tokenizer, encode, out_dir, progress)
}

/// [`prepare`] in a folder of `cache` named after the [`cache_key`], so that the same text is encoded once. A damaged
/// folder there is made again; when another process is making it, this one waits.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_cached(
    corpus: &Corpus,
    tokenizer: &TokenizerInfo,
    encode: &impl Encode,
    cache: &Path,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Shards, CorpusError> {
    let key = cache_key(corpus, tokenizer);
    let dir = cache.join(&key[..16]);
    loop {
        let usable = matches!(Shards::open(&dir), Ok(shards) if is_made_of(&shards, &key));
        if !usable && dir.exists() {
            fs::remove_dir_all(&dir).map_err(CorpusError::io("remove", &dir))?;
        }
        match prepare(corpus, tokenizer, encode, &dir, progress) {
            Err(CorpusError::Busy { .. }) => {
                progress(Progress { stage: Stage::Wait, ..Progress::default() });
                std::thread::sleep(LOOK_EVERY);
            }
            result => return result,
        }
    }
}

/// Where a process that was stopped left what the next one goes on with, if it has.
pub fn left_behind(out_dir: &Path) -> Option<PathBuf> {
    Some(Workspace::folder_of(out_dir)).filter(|folder| folder.exists())
}

/// A hash of everything that decides what the shards hold: the contents of the files, how they are cut into documents
/// and splits, the tokenizer, and the format. Names and places of files don't count.
pub fn cache_key(corpus: &Corpus, tokenizer: &TokenizerInfo) -> String {
    let TokenizerInfo { sha256, vocab_size, end_of_text, token_table: _ } = tokenizer;
    let made_by = format!("shards {FORMAT_VERSION}\ntokenizer {sha256} {vocab_size} {end_of_text:?}\n");
    digest::of_bytes((made_by + &corpus.fingerprint()).as_bytes())
}

fn check_separator(corpus: &Corpus, tokenizer: &TokenizerInfo) -> Result<(), CorpusError> {
    if tokenizer.end_of_text.is_some() || corpus.is_whole_files() {
        return Ok(());
    }
    let boundary = if corpus.field().is_some() { "record" } else { corpus.boundary().name() };
    Err(CorpusError::NoSeparator { boundary })
}

fn prepare_in(
    workspace: Workspace,
    corpus: &Corpus,
    tokenizer: &TokenizerInfo,
    encode: &impl Encode,
    out_dir: &Path,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Shards, CorpusError> {
    let key = cache_key(corpus, tokenizer);
    // It may have been made while this process waited for its workspace.
    if let Some(shards) = made_before(out_dir, &key)? {
        workspace.discard();
        return Ok(shards);
    }
    let made_from = Some(provenance(corpus, &key));
    let writer = ShardWriter::in_workspace(out_dir, workspace, tokenizer.clone(), made_from, SHARD_TOKENS)?;
    pipeline::run(corpus, encode, writer, progress)?.finish()
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
        format: Some(file.format).filter(|&format| format != Format::Text),
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        replaced: Some(file.replaced).filter(|&replaced| replaced > 0),
    };
    let files = corpus.files().iter().map(file).collect();
    let field = corpus.field().map(str::to_owned);
    Provenance { key: key.to_owned(), boundary: corpus.boundary(), field, files }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
