//! Where a generation ends.

use std::ops::ControlFlow;

use firebrand_decode::{FinishReason, GenerateConfig, Sampling, Strategy, generate};

use crate::fake::FakeModel;
use crate::{run, run_one};

/// A model that always prefers end-of-text, 0, then 1.
fn eager_to_end() -> FakeModel {
    FakeModel::new(3, |_| vec![3.0, 2.0, 1.0]).with_end_of_text(0)
}

#[test]
fn end_of_text_ends_a_sequence_and_is_its_last_id() {
    let config = GenerateConfig { end_of_text: Some(0), ..Default::default() };
    let generation = run_one(&eager_to_end(), &[1], &config);
    assert_eq!((&generation.ids[..], generation.finish_reason), (&[0][..], FinishReason::EndOfText));
    // At the last place there is, it is still the reason.
    let config = GenerateConfig { max_new_tokens: 1, ..config };
    assert_eq!(run_one(&eager_to_end(), &[1], &config).finish_reason, FinishReason::EndOfText);
}

#[test]
fn without_end_of_text_only_length_ends_a_sequence() {
    let model = FakeModel::new(3, |_| vec![3.0, 2.0, 1.0]);
    let generation = run_one(&model, &[1], &GenerateConfig { max_new_tokens: 5, ..Default::default() });
    assert_eq!((&generation.ids[..], generation.finish_reason), (&[0; 5][..], FinishReason::MaxNewTokens));
}

#[test]
fn end_of_text_in_a_prompt_ends_nothing() {
    let config = GenerateConfig { end_of_text: Some(0), max_new_tokens: 2, ..Default::default() };
    let model = FakeModel::new(3, |_| vec![1.0, 2.0, 1.0]).with_end_of_text(0);
    assert_eq!(run_one(&model, &[0, 1, 0], &config).ids, [1, 1]);
}

#[test]
fn min_new_tokens_come_before_end_of_text_under_every_strategy() {
    for strategy in [Strategy::Greedy, Strategy::Sample(Sampling { temperature: 0.01, ..Default::default() })]
    {
        for min_new_tokens in 0..=6 {
            let config = GenerateConfig {
                strategy: strategy.clone(),
                max_new_tokens: 6,
                min_new_tokens,
                end_of_text: Some(0),
                ..Default::default()
            };
            // The prompt does not count.
            let generation = run_one(&eager_to_end(), &[1, 2, 1], &config);
            let mut expected = vec![1; min_new_tokens];
            if min_new_tokens < 6 {
                expected.push(0);
            }
            assert_eq!(generation.ids, expected);
        }
    }
}

#[test]
fn a_context_of_n_predicts_one_id_after_its_nth() {
    let model = FakeModel::hashed(4, 3).with_max_len(5);
    let config = GenerateConfig { max_new_tokens: 10, ..Default::default() };
    for prompt_len in 1..=5 {
        let generation = run_one(&model, &vec![1; prompt_len], &config);
        assert_eq!(generation.ids.len(), 6 - prompt_len);
        assert_eq!(generation.finish_reason, FinishReason::ContextFull);
    }
    // When the ids that were asked for just fit, nothing was cut off.
    let config = GenerateConfig { max_new_tokens: 3, ..config };
    assert_eq!(run_one(&model, &[1; 3], &config).finish_reason, FinishReason::MaxNewTokens);
}

#[test]
fn no_new_tokens_run_no_step() {
    let model = FakeModel::hashed(4, 0);
    let config = GenerateConfig { max_new_tokens: 0, ..Default::default() };
    let generations = run(&model, &[vec![1], vec![2, 3]], &config);
    assert!(generations.iter().all(|generation| generation.ids.is_empty() && generation.log_prob() == 0.0));
    assert_eq!(generations[1].finish_reason, FinishReason::MaxNewTokens);
    assert!(model.steps.borrow().is_empty());
}

#[test]
fn no_prompts_give_no_generations() {
    assert_eq!(run(&FakeModel::hashed(4, 0), &[], &GenerateConfig::default()), []);
}

#[test]
fn on_token_sees_every_id_and_stops_its_own_sequence() {
    let model = FakeModel::hashed(6, 1).with_end_of_text(5);
    let config = GenerateConfig { max_new_tokens: 8, end_of_text: Some(5), ..Default::default() };
    let prompts = [vec![1], vec![0], vec![3]];
    let whole = run(&model, &prompts, &config);
    assert!(whole[1].ids.len() > 3, "the second sequence must not end by itself: {whole:?}");
    let mut seen = vec![Vec::new(); 3];
    let generations = generate(&model, &prompts, &config, &mut |sequence: usize, id| {
        seen[sequence].push(id);
        if sequence == 1 && seen[1].len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .expect("a valid generation");
    for (generation, seen) in generations.iter().zip(&seen) {
        assert_eq!(generation.ids, *seen);
        assert_eq!(generation.log_probs.len(), seen.len());
    }
    assert_eq!((&generations[0], &generations[2]), (&whole[0], &whole[2]));
    assert_eq!(generations[1].ids, whole[1].ids[..3]);
    assert_eq!(generations[1].finish_reason, FinishReason::Stopped);
}
