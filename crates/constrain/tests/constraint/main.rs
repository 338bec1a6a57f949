//! What a constraint lets through is what matches, by the crate `regex` and by reading JSON, under every strategy.

#[path = "../../../decode/tests/generation/fake.rs"]
#[allow(dead_code, reason = "the tests of `decode` use more of it")]
mod fake;
mod json;
mod language;
mod strategies;
mod text;

use firebrand_constrain::Grammar;
use firebrand_decode::Constraint;
use firebrand_tokenizer::{TokenEntry, TokenTable};

/// End-of-text in [`tokens`].
const END: u32 = 0;

/// Tokens that spell the same text in several ways, parts of a character among them.
const TOKENS: [&[u8]; 9] = [b"", b"a", b"b", b"ab", "é".as_bytes(), b"\xC3", b"\xA9", b"b", b"b\xC3"];

fn tokens() -> TokenTable {
    TokenTable::new(
        (0..).zip(TOKENS).map(|(id, bytes)| TokenEntry { bytes: bytes.to_vec(), special: id == END }),
    )
}

fn spelled(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|&id| TOKENS[id as usize]).copied().collect()
}

fn grammar(pattern: &str) -> Grammar {
    Grammar::regular_expression(pattern, &tokens(), Some(END)).expect(pattern)
}

/// Whether a whole text matches, by the crate `regex`.
fn oracle(pattern: &str) -> impl Fn(&[u8]) -> bool {
    let regex = regex::Regex::new(&format!("^(?:{pattern})$")).expect(pattern);
    move |text| str::from_utf8(text).is_ok_and(|text| regex.is_match(text))
}

/// The ids that may follow.
fn allowed(constraint: &impl Constraint, ids: &[u32], vocab_size: usize) -> Vec<u32> {
    let mut logits = vec![0.5; vocab_size];
    constraint.allow(ids, &mut logits).expect("an answer");
    assert!(logits.iter().all(|&logit| logit == 0.5 || logit == f32::NEG_INFINITY), "a logit was changed");
    (0..).zip(logits).filter(|(_, logit)| *logit == 0.5).map(|(id, _)| id).collect()
}
