//! Inputs to labels: demonstrations, the choice of a template, several answers a label.

use crate::calibrating::{after, characters, fields, prompt};
use crate::fake::Fake;
use firebrand_prompt::{
    Causal, Classifier, Example, Fields, Measure, Prompt, ShotChoice, Shots, best_template, qualities,
};
use firebrand_tokenizer::{END_OF_TEXT, Tokenizer};

fn example(text: &str, label: usize) -> Example {
    Example { fields: fields(text), label: Some(label) }
}

fn label(
    prompts: &[Prompt],
    tokenizer: &Tokenizer,
    model: Fake,
    shots: Option<Shots<'_>>,
    text: &str,
) -> usize {
    let scorer = Causal::new(model, tokenizer.end_of_text());
    let classifier = Classifier { prompts, tokenizer, scorer: &scorer, shots, embed: None };
    classifier.classify(&[fields(text)], &mut |_| {}).expect("classified")[0].label(Measure::Sum)
}

#[test]
fn several_answers_may_stand_for_a_label() {
    let tokenizer = characters();
    let prompts = [prompt("text = \"{text}[Z]\"\n[labels]\nno = [\"z\"]\nyes = [\"a\", \"b\"]")];
    assert_eq!(label(&prompts, &tokenizer, after(&tokenizer, &[("x", 0.1, 0.7)]), None, "x"), 1);
}

#[test]
fn demonstrations_stand_in_front_with_their_answers() {
    // The model says of the last character what stood behind that character before.
    let tokenizer = characters();
    let vocab_size = tokenizer.vocab_size();
    let model = Fake::new(vocab_size, move |prefix| {
        let (last, before) = prefix.split_last().expect("something was read");
        let seen = before.iter().rposition(|id| id == last).and_then(|at| before.get(at + 1));
        (0..vocab_size as u32).map(|id| if Some(&id) == seen { 5.0 } else { 0.0 }).collect()
    });
    let prompts = [prompt("text = \"{text}[Z]\"\nanswers = [\"a\", \"b\"]\nseparator = \".\"")];
    let pool = [example("x", 1), example("y", 0)];
    let shots = Shots { pool: &pool, count: 2, choice: ShotChoice::Balanced, seed: 0 };
    let scorer = Causal::new(model, tokenizer.end_of_text());
    let classifier = Classifier {
        prompts: &prompts,
        tokenizer: &tokenizer,
        scorer: &scorer,
        shots: Some(shots),
        embed: None,
    };
    let inputs = [fields("x"), fields("y")];
    let classified = classifier.classify(&inputs, &mut |_| {}).expect("classified");
    assert_eq!([0, 1].map(|i| classified[i].label(Measure::Sum)), [1, 0]);
    assert_eq!(classified[0].templates[0].demonstrations, 2);
    // Of the examples themselves none is shown to itself: then nothing is known of it.
    let of_pool = classifier.classify_pool(&pool, &mut |_| {});
    assert!(of_pool.is_ok_and(|all| all[0].label_probabilities(Measure::Sum) == [0.5, 0.5]));
}

#[test]
fn near_demonstrations_are_chosen_for_each_input() {
    let tokenizer = characters();
    let vocab_size = tokenizer.vocab_size();
    // The likeliest answer is the one that was read last.
    let (a, b) = (tokenizer.token_to_id("a").expect("a token"), tokenizer.token_to_id("b").expect("a token"));
    let model = Fake::new(vocab_size, move |prefix| {
        let seen = prefix.iter().rev().find(|&&id| id == a || id == b);
        (0..vocab_size as u32).map(|id| if Some(&id) == seen { 5.0 } else { 0.0 }).collect()
    });
    let x = tokenizer.token_to_id("x").expect("a token");
    let embed = move |ids: &[u32]| {
        let of_x = ids.iter().filter(|&&id| id == x).count() as f32;
        vec![of_x, ids.len() as f32 - of_x]
    };
    let prompts = [prompt("text = \"{text}[Z]\"\nanswers = [\"a\", \"b\"]\nseparator = \".\"")];
    let pool = [example("xx", 0), example("yy", 1), example("xy", 1)];
    let shots = Shots { pool: &pool, count: 1, choice: ShotChoice::Nearest, seed: 0 };
    let scorer = Causal::new(model, tokenizer.end_of_text());
    let classifier = Classifier {
        prompts: &prompts,
        tokenizer: &tokenizer,
        scorer: &scorer,
        shots: Some(shots),
        embed: Some(&embed),
    };
    let inputs: Vec<Fields> = ["xxx", "y", "xyxy"].map(fields).to_vec();
    let labels: Vec<usize> = classifier
        .classify(&inputs, &mut |_| {})
        .expect("classified")
        .iter()
        .map(|c| c.label(Measure::Sum))
        .collect();
    assert_eq!(labels, [0, 1, 1]);
    let without = Classifier { embed: None, ..classifier };
    assert!(
        without.classify(&inputs, &mut |_| {}).is_err_and(|error| error.to_string().contains("embeddings"))
    );
}

