//! Speculative decoding is lossless: the ids of greedy decoding, the distribution of sampling, whatever the draft.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use firebrand_decode::{
    Draft, DraftLength, GenerateConfig, Generation, Mirostat, Penalties, Sampling, Speculation, Stop,
    Strategy, expected_speedup, expected_tokens, generate_speculative,
};

use crate::fake::FakeModel;
use crate::reference::{self, assert_fits};
use crate::run;

const END: u32 = 0;

fn speculate(
    model: &FakeModel,
    draft: &Draft<'_, FakeModel>,
    gamma: usize,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
) -> (Vec<Generation>, Speculation) {
    let each = &mut |_, _| ControlFlow::Continue(());
    generate_speculative(model, draft, DraftLength::Fixed(gamma), prompts, config, each)
        .expect("a valid generation")
}

fn lookup(longest: usize) -> Draft<'static, FakeModel> {
    Draft::PromptLookup { longest }
}

/// Models that agree with `hashed(_, seed)` more or less often.
fn drafts(vocab_size: usize, seed: u64) -> Vec<FakeModel> {
    let almost = FakeModel::hashed(vocab_size, seed);
    let mixed = FakeModel::new(vocab_size, move |prefix| {
        let mut logits = almost.logits(prefix);
        if prefix.len() % 3 == 0 {
            logits.reverse();
        }
        logits
    });
    vec![FakeModel::hashed(vocab_size, seed), mixed, FakeModel::hashed(vocab_size, seed + 1000)]
}

fn same(speculative: &[Generation], plain: &[Generation]) {
    for (speculative, plain) in speculative.iter().zip(plain) {
        assert_eq!(speculative.ids, plain.ids);
        assert_eq!(speculative.finish_reason, plain.finish_reason);
        assert_eq!(speculative.log_probs, plain.log_probs);
    }
}

#[test]
fn greedy_ids_are_those_of_greedy_decoding() {
    for seed in 0..25 {
        let model = || FakeModel::hashed(4, seed).with_max_len(14);
        let penalties = Penalties { repetition: 1.2, no_repeat_ngram: 3, ..Default::default() };
        let plain = GenerateConfig { max_new_tokens: 11, end_of_text: Some(END), ..Default::default() };
        let configs = [
            GenerateConfig { penalties, min_new_tokens: 3, ..plain.clone() },
            GenerateConfig { forced: vec![2, 2], banned: vec![3], ..plain.clone() },
            GenerateConfig {
                stop: Stop::when(|ids| ids.ends_with(&[1, 2])),
                end_of_text: None,
                ..plain.clone()
            },
            plain,
        ];
        let prompts = [vec![1], vec![2, 1, 3, 2, 1], vec![3; 14], vec![1, 2, 3, 1, 2], vec![1]];
        for config in &configs {
            let expected = run(&model(), &prompts, config);
            for gamma in 1..=8 {
                for draft in drafts(4, seed) {
                    // A draft may forget earlier than the model.
                    for draft in [draft.with_max_len(20), FakeModel::hashed(4, seed).with_max_len(7)] {
                        let draft = Draft::Model(&draft);
                        same(&speculate(&model(), &draft, gamma, &prompts, config).0, &expected);
                    }
                }
                same(&speculate(&model(), &lookup(3), gamma, &prompts, config).0, &expected);
            }
        }
    }
}

#[test]
fn a_draft_that_is_the_model_is_always_right() {
    let model = FakeModel::hashed(5, 3);
    for strategy in [Strategy::Greedy, Strategy::Sample(Sampling::default())] {
        let config = GenerateConfig { strategy, max_new_tokens: 21, ..Default::default() };
        let (_, happened) = speculate(&model, &Draft::Model(&model), 4, &[vec![1]], &config);
        // One id comes with the prompt, then five a round.
        assert_eq!(
            (&happened.rounds[..], happened.n_rounds(), happened.tokens),
            (&[0, 0, 0, 0, 4][..], 4, 20)
        );
        assert_eq!(happened.expected_tokens_per_round(), Some(5.0));
        assert_eq!((happened.proposed, happened.examined, happened.accepted), (16, 16, 16));
        assert_eq!((happened.acceptance(), happened.tokens_per_round()), (Some(1.0), Some(5.0)));
    }
}

/// χ² of the joint distribution over whole sequences.
#[test]
fn samples_have_the_joint_distribution_of_the_model() {
    let samplings = [
        Sampling::default(),
        Sampling { temperature: 0.7, top_k: Some(2), ..Default::default() },
        Sampling { temperature: 1.4, top_p: Some(0.85), min_p: Some(0.1), ..Default::default() },
        Sampling { mirostat: Some(Mirostat { target: 0.9, rate: 0.6 }), ..Default::default() },
    ];
    for (sampling, model_seed) in samplings.iter().zip(10..) {
        let model = || FakeModel::hashed(3, model_seed).with_end_of_text(END);
        let expected = reference::joint_distribution(&model(), &[1, 2, 1], 4, sampling);
        let expected: BTreeMap<Vec<u32>, f64> =
            expected.into_iter().filter(|(_, prob)| *prob > 0.0).collect();
        let models = drafts(3, model_seed);
        let kinds = models.iter().map(Draft::Model).chain([lookup(2)]);
        for (kind, draft) in kinds.enumerate() {
            for gamma in [1, 2, 3, 8] {
                check(&model(), &draft, gamma, sampling, &expected, 10_000, kind as u64 * 100 + gamma as u64);
            }
        }
    }
}

