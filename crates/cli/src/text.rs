//! Text into tokens: the one place where tokenizer and corpus meet.

use crate::args::Global;
use crate::config::DataConfig;
use crate::exit::usage;
use crate::named;
use crate::output::{PrepareBar, bar, say, thousands};
use anyhow::Context;
use firebrand_corpus::CorpusError;
use firebrand_corpus::prepare::{Encode, left_behind, prepare_cached, prepare_sources};
use firebrand_corpus::shards::{Shards, TokenizerInfo};
use firebrand_corpus::sources::{Corpus, Piece, Sources, Split};
use firebrand_tokenizer::{END_OF_TEXT, Tokenizer};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A tokenizer and the hash of its file.
pub(crate) struct HashedTokenizer {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) sha256: String,
}

impl HashedTokenizer {
    /// A tokenizer with the hash of the file that saving it makes.
    pub(crate) fn as_written(tokenizer: Tokenizer) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        tokenizer.save(folder.path())?;
        Self::load(folder.path())
    }

    /// The tokenizer in `dir`.
    pub(crate) fn load(dir: &Path) -> anyhow::Result<Self> {
        let tokenizer = Tokenizer::load(dir)?;
        let file = if dir.is_dir() { dir.join("tokenizer.json") } else { dir.to_path_buf() };
        Ok(Self { tokenizer, sha256: sha256_of(&file)? })
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

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of a file, in hexadecimal; it need not fit in memory.
pub(crate) fn sha256_of(file: &Path) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    let mut opened = std::fs::File::open(file).with_context(|| file.display().to_string())?;
    std::io::copy(&mut opened, &mut hasher).with_context(|| file.display().to_string())?;
    Ok(hexadecimal(&hasher.finalize()))
}

/// Reads and checks text.
pub(crate) fn scan(sources: Sources, global: &Global) -> anyhow::Result<Corpus> {
    let sources = named::resolve(sources)?;
    let mut bar = PrepareBar::new(global);
    let corpus = sources.scan(&mut |progress| bar.update(progress))?;
    bar.finish();
    say_replaced(corpus.replaced(), global);
    Ok(corpus)
}

fn say_replaced(replaced: u64, global: &Global) {
    if replaced > 0 {
        let [places, them] = if replaced == 1 { ["place", "it"] } else { ["places", "each"] };
        say(global, format!("{} {places} not UTF-8: U+FFFD stands for {them} now", thousands(replaced)));
    }
}

/// The characters of all of a corpus as a tokenizer.
pub(crate) fn characters(
    corpus: &Corpus,
    special_tokens: &[String],
    global: &Global,
) -> anyhow::Result<Tokenizer> {
    let mut characters = BTreeSet::new();
    for_each_part(corpus, |text| Some(text.len()), global, |text| characters.extend(text.chars()))?;
    let characters = String::from_iter(characters);
    Ok(Tokenizer::characters([characters.as_str()], special_tokens)?)
}

/// Gives all the text of a corpus to `each`, in parts as large as `cut` allows.
pub(crate) fn for_each_part(
    corpus: &Corpus,
    cut: impl Fn(&str) -> Option<usize>,
    global: &Global,
    mut each: impl FnMut(&str),
) -> anyhow::Result<()> {
    for_each_piece(corpus, cut, global, |piece| each(&piece.text))
}

/// The same for who must know where documents end.
pub(crate) fn for_each_piece(
    corpus: &Corpus,
    cut: impl Fn(&str) -> Option<usize>,
    global: &Global,
    mut each: impl FnMut(&Piece),
) -> anyhow::Result<()> {
    let template = "counting {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    let bar = bar(global, corpus.text_bytes(), template);
    for split in Split::ALL.into_iter().filter(|&split| corpus.has(split)) {
        for piece in corpus.parts(split, &cut) {
            let piece = piece?;
            each(&piece);
            bar.inc(piece.text.len() as u64);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// What a corpus needs to know of a tokenizer.
struct Encoder<'a>(&'a Tokenizer);

impl Encode for Encoder<'_> {
    fn encode(&self, texts: &[&str]) -> (Vec<u32>, Vec<usize>) {
        self.0.encode_all(texts)
    }

    fn cut(&self, text: &str) -> Option<usize> {
        self.0.safe_cut(text)
    }
}

/// Encodes a corpus into the cache.
fn encode(corpus: &Corpus, tokenizer: &HashedTokenizer, global: &Global) -> anyhow::Result<Shards> {
    let mut bar = PrepareBar::new(global);
    let encoder = Encoder(&tokenizer.tokenizer);
    let shards = prepare_cached(corpus, &tokenizer.info()?, &encoder, &cache_dir(), &mut |progress| {
        bar.update(progress)
    })?;
    bar.finish();
    Ok(shards)
}

/// Encodes text into `out`, or goes on where an earlier process was stopped.
pub(crate) fn prepare(
    sources: &Sources,
    tokenizer: &HashedTokenizer,
    out: &Path,
    global: &Global,
) -> anyhow::Result<Shards> {
    let sources = &named::resolve(sources.clone())?;
    let mut bar = PrepareBar::new(global);
    let encoder = Encoder(&tokenizer.tokenizer);
    let result =
        prepare_sources(sources, &tokenizer.info()?, &encoder, out, &mut |progress| bar.update(progress));
    bar.finish();
    if let (Err(error), Some(left)) = (&result, left_behind(out))
        && !matches!(error, CorpusError::Busy { .. })
    {
        say(global, format!("what is done is kept in {}: the same command goes on with it", left.display()));
    }
    let shards = result?;
    let files = shards.provenance().map_or(&[][..], |provenance| &provenance.files);
    say_replaced(files.iter().filter_map(|file| file.replaced).sum(), global);
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
    let sources = Sources {
        texts: config.texts.clone(),
        format: config.format,
        field: config.field.clone(),
        boundary: config.boundary,
        held_out: config.held_out.clone(),
        invalid_utf8: config.invalid_utf8,
    };
    let corpus = scan(sources, global)?;
    let tokenizer = match from_characters {
        true => {
            // Documents smaller than files need something between them.
            let special = if corpus.is_whole_files() { vec![] } else { vec![END_OF_TEXT.to_owned()] };
            HashedTokenizer::as_written(characters(&corpus, &special, global)?)?
        }
        false => load_tokenizer(Path::new(&config.tokenizer))?,
    };
    let shards = encode(&corpus, &tokenizer, global)?;
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
    HashedTokenizer::as_written(Tokenizer::load(dir)?)
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