#[test]
fn the_best_template_is_chosen_by_labelled_examples_alone() {
    let tokenizer = characters();
    // Behind a colon the model does not know what it read, without one it does.
    let rows = [("x", 0.8, 0.1), ("y", 0.1, 0.8), (":", 0.5, 0.4), (END_OF_TEXT, 0.5, 0.5)];
    let scorer = Causal::new(after(&tokenizer, &rows), tokenizer.end_of_text());
    let prompts = [prompt("texts = [\"{text}:[Z]\", \"{text}[Z]\"]\nanswers = [\"a\", \"b\"]")];
    let classifier =
        Classifier { prompts: &prompts, tokenizer: &tokenizer, scorer: &scorer, shots: None, embed: None };
    let examples = [example("x", 0), example("y", 1)];
    let classified = classifier.classify_pool(&examples, &mut |_| {}).expect("classified");
    let qualities = qualities(&classified, &examples, Measure::Sum).expect("labelled");
    assert_eq!((qualities[0].accuracy, qualities[1].accuracy), (0.5, 1.0));
    assert!((qualities[1].log_prob - (8.0_f64 / 9.0).ln()).abs() < 1e-6);
    assert_eq!(best_template(&qualities), 1);
    // Where as many are right, the surer one is better.
    let prompts = [prompt("texts = [\"{text}[Z]\", \"{text}:[Z]\"]\nanswers = [\"a\", \"b\"]")];
    let classifier = Classifier { prompts: &prompts, ..classifier };
    let classified = classifier.classify_pool(&examples[..1], &mut |_| {}).expect("classified");
    assert_eq!(
        best_template(
            &firebrand_prompt::qualities(&classified, &examples[..1], Measure::Sum).expect("labelled")
        ),
        0
    );
}

#[test]
fn prompts_with_other_labels_are_no_ensemble() {
    let tokenizer = characters();
    let prompts = [
        prompt("text = \"{text}[Z]\"\nanswers = [\"a\", \"b\"]"),
        prompt("text = \"{text}[Z]\"\nanswers = [\"a\", \"x\"]"),
    ];
    let scorer = Causal::new(after(&tokenizer, &[]), tokenizer.end_of_text());
    let classifier =
        Classifier { prompts: &prompts, tokenizer: &tokenizer, scorer: &scorer, shots: None, embed: None };
    let error = classifier.classify(&[fields("x")], &mut |_| {}).expect_err("refused").to_string();
    assert!(error.contains("`test` has a, b, and `test` has a, x"), "{error}");
}

#[test]
fn progress_is_told_in_whole_inputs() {
    let tokenizer = characters();
    let prompts = [prompt("texts = [\"{text}:[Z]\", \"{text}[Z]\"]\nanswers = [\"a\", \"b\"]")];
    let scorer = Causal::new(after(&tokenizer, &[]), tokenizer.end_of_text());
    let classifier =
        Classifier { prompts: &prompts, tokenizer: &tokenizer, scorer: &scorer, shots: None, embed: None };
    let mut done = 0;
    classifier.classify(&vec![fields("x"); 7], &mut |count| done += count).expect("classified");
    assert_eq!(done, 7);
}
