//! Greedy decoding, and what holds for batches whatever the strategy.

use firebrand_decode::{FinishReason, GenerateConfig};

use crate::fake::FakeModel;
use crate::reference;
use crate::{all_sequences, run, run_one};

/// The definition: at each step the id that no other beats, found with the whole prefix and no cache.
fn rollout(model: &FakeModel, prompt: &[u32], max_new_tokens: usize) -> Vec<u32> {
    let mut ids = prompt.to_vec();
    while ids.len() < prompt.len() + max_new_tokens {
        let logits = model.logits(&ids);
        let is_best = |&id: &usize| {
            logits[..id].iter().all(|&smaller_id| smaller_id < logits[id])
                && logits[id..].iter().all(|&larger_id| larger_id <= logits[id])
        };
        let best = (0..logits.len()).find(is_best).expect("one id is the best");
        ids.push(best as u32);
        if model.end_of_text == Some(best as u32) {
            break;
        }
    }
    ids.split_off(prompt.len())
}

#[test]
fn greedy_is_the_argmax_rollout_for_every_prompt() {
    for vocab_size in 1..=4 {
        for seed in 0..40 {
            for model in [FakeModel::hashed(vocab_size, seed), FakeModel::with_ties(vocab_size, seed)] {
                let model = model.with_end_of_text(0);
                let config = GenerateConfig { max_new_tokens: 6, end_of_text: Some(0), ..Default::default() };
                let prompts: Vec<Vec<u32>> =
                    (1..=3).flat_map(|len| all_sequences(vocab_size as u32, len)).collect();
                for (prompt, generation) in prompts.iter().zip(run(&model, &prompts, &config)) {
                    assert_eq!(generation.ids, rollout(&model, prompt, 6), "prompt {prompt:?}");
                }
            }
        }
    }
}

#[test]
fn equal_logits_give_the_smaller_id() {
    let model = FakeModel::new(4, |prefix| match prefix.len() % 2 {
        0 => vec![-1.0, 0.5, 0.5, 0.5],
        _ => vec![-0.0, 0.0, -0.0, f32::NEG_INFINITY],
    });
    let config = GenerateConfig { max_new_tokens: 4, ..Default::default() };
    assert_eq!(run_one(&model, &[3], &config).ids, [0, 1, 0, 1]);
}

#[test]
fn a_batch_gives_what_single_prompts_give() {
    for seed in 0..50 {
        let model = FakeModel::hashed(5, seed).with_end_of_text(2).with_max_len(9);
        let config = GenerateConfig { max_new_tokens: 7, end_of_text: Some(2), ..Default::default() };
        let prompts = vec![vec![0], vec![1, 2, 3], vec![4; 8], vec![0], vec![3, 1, 4, 1], vec![1; 9]];
        let singles: Vec<_> = prompts.iter().map(|prompt| run_one(&model, prompt, &config)).collect();
        assert_eq!(run(&model, &prompts, &config), singles);
        let reversed: Vec<_> = prompts.iter().rev().cloned().collect();
        assert_eq!(run(&model, &reversed, &config), singles.into_iter().rev().collect::<Vec<_>>());
    }
}

#[test]
fn the_prompt_is_fed_once_and_finished_sequences_leave_the_batch() {
    // Ends a sequence when it has as many ids as its first one says.
    let model = FakeModel::new(8, |prefix| {
        let ends = prefix.len() + 1 == prefix[0] as usize;
        (0..8).map(|id| if (id == 0) == ends { 1.0 } else { 0.0 }).collect()
    })
    .with_end_of_text(0);
    let config = GenerateConfig { max_new_tokens: 4, end_of_text: Some(0), ..Default::default() };
    let generations = run(&model, &[vec![4, 1], vec![7], vec![3, 3], vec![5, 5]], &config);
    let ids: Vec<_> = generations.iter().map(|generation| generation.ids.as_slice()).collect();
    assert_eq!(ids, [&[1, 0][..], &[1, 1, 1, 1], &[0], &[1, 1, 0]]);
    assert_eq!(*model.steps.borrow(), [vec![2, 1, 2, 2], vec![1, 1, 1], vec![1, 1], vec![1]]);
    assert_eq!(generations[1].finish_reason, FinishReason::MaxNewTokens);
}

#[test]
fn log_probs_are_those_of_the_unprocessed_model() {
    for seed in 0..50 {
        let model = FakeModel::hashed(4, seed).with_end_of_text(1);
        let mut config = GenerateConfig {
            max_new_tokens: 6,
            min_new_tokens: 3,
            end_of_text: Some(1),
            ..Default::default()
        };
        config.penalties.repetition = 1.5;
        let generation = run_one(&model, &[2, 0], &config);
        let expected = reference::log_probs(&model, &[2, 0], &generation.ids);
        assert_eq!(generation.log_probs.len(), expected.len());
        for (log_prob, expected) in generation.log_probs.iter().zip(&expected) {
            assert!((log_prob - expected).abs() < 1e-12, "{log_prob} is not {expected}");
        }
        assert!((generation.log_prob() - expected.iter().sum::<f64>()).abs() < 1e-12);
    }
}

#[test]
fn the_repetition_penalty_sees_prompt_and_new_ids() {
    // Whatever was not seen is a little less likely than what was: a penalty goes through all ids in turn.
    let model =
        FakeModel::new(4, |prefix| (0..4).map(|id| if prefix.contains(&id) { 1.1 } else { 1.0 }).collect());
    let mut config = GenerateConfig { max_new_tokens: 4, ..Default::default() };
    assert_eq!(run_one(&model, &[2], &config).ids, [2, 2, 2, 2]);
    config.penalties.repetition = 1.2;
    assert_eq!(run_one(&model, &[2], &config).ids, [0, 1, 3, 0]);
}
