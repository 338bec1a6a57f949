//! Beam search against its definition without a cache, and against all sequences there are.

use std::collections::BTreeMap;

use firebrand_decode::{
    Beam, FinishReason, GenerateConfig, Generation, Sampling, Stop, Strategy, generate_n_best, processors,
};

use crate::fake::FakeModel;
use crate::reference::{self, assert_fits};
use crate::{run, run_one};

const END: u32 = 0;

fn config(beam: Beam, max_new_tokens: usize, n_best: usize) -> GenerateConfig {
    let strategy = Strategy::Beam(beam);
    GenerateConfig { strategy, max_new_tokens, n_best, end_of_text: Some(END), ..Default::default() }
}

fn n_best(model: &FakeModel, prompt: &[u32], config: &GenerateConfig) -> Vec<Generation> {
    let found =
        generate_n_best(model, &[prompt.to_vec()], config, &mut |_, _| std::ops::ControlFlow::Continue(()));
    found.expect("a valid search").remove(0)
}

fn score(log_prob: f64, len: usize, lambda: f64) -> f64 {
    log_prob / (len as f64).powf(lambda)
}

/// All complete sequences with their log-probabilities, the best first.
fn all_ranked(model: &FakeModel, prompt: &[u32], max_new_tokens: usize, lambda: f64) -> Vec<(Vec<u32>, f64)> {
    let joint = reference::joint_distribution(model, prompt, max_new_tokens, &Sampling::default());
    let scored = |(ids, prob): (Vec<u32>, f64)| {
        let score = score(prob.ln(), ids.len(), lambda);
        (ids, score)
    };
    let mut all: Vec<(Vec<u32>, f64)> = joint.into_iter().map(scored).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

#[test]
fn a_beam_as_wide_as_all_sequences_finds_the_best_ones() {
    for (vocab_size, max_new_tokens) in [(2, 5), (3, 4), (4, 3), (6, 2)] {
        for seed in 0..30 {
            for lambda in [0.0, 1.0, 0.4, -0.5] {
                let model = FakeModel::hashed(vocab_size, seed).with_end_of_text(END);
                let width = vocab_size.pow(max_new_tokens as u32);
                let beam = Beam { width, length_penalty: lambda, ..Default::default() };
                let all = all_ranked(&model, &[1], max_new_tokens, lambda);
                let wanted = 5.min(all.len());
                let found = n_best(&model, &[1], &config(beam, max_new_tokens, wanted));
                for (found, (ids, score)) in found.iter().zip(&all) {
                    assert_eq!(&found.ids, ids, "|V| {vocab_size}, seed {seed}, λ {lambda}");
                    assert!((found.score - score).abs() < 1e-9);
                }
                assert_eq!(found.len(), wanted);
            }
        }
    }
}

#[test]
fn a_beam_of_one_is_greedy() {
    for vocab_size in 1..=4 {
        for seed in 0..40 {
            for model in [FakeModel::hashed(vocab_size, seed), FakeModel::with_ties(vocab_size, seed)] {
                let model = model.with_end_of_text(END);
                let beam = config(Beam { width: 1, ..Default::default() }, 6, 1);
                let greedy = GenerateConfig { strategy: Strategy::Greedy, ..beam.clone() };
                assert_eq!(run_one(&model, &[0], &beam).ids, run_one(&model, &[0], &greedy).ids);
            }
        }
    }
}

/// The definition, step by step over whole prefixes: all extensions ranked; of the first K those that end are finished; the
/// best K that go on stay live. All steps are made, whatever could still be beaten.
fn definition(
    model: &FakeModel,
    prompt: &[u32],
    config: &GenerateConfig,
    beam: &Beam,
) -> Vec<(Vec<u32>, f64)> {
    let width = beam.width / beam.groups;
    let mut live = vec![vec![(Vec::<u32>::new(), 0.0)]; beam.groups];
    let mut finished = Vec::new();
    for step in 1..=config.max_new_tokens {
        let mut taken: BTreeMap<u32, f64> = BTreeMap::new();
        for group in &mut live {
            let mut all = Vec::new();
            for (from, (ids, sum)) in group.iter().enumerate() {
                let seen = [prompt, ids].concat();
                let mut logits = model.logits(&seen);
                config.penalties.apply(&mut logits, &seen);
                if ids.len() < config.min_new_tokens {
                    processors::ban(&mut logits, END);
                }
                let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
                for (id, prob) in (0u32..).zip(reference::softmax(&logits)).filter(|(_, prob)| *prob > 0.0) {
                    let sum = sum + prob.ln();
                    let key = sum - beam.diversity * taken.get(&id).copied().unwrap_or(0.0);
                    all.push((key, from, id, [&ids[..], &[id]].concat(), sum));
                }
            }
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            let mut next = Vec::new();
            for (rank, (_, _, id, ids, sum)) in all.into_iter().enumerate() {
                if next.len() == width {
                    break;
                }
                match id {
                    END if rank < width => finished.push((ids, sum)),
                    END => {}
                    _ => next.push((ids, sum)),
                }
            }
            next.iter().for_each(|(ids, _)| *taken.entry(ids[step - 1]).or_default() += 1.0);
            *group = next;
        }
    }
    finished.extend(live.into_iter().flatten());
    let mut scored: Vec<(Vec<u32>, f64)> = finished
        .into_iter()
        .map(|(ids, sum)| {
            let score = score(sum, ids.len(), beam.length_penalty);
            (ids, score)
        })
        .collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored.dedup_by(|a, b| a.0 == b.0);
    scored.truncate(config.n_best);
    scored
}

#[test]
fn beams_are_what_the_definition_finds() {
    for seed in 0..150 {
        for (width, groups, diversity) in
            [(1, 1, 0.0), (2, 1, 0.0), (3, 1, 0.0), (5, 1, 0.0), (4, 2, 0.7), (3, 3, 0.4)]
        {
            for length_penalty in [0.0, 1.0, -0.3] {
                let model = FakeModel::hashed(4, seed).with_end_of_text(END);
                let beam = Beam { width, length_penalty, groups, diversity, sampling: None };
                let n_best_wanted = if groups > 1 { 1 } else { width.min(3) };
                let mut config = config(beam.clone(), 6, n_best_wanted);
                config.min_new_tokens = (seed % 3) as usize;
                config.penalties.frequency = if seed % 2 == 0 { 0.0 } else { 0.3 };
                let found = n_best(&model, &[2, 1], &config);
                let expected = definition(&model, &[2, 1], &config, &beam);
                let ids =
                    |found: &[(Vec<u32>, f64)]| found.iter().map(|(ids, _)| ids.clone()).collect::<Vec<_>>();
                let found: Vec<(Vec<u32>, f64)> =
                    found.into_iter().map(|generation| (generation.ids, generation.score)).collect();
                assert_eq!(ids(&found), ids(&expected), "seed {seed}, {beam:?}");
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found.1 - expected.1).abs() < 1e-6, "{} is not {}", found.1, expected.1);
                }
            }
        }
    }
}

