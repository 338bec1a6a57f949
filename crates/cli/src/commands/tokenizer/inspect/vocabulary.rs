//! Figures of a vocabulary: its tokens by length and by script, and which of them texts became.
//!
//! Special tokens are left out: they stand for no text. Knows no texts, only how often each token was used.

use super::scripts;
use firebrand_tokenizer::{TokenTable, Tokenizer};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How many of the most and the least used tokens are told.
const TOP: usize = 10;

/// The longest token of each row of the compact histogram; the last row has no end.
const ROWS: [usize; 9] = [1, 2, 3, 4, 6, 8, 12, 16, usize::MAX];

/// The tokens that text can become.
#[derive(Debug)]
pub(super) struct Vocabulary {
    table: TokenTable,
    /// Their ids.
    ordinary: Vec<u32>,
    /// How many tokens are so many bytes long.
    by_bytes: BTreeMap<usize, u64>,
    /// How many are of each script, most first; those that are no valid UTF-8 left out.
    pub(super) by_script: Vec<(&'static str, u64)>,
    /// How many begin with white space, and so a word.
    pub(super) word_initial: u64,
    /// How many are no valid UTF-8 on their own.
    pub(super) not_utf8: u64,
}

impl Vocabulary {
    pub(super) fn new(tokenizer: &Tokenizer) -> Self {
        let table = tokenizer.token_table();
        let ids = 0..table.len() as u32;
        let ordinary: Vec<u32> =
            ids.filter(|&id| !table.is_special(id) && tokenizer.id_to_token(id).is_some()).collect();
        let (mut by_bytes, mut by_script) = (BTreeMap::new(), BTreeMap::new());
        for &id in &ordinary {
            *by_bytes.entry(table.byte_len(id)).or_insert(0) += 1;
            if let Ok(text) = str::from_utf8(table.bytes(id)) {
                *by_script.entry(scripts::name_of(text)).or_insert(0) += 1;
            }
        }
        let valid: u64 = by_script.values().sum();
        let mut by_script: Vec<_> = by_script.into_iter().collect();
        by_script.sort_by_key(|&(_, tokens)| Reverse(tokens));
        Self {
            word_initial: ordinary.iter().filter(|&&id| table.starts_word(id)).count() as u64,
            not_utf8: ordinary.len() as u64 - valid,
            by_bytes,
            by_script,
            table,
            ordinary,
        }
    }

    pub(super) fn table(&self) -> &TokenTable {
        &self.table
    }

    /// A token for people: its text, or its bytes where they are no text. As it is spelled in `tokenizer.json`, a token of
    /// a byte-level vocabulary can be read in ASCII only.
    pub(super) fn readable(&self, id: u32) -> String {
        let mut readable = String::new();
        for chunk in self.table.bytes(id).utf8_chunks() {
            if !chunk.valid().is_empty() {
                readable += &format!("{:?}", chunk.valid());
            }
            chunk.invalid().iter().for_each(|byte| readable += &format!("<0x{byte:02X}>"));
        }
        readable
    }

    pub(super) fn share(&self, tokens: u64) -> f64 {
        tokens as f64 / self.ordinary.len().max(1) as f64
    }

    pub(super) fn mean_bytes(&self) -> f64 {
        let bytes: u64 = self.by_bytes.iter().map(|(&bytes, &tokens)| bytes as u64 * tokens).sum();
        self.share(bytes)
    }

    pub(super) fn longest_bytes(&self) -> usize {
        self.by_bytes.keys().next_back().copied().unwrap_or(0)
    }

    /// Numbers of tokens by length, the lengths in a few groups.
    pub(super) fn histogram(&self) -> Vec<(String, u64)> {
        let mut shortest = 0;
        let row = |longest: usize| {
            let tokens = self.by_bytes.range(shortest..=longest).map(|(_, tokens)| tokens).sum();
            let name = match longest {
                usize::MAX => format!("{shortest}+"),
                // A token without bytes would be odd, but must not be missing from the sum.
                _ if shortest >= longest || longest == 1 => longest.to_string(),
                _ => format!("{shortest}–{longest}"),
            };
            shortest = longest.saturating_add(1);
            (name, tokens)
        };
        ROWS.into_iter().map(row).collect()
    }

    pub(super) fn json(&self) -> Value {
        let by_script: serde_json::Map<_, _> =
            self.by_script.iter().map(|&(name, tokens)| (name.to_owned(), tokens.into())).collect();
        json!({
            "by_bytes": self.by_bytes, "by_script": by_script,
            "word_initial": self.word_initial, "not_utf8": self.not_utf8,
        })
    }
}

/// How often texts became each token.
#[derive(Debug)]
pub(super) struct Usage {
    /// The share of ordinary tokens that no text became.
    pub(super) unused: f64,
    /// Ids and how often, most first; of equals those with the lowest ids.
    pub(super) most: Vec<(u32, u64)>,
    /// Of those that were used at all, least first; of equals those with the highest ids, the last to be learned.
    pub(super) least: Vec<(u32, u64)>,
}

impl Usage {
    /// From how often each id was used.
    pub(super) fn new(vocabulary: &Vocabulary, used: &[u64]) -> Self {
        let mut found: Vec<(u32, u64)> =
            vocabulary.ordinary.iter().map(|&id| (id, used[id as usize])).collect();
        found.retain(|&(_, times)| times > 0);
        found.sort_by_key(|&(id, times)| (Reverse(times), id));
        let unused = vocabulary.ordinary.len() - found.len();
        let least = found.iter().rev().take(TOP).copied().collect();
        let unused = vocabulary.share(unused as u64);
        found.truncate(TOP);
        Self { unused, most: found, least }
    }
}
