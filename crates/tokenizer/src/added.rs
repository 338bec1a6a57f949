//! Added tokens: texts that become one id before anything else looks at them, special tokens among them.
//!
//! This module finds them in a text; it knows nothing of what happens to the text between them.

use crate::TokenizerError;
use aho_corasick::{AhoCorasick, MatchKind};
use rustc_hash::FxHashSet;

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
    /// Find every added token.
    all: Vec<Finder>,
    /// Find those that a document may spell.
    ordinary: Vec<Finder>,
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
        let special: Vec<_> =
            tokens.iter().filter(|token| token.special).map(|token| (token.text.clone(), token.id)).collect();
        let finders = |wanted: &dyn Fn(&AddedToken) -> bool| {
            [false, true]
                .into_iter()
                .map(|normalized| {
                    tokens
                        .iter()
                        .filter(|token| token.normalized == normalized && wanted(token))
                        .collect::<Vec<_>>()
                })
                .filter(|group| !group.is_empty())
                .map(|group| Finder::new(&group))
                .collect::<Result<Vec<_>, _>>()
        };
        let all = finders(&|_| true)?;
        let ordinary = finders(&|token| !token.special)?;
        let special_ids = special.iter().map(|(_, id)| *id).collect();
        Ok(Self { all, ordinary, special, special_ids, tokens })
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

    /// Cuts a text at added tokens; at the special ones only `with_special`.
    pub(crate) fn for_each_part<'t>(
        &self,
        text: &'t str,
        with_special: bool,
        mut each: impl FnMut(Part<'t>),
    ) {
        apply(if with_special { &self.all } else { &self.ordinary }, text, &mut each);
    }
}

impl Finder {
    fn new(tokens: &[&AddedToken]) -> Result<Self, TokenizerError> {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|token| &token.text))
            .map_err(|_| TokenizerError::SpecialToken {
                token: tokens.first().map_or_else(String::new, |token| token.text.clone()),
                reason: "and the other added tokens are too long to be searched for: make them shorter",
            })?;
        Ok(Self { automaton, ids: tokens.iter().map(|token| token.id).collect() })
    }
}

fn apply<'t>(finders: &[Finder], text: &'t str, each: &mut dyn FnMut(Part<'t>)) {
    let Some((first, rest)) = finders.split_first() else {
        if !text.is_empty() {
            each(Part::Text(text));
        }
        return;
    };
    let mut done = 0;
    for found in first.automaton.find_iter(text) {
        apply(rest, &text[done..found.start()], each);
        each(Part::Token(first.ids[found.pattern().as_usize()]));
        done = found.end();
    }
    apply(rest, &text[done..], each);
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
        AddedTokens::new(tokens.collect()).unwrap().for_each_part(text, with_special, |part| match part {
            Part::Text(text) => shown.push_str(&format!("({text})")),
            Part::Token(id) => shown.push_str(&format!("[{id}]")),
        });
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
        assert_eq!(parts(&[], "abc", true), "(abc)");
        assert_eq!(parts(&[], "", true), "");
    }
}
