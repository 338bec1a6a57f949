//! Text into tokens: the one place where tokenizer and corpus meet.

use crate::args::Global;
use crate::config::DataConfig;
use crate::exit::usage;
use crate::named;
use crate::output::PrepareBar;
use anyhow::Context;
use firebrand_corpus::prepare::{prepare, prepare_cached};
use firebrand_corpus::shards::{Shards, TokenizerInfo};
use firebrand_corpus::sources::{Corpus, DocumentBoundary, Sources, Split};
use firebrand_tokenizer::Tokenizer;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A tokenizer and the hash of its file.
pub(crate) struct HashedTokenizer {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) sha256: String,
}

impl HashedTokenizer {
    /// A tokenizer with the hash of the file that saving it makes.
    fn new(tokenizer: Tokenizer) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        tokenizer.save(folder.path())?;
        Self::load(folder.path())
    }

    /// The tokenizer in `dir`.
    pub(crate) fn load(dir: &Path) -> anyhow::Result<Self> {
        let tokenizer = Tokenizer::load(dir)?;
        let file = if dir.is_dir() { dir.join("tokenizer.json") } else { dir.to_path_buf() };
        let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { tokenizer, sha256 })
    }

    fn info(&self) -> anyhow::Result<TokenizerInfo> {
        Ok(TokenizerInfo {
            sha256: self.sha256.clone(),
            vocab_size: self.tokenizer.vocab_size(),
            end_of_text: self.tokenizer.end_of_text(),
            token_table: serde_json::to_value(self.tokenizer.token_table())?,
        })
    }
}

/// Reads and checks text.
pub(crate) fn scan(sources: Sources, global: &Global) -> anyhow::Result<Corpus> {
    let sources = named::resolve(sources)?;
    let mut bar = PrepareBar::new(global);
    let corpus = sources.scan(&mut |progress| bar.update(progress))?;
    bar.finish();
    Ok(corpus)
}

/// The characters of all of a corpus as a tokenizer.
fn characters(corpus: &Corpus) -> anyhow::Result<HashedTokenizer> {
    let mut documents = Vec::new();
    for split in Split::ALL.into_iter().filter(|&split| corpus.has(split)) {
        for document in corpus.documents(split) {
            documents.push(document?);
        }
    }
    // Documents smaller than files need something between them.
    let special = match corpus.boundary() {
        DocumentBoundary::File => vec![],
        _ => vec!["<|endoftext|>".to_string()],
    };
    HashedTokenizer::new(Tokenizer::characters(documents.iter().map(String::as_str), &special)?)
}

/// Encodes a corpus into `out`, or into the cache.
pub(crate) fn encode(
    corpus: &Corpus,
    tokenizer: &HashedTokenizer,
    out: Option<&Path>,
    global: &Global,
) -> anyhow::Result<Shards> {
    let info = tokenizer.info()?;
    let mut bar = PrepareBar::new(global);
    let mut update = |progress| bar.update(progress);
    let encode = |text: &str| tokenizer.tokenizer.encode(text);
    let shards = match out {
        Some(out) => prepare(corpus, &info, encode, out, &mut update)?,
        None => prepare_cached(corpus, &info, encode, &cache_dir(), &mut update)?,
    };
    bar.finish();
    Ok(shards)
}

/// The data of a run: its tokenizer and its shards.
pub(crate) fn load(config: &DataConfig, global: &Global) -> anyhow::Result<(HashedTokenizer, Shards)> {
    let from_characters = config.tokenizer == "characters";
    if let Some(dir) = &config.shards {
        if !config.texts.is_empty() {
            return Err(usage("data.texts and data.shards are both set: one of them says what to train on"));
        }
        if from_characters {
            return Err(usage("data.shards need data.tokenizer, the tokenizer they were made with"));
        }
        let tokenizer = load_tokenizer(Path::new(&config.tokenizer))?;
        let shards = Shards::open(dir)?;
        shards.expect_tokenizer(&HashedTokenizer::load(Path::new(&config.tokenizer))?.sha256)?;
        return Ok((tokenizer, shards));
    }
    if config.texts.is_empty() {
        return Err(usage("nothing to train on: set data.texts, such as --set data.texts=input.txt"));
    }
    let sources =
        Sources { texts: config.texts.clone(), boundary: config.boundary, held_out: config.held_out.clone() };
    let corpus = scan(sources, global)?;
    let tokenizer = match from_characters {
        true => characters(&corpus)?,
        false => load_tokenizer(Path::new(&config.tokenizer))?,
    };
    let shards = encode(&corpus, &tokenizer, None, global)?;
    Ok((tokenizer, shards))
}

/// The tokenizer in `dir` as the run will hold it: another program's file is not the one we would write.
fn load_tokenizer(dir: &Path) -> anyhow::Result<HashedTokenizer> {
    if !dir.exists() {
        return Err(usage(format!(
            "data.tokenizer {}: there is no such folder; use `characters`, or make one with `firebrand tokenizer train`",
            dir.display()
        )));
    }
    HashedTokenizer::new(Tokenizer::load(dir)?)
}

/// Where encoded text is kept for the next run.
pub(crate) fn cache_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("FIREBRAND_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("firebrand")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/firebrand")))
        .unwrap_or_else(|| std::env::temp_dir().join("firebrand"));
    base.join("shards")
}
