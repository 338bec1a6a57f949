//! What prompts promise: on models small enough to enumerate, and on a tiny one of every kind.

mod calibrating;
mod classifying;
mod fake;
mod filling;
mod kinds;
mod searching;
mod trees;

use firebrand_prompt::{Candidate, Question};

/// Texts as candidates, of which some tokens are the answer.
fn candidates(texts: &[(&[u32], &[std::ops::Range<usize>])]) -> Vec<Candidate> {
    texts.iter().map(|(ids, answers)| Candidate { ids: ids.to_vec(), answers: answers.to_vec() }).collect()
}

/// Texts to be compared, without answers.
fn texts(texts: &[&[u32]]) -> Question {
    Question::compare(candidates(&texts.iter().map(|ids| (*ids, &[][..])).collect::<Vec<_>>()))
}
