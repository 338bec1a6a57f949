//! Training on real texts gives the merges of Hugging Face tokenizers, all of them, and these the same ids.
//!
//! `golden/merges.py` wrote down hashes of what that learns from each corpus of the shared data. A corpus whose folder
//! is absent is skipped, aloud; one that has changed since is a failure that says so.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::shared_data;
use firebrand_tokenizer::{ByteLevelConfig, ByteLevelTrainer, Pattern, Tokenizer};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

type Merge = (String, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    tokenizers: String,
    pattern: Pattern,
    vocab_size: usize,
    special_tokens: Vec<String>,
    /// After every so many merges there is a hash.
    step: usize,
    corpora: Vec<Corpus>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    name: String,
    files: Vec<File>,
    merges: usize,
    merges_sha256: String,
    /// The beginnings of the hashes of the first `step` merges, the first `2 * step`, ….
    steps_sha256: Vec<String>,
    first: Vec<Merge>,
    last: Vec<Merge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
    sha256: String,
    tokens: usize,
    ids_sha256: String,
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash of merges, as the golden file has it: a line for each.
fn merges_sha256(merges: &[Merge]) -> String {
    let mut lines = String::new();
    for (left, right) in merges {
        writeln!(lines, "{left} {right}").unwrap();
    }
    sha256(lines.as_bytes())
}

fn ids_sha256(ids: &[u32]) -> String {
    sha256(&ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>())
}

fn merges_of(tokenizer: &Tokenizer) -> Vec<Merge> {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let json = std::fs::read_to_string(dir.path().join("tokenizer.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&json).unwrap();
    serde_json::from_value(file["model"]["merges"].take()).unwrap()
}

impl Corpus {
    /// The texts, or nothing where their folder is absent.
    fn read(&self) -> Option<Vec<String>> {
        let folder = self.files.first().unwrap().path.split('/').next().unwrap();
        let root = shared_data(folder)?.join("..");
        let read = |file: &File| {
            let text = std::fs::read_to_string(root.join(&file.path)).unwrap();
            let unchanged = sha256(text.as_bytes()) == file.sha256;
            assert!(unchanged, "{} is not what golden/merges.py read: run that again", file.path);
            text
        };
        Some(self.files.iter().map(read).collect())
    }

    /// What is different from the golden merges, as far as hashes tell.
    fn difference(&self, merges: &[Merge], step: usize) -> Option<String> {
        if merges.len() == self.merges && merges_sha256(merges) == self.merges_sha256 {
            return None;
        }
        let count = format!("{} merges, and {} were expected", merges.len(), self.merges);
        let shown = self.first.len().min(merges.len());
        let firsts = self.first.iter().zip(merges).position(|(expected, found)| expected != found);
        if let Some(at) = firsts {
            return Some(format!("{count}; merge {at} is {:?}, not {:?}", merges[at], self.first[at]));
        }
        let same = |(number, expected): (usize, &String)| {
            merges.get(..(number + 1) * step).is_some_and(|found| merges_sha256(found).starts_with(expected))
        };
        let equal = self.steps_sha256.iter().enumerate().take_while(|&step| same(step)).count() * step;
        let last = &merges[merges.len().saturating_sub(self.last.len())..];
        Some(format!(
            "{count}; the first {} are equal, the first other one is among the {step} after {equal}; the last are {last:?}, not {:?}",
            equal.max(shown),
            self.last,
        ))
    }

    /// Trains on the corpus and compares. Nothing when its folder is absent.
    fn check(&self, config: &ByteLevelConfig, step: usize) -> Option<Result<usize, String>> {
        let texts = self.read()?;
        let mut trainer = ByteLevelTrainer::new(config.clone()).unwrap();
        texts.iter().for_each(|text| trainer.feed(text));
        let tokenizer = trainer.finish().unwrap();
        let merges = merges_of(&tokenizer);
        if let Some(difference) = self.difference(&merges, step) {
            return Some(Err(difference));
        }
        for (file, text) in self.files.iter().zip(&texts) {
            let ids = tokenizer.encode_with_special(text);
            if ids.len() != file.tokens || ids_sha256(&ids) != file.ids_sha256 {
                let (found, expected) = (ids.len(), file.tokens);
                return Some(Err(format!("other ids: {} has {found}, {expected} were expected", file.path)));
            }
        }
        Some(Ok(merges.len()))
    }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/merges.json")).unwrap()
}

#[test]
fn training_on_every_corpus_gives_the_merges_of_hugging_face() {
    let golden = golden();
    let config = ByteLevelConfig {
        vocab_size: golden.vocab_size,
        special_tokens: golden.special_tokens.clone(),
        pattern: golden.pattern.clone(),
        ..ByteLevelConfig::default()
    };
    let (mut equal, mut merges, mut different) = (0, 0, Vec::new());
    for corpus in &golden.corpora {
        match corpus.check(&config, golden.step) {
            None => {}
            Some(Ok(compared)) => (equal, merges) = (equal + 1, merges + compared),
            Some(Err(difference)) => different.push(format!("{}: {difference}", corpus.name)),
        }
    }
    let (all, version) = (golden.corpora.len(), &golden.tokenizers);
    eprintln!("{equal} of {all} corpora give all {merges} merges of tokenizers {version}");
    assert!(different.is_empty(), "{} corpora differ:\n{}", different.len(), different.join("\n"));
}

#[test]
fn a_difference_is_found_and_named() {
    let merge = |number: usize| (format!("l{number}"), format!("r{number}"));
    let merges: Vec<Merge> = (0..10).map(merge).collect();
    let corpus = Corpus {
        name: "ten".into(),
        files: Vec::new(),
        merges: 10,
        merges_sha256: merges_sha256(&merges),
        steps_sha256: [4, 8].map(|end| merges_sha256(&merges[..end])[..16].to_owned()).into(),
        first: merges[..2].to_vec(),
        last: merges[8..].to_vec(),
    };
    let check = |changed: &[Merge], message: &str| {
        let found = corpus.difference(changed, 4).unwrap();
        assert!(found.contains(message), "{found:?} does not contain {message:?}");
    };
    assert_eq!(corpus.difference(&merges, 4), None);
    let swapped = |at: usize| {
        let mut merges = merges.clone();
        merges.swap(at, at + 1);
        merges
    };
    check(&swapped(0), r#"merge 0 is ("l1", "r1"), not ("l0", "r0")"#);
    check(&swapped(2), "the first 2 are equal, the first other one is among the 4 after 0");
    check(&swapped(5), "the first 4 are equal");
    check(&swapped(8), "the first 8 are equal");
    check(&merges[..9], "9 merges, and 10 were expected; the first 8 are equal");
    check(&merges[..1], "1 merges, and 10 were expected; the first 1 are equal");
}
