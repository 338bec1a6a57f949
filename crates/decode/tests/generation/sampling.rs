//! The sampling strategy: what it draws from, and that only the seed decides.

use std::collections::BTreeMap;

use firebrand_decode::{GenerateConfig, Mirostat, Sampling, Strategy};

use crate::fake::FakeModel;
use crate::processors::all_logits;
use crate::reference::{assert_fits, joint_distribution};
use crate::{run, run_one};

fn config(sampling: Sampling, max_new_tokens: usize, end_of_text: Option<u32>) -> GenerateConfig {
    GenerateConfig { strategy: Strategy::Sample(sampling), max_new_tokens, end_of_text, ..Default::default() }
}

/// Checks that whole sequences come with the probability the definitions give them, once over seeds and once over
/// the sequences of batches.
fn check_joint_distribution(sampling: &Sampling, model_seed: u64) {
    const SEEDS: u64 = 60_000;
    const BATCH: u64 = 1_000;
    let model = FakeModel::hashed(3, model_seed).with_end_of_text(2);
    let expected = joint_distribution(&model, &[1, 0], 3, sampling);
    assert!((expected.values().sum::<f64>() - 1.0).abs() < 1e-12);

    let mut over_seeds = BTreeMap::new();
    for seed in 0..SEEDS {
        let config = config(Sampling { seed, ..sampling.clone() }, 3, Some(2));
        *over_seeds.entry(run_one(&model, &[1, 0], &config).ids).or_insert(0) += 1;
    }
    assert_fits(&over_seeds, &expected);

    let mut over_sequences = BTreeMap::new();
    for first_sequence in (0..SEEDS).step_by(BATCH as usize) {
        let config = config(Sampling { first_sequence, ..sampling.clone() }, 3, Some(2));
        for generation in run(&model, &vec![vec![1, 0]; BATCH as usize], &config) {
            *over_sequences.entry(generation.ids).or_insert(0) += 1;
        }
    }
    assert_fits(&over_sequences, &expected);
}

#[test]
fn sequences_have_the_probability_the_model_gives_them() {
    for model_seed in 0..3 {
        check_joint_distribution(&Sampling::default(), model_seed);
    }
}

#[test]
fn sequences_have_the_probability_the_processed_model_gives_them() {
    check_joint_distribution(&Sampling { temperature: 2.0, ..Default::default() }, 0);
    check_joint_distribution(&Sampling { top_k: Some(2), ..Default::default() }, 1);
    check_joint_distribution(&Sampling { top_p: Some(0.8), ..Default::default() }, 2);
    let all = Sampling { temperature: 1.5, top_k: Some(2), top_p: Some(0.7), ..Default::default() };
    check_joint_distribution(&all, 3);
}

#[test]
fn mirostat_draws_as_the_papers_loop_does() {
    for (model_seed, target, rate) in [(0, 0.8, 0.1), (1, 0.8, 1.0), (2, 0.5, 0.7), (3, 1.2, 0.5)] {
        let mirostat = Some(Mirostat { target, rate });
        check_joint_distribution(&Sampling { mirostat, ..Default::default() }, model_seed);
        check_joint_distribution(&Sampling { mirostat, temperature: 1.5, ..Default::default() }, model_seed);
    }
}

#[test]
fn mirostat_brings_texts_to_the_surprise_asked_for() {
    // Between what the likeliest tokens would give and what all together do.
    for (sharpness, target) in [(3.0, 2.9), (3.0, 3.4), (8.0, 1.7), (8.0, 2.1)] {
        let plain = FakeModel::hashed(64, 5);
        let model =
            FakeModel::new(64, move |prefix| plain.logits(prefix).iter().map(|x| sharpness * x).collect());
        let sampling = Sampling { mirostat: Some(Mirostat { target, rate: 0.1 }), ..Default::default() };
        let text = run_one(&model, &[1], &config(sampling, 2000, None));
        let surprise = -text.log_prob() / 2000.0 / std::f64::consts::LN_2;
        assert!((surprise - target).abs() < 0.05, "{surprise} bits instead of {target}");
    }
}

#[test]
fn a_temperature_near_0_is_greedy() {
    for model_seed in 0..50 {
        let model = FakeModel::hashed(6, model_seed);
        let greedy = run_one(&model, &[3], &GenerateConfig { max_new_tokens: 12, ..Default::default() });
        for temperature in [1e-7, 1e-200, f64::MIN_POSITIVE] {
            let sampling = Sampling { temperature, seed: model_seed, ..Default::default() };
            assert_eq!(run_one(&model, &[3], &config(sampling, 12, None)), greedy);
        }
    }
}

#[test]
fn a_temperature_near_0_chooses_among_the_most_likely() {
    for logits in all_logits() {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if largest == f32::NEG_INFINITY {
            continue;
        }
        let model = FakeModel::new(4, {
            let logits = logits.clone();
            move |_| logits.clone()
        });
        let sampling = Sampling { temperature: 1e-9, ..Default::default() };
        let ids = run_one(&model, &[0], &config(sampling, 100, None)).ids;
        for id in 0..4 {
            assert_eq!(ids.contains(&id), logits[id as usize] == largest, "{logits:?} gave {ids:?}");
        }
    }
}

#[test]
fn the_seed_decides_and_nothing_else() {
    let model = FakeModel::hashed(10, 0);
    let with_seed = |seed| run_one(&model, &[1], &config(Sampling { seed, ..Default::default() }, 20, None));
    assert_eq!(with_seed(7), with_seed(7));
    assert_ne!(with_seed(7).ids, with_seed(8).ids);
    // Equal prompts of a batch draw each for itself.
    let both =
        run(&model, &[vec![1], vec![1]], &config(Sampling { seed: 7, ..Default::default() }, 20, None));
    assert_eq!(both[0], with_seed(7));
    assert_ne!(both[0].ids, both[1].ids);
}

#[test]
fn a_batch_gives_what_its_parts_give() {
    for seed in 0..50 {
        let model = FakeModel::hashed(5, seed).with_end_of_text(2).with_max_len(9);
        let with_first =
            |first_sequence| config(Sampling { seed, first_sequence, ..Default::default() }, 7, Some(2));
        let prompts = vec![vec![0], vec![1, 2, 3], vec![4; 8], vec![0], vec![3, 1, 4, 1], vec![1; 9]];
        let whole = run(&model, &prompts, &with_first(u64::MAX));
        for split in 0..=prompts.len() {
            let mut parts = run(&model, &prompts[..split], &with_first(u64::MAX));
            parts.extend(run(&model, &prompts[split..], &with_first(u64::MAX.wrapping_add(split as u64))));
            assert_eq!(parts, whole);
        }
        for (index, prompt) in (0..).zip(&prompts) {
            let single = run_one(&model, prompt, &with_first(u64::MAX.wrapping_add(index)));
            assert_eq!(single, whole[index as usize]);
        }
    }
}

#[test]
fn a_text_in_two_goes_is_the_text_in_one() {
    let model = FakeModel::hashed(10, 0);
    let whole = run_one(&model, &[1], &config(Sampling::default(), 20, None)).ids;
    let mut prompt = vec![1];
    prompt.extend(&whole[..8]);
    assert_eq!(run_one(&model, &prompt, &config(Sampling::default(), 12, None)).ids, whole[8..]);
}
