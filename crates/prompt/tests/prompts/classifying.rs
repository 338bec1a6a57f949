//! Inputs to labels: demonstrations, the choice of a template, several answers a label.

use crate::calibrating::{after, characters, fields, prompt};
use crate::fake::Fake;
use firebrand_prompt::{
    Causal, Classifier, Example, Fields, Measure, Prompt, PromptError, Question, Score, ScoreError, Scorer,
    ShotChoice, Shots, best_template, qualities,
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

/// A model that says of the last character what stood behind that character before.
fn remembering(vocab_size: usize) -> Fake {
    Fake::new(vocab_size, move |prefix| {
        let (last, before) = prefix.split_last().expect("something was read");
        let seen = before.iter().rposition(|id| id == last).and_then(|at| before.get(at + 1));
        (0..vocab_size as u32).map(|id| if Some(&id) == seen { 5.0 } else { 0.0 }).collect()
    })
}

#[test]
fn demonstrations_stand_in_front_with_their_answers() {
    let tokenizer = characters();
    let model = remembering(tokenizer.vocab_size());
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
    let inputs = [fields(" x"), fields(" y")];
    let classified = classifier.classify(&inputs, &mut |_| {}).expect("classified");
    assert_eq!([0, 1].map(|i| classified[i].label(Measure::Sum)), [1, 0]);
    let of = &classified[0].templates[0];
    assert_eq!((of.demonstrations, of.left_out), (2, 0));
    // Of the examples themselves none is shown to itself: then nothing is known of it.
    let inputs = [fields("x"), fields("y")];
    for of_itself in classifier.classify(&inputs, &mut |_| {}).expect("classified") {
        assert_eq!(of_itself.label_probabilities(Measure::Sum), [0.5, 0.5]);
        assert_eq!((of_itself.templates[0].demonstrations, of_itself.templates[0].left_out), (1, 0));
    }
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
    // Other fields, such as the label that is to be found, say nothing of what is near.
    let mut told = fields("xxx");
    told.insert("label".to_owned(), "yyyyyyyyy".to_owned());
    let classified = classifier.classify(&[told], &mut |_| {}).expect("classified");
    assert_eq!(classified[0].label(Measure::Sum), 0);
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
    let inputs: Vec<Fields> = examples.iter().map(|example| example.fields.clone()).collect();
    let classified = classifier.classify(&inputs, &mut |_| {}).expect("classified");
    let qualities = qualities(&classified, &examples, Measure::Sum).expect("labelled");
    assert_eq!((qualities[0].accuracy, qualities[1].accuracy), (0.5, 1.0));
    assert!((qualities[1].log_prob - (8.0_f64 / 9.0).ln()).abs() < 1e-6);
    assert_eq!(best_template(&qualities), 1);
    // Where as many are right, the surer one is better.
    let prompts = [prompt("texts = [\"{text}[Z]\", \"{text}:[Z]\"]\nanswers = [\"a\", \"b\"]")];
    let classifier = Classifier { prompts: &prompts, ..classifier };
    let classified = classifier.classify(&inputs[..1], &mut |_| {}).expect("classified");
    assert_eq!(
        best_template(
            &firebrand_prompt::qualities(&classified, &examples[..1], Measure::Sum).expect("labelled")
        ),
        0
    );
}

fn labelled(path: &str, labels: &str) -> Prompt {
    let text = format!("text = \"{{text}}[Z]\"\nseparator = \".\"\n[labels]\n{labels}");
    Prompt::parse(&text, path).expect("a prompt")
}

#[test]
fn a_label_has_one_number_in_all_prompts_whatever_order_their_files_have() {
    let tokenizer = characters();
    let model = remembering(tokenizer.vocab_size());
    let scorer = Causal::new(model, tokenizer.end_of_text());
    let prompts = Prompt::ensemble(vec![
        labelled("one.toml", "no = [\"a\"]\nyes = [\"b\"]"),
        labelled("two.toml", "yes = [\"b\", \"z\"]\nno = [\"a\"]"),
    ]);
    let prompts = prompts.expect("the same labels");
    assert!(prompts.iter().all(|prompt| prompt.labels() == ["no", "yes"]));
    let pool = [example("x", 1), example("y", 0)];
    let shots = Some(Shots { pool: &pool, count: 2, choice: ShotChoice::Balanced, seed: 0 });
    let classifier =
        Classifier { prompts: &prompts, tokenizer: &tokenizer, scorer: &scorer, shots, embed: None };
    // What was shown with a label is found again with it, by each prompt.
    let inputs = [fields(" x"), fields(" y")];
    for (classified, label) in
        classifier.classify(&inputs, &mut |_| {}).expect("classified").iter().zip([1, 0])
    {
        for of in &classified.templates {
            let p = of.label_probabilities(Measure::Sum);
            assert!(p[label] > 0.9, "{}: {p:?}", of.prompt.path);
        }
    }
}

#[test]
fn prompts_with_other_labels_are_no_ensemble() {
    let first = labelled("dir/one.toml", "no = [\"a\"]\nyes = [\"b\"]");
    let error = |labels: &str| {
        let both = vec![first.clone(), labelled("two.toml", labels)];
        Prompt::ensemble(both).expect_err("other labels").to_string()
    };
    let missing = error("no = [\"a\"]\nyess = [\"b\"]");
    let wanted =
        "`two.toml` has no label `yes`, which `dir/one.toml` has: there is no, yess; did you mean `yess`?";
    assert!(missing.ends_with(wanted), "{missing}");
    let more = error("no = [\"a\"]\nyes = [\"b\"]\nmaybe = [\"x\"]");
    assert!(more.ends_with("`two.toml` has the label `maybe`, which `dir/one.toml` has not"), "{more}");
    // Prompts that were not made one are refused as well.
    let tokenizer = characters();
    let prompts = [first.clone(), labelled("two.toml", "yes = [\"b\"]\nno = [\"a\"]")];
    let scorer = Causal::new(after(&tokenizer, &[]), tokenizer.end_of_text());
    let classifier =
        Classifier { prompts: &prompts, tokenizer: &tokenizer, scorer: &scorer, shots: None, embed: None };
    let error = classifier.classify(&[fields("x")], &mut |_| {}).expect_err("refused").to_string();
    assert!(error.contains("`dir/one.toml` has no, yes, and `two.toml` has yes, no"), "{error}");
}

/// Says of each text how many full stops are in it, below 0.
struct Stops {
    stop: u32,
    most: usize,
}

impl Scorer for Stops {
    fn most_ids(&self, _: bool) -> usize {
        self.most
    }

    fn score(&self, questions: &[Question], _: &mut dyn FnMut(usize)) -> Result<Vec<Vec<Score>>, ScoreError> {
        let score = |ids: &[u32]| {
            assert!(ids.len() <= self.most, "more than there is room for");
            let stops = ids.iter().filter(|&&id| id == self.stop).count();
            Score { log_prob: -(stops as f64), tokens: 1, greedy: false }
        };
        let of = |question: &Question| question.candidates.iter().map(|one| score(&one.ids)).collect();
        Ok(questions.iter().map(of).collect())
    }
}

#[test]
fn an_input_is_compared_with_no_content_behind_the_same_demonstrations() {
    let tokenizer = characters();
    let prompts = [prompt("text = \"{text}[Z]\"\nanswers = [\"a\", \"b\"]\nseparator = \".\"")];
    let pool: Vec<Example> = (0..4).map(|i| example(&"x".repeat(i + 1), i % 2)).collect();
    let shots = Some(Shots { pool: &pool, count: 4, choice: ShotChoice::Random, seed: 1 });
    // All demonstrations are 18 characters long, with their stops.
    let scorer = Stops { stop: tokenizer.token_to_id(".").expect("a token"), most: 26 };
    let classifier =
        Classifier { prompts: &prompts, tokenizer: &tokenizer, scorer: &scorer, shots, embed: None };
    let inputs: Vec<Fields> =
        ["y", &"y".repeat(12), &"y".repeat(25), &"y".repeat(40), ""].map(fields).to_vec();
    let classified = classifier.classify(&inputs, &mut |_| {}).expect("classified");
    let counts: Vec<usize> = classified.iter().map(|one| one.templates[0].demonstrations).collect();
    assert_eq!((counts[0], counts[2], counts[3], counts[4]), (4, 0, 0, 4));
    assert!((1..4).contains(&counts[1]), "{counts:?}");
    for (one, count) in classified.iter().zip(counts) {
        let of = &one.templates[0];
        assert_eq!((of.scores.log_probs[0], of.scores.null[0]), (-(count as f64), -(count as f64)));
        assert_eq!(of.left_out, 4 - count);
    }
    // Where there is less room for the questions without content ([MASK]), the input is shown no more than they are.
    let tight = Stops { most: 24, ..scorer };
    let classifier = Classifier { scorer: &tight, ..classifier };
    let of = classifier
        .classify(&inputs[..1], &mut |_| {})
        .expect("classified")
        .swap_remove(0)
        .templates
        .swap_remove(0);
    assert!(of.demonstrations < 4, "20 characters would have had room, and 25 have not");
    assert_eq!(of.scores.log_probs[0], of.scores.null[0]);
}

#[test]
fn what_is_wrong_without_content_is_no_inputs_fault() {
    let tokenizer = characters();
    let scorer = Causal::new(after(&tokenizer, &[]), tokenizer.end_of_text());
    let prompts = [prompt("text = \"{if text}{text}[Z]{end}\"\nanswers = [\"a\", \"b\"]")];
    let classifier =
        Classifier { prompts: &prompts, tokenizer: &tokenizer, scorer: &scorer, shots: None, embed: None };
    let error = classifier.classify(&[fields("x")], &mut |_| {}).expect_err("no blank");
    assert!(matches!(error, PromptError::NoBlank { .. }));
    let wanted =
        "no input (empty fields, which PMI and calibration ask about) leaves the template without a blank";
    assert!(error.to_string().starts_with(wanted), "{error}");
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
