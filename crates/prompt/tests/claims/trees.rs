//! Candidates as a tree: the numbers are those of reading each by itself, and nothing is read twice.

use crate::fake::{Fake, mixed};
use crate::texts;
use firebrand_prompt::{Causal, Question, ScoreError, Scorer};
use std::collections::BTreeSet;

/// Scores with an end of text in front and without one are those of reading every prefix anew.
fn check(model: Fake, questions: &[Question]) {
    let scorer = Causal::new(model, Some(0));
    let mut done = 0;
    let scores = scorer.score(questions, &mut |count| done += count).expect("scores");
    assert_eq!(done, questions.len(), "all are told of");
    for (question, scores) in questions.iter().zip(&scores) {
        for (candidate, score) in question.candidates.iter().zip(scores) {
            let (ids, from) = match question.begins {
                true => ([&[0], candidate.ids.as_slice()].concat(), question.given + 1),
                false => (candidate.ids.clone(), question.given.max(1)),
            };
            let expected = scorer_model(&scorer).log_prob(&ids, from);
            assert!(
                (score.log_prob - expected).abs() < 1e-9,
                "{question:?}: {} is not {expected}",
                score.log_prob
            );
            assert_eq!(score.tokens, ids.len() - from);
        }
    }
}

fn scorer_model(scorer: &Causal<Fake>) -> &Fake {
    scorer.model()
}

#[test]
fn trees_give_what_reading_each_text_by_itself_gives() {
    for seed in 0..200_u64 {
        let draw = |n: u64, i: u64| mixed(seed * 1_000_003 + i * 7919) % n;
        let questions: Vec<Question> = (0..5)
            .map(|number| {
                // Texts of two ids, so that they share beginnings, are beginnings of each other, and are the same.
                let text = |index: u64| -> Vec<u32> {
                    let key = number * 100 + index * 10;
                    (0..=draw(5, key)).map(|at| 1 + draw(2, key + at + 1) as u32).collect()
                };
                let all: Vec<Vec<u32>> = (0..=draw(6, number)).map(text).collect();
                let mut question = texts(&all.iter().map(Vec::as_slice).collect::<Vec<_>>());
                question.begins = draw(3, 900 + number) > 0;
                if !question.begins && question.candidates.iter().any(|candidate| candidate.ids.len() < 2) {
                    question.begins = true;
                }
                question
            })
            .collect();
        check(Fake::hashed(3, seed), &questions);
    }
}

#[test]
fn what_questions_and_answers_share_is_read_once_and_last_ids_never() {
    let (shared, prompt) = ([7_u32; 30], [5, 6]);
    let question = |own: u32| {
        let text = |answer: &[u32]| [&shared[..], &[own], &prompt, answer].concat();
        let all = [text(&[1]), text(&[2, 3, 4]), text(&[2, 3, 1, 4]), text(&[2, 3])];
        texts(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    let questions: Vec<Question> = (1..=4).map(question).collect();
    let model = Fake::hashed(8, 3);
    let scorer = Causal::new(model, Some(0));
    scorer.score(&questions, &mut |_| {}).expect("scores");
    // The end of text and what all share, once; then for each question its own id and the prompt, and of the answers 2, 3 and 1.
    assert_eq!(scorer.model().read.get(), 31 + 4 * (3 + 3));
    assert_eq!(*scorer.model().rows.borrow(), [1, 4], "one row for what is shared, then a row a question");
    check(Fake::hashed(8, 3), &questions);
}

#[test]
fn one_token_answers_at_the_end_cost_nothing_beside_the_prompt() {
    let question = texts(&[&[1, 2, 3, 4], &[1, 2, 3, 5], &[1, 2, 3, 6]]);
    let scorer = Causal::new(Fake::hashed(8, 1), Some(0));
    scorer.score(&[question], &mut |_| {}).expect("scores");
    assert_eq!(scorer.model().read.get(), 4);
}

#[test]
fn a_whole_text_is_scored_from_its_first_token() {
    let model = Fake::hashed(9, 5);
    let expected = model.log_prob(&[0, 4, 8, 2], 1);
    let scorer = Causal::new(model, Some(0));
    let score = scorer.score(&[Question::whole(vec![4, 8, 2])], &mut |_| {}).expect("scores")[0][0];
    assert!((score.log_prob - expected).abs() < 1e-9);
    assert_eq!(score.tokens, 3);
    // Without an end of text the first is given.
    let scorer = Causal::new(Fake::hashed(9, 5), None);
    let score = scorer.score(&[Question::whole(vec![4, 8, 2])], &mut |_| {}).expect("scores")[0][0];
    assert!((score.log_prob - scorer.model().log_prob(&[4, 8, 2], 1)).abs() < 1e-9);
}

#[test]
fn only_the_likeliest_tokens_are_greedy() {
    let model = Fake::table(vec![vec![0.1, 0.6, 0.3], vec![0.2, 0.2, 0.6], vec![0.5, 0.4, 0.1]]);
    let scorer = Causal::new(model, Some(0));
    let question = texts(&[&[1, 2, 0], &[1, 2, 1], &[2, 0, 1]]);
    let greedy: Vec<bool> =
        scorer.score(&[question], &mut |_| {}).expect("scores")[0].iter().map(|score| score.greedy).collect();
    assert_eq!(greedy, [true, false, false]);
}

#[test]
fn texts_that_cannot_be_scored_are_named_with_their_number() {
    let error = |model: Fake, begin, questions: &[Question]| {
        Causal::new(model, begin).score(questions, &mut |_| {}).expect_err("refused").to_string()
    };
    let good = Question::whole(vec![1]);
    let fake = || Fake::hashed(5, 0).with_max_len(4);
    assert!(error(fake(), Some(0), &[good.clone(), Question::whole(vec![])]).contains("text 1 has no token"));
    assert!(
        error(fake(), None, std::slice::from_ref(&good)).contains("text 0 has no token"),
        "nothing stands before it"
    );
    let long = error(fake(), Some(0), &[Question::whole(vec![1; 5])]);
    assert_eq!(long, "text 0 has 5 tokens, and the model's context has room for 4: cut it");
    assert!(error(fake(), Some(0), &[Question::whole(vec![1, 5])]).contains("id 5 of text 0"));
    let diverged = Causal::new(Fake::new(2, |_| vec![f32::NAN; 2]), Some(0));
    assert!(matches!(diverged.score(&[good], &mut |_| {}), Err(ScoreError::NotFinite)));
}

#[test]
fn a_text_that_fills_the_context_is_scored() {
    let model = Fake::hashed(5, 0).with_max_len(4);
    let question = texts(&[&[1, 2, 3, 4], &[1, 2, 4, 4], &[2]]);
    check(model, &[question]);
}

#[test]
fn many_questions_go_in_several_batches_with_the_same_numbers() {
    let questions: Vec<Question> = (0..70_u32)
        .map(|number| {
            let text = |answer: u32| -> Vec<u32> {
                (0..=number % 50).map(|at| 1 + (at * 7 + number) % 5).chain([answer, 2]).collect()
            };
            let all: BTreeSet<Vec<u32>> = [text(1), text(3), text(4)].into();
            texts(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())
        })
        .collect();
    check(Fake::hashed(6, 11), &questions);
}
