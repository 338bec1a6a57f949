//! PMI and calibration, worked by hand on a model that is a table.

use crate::fake::Fake;
use firebrand_prompt::{Causal, Classified, Classifier, Fields, Measure, Prompt};
use firebrand_tokenizer::{END_OF_TEXT, Tokenizer};

/// A token a character, and an end of text.
pub(crate) fn characters() -> Tokenizer {
    let all = "xyzN/A[MASK]ab :.\n";
    Tokenizer::characters([all], &[END_OF_TEXT.to_owned()]).expect("a tokenizer")
}

pub(crate) fn fields(text: &str) -> Fields {
    [("text".to_owned(), text.to_owned())].into()
}

pub(crate) fn prompt(text: &str) -> Prompt {
    Prompt::parse(text, "test.toml").expect("a prompt")
}

/// Of `a` and `b` after certain characters; what else there is gets the rest.
pub(crate) fn after(tokenizer: &Tokenizer, rows: &[(&str, f64, f64)]) -> Fake {
    let id = |character: &str| tokenizer.token_to_id(character).expect("a token") as usize;
    let vocab_size = tokenizer.vocab_size();
    let row = |p_a: f64, p_b: f64| {
        let mut row = vec![(1.0 - p_a - p_b) / (vocab_size - 2) as f64; vocab_size];
        (row[id("a")], row[id("b")]) = (p_a, p_b);
        row
    };
    let mut table = vec![row(0.1, 0.1); vocab_size];
    for &(character, p_a, p_b) in rows {
        table[id(character)] = row(p_a, p_b);
    }
    Fake::table(table)
}

fn near(found: &[f64], expected: &[f64]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
    assert_eq!(found.len(), expected.len());
}

/// `x` speaks for `a`, `y` for `b` — but the model likes `a` whatever it reads.
fn biased(tokenizer: &Tokenizer) -> Fake {
    let rows = [("x", 0.9, 0.05), ("y", 0.5, 0.4), ("A", 0.8, 0.2), (END_OF_TEXT, 0.6, 0.2), ("]", 0.7, 0.3)];
    after(tokenizer, &rows)
}

fn asked(tokenizer: &Tokenizer) -> Causal<Fake> {
    Causal::new(biased(tokenizer), tokenizer.end_of_text())
}

fn classified<'a>(
    prompts: &'a [Prompt],
    tokenizer: &'a Tokenizer,
    scorer: &'a Causal<Fake>,
    texts: &[&str],
) -> Vec<Classified<'a>> {
    let inputs: Vec<Fields> = texts.iter().map(|text| fields(text)).collect();
    let classifier = Classifier { prompts, tokenizer, scorer, shots: None, embed: None };
    classifier.classify(&inputs, &mut |_| {}).expect("classified")
}

#[test]
fn calibration_and_pmi_are_as_worked_by_hand() {
    let tokenizer = characters();
    let scorer = asked(&tokenizer);
    let prompts = [prompt("text = \"{text}[Z]\"\nanswers = [\"a\", \"b\"]")];
    let all = classified(&prompts, &tokenizer, &scorer, &["x", "y"]);
    let values =
        |input: usize, measure| all[input].templates[0].scores.values(measure, &prompts[0].verbalizer);
    near(&values(1, Measure::Sum), &[0.5_f64.ln(), 0.4_f64.ln()]);
    // The same template with an empty field: the end of text is read, and then the answer.
    near(&values(1, Measure::Pmi), &[(0.5_f64 / 0.6).ln(), (0.4_f64 / 0.2).ln()]);
    // Of a and b alone: after N/A 0.8 and 0.2, after nothing 0.75 and 0.25, after [MASK] 0.7 and 0.3; in the mean 0.75 and 0.25.
    near(&all[0].templates[0].scores.content_free, &[0.75, 0.25]);
    near(&values(1, Measure::Calibrated), &[(5.0_f64 / 9.0 / 0.75).ln(), (4.0_f64 / 9.0 / 0.25).ln()]);
    near(&values(0, Measure::Calibrated), &[(18.0_f64 / 19.0 / 0.75).ln(), (1.0_f64 / 19.0 / 0.25).ln()]);
}

#[test]
fn calibration_puts_a_biased_model_right() {
    let tokenizer = characters();
    let scorer = asked(&tokenizer);
    let prompts = [prompt("text = \"{text}[Z]\"\nanswers = [\"a\", \"b\"]")];
    let all = classified(&prompts, &tokenizer, &scorer, &["x", "y"]);
    let labels = |measure| all.iter().map(|classified| classified.label(measure)).collect::<Vec<_>>();
    for measure in [Measure::Sum, Measure::PerToken, Measure::PerCharacter, Measure::PerByte] {
        assert_eq!(labels(measure), [0, 0], "{}: the model says a to everything", measure.name());
    }
    assert_eq!((labels(Measure::Pmi), labels(Measure::Calibrated)), (vec![0, 1], vec![0, 1]));
}

#[test]
fn a_field_that_is_given_does_not_change_what_is_said_without_it() {
    let tokenizer = characters();
    let scorer = asked(&tokenizer);
    let prompts = [prompt("text = \"{text}[Z]\"\nanswers = [\"a\", \"b\"]")];
    let one = classified(&prompts, &tokenizer, &scorer, &["x"]);
    let many = classified(&prompts, &tokenizer, &scorer, &["y", "z", "x"]);
    assert_eq!(one[0].templates[0].scores, many[2].templates[0].scores);
}

#[test]
fn an_ensemble_is_the_mean_of_its_templates() {
    let tokenizer = characters();
    let scorer = asked(&tokenizer);
    let both = [prompt("texts = [\"{text}[Z]\", \"{text}y[Z]\"]\nanswers = [\"a\", \"b\"]")];
    let all = classified(&both, &tokenizer, &scorer, &["x"]);
    let p = all[0].label_probabilities(Measure::Sum);
    near(&p, &[(18.0 / 19.0 + 5.0 / 9.0) / 2.0, (1.0 / 19.0 + 4.0 / 9.0) / 2.0]);
    // Two prompts whose labels stand in another order are an ensemble as well.
    let prompts = Prompt::ensemble(vec![
        prompt("text = \"{text}[Z]\"\n[labels]\nfirst = [\"a\"]\nsecond = [\"b\"]"),
        prompt("text = \"{text}y[Z]\"\n[labels]\nsecond = [\"b\"]\nfirst = [\"a\"]"),
    ]);
    let prompts = prompts.expect("the same labels");
    let all = classified(&prompts, &tokenizer, &scorer, &["x"]);
    near(&all[0].label_probabilities(Measure::Sum), &p);
}
