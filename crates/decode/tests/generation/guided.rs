//! Guidance is a model like any other, whose logits are those of the definition.

use std::ops::ControlFlow;

use firebrand_decode::{
    Beam, Draft, DraftLength, GenerateConfig, Guided, LanguageModel, Positions, Sampling, Strategy, generate,
    generate_speculative,
};

use crate::fake::FakeModel;
use crate::reference::softmax;
use crate::run;

/// `s · (log p − log q) + log q` for every prefix that begins with the prompt.
fn combined(seed: u64, prompt: &'static [u32], negative: &'static [u32], scale: f64) -> FakeModel {
    let model = FakeModel::hashed(4, seed);
    FakeModel::new(4, move |prefix| {
        let log_probs = |prefix: &[u32]| -> Vec<f64> {
            let logits: Vec<f64> = model.logits(prefix).into_iter().map(f64::from).collect();
            softmax(&logits).into_iter().map(f64::ln).collect()
        };
        let p = log_probs(prefix);
        let q = log_probs(&[negative, &prefix[prompt.len()..]].concat());
        p.iter().zip(q).map(|(p, q)| (q + scale * (p - q)) as f32).collect()
    })
}

const PROMPT: &[u32] = &[1, 2, 3];

#[test]
fn every_strategy_does_with_it_what_it_does_with_the_definition() {
    let strategies = [
        Strategy::Greedy,
        Strategy::Sample(Sampling { seed: 3, ..Default::default() }),
        Strategy::Beam(Beam { width: 3, ..Default::default() }),
    ];
    for seed in 0..20 {
        for negative in [&[3][..], &[2, 1], &[1, 1, 2, 2, 3]] {
            for scale in [0.0, 1.0, 1.5, 4.0] {
                for strategy in &strategies {
                    let config = GenerateConfig {
                        strategy: strategy.clone(),
                        max_new_tokens: 12,
                        end_of_text: Some(0),
                        ..Default::default()
                    };
                    let expected = run(
                        &combined(seed, PROMPT, negative, scale),
                        &[PROMPT.to_vec(), PROMPT.to_vec()],
                        &config,
                    );
                    let model = FakeModel::hashed(4, seed);
                    let guided = Guided::new(&model, negative.to_vec(), scale);
                    let each = &mut |_, _| ControlFlow::Continue(());
                    let found = generate(&guided, &[PROMPT.to_vec(), PROMPT.to_vec()], &config, each);
                    let found = found.expect("a valid generation");
                    for (found, expected) in found.iter().zip(&expected) {
                        assert_eq!(found.ids, expected.ids);
                        assert!((found.score - expected.score).abs() < 1e-4);
                    }
                    if *strategy == Strategy::Greedy {
                        let (draft, length) = (Draft::Model(&model), DraftLength::Fixed(3));
                        let prompts = [PROMPT.to_vec(), PROMPT.to_vec()];
                        let (drafted, _) =
                            generate_speculative(&guided, &draft, length, &prompts, &config, each)
                                .expect("a valid generation");
                        assert_eq!(
                            drafted.iter().map(|one| &one.ids).collect::<Vec<_>>(),
                            [&expected[0].ids; 2]
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn without_a_negative_prompt_the_last_id_stands_for_it() {
    let model = FakeModel::hashed(4, 9);
    let logits = |negative: &[u32]| {
        let guided = Guided::new(&model, negative.to_vec(), 2.0);
        let mut state = guided.start(2);
        let step = guided.step(&mut state, &[&[1, 2, 3], &[]], Positions::Last).expect("a step");
        step.last(0).to_vec()
    };
    assert_eq!(logits(&[]), logits(&[3]));
    assert_ne!(logits(&[]), logits(&[2]));
}

#[test]
fn a_longer_negative_prompt_leaves_less_room() {
    let model = FakeModel::hashed(4, 9).with_max_len(8);
    assert_eq!(Guided::new(&model, vec![1, 2, 3], 2.0).max_len(), Some(6));
    let config = GenerateConfig { max_new_tokens: 50, ..Default::default() };
    let guided = Guided::new(&model, vec![1, 2, 3], 2.0);
    let found = generate(&guided, &[vec![1]], &config, &mut |_, _| ControlFlow::Continue(()));
    assert_eq!(found.expect("a valid generation")[0].ids.len(), 6);
}
