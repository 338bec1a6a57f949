//! Added tokens: texts that become one id before anything else looks at them, special tokens among them.
//!
//! This module finds them in a text and normalizes the text between them; it knows nothing of what happens to that then.

use crate::{Normalization, TokenizerError};
use aho_corasick::{AhoCorasick, MatchKind};
use rustc_hash::FxHashSet;
use std::ops::Range;

/// What Hugging Face calls an added token.
#[derive(Clone, Debug)]
pub(crate) struct AddedToken {
    pub(crate) text: String,
    pub(crate) id: u32,
    /// Special tokens steer a model and must not come from a document.
    pub(crate) special: bool,
    /// Hugging Face looks for normalized tokens after the others, in what these left over.
    pub(crate) normalized: bool,
}

/// All added tokens of a tokenizer, ready to be found.
#[derive(Debug)]
pub(crate) struct AddedTokens {
    tokens: Vec<AddedToken>,
    special: Vec<(String, u32)>,
    special_ids: FxHashSet<u32>,
    normalization: Normalization,
    /// Find every added token.
    all: Finders,
    /// Find those that a document may spell.
    ordinary: Finders,
}

#[derive(Debug)]
struct Finders {
    /// Of tokens as they are spelled.
    raw: Option<Finder>,
    /// Of tokens in normalized text.
    normalized: Option<Finder>,
}

/// A part of a text.
pub(crate) enum Part<'t> {
    /// Text between added tokens, not empty.
    Text(&'t str),
    /// An added token.
    Token(u32),
}

#[derive(Debug)]
struct Finder {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl AddedTokens {
    /// # Errors
    /// When there are too many tokens to search for (more than some gigabytes of them).
    pub(crate) fn new(tokens: Vec<AddedToken>) -> Result<Self, TokenizerError> {
        Self::build(tokens, Normalization::None)
    }

    /// The same in texts that are normalized.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn with_normalization(self, normalization: Normalization) -> Result<Self, TokenizerError> {
        if self.normalization == normalization { Ok(self) } else { Self::build(self.tokens, normalization) }
    }

    fn build(tokens: Vec<AddedToken>, normalization: Normalization) -> Result<Self, TokenizerError> {
        let special: Vec<_> =
            tokens.iter().filter(|token| token.special).map(|token| (token.text.clone(), token.id)).collect();
        let finder = |normalized, with_special| {
            let wanted =
                |token: &&AddedToken| token.normalized == normalized && (with_special || !token.special);
            let normalization = if normalized { normalization } else { Normalization::None };
            Finder::new(tokens.iter().filter(wanted), normalization)
        };
        let finders = |with_special| {
            Ok(Finders { raw: finder(false, with_special)?, normalized: finder(true, with_special)? })
        };
        let (all, ordinary) = (finders(true)?, finders(false)?);
        let special_ids = special.iter().map(|(_, id)| *id).collect();
        Ok(Self { all, ordinary, special, special_ids, normalization, tokens })
    }

    pub(crate) fn normalization(&self) -> Normalization {
        self.normalization
    }

    pub(crate) fn tokens(&self) -> &[AddedToken] {
        &self.tokens
    }

    /// Those that a document may spell.
    pub(crate) fn ordinary(&self) -> impl Iterator<Item = &AddedToken> {
        self.tokens.iter().filter(|token| !token.special)
    }

    pub(crate) fn special(&self) -> &[(String, u32)] {
        &self.special
    }

    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.special_ids.contains(&id)
    }

    /// Cuts a text at added tokens, at the special ones only `with_special`, and normalizes what is between.
    pub(crate) fn for_each_part(&self, text: &str, with_special: bool, mut each: impl FnMut(Part<'_>)) {
        self.for_each_raw_part(text, with_special, |part, _| match part {
            Part::Token(id) => each(Part::Token(id)),
            Part::Text(text) => {
                let text = self.normalization.apply(text);
                self.for_each_normalized_part(&text, with_special, |part, _| each(part));
            }
        });
    }

    /// Cuts a normalized text at those added tokens that are looked for in such, and says where each part stands.
    pub(crate) fn for_each_normalized_part(
        &self,
        text: &str,
        with_special: bool,
        mut each: impl FnMut(Part<'_>, Range<usize>),
    ) {
        let finders = if with_special { &self.all } else { &self.ordinary };
        find(finders.normalized.as_ref(), text, &mut each);
    }

    /// Cuts a text at those added tokens that are spelled as they are, and says where each part stands.
    pub(crate) fn for_each_raw_part(
        &self,
        text: &str,
        with_special: bool,
        mut each: impl FnMut(Part<'_>, Range<usize>),
    ) {
        let finders = if with_special { &self.all } else { &self.ordinary };
        find(finders.raw.as_ref(), text, &mut each);
    }
}

impl Finder {
    fn new<'a>(
        tokens: impl Iterator<Item = &'a AddedToken>,
        normalization: Normalization,
    ) -> Result<Option<Self>, TokenizerError> {
        let tokens: Vec<&AddedToken> = tokens.collect();
        let Some(first) = tokens.first() else { return Ok(None) };
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|token| normalization.apply(&token.text).into_owned()))
            .map_err(|_| TokenizerError::SpecialToken {
                token: first.text.clone(),
                reason: "and the other added tokens are too long to be searched for: make them shorter",
            })?;
        Ok(Some(Self { automaton, ids: tokens.iter().map(|token| token.id).collect() }))
    }
}

fn find(finder: Option<&Finder>, text: &str, each: &mut dyn FnMut(Part<'_>, Range<usize>)) {
    let mut done = 0;
    if let Some(finder) = finder {
        for found in finder.automaton.find_iter(text) {
            if done < found.start() {
                each(Part::Text(&text[done..found.start()]), done..found.start());
            }
            each(Part::Token(finder.ids[found.pattern().as_usize()]), found.range());
            done = found.end();
        }
    }
    if done < text.len() {
        each(Part::Text(&text[done..]), done..text.len());
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn parts(tokens: &[(&str, bool, bool)], text: &str, with_special: bool) -> String {
        let tokens = (0..).zip(tokens).map(|(id, &(text, special, normalized))| AddedToken {
            text: text.into(),
            id,
            special,
            normalized,
        });
        let mut shown = String::new();
        AddedTokens::build(tokens.collect(), Normalization::Nfc).unwrap().for_each_part(
            text,
            with_special,
            |part| match part {
                Part::Text(text) => shown.push_str(&format!("({text})")),
                Part::Token(id) => shown.push_str(&format!("[{id}]")),
            },
        );
        shown
    }

    #[test]
    fn the_leftmost_longest_token_is_found() {
        assert_eq!(parts(&[("ab", true, false), ("abc", true, false)], "xabcab", true), "(x)[1][0]");
    }

    #[test]
    fn a_document_spells_ordinary_tokens_only() {
        let tokens = [("<e>", true, false), ("  ", false, false)];
        assert_eq!(parts(&tokens, "a  <e>", false), "(a)[1](<e>)");
        assert_eq!(parts(&tokens, "a  <e>", true), "(a)[1][0]");
    }

    #[test]
    fn normalized_tokens_come_second() {
        assert_eq!(parts(&[("ab", false, true), ("bc", false, false)], "abcab", true), "(a)[1][0]");
        assert_eq!(parts(&[("é", false, true)], "xe\u{301}é", true), "(x)[0][0]");
        assert_eq!(parts(&[("é", false, false)], "xe\u{301}é", true), "(xé)[0]");
        assert_eq!(parts(&[], "abc", true), "(abc)");
        assert_eq!(parts(&[], "", true), "");
    }
}
