//! Pre-tokenization: how a text is cut into the pieces that no token crosses.
//!
//! A pattern says what a piece is; a [`Splitter`] applies one or several in turn. Every byte of the text is in
//! exactly one piece, in order. This module knows nothing of tokens or vocabularies.

mod classes;
mod scan;
#[cfg(test)]
mod tests;

use crate::TokenizerError;
use crate::normalization::Normalization;
use classes::{Class, Classes};
use fancy_regex::{Regex, RegexBuilder};
use scan::Scanner;
use serde::{Deserialize, Serialize};
use std::ops::Range;

pub(crate) const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
pub(crate) const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(crate) const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Every digit on its own: `Digits` of Hugging Face.
pub(crate) const DIGIT: &str = r"\p{N}";
/// Runs of digits on their own.
pub(crate) const DIGITS: &str = r"\p{N}+";

/// Other spellings of the known patterns found in published files; each matches exactly the same pieces.
const ALIASES: [(&str, Pattern); 2] = [
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Pattern::Gpt2),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        Pattern::Cl100k,
    ),
];

/// What a piece is. Tokens never cross the border of a piece.
///
/// ```
/// use firebrand_tokenizer::{ByteLevelConfig, Pattern, Tokenizer};
///
/// // Every vowel is a piece of its own, and so is what lies between two.
/// let pattern = Pattern::Custom("[aeiou]".into());
/// let tokenizer =
///     Tokenizer::train_byte_level(["beat beat"], &ByteLevelConfig { pattern, ..ByteLevelConfig::default() })?;
/// let tokens: Vec<_> = tokenizer.encode("beat beat").iter().filter_map(|&id| tokenizer.id_to_token(id)).collect();
/// assert_eq!(tokens, ["b", "e", "a", "tĠb", "e", "a", "t"]);
/// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// GPT-2's: words and numbers with the space before them, runs of symbols, English contractions.
    #[default]
    Gpt2,
    /// GPT-4's and Llama 3's: numbers in groups of three digits, line breaks apart, contractions in any case.
    Cl100k,
    /// GPT-4o's: as `Cl100k`, with words cut where an upper-case letter follows a lower-case one.
    O200k,
    /// The whole text is one piece.
    None,
    /// A regular expression with look-around (the syntax of `fancy-regex`): each match is a piece, and so is
    /// what lies between two matches.
    Custom(String),
}

impl Pattern {
    /// The pattern that a regular expression spells: a known one where it is one.
    pub(crate) fn from_expression(expression: &str) -> Self {
        [(GPT2, Pattern::Gpt2), (CL100K, Pattern::Cl100k), (O200K, Pattern::O200k)]
            .into_iter()
            .chain(ALIASES)
            .find(|(known, _)| *known == expression)
            .map_or_else(|| Pattern::Custom(expression.to_owned()), |(_, pattern)| pattern)
    }

    /// The regular expression of a pattern; [`Pattern::None`] has none.
    pub(crate) fn expression(&self) -> Option<&str> {
        match self {
            Pattern::Gpt2 => Some(GPT2),
            Pattern::Cl100k => Some(CL100K),
            Pattern::O200k => Some(O200K),
            Pattern::None => None,
            Pattern::Custom(expression) => Some(expression),
        }
    }
}

/// Cuts texts into pieces by patterns in turn: the second cuts the pieces of the first, and so on.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    stages: Vec<Stage>,
}

#[derive(Clone, Debug)]
struct Stage {
    pattern: Pattern,
    /// The compiled expression; only of [`Pattern::Custom`], and not of [`DIGIT`].
    expression: Option<Regex>,
}

impl Splitter {
    /// # Errors
    /// When a custom pattern is not a regular expression.
    pub(crate) fn new(patterns: impl IntoIterator<Item = Pattern>) -> Result<Self, TokenizerError> {
        let stages = patterns
            .into_iter()
            .filter(|pattern| *pattern != Pattern::None)
            .map(|pattern| Ok(Stage { expression: compile(&pattern)?, pattern }))
            .collect::<Result<_, TokenizerError>>()?;
        Ok(Self { stages })
    }

    /// The patterns in the order they are applied, none for whole texts.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.stages.iter().map(|stage| &stage.pattern)
    }

    /// Whether [`last_cut`] finds places that are always between two pieces. The first pattern that cuts words from words
    /// decides; patterns before it may only take digits out.
    pub(crate) fn cuts_between_words(&self) -> bool {
        let digits = |pattern: &Pattern| matches!(pattern, Pattern::Custom(expression) if expression == DIGIT || expression == DIGITS);
        let first = self.patterns().find(|pattern| !digits(pattern));
        matches!(first, Some(Pattern::Gpt2 | Pattern::Cl100k | Pattern::O200k))
    }

    /// Calls `each` with the places of all pieces of `text`, in order. No piece is empty; together they are the text.
    #[inline]
    pub(crate) fn for_each_piece(&self, text: &str, mut each: impl FnMut(Range<usize>)) {
        match &self.stages[..] {
            // The usual case, without a call through a pointer for each piece.
            [Stage { pattern: Pattern::Gpt2, .. }] => scan(text, scan::gpt2, each),
            [Stage { pattern: Pattern::Cl100k, .. }] => scan(text, scan::cl100k, each),
            [Stage { pattern: Pattern::O200k, .. }] => scan(text, scan::o200k, each),
            stages => apply(stages, text, 0, &mut each),
        }
    }
}

