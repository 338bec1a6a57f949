//! What a user can get wrong, and what the message says.

use std::error::Error;
use std::ops::ControlFlow;

use firebrand_decode::{DecodeError, GenerateConfig, Penalties, Sampling, Strategy, generate};

use crate::fake::FakeModel;

/// Checks that a generation fails before any model step, with a message that holds all `parts`.
#[track_caller]
fn check_refused(prompts: &[Vec<u32>], config: &GenerateConfig, parts: &[&str]) -> DecodeError {
    let model = FakeModel::hashed(10, 0).with_max_len(8);
    let error =
        generate(&model, prompts, config, &mut |_, _| ControlFlow::Continue(())).expect_err("an error");
    for part in parts {
        assert!(error.to_string().contains(part), "{part:?} is not in {:?}", error.to_string());
    }
    assert!(model.steps.borrow().is_empty());
    error
}

#[test]
fn prompts_that_cannot_be_continued_are_refused() {
    let check = |prompts: &[Vec<u32>], parts: &[&str]| {
        let error = check_refused(prompts, &GenerateConfig::default(), parts);
        assert!(matches!(error, DecodeError::Prompt(_)));
    };
    check(&[vec![1], vec![]], &["prompt 1 is empty", "end-of-text"]);
    check(&[vec![1, 2, 10]], &["id 10 at position 2 of prompt 0", "vocabulary of 10 ids"]);
    check(&[vec![u32::MAX]], &["id 4294967295"]);
    check(&[vec![1; 8], vec![1; 9]], &["prompt 1 has 9 tokens", "context holds 8", "by 1 or more"]);
}

#[test]
fn impossible_configurations_are_refused() {
    let check = |config: GenerateConfig, parts: &[&str]| {
        let error = check_refused(&[vec![1]], &config, parts);
        assert!(matches!(error, DecodeError::Config(_)));
    };
    let sampling = |sampling| GenerateConfig { strategy: Strategy::Sample(sampling), ..Default::default() };
    for temperature in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY] {
        let config = sampling(Sampling { temperature, ..Default::default() });
        check(config, &[&format!("temperature {temperature} "), "greedy"]);
    }
    check(sampling(Sampling { top_k: Some(0), ..Default::default() }), &["top_k 0"]);
    for p in [0.0, -0.5, 1.01, f64::NAN] {
        check(
            sampling(Sampling { top_p: Some(p), ..Default::default() }),
            &[&format!("top_p {p} "), "(0, 1]"],
        );
    }
    for repetition in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let config = GenerateConfig {
            penalties: Penalties { repetition, ..Default::default() },
            ..Default::default()
        };
        check(config, &[&format!("repetition penalty {repetition} ")]);
    }
    let config = GenerateConfig { min_new_tokens: 5, max_new_tokens: 4, ..Default::default() };
    check(config, &["min_new_tokens 5", "max_new_tokens 4"]);
    let config = GenerateConfig { end_of_text: Some(10), ..Default::default() };
    check(config, &["end-of-text id 10", "vocabulary of 10 ids"]);
}

/// The error of a model on two prompts of two ids, whose second one goes wrong after two new ids.
fn failure(logits: [f32; 3], config: &GenerateConfig) -> DecodeError {
    let model = FakeModel::new(3, move |prefix| match prefix {
        [1, _, _, _] => logits.to_vec(),
        _ => vec![0.0; 3],
    });
    let mut tokens = 0;
    let error = generate(&model, &[vec![0, 0], vec![1, 0]], config, &mut |_, _| {
        tokens += 1;
        ControlFlow::Continue(())
    })
    .expect_err("an error");
    assert_eq!(tokens, 5, "both sequences got two ids before, and the first its third");
    error
}

#[test]
fn logits_that_are_no_numbers_are_named_under_every_strategy() {
    for strategy in [Strategy::Greedy, Strategy::Sample(Sampling::default())] {
        let config = GenerateConfig { strategy, ..Default::default() };
        let error = failure([0.0, f32::NAN, f32::NAN], &config);
        assert!(
            matches!(error, DecodeError::InvalidLogit { sequence: 1, position: 4, id: 1, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("id 1 for position 4 of sequence 1 is NaN"), "{error}");
        let error = failure([0.0, 1.0, f32::INFINITY], &config);
        assert!(error.to_string().contains("id 2 for position 4 of sequence 1 is inf"), "{error}");
        let error = failure([f32::NEG_INFINITY; 3], &config);
        assert!(matches!(error, DecodeError::NothingToChoose { sequence: 1, position: 4 }), "{error}");
    }
}

#[test]
fn a_ban_that_leaves_nothing_is_an_error() {
    let config = GenerateConfig { end_of_text: Some(2), min_new_tokens: 3, ..Default::default() };
    let error = failure([f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0], &config);
    assert!(error.to_string().contains("end-of-text is banned until min_new_tokens"), "{error}");
}

#[test]
fn a_failing_model_is_the_source_of_the_error() {
    let model = FakeModel::hashed(4, 0).failing_at(2);
    let mut tokens = 0;
    let error = generate(&model, &[vec![0]], &GenerateConfig::default(), &mut |_, _| {
        tokens += 1;
        ControlFlow::Continue(())
    })
    .expect_err("an error");
    assert_eq!(tokens, 2);
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the device is on fire"));
}
