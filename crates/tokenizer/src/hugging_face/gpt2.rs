//! GPT-2's own pair of files: a vocabulary as JSON, and merges as lines under a `#version` line.

use super::byte_level::{Files, Places, byte_level_parts};
use super::read::{Source, read_vocab, split_merge};
use super::unique::Unique;
use crate::added::AddedToken;
use crate::pattern::Splitter;
use crate::{END_OF_TEXT, Pattern, Tokenizer, TokenizerError, files};
use std::path::Path;

pub(crate) fn load_gpt2(vocabulary: &Path, merges: &Path) -> Result<Tokenizer, TokenizerError> {
    let Unique(vocab) = Source(vocabulary).json()?;
    let entries = read_vocab(&vocab, Source(vocabulary), "vocabulary")?;
    let source = Source(merges);
    let (mut pairs, mut lines) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(files::read(merges)?.lines()) {
        if (number == 1 && line.starts_with("#version")) || line.is_empty() {
            continue;
        }
        let bad = || source.malformed(format!("line {number}"), format!("{line:?} is not a pair of tokens"));
        let (left, right) = split_merge(line).ok_or_else(bad)?;
        pairs.push((left.to_owned(), right.to_owned()));
        lines.push(number);
    }
    let end_of_text = entries.iter().find(|(text, _)| text == END_OF_TEXT);
    let special = |(text, id): &(String, u32)| AddedToken {
        text: text.clone(),
        id: *id,
        special: true,
        normalized: false,
    };
    let added = end_of_text.map(special).into_iter().collect();
    let splitter = Splitter::new([Pattern::Gpt2])?;
    let files = Files {
        vocabulary: (Source(vocabulary), "vocabulary"),
        merges_in: (source, Places::Lines(lines)),
        entries,
        merges: pairs,
        added,
        splitter,
        ignore_merges: false,
    };
    let parts = byte_level_parts(files)?;
    Ok(Tokenizer::from_parts(parts))
}
