//! Contrastive search against its definition, computed anew from the whole prefix for every id.

use std::ops::ControlFlow;

use firebrand_decode::{
    Beam, Constrained, Constraint, Contrastive, DecodeError, FinishReason, GenerateConfig, Generation,
    Guided, HiddenStates, Penalties, Sliding, Stop, Strategy, generate_contrastive,
};

use crate::fake::FakeModel;
use crate::{all_sequences, reference, run};

fn search<M: HiddenStates>(
    model: &M,
    prompts: &[Vec<u32>],
    options: Contrastive,
    config: &GenerateConfig,
) -> Vec<Generation> {
    let each = &mut |_, _| ControlFlow::Continue(());
    generate_contrastive(model, prompts, &options, config, each).expect("a valid generation")
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum() };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// The scores of the `k` likeliest ids after a prefix, as the paper defines them, by id.
fn scores(model: &FakeModel, prefix: &[u32], logits: &[f32], options: Contrastive) -> Vec<(f64, u32)> {
    let logits: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
    let probs = reference::softmax(&logits);
    let mut ids: Vec<u32> = (0..probs.len() as u32).filter(|&id| probs[id as usize] > 0.0).collect();
    ids.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    ids.truncate(options.k);
    ids.sort_unstable();
    let score = |id: u32| {
        let state = model.hidden(&[prefix, &[id]].concat());
        let cosines = (1..=prefix.len()).map(|len| cosine(&state, &model.hidden(&prefix[..len])));
        let penalty = cosines.fold(f64::NEG_INFINITY, f64::max);
        ((1.0 - options.alpha) * probs[id as usize] - options.alpha * penalty, id)
    };
    ids.into_iter().map(score).collect()
}

/// Whether `ids` is what the definition finds, where scores that differ by rounding alone are equal.
fn assert_is_found(model: &FakeModel, prompt: &[u32], ids: &[u32], options: Contrastive) {
    let mut prefix = prompt.to_vec();
    for &id in ids {
        let scores = scores(model, &prefix, &model.logits(&prefix), options);
        let most = scores.iter().map(|(score, _)| *score).fold(f64::NEG_INFINITY, f64::max);
        let close: Vec<u32> =
            scores.iter().filter(|(score, _)| *score > most - 1e-6).map(|(_, id)| *id).collect();
        assert!(close.contains(&id), "after {prefix:?} comes {id}: {scores:?}");
        prefix.push(id);
    }
}

#[test]
fn every_id_is_the_one_that_the_definition_finds() {
    let mut different = 0;
    for vocab_size in 1..=4 {
        let prompts: Vec<Vec<u32>> = (1..=3).flat_map(|len| all_sequences(vocab_size as u32, len)).collect();
        let config = GenerateConfig { max_new_tokens: 6, end_of_text: Some(0), ..Default::default() };
        for seed in 0..6 {
            let model = FakeModel::hashed(vocab_size, seed);
            let greedy = run(&model, &prompts, &config);
            for (k, alpha) in [(1, 0.6), (2, 0.6), (3, 0.3), (4, 0.6), (4, 1.0), (9, 0.5)] {
                let options = Contrastive { k, alpha };
                let found = search(&model, &prompts, options, &config);
                for (prompt, generation) in prompts.iter().zip(&found) {
                    assert_is_found(&model, prompt, &generation.ids, options);
                    assert!(generation.ids.len() == 6 || generation.ids.last() == Some(&0));
                    let log_probs = reference::log_probs(&model, prompt, &generation.ids);
                    assert!(generation.log_probs.iter().zip(&log_probs).all(|(a, b)| (a - b).abs() < 1e-9));
                }
                different += usize::from(found != greedy);
            }
        }
    }
    assert!(different > 20, "{different} searches found something else than greedy decoding");
}

