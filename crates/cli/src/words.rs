//! Words and tokens: which token stands for a word that has a tag.

use std::ops::Range;

/// The token that each word begins with: the one that has the word's first byte. `None` where no token does. Words and
/// tokens are ranges of bytes of one text, in its order.
pub(crate) fn first_tokens(words: &[Range<usize>], tokens: &[Range<usize>]) -> Vec<Option<usize>> {
    let first = |word: &Range<usize>| {
        let after = tokens.partition_point(|token| token.end <= word.start);
        tokens.get(after).is_some_and(|token| token.start <= word.start).then_some(after)
    };
    words.iter().map(first).collect()
}

/// Cuts words into runs of consecutive ones whose tokens are at most `longest`: of a text that is too long, every word is in
/// one of them. A word of more tokens is alone in its run. Each run as the words and the tokens it has.
pub(crate) fn runs(
    words: &[Range<usize>],
    tokens: &[Range<usize>],
    longest: usize,
) -> Vec<(Range<usize>, Range<usize>)> {
    // The first token of each word; of one without a token, that of the next.
    let starts: Vec<usize> =
        words.iter().map(|word| tokens.partition_point(|token| token.end <= word.start)).collect();
    let mut runs = Vec::new();
    let mut first = 0;
    while first < words.len() {
        // What stands before the first word belongs to it.
        let from = if first == 0 { 0 } else { starts[first] };
        let end_of = |word: usize| starts.get(word + 1).copied().unwrap_or(tokens.len());
        let fits = (first + 1..words.len()).take_while(|&word| end_of(word) - from <= longest).count();
        let last = first + fits;
        runs.push((first..last + 1, from..end_of(last).min(from + longest)));
        first = last + 1;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_at_the_token_that_has_its_first_byte() {
        // "in New York": tokens "in", " N", "ew", " Yo", "rk"
        let (words, tokens) = ([0..2, 3..6, 7..11], [0..2, 2..4, 4..6, 6..9, 9..11]);
        assert_eq!(first_tokens(&words, &tokens), [Some(0), Some(1), Some(3)]);
        // One token for two words, and a text that was cut.
        assert_eq!(first_tokens(&words, &[0..2, 2..11]), [Some(0), Some(1), Some(1)]);
        assert_eq!(first_tokens(&words, &[0..2, 2..4]), [Some(0), Some(1), None]);
        assert_eq!(first_tokens(&words, &[]), [None, None, None]);
    }

    #[test]
    fn every_word_is_in_one_run_and_none_is_too_long() {
        let words: Vec<Range<usize>> = (0..7).map(|word| word * 4..word * 4 + 3).collect();
        // Two tokens a word: its first byte with the space before it, and the rest.
        let tokens: Vec<Range<usize>> = words
            .iter()
            .flat_map(|word| [word.start.saturating_sub(1)..word.start + 1, word.start + 1..word.end])
            .collect();
        assert_eq!(runs(&words, &tokens, 5), [(0..2, 0..4), (2..4, 4..8), (4..6, 8..12), (6..7, 12..14)]);
        assert_eq!(runs(&words, &tokens, 99), [(0..7, 0..14)]);
        let narrow = runs(&words, &tokens, 1);
        assert_eq!(narrow.len(), 7);
        assert_eq!(narrow[3], (3..4, 6..7), "a word of two tokens is cut where only one has room");
        assert!(runs(&[], &[], 5).is_empty());
    }
}
