//! Searching and windows against merging, with vocabularies that nobody would train.

use super::ByteLevel;
use crate::Pattern;
use crate::merging::Merge;
use crate::pattern::Splitter;
use crate::seen::Seen;
use crate::vocabulary::{Token, Vocabulary};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

/// A tokenizer of all bytes and some merges, each with the bytes of what it makes. The ids of bytes are they themselves.
fn byte_level(merges: Vec<Merge>, made: Vec<Vec<u8>>) -> ByteLevel {
    let tokens = (0..=255).map(|byte| vec![byte]).chain(made).enumerate();
    let tokens = tokens.map(|(id, bytes)| Some(Token { text: id.to_string(), bytes }));
    let splitter = Splitter::new([Pattern::None]).expect("no pattern is a pattern");
    let (byte_ids, vocabulary) = (std::array::from_fn(|byte| byte as u32), Vocabulary::new(tokens));
    ByteLevel::new(splitter, merges, byte_ids, &vocabulary, |_| true, false, |_| false)
}

/// Tokens of the first three letters: each merge joins two tokens that are there, and if some are moved, merges may come before
/// those that make their parts.
fn any_merges(pairs: &[(Index, Index)], moved: &[(Index, Index)]) -> ByteLevel {
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut letters: Vec<u32> = (b'a'..=b'c').map(u32::from).collect();
    let mut merges = Vec::new();
    for (left, right) in pairs {
        let (left, right) = (*left.get(&letters), *right.get(&letters));
        let bytes = [&*tokens[left as usize], &*tokens[right as usize]].concat();
        let merged = tokens.iter().position(|token| *token == bytes).unwrap_or_else(|| {
            letters.push(tokens.len() as u32);
            tokens.push(bytes);
            tokens.len() - 1
        });
        merges.push(Merge { left, right, merged: merged as u32 });
    }
    if !merges.is_empty() {
        moved.iter().for_each(|(a, b)| merges.swap(a.index(pairs.len()), b.index(pairs.len())));
    }
    byte_level(merges, tokens.split_off(256))
}

/// Merging as SEMANTICS 1.2 says it: the lowest rank, leftmost first, one at a time.
fn merged(algorithm: &ByteLevel, text: &str) -> Vec<u32> {
    let ranks: BTreeMap<_, _> = algorithm
        .merges()
        .iter()
        .zip(0..)
        .map(|(merge, rank)| (merge.pair(), (rank, merge.merged)))
        .collect();
    let mut ids: Vec<u32> = text.bytes().map(u32::from).collect();
    let pair_at = |ids: &[u32], at| crate::pair::Pair::new(ids[at], ids[at + 1]);
    while let Some((at, (_, merged))) = (1..ids.len())
        .filter_map(|at| Some((at - 1, *ranks.get(&pair_at(&ids, at - 1))?)))
        .min_by_key(|(at, (rank, _))| (*rank, *at))
    {
        ids.splice(at..at + 2, [merged]);
    }
    ids
}

fn encoded(algorithm: &ByteLevel, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    algorithm.encode(text, &mut Seen::new(text.len()), &mut ids);
    ids
}

/// Runs, periods, and neither.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[abc]{0,60}",
        "[ab]{200,700}",
        "a{0,600}",
        "[abc]{1,5}".prop_flat_map(|unit| (0..700_usize, "[abc]{0,5}")
            .prop_map(move |(len, end)| format!("{}{end}", unit.repeat(len / unit.len())))),
        "(a{1,90}|b{1,90}|[abc]{1,9}){0,9}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn encoding_is_merging(
        pairs in prop::collection::vec(any::<(Index, Index)>(), 0..40),
        moved in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<(Index, Index)>(), 0..4)],
        text in text(),
    ) {
        let algorithm = any_merges(&pairs, &moved);
        prop_assert_eq!(encoded(&algorithm, &text), merged(&algorithm, &text));
    }
}

/// The token of 2¹⁰ letters is longer than any window is at first.
#[test]
fn windows_grow_with_the_tokens() {
    let (a, b) = (u32::from(b'a'), u32::from(b'b'));
    let merges = (256..266).map(|merged| {
        let half = if merged == 256 { a } else { merged - 1 };
        Merge { left: half, right: half, merged }
    });
    let made = (1..=10).map(|doubled| b"a".repeat(1 << doubled));
    let algorithm = byte_level(merges.collect(), made.collect());
    let ids = encoded(&algorithm, &format!("{}b", "a".repeat(5 * 1024 + 3)));
    assert_eq!(ids, [265, 265, 265, 265, 265, 256, a, b]);
}

/// Up to 100 letters before the last one become one token with it, which a window that ends before it cannot see.
#[test]
fn what_follows_matters_far_back() {
    let (a, b) = (u32::from(b'a'), u32::from(b'b'));
    let chain =
        (256..356).map(|merged| Merge { left: a, right: if merged == 256 { b } else { merged - 1 }, merged });
    let merges = chain.chain([Merge { left: a, right: a, merged: 356 }]);
    let made = (1..=100).map(|n_letters| [&*b"a".repeat(n_letters), b"b"].concat()).chain([b"aa".to_vec()]);
    let algorithm = byte_level(merges.collect(), made.collect());
    for n_letters in 500..1000 {
        let text = format!("{}b{}", "a".repeat(n_letters), "a".repeat(n_letters));
        let half = n_letters / 2 - 50;
        let odd = vec![a; n_letters % 2];
        let expected = [vec![356; half], odd.clone(), vec![355], vec![356; n_letters / 2], odd].concat();
        assert_eq!(encoded(&algorithm, &text), expected, "{n_letters}");
    }
}