fn check(
    model: &FakeModel,
    draft: &Draft<'_, FakeModel>,
    gamma: usize,
    sampling: &Sampling,
    expected: &BTreeMap<Vec<u32>, f64>,
    draws: usize,
    seed: u64,
) {
    let strategy = Strategy::Sample(Sampling { seed, ..sampling.clone() });
    let config = GenerateConfig { strategy, max_new_tokens: 4, end_of_text: Some(END), ..Default::default() };
    let (found, _) = speculate(model, draft, gamma, &vec![vec![1, 2, 1]; draws], &config);
    let mut counts: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    found.into_iter().for_each(|generation| *counts.entry(generation.ids).or_default() += 1);
    // What is too rare to be tested alone is tested together.
    let is_rare = |ids: &Vec<u32>| expected.get(ids).is_some_and(|prob| prob * draws as f64 <= 5.0);
    let mut merged = (BTreeMap::new(), BTreeMap::new());
    for (ids, count) in counts {
        *merged.0.entry(if is_rare(&ids) { vec![] } else { ids }).or_default() += count;
    }
    for (ids, prob) in expected {
        *merged.1.entry(if is_rare(ids) { vec![] } else { ids.clone() }).or_default() += *prob;
    }
    if merged.1.get(&vec![]).is_some_and(|prob| prob * draws as f64 <= 5.0) {
        merged.0.remove(&vec![]);
        merged.1.remove(&vec![]);
    }
    assert_fits(&merged.0, &merged.1);
}

/// A million draws, in batches.
#[test]
fn a_million_samples_have_the_joint_distribution() {
    let sampling = Sampling { temperature: 1.2, ..Default::default() };
    let model = FakeModel::hashed(3, 77).with_end_of_text(END);
    let expected = reference::joint_distribution(&model, &[1, 2, 1], 4, &sampling);
    let draft = FakeModel::hashed(3, 78);
    check(&model, &Draft::Model(&draft), 3, &sampling, &expected, 1_000_000, 5);
}

#[test]
fn prompts_of_a_batch_do_not_know_of_each_other() {
    let model = FakeModel::hashed(5, 4);
    let draft = FakeModel::hashed(5, 5);
    let prompts = [vec![1], vec![2, 3, 4], vec![4, 4]];
    let config = |first_sequence| GenerateConfig {
        strategy: Strategy::Sample(Sampling { seed: 9, first_sequence, ..Default::default() }),
        max_new_tokens: 9,
        ..Default::default()
    };
    let (together, _) = speculate(&model, &Draft::Model(&draft), 3, &prompts, &config(0));
    for (index, prompt) in prompts.iter().enumerate() {
        let (alone, _) =
            speculate(&model, &Draft::Model(&draft), 3, std::slice::from_ref(prompt), &config(index as u64));
        assert_eq!(alone[0], together[index]);
    }
}

#[test]
fn what_cannot_be_speculated_on_is_refused() {
    let model = FakeModel::hashed(5, 4);
    let each = &mut |_, _| ControlFlow::Continue(());
    let mut refuses = |draft: &Draft<'_, FakeModel>, gamma, strategy, part: &str| {
        let config = GenerateConfig { strategy, ..Default::default() };
        let error = generate_speculative(&model, draft, DraftLength::Fixed(gamma), &[vec![1]], &config, each)
            .expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    };
    refuses(&lookup(3), 0, Strategy::Greedy, "draft length 0");
    refuses(&lookup(3), 2, Strategy::Beam(Default::default()), "for greedy decoding and sampling");
    refuses(&Draft::Model(&FakeModel::hashed(6, 0)), 2, Strategy::Greedy, "the draft has 6 ids");
    assert!(model.steps.borrow().is_empty());
}

#[test]
fn a_caller_can_stop_in_the_middle_of_what_was_accepted() {
    let model = FakeModel::hashed(5, 3);
    let mut left = 3;
    let each = &mut |_, _| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let config = GenerateConfig { max_new_tokens: 20, ..Default::default() };
    let found =
        generate_speculative(&model, &Draft::Model(&model), DraftLength::Fixed(6), &[vec![1]], &config, each);
    assert_eq!(found.expect("a valid generation").0[0].ids.len(), 3);
}

#[test]
fn predictions_are_the_papers() {
    assert_eq!(expected_tokens(1.0, 4), 5.0);
    assert_eq!(expected_tokens(0.0, 4), 1.0);
    let (alpha, gamma) = (0.8_f64, 5);
    assert!((expected_tokens(alpha, gamma) - (1.0 - alpha.powi(6)) / (1.0 - alpha)).abs() < 1e-12);
    // With v = 1, the paper's theorem 3.8.
    let paper = (1.0 - alpha.powi(6)) / ((1.0 - alpha) * (5.0 * 0.1 + 1.0));
    assert!((expected_speedup(alpha, gamma, 0.1, 1.0) - paper).abs() < 1e-12);
}

#[test]
fn whatever_lengths_a_clock_chooses_greedy_ids_are_the_same() {
    for seed in 0..20 {
        let model = FakeModel::hashed(4, seed).with_max_len(40);
        let config = GenerateConfig { max_new_tokens: 30, end_of_text: Some(END), ..Default::default() };
        let prompts = [vec![1], vec![2, 1, 3, 2, 1], vec![3; 14]];
        let expected = run(&model, &prompts, &config);
        for draft in drafts(4, seed) {
            for draft in [Draft::Model(&draft), lookup(3)] {
                let each = &mut |_, _| ControlFlow::Continue(());
                let length = DraftLength::Adaptive { most: 5 };
                let (found, _) = generate_speculative(&model, &draft, length, &prompts, &config, each)
                    .expect("a valid generation");
                assert_eq!(found, expected);
            }
        }
    }
}