#[test]
fn a_search_stops_when_nothing_can_be_beaten() {
    // Ends at once with probability 0.9: whatever goes on has less than what is finished.
    let model = FakeModel::new(3, |_| vec![0.9_f32.ln(), 0.06_f32.ln(), 0.04_f32.ln()]).with_end_of_text(END);
    let found = run_one(&model, &[1], &config(Beam::default(), 50, 1));
    assert_eq!((&found.ids[..], found.finish_reason), (&[END][..], FinishReason::EndOfText));
    assert_eq!(model.steps.borrow().len(), 1);
}

#[test]
fn what_is_finished_is_not_lost_to_worse_that_goes_on() {
    // The end is the second best at first; what is best then goes on into nothing but unlikely ids.
    let model = FakeModel::new(4, |prefix| match prefix.len() {
        1 => [0.4_f32, 0.6, 1e-9, 1e-9].map(f32::ln).to_vec(),
        _ => [1e-9_f32, 0.4, 0.3, 0.3].map(f32::ln).to_vec(),
    })
    .with_end_of_text(END);
    let found = run_one(&model, &[1], &config(Beam { width: 2, ..Default::default() }, 3, 1));
    assert_eq!(found.ids, [END]);
}

#[test]
fn the_log_probabilities_are_those_of_the_model() {
    let model = FakeModel::hashed(5, 7).with_end_of_text(END);
    let mut config = config(Beam::default(), 5, 4);
    config.penalties.repetition = 1.5;
    for found in n_best(&model, &[1, 2], &config) {
        for (found, expected) in found.log_probs.iter().zip(reference::log_probs(&model, &[1, 2], &found.ids))
        {
            assert!((found - expected).abs() < 1e-9);
        }
    }
}

