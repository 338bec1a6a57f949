//! The sequences of tokens that are let through are those whose text matches.

use std::collections::BTreeSet;

use firebrand_decode::Constraint;
use firebrand_tokenizer::{TokenEntry, TokenTable};
use proptest::prelude::*;

use crate::{END, Grammar, TOKENS, allowed, grammar, oracle, spelled, tokens};

/// Few texts of few characters, of which all that is begun can be finished with three characters more.
const PATTERNS: [&str; 18] = [
    "a",
    "ab?",
    "a*",
    "(ab)*b?",
    "é",
    "aé|éb",
    "[aé]{2,4}",
    "a.?b",
    "(a|ab)(b|é)?",
    "[^a]+",
    "a+?b",
    "(?i)A{1,3}",
    r"\w{2}",
    "^ab$",
    "(?P<stop>a)b",
    "[bé]*a|b",
    "(?:a+)?",
    "(?:a{2})?b",
];

/// All sequences of at most so many ids.
fn sequences(len: usize) -> Vec<Vec<u32>> {
    let ids = || (0..TOKENS.len() as u32).filter(|&id| id != END);
    let (mut all, mut longest) = (vec![vec![]], vec![vec![]]);
    for _ in 0..len {
        longest = longest
            .iter()
            .flat_map(|head: &Vec<u32>| ids().map(move |id| [head, &[id][..]].concat()))
            .collect();
        all.extend(longest.clone());
    }
    all
}

/// Those of at most so many ids that may be followed by the end.
fn let_through(grammar: &Grammar, len: usize) -> BTreeSet<Vec<u32>> {
    let (mut found, mut open) = (BTreeSet::new(), vec![vec![]]);
    while let Some(ids) = open.pop() {
        for id in allowed(grammar, &ids, TOKENS.len()) {
            if id == END {
                found.insert(ids.clone());
            } else if ids.len() < len {
                open.push([&ids, &[id][..]].concat());
            }
        }
    }
    found
}

fn matching(pattern: &str, len: usize) -> BTreeSet<Vec<u32>> {
    let matches = oracle(pattern);
    sequences(len).into_iter().filter(|ids| matches(&spelled(ids))).collect()
}

#[test]
fn what_is_let_through_matches_and_what_matches_is_let_through() {
    for pattern in PATTERNS {
        let found = let_through(&grammar(pattern), 4);
        assert_eq!(found, matching(pattern, 4), "{pattern}");
        assert!(!found.is_empty(), "{pattern}");
    }
}

#[test]
fn a_token_may_follow_where_a_match_begins_with_it() {
    let texts = (0..9).fold(vec![String::new()], |texts, _| {
        let longer = texts.iter().flat_map(|text| ["a", "b", "é"].map(|char| format!("{text}{char}")));
        texts.iter().cloned().chain(longer).collect::<BTreeSet<_>>().into_iter().collect()
    });
    for pattern in PATTERNS {
        let (matches, grammar) = (oracle(pattern), grammar(pattern));
        let prefixes: BTreeSet<&[u8]> = texts
            .iter()
            .filter(|text| matches(text.as_bytes()))
            .flat_map(|text| (0..=text.len()).map(|len| &text.as_bytes()[..len]))
            .collect();
        for ids in sequences(2).iter().filter(|ids| prefixes.contains(&*spelled(ids))) {
            let follows = |id: &u32| match *id {
                END => matches(&spelled(ids)),
                id => prefixes.contains(&*spelled(&[ids, &[id][..]].concat())),
            };
            let expected: Vec<u32> = (0..TOKENS.len() as u32).filter(follows).collect();
            assert_eq!(allowed(&grammar, ids, TOKENS.len()), expected, "{pattern} after {ids:?}");
            assert_eq!(grammar.is_complete(ids), expected == [END], "{pattern} after {ids:?}");
        }
    }
}

/// Expressions of all that can be asked, that do not match the empty text alone.
fn patterns() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(vec!["a", "b", "é", "ab", ".", "[ab]", "[^b]", "bé"]).prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|ways| format!("(?:{})", ways.join("|"))),
            (inner, prop::sample::select(vec!["?", "*", "+", "{2}", "{1,3}", "*?"]))
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_expressions_let_through_what_matches(pattern in patterns()) {
        prop_assert_eq!(let_through(&grammar(&pattern), 3), matching(&pattern, 3), "{}", pattern);
    }
}

#[test]
fn what_may_not_be_there_is_followed_by_nothing() {
    let grammar = grammar("ab");
    assert_eq!(allowed(&grammar, &[2], TOKENS.len()), [0; 0]);
    assert_eq!(allowed(&grammar, &[3, END], TOKENS.len()), [0; 0]);
    assert!(!grammar.is_complete(&[2]) && !grammar.is_complete(&[3, END]));
}

#[test]
fn ids_beyond_the_tokens_are_banned_and_there_may_be_fewer() {
    let grammar = grammar("a*b?");
    assert_eq!(allowed(&grammar, &[], 20), [END, 1, 2, 3, 7]);
    assert_eq!(allowed(&grammar, &[1], 3), [END, 1, 2]);
}

#[test]
fn special_tokens_and_those_without_bytes_never_come() {
    let special = |text: &str, special| TokenEntry { bytes: text.as_bytes().to_vec(), special };
    let tokens =
        TokenTable::new([special("a", true), special("", false), special("a", false), special("end", false)]);
    let grammar = Grammar::regular_expression(".*", &tokens, Some(3)).expect("a constraint");
    assert_eq!(allowed(&grammar, &[2, 2], 4), [2, 3]);
}

#[test]
fn a_vocabulary_that_cannot_begin_is_refused() {
    let refused = |pattern: &str| {
        Grammar::regular_expression(pattern, &tokens(), Some(END)).expect_err("refused").to_string()
    };
    for pattern in ["xa*", "x?", r"[^\s\S]|b{0}", r"a[^\s\S]"] {
        assert!(refused(pattern).contains("no token of the vocabulary can begin"), "{}", refused(pattern));
    }
    assert_eq!(let_through(&grammar(r"[^\s\S]|a"), 2), matching("a", 2));
}