#[test]
fn of_equal_scores_the_smaller_id_wins() {
    // All logits are equal, and with an alpha of 1 the penalty alone counts: 0 or 1, as states are axes.
    let model = FakeModel::new(4, |_| vec![0.0; 4]).with_hidden(|prefix| {
        let axis = prefix.iter().sum::<u32>() as usize % 7 / 2;
        (0..4).map(|at| f32::from(u8::from(at == axis))).collect()
    });
    let options = Contrastive { k: 4, alpha: 1.0 };
    let config = GenerateConfig { max_new_tokens: 8, ..Default::default() };
    let mut ties = 0;
    for prompt in all_sequences(4, 2) {
        let mut prefix = prompt.clone();
        for id in search(&model, &[prompt], options, &config).remove(0).ids {
            let scores = scores(&model, &prefix, &[0.0; 4], options);
            let most = scores.iter().map(|(score, _)| *score).fold(f64::NEG_INFINITY, f64::max);
            let equal: Vec<u32> =
                scores.iter().filter(|(score, _)| *score == most).map(|(_, id)| *id).collect();
            assert_eq!(id, equal[0], "after {prefix:?}: {scores:?}");
            ties += usize::from(equal.len() > 1);
            prefix.push(id);
        }
    }
    assert!(ties > 20, "{ties} ties");
}

#[test]
fn one_candidate_or_an_alpha_of_zero_is_greedy() {
    for seed in 0..30 {
        for model in [FakeModel::hashed(5, seed), FakeModel::with_ties(5, seed)] {
            let model = model.with_max_len(9);
            let config = GenerateConfig { max_new_tokens: 7, end_of_text: Some(2), ..Default::default() };
            let prompts = vec![vec![0], vec![1, 2, 3], vec![4; 8], vec![1; 9]];
            let greedy = run(&model, &prompts, &config);
            for options in [Contrastive { k: 1, alpha: 0.9 }, Contrastive { k: 5, alpha: 0.0 }] {
                assert_eq!(search(&model, &prompts, options, &config), greedy);
            }
        }
    }
}

#[test]
fn a_batch_gives_what_single_prompts_give_and_a_full_context_predicts_once_more() {
    for seed in 0..30 {
        let model = FakeModel::hashed(5, seed).with_max_len(9);
        let config = GenerateConfig { max_new_tokens: 7, end_of_text: Some(2), ..Default::default() };
        let prompts = vec![vec![0], vec![1, 2, 3], vec![4; 8], vec![0], vec![3, 1, 4, 1], vec![1; 9]];
        let options = Contrastive::default();
        let found = search(&model, &prompts, options, &config);
        for (prompt, generation) in prompts.iter().zip(&found) {
            assert_eq!(&search(&model, std::slice::from_ref(prompt), options, &config)[0], generation);
        }
        assert_eq!(found[5].ids.len(), 1);
        let full = found[5].ids != [2];
        assert_eq!(found[5].finish_reason == FinishReason::ContextFull, full);
    }
}

#[test]
fn there_is_one_pass_an_id_of_all_candidates() {
    let model = FakeModel::hashed(6, 1);
    let config = GenerateConfig { max_new_tokens: 3, ..Default::default() };
    search(&model, &[vec![1, 2], vec![3]], Contrastive { k: 2, alpha: 0.5 }, &config);
    assert_eq!(*model.steps.borrow(), [vec![2, 1], vec![1; 4], vec![1; 4], vec![1; 4]]);
}

