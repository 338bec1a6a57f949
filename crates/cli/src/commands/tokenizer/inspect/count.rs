//! What a tokenizer makes of texts, as figures.

use super::page::Shown;
use super::scripts::{ScriptCount, Scripts};
use super::vocabulary::{Usage, Vocabulary};
use crate::args::Global;
use crate::text;
use firebrand_corpus::sources::{DocumentBoundary, HeldOut, Sources};
use firebrand_tokenizer::Tokenizer;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A tokenizer and what it made of each text.
pub(super) struct Inspected {
    pub(super) path: PathBuf,
    pub(super) tokenizer: Tokenizer,
    pub(super) vocabulary: Vocabulary,
    pub(super) texts: Vec<Counted>,
    /// All texts by script.
    pub(super) scripts: Vec<(&'static str, ScriptCount)>,
    pub(super) usage: Usage,
}

/// One file of text as tokens.
pub(super) struct Counted {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// What white space separates.
    pub(super) words: u64,
    pub(super) tokens: u64,
    /// For the page, if there is to be one.
    pub(super) shown: Option<Shown>,
}

impl Counted {
    fn new(path: PathBuf) -> Self {
        Self { path, bytes: 0, words: 0, tokens: 0, shown: None }
    }

    pub(super) fn bytes_per_token(&self) -> f64 {
        self.bytes as f64 / self.tokens.max(1) as f64
    }

    /// The fertility.
    pub(super) fn tokens_per_word(&self) -> f64 {
        self.tokens as f64 / self.words.max(1) as f64
    }

    fn json(&self) -> Value {
        let mut json = json!({
            "path": self.path, "bytes": self.bytes, "words": self.words, "tokens": self.tokens,
            "bytes_per_token": self.bytes_per_token(), "tokens_per_word": self.tokens_per_word(),
        });
        if let Some(shown) = &self.shown {
            json["shown_bytes"] = shown.bytes().into();
        }
        json
    }
}

impl Inspected {
    /// Loads a tokenizer and tries it on files of text; `show` is how many bytes of each go to the page.
    pub(super) fn new(
        path: &Path,
        files: &[PathBuf],
        show: Option<u64>,
        global: &Global,
    ) -> anyhow::Result<Self> {
        let tokenizer = Tokenizer::load(path)?;
        let vocabulary = Vocabulary::new(&tokenizer);
        let (mut used, mut scripts) = (vec![0; tokenizer.vocab_size()], Scripts::default());
        let mut texts = Vec::new();
        for file in files {
            let mut counted = Counted::new(file.clone());
            counted.shown = show.map(Shown::new);
            count(&tokenizer, &vocabulary, &mut counted, &mut used, &mut scripts, global)?;
            texts.push(counted);
        }
        let usage = Usage::new(&vocabulary, &used);
        Ok(Self { path: path.into(), tokenizer, vocabulary, texts, scripts: scripts.finish(), usage })
    }

    /// All texts as one.
    pub(super) fn whole(&self) -> Counted {
        let sum = |of: fn(&Counted) -> u64| self.texts.iter().map(of).sum();
        let (bytes, words, tokens) =
            (sum(|text| text.bytes), sum(|text| text.words), sum(|text| text.tokens));
        Counted { bytes, words, tokens, ..Counted::new(PathBuf::new()) }
    }

    pub(super) fn json(&self) -> Value {
        let mut json = json!({
            "tokenizer": self.path, "vocab_size": self.tokenizer.vocab_size(), "merges": self.tokenizer.n_merges(),
            "special_tokens": self.tokenizer.special_tokens(), "mean_token_bytes": self.vocabulary.mean_bytes(),
            "longest_token_bytes": self.vocabulary.longest_bytes(), "vocabulary": self.vocabulary.json(),
        });
        if !self.texts.is_empty() {
            let token = |&(id, times): &(u32, u64)| {
                let text = str::from_utf8(self.vocabulary.table().bytes(id)).ok();
                json!({"id": id, "token": self.tokenizer.id_to_token(id), "text": text, "times": times})
            };
            json["texts"] = self.texts.iter().map(Counted::json).collect();
            json["unused_share"] = self.usage.unused.into();
            json["most_used"] = self.usage.most.iter().map(token).collect();
            json["least_used"] = self.usage.least.iter().map(token).collect();
            json["scripts"] = self.scripts.iter().map(script_json).collect();
        }
        json
    }
}

fn script_json((name, count): &(&'static str, ScriptCount)) -> Value {
    json!({
        "script": name, "characters": count.characters, "words": count.words, "tokens": count.tokens,
        "token_bytes": count.token_bytes, "token_characters": count.token_characters,
        "bytes_per_token": count.bytes_per_token(), "characters_per_token": count.characters_per_token(),
        "tokens_per_word": count.tokens_per_word(),
    })
}

fn count(
    tokenizer: &Tokenizer,
    vocabulary: &Vocabulary,
    counted: &mut Counted,
    used: &mut [u64],
    scripts: &mut Scripts,
    global: &Global,
) -> anyhow::Result<()> {
    let sources = Sources {
        texts: vec![counted.path.clone()],
        boundary: DocumentBoundary::File,
        held_out: HeldOut::None,
        ..Sources::default()
    };
    let corpus = text::scan(sources, global)?;
    let words_before = scripts.words();
    text::for_each_piece(
        &corpus,
        |text| tokenizer.safe_cut(text),
        global,
        |piece| {
            let (ids, ranges) = tokenizer.encode_with_offsets(&piece.text);
            ids.iter().for_each(|&id| used[id as usize] += 1);
            scripts.add(&piece.text, &ranges);
            counted.bytes += piece.text.len() as u64;
            counted.tokens += ids.len() as u64;
            if let Some(shown) = &mut counted.shown {
                shown.add(&piece.text, ids.iter().copied().zip(ranges), tokenizer, vocabulary.table());
            }
            if piece.ends_document {
                scripts.end_document();
                counted.shown.iter_mut().for_each(Shown::end_document);
            }
        },
    )?;
    counted.words = scripts.words() - words_before;
    Ok(())
}
