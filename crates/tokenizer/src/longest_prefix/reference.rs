//! The algorithm as it is written down, line by line. Slow: every merge segments all words anew.

use super::config::{Job, Tokens};
use crate::TokenizerError;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

pub(super) fn train(
    job: Job<'_>,
    tokens: &mut Tokens,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<(u32, u32)>, TokenizerError> {
    // V starts as the set of all characters in the training data.
    let mut vocabulary: FxHashMap<String, u32> =
        (0..).zip(&tokens.texts).skip(tokens.alphabet).map(|(id, text)| (text.clone(), id)).collect();
    let mut merges = Vec::new();
    // For i = 1 … k:
    while merges.len() < job.merges {
        // Segment every word; count adjacent token pairs over the whole data.
        let mut counts: FxHashMap<(u32, u32), u64> = FxHashMap::default();
        for (word, count) in job.words {
            let segmented = segment(word, &vocabulary);
            for pair in segmented.windows(2) {
                *counts.entry((pair[0], pair[1])).or_default() += count;
            }
        }
        // Choose the most frequent pair ⟨l, r⟩.
        let text = |(left, right): (u32, u32)| {
            [tokens.texts[left as usize].as_str(), tokens.texts[right as usize].as_str()].concat()
        };
        let may_be_merged = |&(pair, count): &((u32, u32), u64)| {
            let text = text(pair);
            count >= job.min_frequency
                && text.chars().count() <= job.max_token_length
                && !tokens.reserved.contains(&text)
        };
        let pairs = counts.into_iter().filter(may_be_merged);
        let Some((pair, _)) = pairs.max_by_key(|&(pair, count)| (count, Reverse(pair))) else { break };
        // Add the string lr to V.
        let text = text(pair);
        let id = tokens.texts.len() as u32;
        let known = vocabulary.insert(text.clone(), id);
        assert!(known.is_none(), "the longest prefix would have been {text:?}, not its parts");
        tokens.texts.push(text);
        merges.push(pair);
        progress(merges.len());
    }
    Ok(merges)
}

/// Takes, again and again, the longest prefix that is a token. Every character is one.
fn segment(word: &str, vocabulary: &FxHashMap<String, u32>) -> Vec<u32> {
    let mut segmented = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        let ends = rest.char_indices().map(|(start, char)| start + char.len_utf8()).rev();
        let longest = ends.into_iter().find_map(|end| Some((vocabulary.get(&rest[..end])?, end)));
        let (&token, end) = longest.expect("every character is a token");
        segmented.push(token);
        rest = &rest[end..];
    }
    segmented
}
