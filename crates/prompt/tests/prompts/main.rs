//! What prompts promise: on models small enough to enumerate, and on a tiny one of every kind.

mod calibrating;
mod classifying;
mod fake;
mod filling;
mod kinds;
mod searching;
mod trained;
mod trees;

use firebrand_prompt::{Candidate, Question};
use std::ops::Range;

/// Texts of which some tokens are the answer.
fn candidates(texts: &[(&[u32], Range<usize>)]) -> Vec<Candidate> {
    texts.iter().map(|(ids, answer)| Candidate { ids: ids.to_vec(), answers: vec![answer.clone()] }).collect()
}

/// Texts to be compared, without answers.
fn texts(texts: &[&[u32]]) -> Question {
    let candidate = |ids: &&[u32]| Candidate { ids: ids.to_vec(), answers: Vec::new() };
    Question::compare(texts.iter().map(candidate).collect())
}
