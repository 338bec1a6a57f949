//! Without its cache a model is the same model.

use std::ops::ControlFlow;

use firebrand_decode::{
    Beam, Best, BestOf, Draft, DraftLength, GenerateConfig, Guided, LanguageModel, Positions, Sampling,
    Sliding, Strategy, Uncached, generate, generate_speculative,
};

use crate::fake::FakeModel;
use crate::run;

fn strategies() -> Vec<Strategy> {
    let sampling = Sampling { seed: 3, ..Default::default() };
    vec![
        Strategy::Greedy,
        Strategy::Sample(sampling.clone()),
        Strategy::Beam(Beam { width: 4, groups: 2, diversity: 0.5, ..Default::default() }),
        Strategy::BestOf(BestOf { n: 3, sampling, by: Best::Agreement }),
    ]
}

#[test]
fn every_strategy_gives_the_same_without_a_cache() {
    let prompts = [vec![1, 2], vec![3], vec![1, 2, 3, 0, 1]];
    for seed in 0..20 {
        let model = FakeModel::hashed(4, seed).with_max_len(20);
        let uncached = Uncached::new(&model);
        for strategy in strategies() {
            let config = GenerateConfig {
                strategy: strategy.clone(),
                max_new_tokens: 12,
                end_of_text: Some(0),
                ..Default::default()
            };
            let expected = run(&model, &prompts, &config);
            let each = &mut |_, _| ControlFlow::Continue(());
            let found = generate(&uncached, &prompts, &config, each).expect("a valid generation");
            assert_eq!(found, expected, "{strategy:?}");
            if matches!(strategy, Strategy::Beam(_) | Strategy::BestOf(_)) {
                continue;
            }
            let other = FakeModel::hashed(4, seed + 1);
            let small = Uncached::new(&other);
            let cached_draft = |length| {
                generate_speculative(&model, &Draft::Model(&other), length, &prompts, &config, &mut |_, _| {
                    ControlFlow::Continue(())
                })
            };
            for length in [1, 4].map(DraftLength::Fixed) {
                let (found, _) =
                    generate_speculative(&uncached, &Draft::Model(&small), length, &prompts, &config, each)
                        .expect("a valid generation");
                assert_eq!(found, cached_draft(length).expect("a valid generation").0);
            }
        }
    }
}

#[test]
fn it_feeds_whole_rows_and_gives_logits_of_the_new_ids_alone() {
    let model = FakeModel::hashed(5, 0);
    let uncached = Uncached::new(&model);
    let mut state = uncached.start(3);
    let all = uncached.step(&mut state, &[&[1, 2, 3], &[], &[4]], Positions::All).expect("a step");
    assert_eq!([0, 1, 2].map(|row| all.positions(row)), [3, 0, 1]);
    let all = uncached.step(&mut state, &[&[0, 1], &[2], &[]], Positions::All).expect("a step");
    assert_eq!([0, 1, 2].map(|row| all.positions(row)), [2, 1, 0]);
    assert_eq!(all.at(0, 0), model.logits(&[1, 2, 3, 0]));
    assert_eq!(all.last(0), model.logits(&[1, 2, 3, 0, 1]));
    assert_eq!(all.last(1), model.logits(&[2]));
    uncached.truncate(&mut state, 0, 1);
    uncached.reorder(&mut state, &[0, 0, 2]);
    let last = uncached.step(&mut state, &[&[4], &[3], &[1]], Positions::Last).expect("a step");
    assert_eq!(last.last(1), model.logits(&[1, 3]));
    assert_eq!(last.last(2), model.logits(&[4, 1]));
    assert_eq!(*model.steps.borrow(), [[3, 0, 1], [5, 1, 0], [2, 2, 2]]);
}

#[test]
fn other_wrappers_work_with_it() {
    let model = FakeModel::hashed(4, 7).with_max_len(7);
    let uncached = Uncached::new(&model);
    let config = GenerateConfig { max_new_tokens: 25, ..Default::default() };
    let prompts = [vec![1, 2], vec![3; 6]];
    let each = &mut |_, _| ControlFlow::Continue(());
    let (plain, without) = (Sliding::new(&model), Sliding::new(&uncached));
    let expected = generate(&plain, &prompts, &config, each).expect("a valid generation");
    assert_eq!(generate(&without, &prompts, &config, each).expect("a valid generation"), expected);
    let (plain, without) = (Guided::new(&plain, vec![2], 1.5), Guided::new(&without, vec![2], 1.5));
    let expected = generate(&plain, &prompts, &config, each).expect("a valid generation");
    assert_eq!(generate(&without, &prompts, &config, each).expect("a valid generation"), expected);
}