#[test]
fn processors_stops_and_limits_hold() {
    let model = FakeModel::hashed(5, 3);
    let options = Contrastive { k: 3, alpha: 0.5 };
    let config = GenerateConfig {
        max_new_tokens: 8,
        min_new_tokens: 5,
        end_of_text: Some(0),
        banned: vec![4],
        forced: vec![2, 2],
        ..Default::default()
    };
    for prompt in all_sequences(4, 2) {
        let ids = search(&model, &[prompt], options, &config).remove(0).ids;
        assert!(ids.starts_with(&[2, 2]) && !ids.contains(&4) && !ids[..5].contains(&0), "{ids:?}");
    }
    let penalties = Penalties { no_repeat_ngram: 1, ..Default::default() };
    let config = GenerateConfig { max_new_tokens: 3, penalties, ..Default::default() };
    let mut once = search(&model, &[vec![1, 2]], options, &config).remove(0).ids;
    once.sort_unstable();
    assert_eq!(once, [0, 3, 4]);
    let config = GenerateConfig { max_new_tokens: 8, ..Default::default() };
    let all = search(&model, &[vec![1, 2]], options, &config).remove(0).ids;
    let pair = [all[2], all[3]];
    let stop = Stop::when(move |ids| ids.ends_with(&pair));
    let stopped =
        search(&model, &[vec![1, 2]], options, &GenerateConfig { stop, ..config.clone() }).remove(0);
    assert_eq!((stopped.finish_reason, stopped.ids.ends_with(&pair)), (FinishReason::Stop, true));
    assert!(all.starts_with(&stopped.ids));
    let mut seen = Vec::new();
    let each = &mut |sequence, id| {
        seen.push((sequence, id));
        if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let broken =
        generate_contrastive(&model, &[vec![1, 2]], &options, &config, each).expect("valid").remove(0);
    assert_eq!((broken.finish_reason, &broken.ids[..]), (FinishReason::Stopped, &all[..3]));
    assert_eq!(seen, all[..3].iter().map(|&id| (0, id)).collect::<Vec<_>>());
}

/// Ids never fall, and 3 is the last.
struct Rising;

impl Constraint for Rising {
    fn allow(&self, ids: &[u32], logits: &mut [f32]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let least = ids.last().copied().unwrap_or(0) as usize;
        logits[..least].fill(f32::NEG_INFINITY);
        Ok(())
    }

    fn is_complete(&self, ids: &[u32]) -> bool {
        ids.last() == Some(&3)
    }
}

#[test]
fn a_constraint_is_met() {
    for seed in 0..20 {
        let constraint = Constrained::by(Rising);
        let config = GenerateConfig { max_new_tokens: 9, constraint, ..Default::default() };
        let found =
            search(&FakeModel::hashed(4, seed), &[vec![2]], Contrastive::default(), &config).remove(0);
        assert!(found.ids.is_sorted(), "{:?}", found.ids);
        assert_eq!(found.finish_reason == FinishReason::Complete, found.ids.contains(&3));
    }
}

#[test]
fn a_window_that_never_moves_and_a_guidance_of_one_change_nothing() {
    let model = FakeModel::hashed(5, 2).with_max_len(16);
    let config = GenerateConfig { max_new_tokens: 9, ..Default::default() };
    let prompts = [vec![1, 2, 3], vec![4]];
    let options = Contrastive::default();
    let ids = |found: Vec<Generation>| found.into_iter().map(|one| one.ids).collect::<Vec<_>>();
    let plain = ids(search(&model, &prompts, options, &config));
    assert_eq!(ids(search(&Sliding::new(&model), &prompts, options, &config)), plain);
    assert_eq!(ids(search(&Guided::new(&model, vec![3, 3], 1.0), &prompts, options, &config)), plain);
}

#[test]
fn a_window_that_moves_gives_single_prompts_what_a_batch_gives() {
    let model = FakeModel::hashed(5, 2).with_max_len(4);
    let model = Sliding::new(&model);
    let config = GenerateConfig { max_new_tokens: 12, ..Default::default() };
    let prompts = [vec![1, 2, 3], vec![4], vec![1, 2, 3, 4, 0, 1, 2]];
    let found = search(&model, &prompts, Contrastive::default(), &config);
    for (prompt, generation) in prompts.iter().zip(&found) {
        assert_eq!(generation.ids.len(), 12);
        assert_eq!(
            &search(&model, std::slice::from_ref(prompt), Contrastive::default(), &config)[0],
            generation
        );
    }
}

#[test]
fn what_nothing_can_be_done_with_is_refused() {
    let model = FakeModel::hashed(3, 0);
    let fails = |options: Contrastive, config: &GenerateConfig, part: &str| {
        let each = &mut |_, _| ControlFlow::Continue(());
        let error = generate_contrastive(&model, &[vec![1]], &options, config, each).expect_err(part);
        assert!(matches!(error, DecodeError::Config(_)) && error.to_string().contains(part), "{error}");
    };
    let config = GenerateConfig::default();
    fails(Contrastive { k: 0, alpha: 0.5 }, &config, "contrastive k 0");
    for alpha in [-0.1, 1.5, f64::NAN] {
        fails(Contrastive { k: 4, alpha }, &config, &format!("contrastive alpha {alpha}"));
    }
    let beam = GenerateConfig { strategy: Strategy::Beam(Beam::default()), ..config };
    fails(Contrastive::default(), &beam, "a rule of its own");
}
