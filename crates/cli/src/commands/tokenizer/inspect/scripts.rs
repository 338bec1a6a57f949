//! Text by Unicode script: which characters, words and tokens belong to which.
//!
//! - A character belongs to its script; a combining mark without one of its own (`Inherited`) to that of the character
//!   before it, as Unicode's annex 24 says.
//! - A word, which is what white space separates, and a token belong to the script of their first character that has one;
//!   to `Common` if none has: spaces, digits, punctuation, emoji. A token that begins or ends inside a character overlaps
//!   it, so the parts of a split character belong to its script.
//! - A character is counted as text of the token that holds its last byte.
//!
//! So bytes and characters a token are means over the tokens of a script, the spaces they begin with included, and tokens
//! a word are the tokens of a script over the words of that script.
//!
//! Knows nothing of tokenizers: tokens are ranges of bytes.

use std::ops::Range;
use unicode_script::{Script, UnicodeScript};

/// What belongs to one script.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ScriptCount {
    pub(super) characters: u64,
    pub(super) words: u64,
    pub(super) tokens: u64,
    /// Bytes that its tokens stand for.
    pub(super) token_bytes: u64,
    /// Characters that end in its tokens.
    pub(super) token_characters: u64,
}

impl ScriptCount {
    pub(super) fn bytes_per_token(&self) -> f64 {
        self.token_bytes as f64 / self.tokens.max(1) as f64
    }

    pub(super) fn characters_per_token(&self) -> f64 {
        self.token_characters as f64 / self.tokens.max(1) as f64
    }

    /// The fertility; none where a text has no word of the script, though parts of words.
    pub(super) fn tokens_per_word(&self) -> Option<f64> {
        (self.words > 0).then(|| self.tokens as f64 / self.words as f64)
    }
}

/// Counts by script over texts that come in parts.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    /// A few at most: looking through them is faster than hashing.
    rows: Vec<(Script, ScriptCount)>,
    /// That of the character before.
    before: Option<Script>,
    /// That of the word that has begun: a part may end within one.
    word: Option<Script>,
    words: u64,
}

impl Scripts {
    /// Counts the next part of a text and its tokens, whose ranges cover it in order.
    pub(super) fn add(&mut self, text: &str, tokens: &[Range<usize>]) {
        text.chars().for_each(|character| self.character(character));
        for range in tokens {
            let start = text.floor_char_boundary(range.start);
            let overlapped = &text[start..text.ceil_char_boundary(range.end)];
            let ending = &text[start..text.floor_char_boundary(range.end).max(start)];
            let row = self.row(script_of(overlapped));
            row.tokens += 1;
            row.token_bytes += range.len() as u64;
            row.token_characters += ending.chars().count() as u64;
        }
    }

    /// A document has ended, and a word with it.
    pub(super) fn end_document(&mut self) {
        self.end_word();
        self.before = None;
    }

    /// Words that have ended so far.
    pub(super) fn words(&self) -> u64 {
        self.words
    }

    /// The scripts by name with what belongs to each, those with most characters first, `Common` last.
    pub(super) fn finish(mut self) -> Vec<(&'static str, ScriptCount)> {
        self.end_document();
        self.rows.sort_by_key(|(script, count)| (is_common(*script), u64::MAX - count.characters));
        self.rows.into_iter().map(|(script, count)| (script.full_name(), count)).collect()
    }

    fn character(&mut self, character: char) {
        let script = match (script(character), self.before) {
            (Script::Inherited, Some(before)) => before,
            (Script::Inherited, None) => Script::Common,
            (script, _) => script,
        };
        self.before = Some(script);
        self.row(script).characters += 1;
        match self.word {
            _ if character.is_whitespace() => self.end_word(),
            Some(word) if !is_common(word) => {}
            _ => self.word = Some(script),
        }
    }

    fn end_word(&mut self) {
        if let Some(script) = self.word.take() {
            self.row(script).words += 1;
            self.words += 1;
        }
    }

    fn row(&mut self, script: Script) -> &mut ScriptCount {
        let at = self.rows.iter().position(|(of, _)| *of == script).unwrap_or_else(|| {
            self.rows.push((script, ScriptCount::default()));
            self.rows.len() - 1
        });
        &mut self.rows[at].1
    }
}

/// The name of the script that a text belongs to.
pub(super) fn name_of(text: &str) -> &'static str {
    script_of(text).full_name()
}

/// Whether a script is the one of what has none.
pub(super) fn is_common_name(name: &str) -> bool {
    name == Script::Common.full_name()
}

fn script_of(text: &str) -> Script {
    text.chars().map(script).find(|script| !is_common(*script)).unwrap_or(Script::Common)
}

fn is_common(script: Script) -> bool {
    matches!(script, Script::Common | Script::Inherited)
}

/// Most text needs no look into the table.
fn script(character: char) -> Script {
    match character {
        'a'..='z' | 'A'..='Z' => Script::Latin,
        '\0'..='\x7F' => Script::Common,
        _ => character.script(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[(&str, &[usize])], expected: &[(&str, [u64; 5])]) {
        let mut scripts = Scripts::default();
        for (text, ends) in texts {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let ranges: Vec<_> = starts.zip(ends.iter().copied()).map(|(start, end)| start..end).collect();
            scripts.add(text, &ranges);
        }
        let found: Vec<_> = scripts
            .finish()
            .into_iter()
            .map(|(name, count)| {
                let ScriptCount { characters, words, tokens, token_bytes, token_characters } = count;
                (name, [characters, words, tokens, token_bytes, token_characters])
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_token_and_a_word_belong_to_their_first_letter() {
        // `1st`, ` 2`, ` д`, `a`: the word `дa` is Cyrillic for its first letter, its second token Latin.
        check(
            &[("1st 2 дa", &[3, 5, 8, 9])],
            &[("Latin", [3, 1, 2, 4, 4]), ("Cyrillic", [1, 1, 1, 3, 2]), ("Common", [4, 1, 1, 2, 2])],
        );
    }

    #[test]
    fn the_parts_of_a_split_character_belong_to_its_script() {
        check(&[("日", &[1, 2, 3])], &[("Han", [1, 1, 3, 3, 1])]);
        // A space and the first two bytes.
        check(&[(" 日", &[3, 4])], &[("Han", [1, 1, 2, 4, 2]), ("Common", [1, 0, 0, 0, 0])]);
    }

    #[test]
    fn a_combining_mark_belongs_to_what_is_before_it() {
        check(&[("e\u{301}", &[1, 3])], &[("Latin", [2, 1, 1, 1, 1]), ("Common", [0, 0, 1, 2, 1])]);
    }

    #[test]
    fn a_word_may_go_on_in_the_next_part() {
        check(
            &[("on", &[2]), ("e two", &[1, 5])],
            &[("Latin", [6, 2, 3, 7, 7]), ("Common", [1, 0, 0, 0, 0])],
        );
    }
}