/// Whether a cut between two neighbouring characters is one between two pieces, whatever stands around them, in each of
/// the known patterns: behind a letter or number and before something that is neither, goes on with neither (a mark), nor
/// begins a contraction. There a run of letters or numbers ends; what follows does not look back, and what is before
/// sees the end of its run just as it would see the end of the text.
fn parts_pieces(classes: Classes, before: char, after: char) -> bool {
    let is_word = |class: Class| class.is_letter() || class == Class::Number;
    is_word(classes.of(before)) && matches!(classes.of(after), Class::Space | Class::Other) && after != '\''
}

/// Whether [`parts_pieces`] says so of some place inside a text.
pub(crate) fn has_cut(text: &str) -> bool {
    let classes = Classes::new();
    text.chars().zip(text.chars().skip(1)).any(|(before, after)| parts_pieces(classes, before, after))
}

/// The last place in a text where [`parts_pieces`] says so, also of the text normalized.
pub(crate) fn last_cut(text: &str, normalization: Normalization) -> Option<usize> {
    let classes = Classes::new();
    let mut after = None;
    for (at, char) in text.char_indices().rev() {
        if let Some((cut, after)) = after
            && parts_pieces(classes, char, after)
            && normalization.keeps(char)
            && normalization.keeps(after)
        {
            return Some(cut);
        }
        after = Some((at, char));
    }
    None
}

fn compile(pattern: &Pattern) -> Result<Option<Regex>, TokenizerError> {
    let Pattern::Custom(expression) = pattern else { return Ok(None) };
    if expression == DIGIT {
        return Ok(None);
    }
    // Without a limit on backtracking a match cannot fail half-way through a text.
    let built = RegexBuilder::new(expression).backtrack_limit(usize::MAX).build();
    built
        .map(Some)
        .map_err(|error| TokenizerError::Pattern { pattern: expression.clone(), message: error.to_string() })
}

/// Cuts a text that begins at the byte `offset` of a longer one.
fn apply(stages: &[Stage], text: &str, offset: usize, each: &mut dyn FnMut(Range<usize>)) {
    match stages {
        [] if text.is_empty() => {}
        [] => each(offset..offset + text.len()),
        [first, rest @ ..] => {
            first.split(text, &mut |piece| apply(rest, &text[piece.clone()], offset + piece.start, each));
        }
    }
}

impl Stage {
    fn split(&self, text: &str, each: &mut dyn FnMut(Range<usize>)) {
        match (&self.pattern, &self.expression) {
            (Pattern::Gpt2, _) => scan(text, scan::gpt2, each),
            (Pattern::Cl100k, _) => scan(text, scan::cl100k, each),
            (Pattern::O200k, _) => scan(text, scan::o200k, each),
            (Pattern::Custom(_), Some(expression)) => matches_and_gaps(text, expression, each),
            (Pattern::Custom(_), None) => single_digits(text, each),
            (Pattern::None, _) => apply(&[], text, 0, each),
        }
    }
}

#[inline]
fn scan<'t>(
    text: &'t str,
    end_of: impl Fn(&Scanner<'t>, usize) -> usize,
    mut each: impl FnMut(Range<usize>),
) {
    let scanner = &Scanner::new(text);
    let mut start = 0;
    while start < text.len() {
        let end = end_of(scanner, start);
        debug_assert!(end > start, "an empty piece at byte {start}");
        each(start..end);
        start = end;
    }
}

/// [`DIGIT`]: each number by itself, and what lies between two.
fn single_digits(text: &str, each: &mut dyn FnMut(Range<usize>)) {
    let (classes, mut done) = (Classes::new(), 0);
    for (at, char) in text.char_indices().filter(|&(_, char)| classes.of(char) == Class::Number) {
        for range in [done..at, at..at + char.len_utf8()] {
            if !range.is_empty() {
                each(range);
            }
        }
        done = at + char.len_utf8();
    }
    if done < text.len() {
        each(done..text.len());
    }
}

fn matches_and_gaps(text: &str, expression: &Regex, each: &mut dyn FnMut(Range<usize>)) {
    let mut done = 0;
    // Matching fails only when the expression exhausts memory at some place: the rest is then one piece, which
    // still encodes and decodes exactly.
    for found in expression.find_iter(text).map_while(Result::ok) {
        for range in [done..found.start(), found.start()..found.end()] {
            if !range.is_empty() {
                each(range);
            }
        }
        done = found.end();
    }
    if done < text.len() {
        each(done..text.len());
    }
}