#[test]
fn prompts_do_not_know_of_each_other_and_contexts_end() {
    let model = FakeModel::hashed(5, 3).with_end_of_text(END).with_max_len(6);
    let config = config(Beam { width: 3, ..Default::default() }, 9, 1);
    let prompts = vec![vec![1, 2], vec![3; 6], vec![4, 1, 1, 2]];
    let together = run(&model, &prompts, &config);
    for (prompt, found) in prompts.iter().zip(&together) {
        assert_eq!(found, &run_one(&model, prompt, &config));
    }
    assert_eq!(together[1].ids.len(), 1);
}

#[test]
fn a_stop_ends_a_hypothesis() {
    let model = FakeModel::hashed(4, 11).with_end_of_text(END);
    let stop = Stop::when(|ids: &[u32]| ids.ends_with(&[2]));
    let config = GenerateConfig { stop, banned: vec![END], ..config(Beam::default(), 6, 4) };
    for found in n_best(&model, &[1], &config) {
        let at = found.ids.iter().position(|&id| id == 2);
        assert!(at.is_none_or(|at| at + 1 == found.ids.len()), "{:?}", found.ids);
        assert_eq!(found.finish_reason == FinishReason::Stop, at.is_some());
    }
}

#[test]
fn groups_that_must_differ_take_different_ids() {
    let model = FakeModel::hashed(6, 5);
    let beam = Beam { width: 4, groups: 4, diversity: 1e6, ..Default::default() };
    let config = GenerateConfig { end_of_text: None, ..config(beam, 3, 4) };
    let found = n_best(&model, &[1], &config);
    for step in 0..3 {
        let mut ids: Vec<u32> = found.iter().map(|generation| generation.ids[step]).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4, "step {step}");
    }
}

/// A beam of one that is drawn is sampling, as long as nothing ends: beside what ended, another is drawn that goes on.
#[test]
fn drawn_beams_have_the_distribution() {
    let model = FakeModel::hashed(3, 2);
    let sampling = Sampling { temperature: 1.3, ..Default::default() };
    let expected = reference::joint_distribution(&model, &[1], 2, &sampling);
    let mut counts = BTreeMap::new();
    for seed in 0..4000 {
        let beam =
            Beam { width: 1, sampling: Some(Sampling { seed, ..sampling.clone() }), ..Default::default() };
        *counts
            .entry(run_one(&model, &[1], &GenerateConfig { end_of_text: None, ..config(beam, 2, 1) }).ids)
            .or_default() += 1;
    }
    assert_fits(&counts, &expected);
}

/// Two hypotheses of one step are two draws without replacement.
#[test]
fn drawn_hypotheses_are_without_replacement() {
    let model = FakeModel::hashed(4, 9);
    let probs = reference::softmax(&model.logits(&[1]).into_iter().map(f64::from).collect::<Vec<_>>());
    let mut expected = BTreeMap::new();
    for a in 0..4 {
        for b in (0..4).filter(|&b| b != a) {
            *expected.entry([a.min(b) as u32, a.max(b) as u32]).or_default() +=
                probs[a] * probs[b] / (1.0 - probs[a]);
        }
    }
    let mut counts = BTreeMap::new();
    for seed in 0..4000 {
        let sampling = Some(Sampling { seed, ..Default::default() });
        let beam = Beam { width: 2, sampling, ..Default::default() };
        let config = GenerateConfig { end_of_text: None, ..config(beam, 1, 2) };
        let mut ids: Vec<u32> = n_best(&model, &[1], &config).iter().map(|found| found.ids[0]).collect();
        ids.sort_unstable();
        *counts.entry([ids[0], ids[1]]).or_default() += 1;
    }
    assert_fits(&counts, &expected);
}
