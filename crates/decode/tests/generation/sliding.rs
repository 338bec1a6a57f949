//! A model that sees a window of a text.

use std::ops::ControlFlow;

use firebrand_decode::{
    Beam, Draft, DraftLength, GenerateConfig, LanguageModel, Positions, Sampling, Sliding, Strategy,
    generate, generate_speculative,
};

use crate::fake::FakeModel;
use crate::run;

const MAX_LEN: usize = 7;

/// The definition: after more than `MAX_LEN` ids, 3 at a time are forgotten.
fn seen(prefix: &[u32]) -> &[u32] {
    let mut first = 0;
    while prefix.len() - first > MAX_LEN {
        first += MAX_LEN / 2;
    }
    &prefix[first..]
}

fn windowed(seed: u64) -> FakeModel {
    let model = FakeModel::hashed(4, seed);
    FakeModel::new(4, move |prefix| model.logits(seen(prefix)))
}

#[test]
fn every_strategy_sees_the_window_of_the_definition() {
    let strategies = [
        Strategy::Greedy,
        Strategy::Sample(Sampling { seed: 3, ..Default::default() }),
        Strategy::Beam(Beam { width: 3, ..Default::default() }),
    ];
    let prompts = [vec![1, 2], vec![3; 7], vec![1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 1, 1, 1]];
    for seed in 0..20 {
        let model = FakeModel::hashed(4, seed).with_max_len(MAX_LEN);
        let sliding = Sliding::new(&model);
        for strategy in &strategies {
            let config =
                GenerateConfig { strategy: strategy.clone(), max_new_tokens: 23, ..Default::default() };
            let expected = run(&windowed(seed), &prompts, &config);
            let each = &mut |_, _| ControlFlow::Continue(());
            assert_eq!(generate(&sliding, &prompts, &config, each).expect("a valid generation"), expected);
            if *strategy != Strategy::Greedy {
                continue;
            }
            let other = FakeModel::hashed(4, seed + 1);
            for (draft, gamma) in [(&model, 3), (&other, 5), (&other, 1)] {
                let (draft, length) = (Sliding::new(draft), DraftLength::Fixed(gamma));
                let (found, _) =
                    generate_speculative(&sliding, &Draft::Model(&draft), length, &prompts, &config, each)
                        .expect("a valid generation");
                assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn logits_do_not_depend_on_how_ids_are_fed() {
    let ids: Vec<u32> = (0..30).map(|i| i * i % 4).collect();
    let model = FakeModel::hashed(4, 2).with_max_len(MAX_LEN);
    let sliding = Sliding::new(&model);
    for chunk in [1, 2, 5, 30] {
        let mut state = sliding.start(1);
        let mut at = 0;
        for fed in ids.chunks(chunk) {
            let logits = sliding.step(&mut state, &[fed], Positions::All).expect("a step");
            for position in 0..fed.len() {
                at += 1;
                assert_eq!(logits.at(0, position), FakeModel::hashed(4, 2).logits(seen(&ids[..at])));
            }
        }
    }
}
