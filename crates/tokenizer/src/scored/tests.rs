//! The algorithm against `run.c`'s, line by line.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::seen::Seen;
use crate::splits::Ranked;
use proptest::prelude::*;

/// What `run.c` does: the best pair of all, the first of equals, again and again. `<` and `>` around a number are a byte.
fn run_c(tokens: &[(String, u32)], text: &str) -> Vec<String> {
    let score = |text: &str| tokens.iter().find(|(token, _)| token == text).map(|(_, rank)| *rank);
    let mut parts: Vec<String> = Vec::new();
    if !text.is_empty() {
        parts.push(" ".into());
    }
    for char in text.chars().map(String::from) {
        match score(&char) {
            Some(_) => parts.push(char),
            None => parts.extend(char.bytes().map(|byte| format!("<{byte}>"))),
        }
    }
    loop {
        let mut best: Option<(u32, usize)> = None;
        for (at, pair) in parts.windows(2).enumerate() {
            if let Some(rank) = score(&pair.concat())
                && best.is_none_or(|(known, _)| rank < known)
            {
                best = Some((rank, at));
            }
        }
        let Some((_, at)) = best else { break };
        let right = parts.remove(at + 1);
        parts[at].push_str(&right);
    }
    parts
}

/// Characters, and longer tokens with ranks, some of them equal.
fn tokens() -> impl Strategy<Value = Vec<(String, u32)>> {
    let longer = prop_oneof![
        prop::collection::btree_map("[ab]{2,6}", 0_u32..60, 0..40),
        prop::collection::btree_map("[ab ]{2,5}", 0_u32..9, 0..50),
        prop::collection::btree_map(" {0,2}[abé]{1,4}", 0_u32..500, 0..50),
    ];
    longer.prop_map(|mut longer| {
        longer.extend([" ", "a", "b", "é"].map(|char| (char.to_owned(), 1000)));
        longer.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn ids_are_those_of_run_c(
        tokens in tokens(),
        texts in prop::collection::vec(prop_oneof!["[ab]{0,30}", "[abcé ]{0,80}", "[ab ]{60,150}", "(a | b|ab)*"], 1..4),
    ) {
        let ranked: Vec<Ranked<'_>> = tokens
            .iter()
            .zip(256..)
            .map(|((text, rank), id)| Ranked { bytes: text.as_bytes(), id, rank: *rank })
            .collect();
        let start = || {
            let own = tokens.iter().map(|(text, _)| text.as_str()).zip(256..);
            Start::new(own, Box::new(std::array::from_fn(|byte| byte as u32))).unwrap()
        };
        let scored = Scored::from_scores(start(), &ranked);
        let show = |id: u32| match id.checked_sub(256) {
            Some(place) => tokens[place as usize].0.clone(),
            None => format!("<{id}>"),
        };
        let (mut seen, mut ids) = (Seen::new(64), Vec::new());
        for text in &texts {
            let begin = ids.len();
            // As `AddedTokens` has it, which finds no part in an empty text.
            if !text.is_empty() {
                scored.encode(text, &mut seen, &mut ids);
            }
            let shown: Vec<String> = ids[begin..].iter().map(|&id| show(id)).collect();
            prop_assert_eq!(shown, run_c(&tokens, text));
            let mut bytes = Vec::new();
            scored.encode_bytes(text.as_bytes(), &mut bytes);
            prop_assert_eq!(&bytes, &ids[begin..]);
        }
    }
}
