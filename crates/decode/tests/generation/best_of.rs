//! Several draws, and the best of them.

use std::ops::ControlFlow;

use firebrand_decode::{
    Best, BestOf, GenerateConfig, Generation, Sampling, Strategy, agreement, generate_n_best,
};

use crate::fake::FakeModel;
use crate::{run, run_one};

const END: u32 = 0;

fn config(n: usize, by: Best) -> GenerateConfig {
    let sampling = Sampling { seed: 4, ..Default::default() };
    let strategy = Strategy::BestOf(BestOf { n, sampling, by });
    GenerateConfig { strategy, n_best: n, max_new_tokens: 6, end_of_text: Some(END), ..Default::default() }
}

fn all(model: &FakeModel, prompts: &[Vec<u32>], config: &GenerateConfig) -> Vec<Vec<Generation>> {
    generate_n_best(model, prompts, config, &mut |_, _| ControlFlow::Continue(())).expect("valid draws")
}

#[test]
fn the_best_is_the_likeliest_of_what_sampling_draws() {
    let model = FakeModel::hashed(5, 1).with_end_of_text(END);
    for length_penalty in [0.0, 1.0] {
        let prompts = vec![vec![1, 2], vec![3]];
        let found = all(&model, &prompts, &config(8, Best::LogProb { length_penalty }));
        for (index, (prompt, found)) in prompts.iter().zip(found).enumerate() {
            let sampling = Sampling { seed: 4, first_sequence: 8 * index as u64, ..Default::default() };
            let plain = GenerateConfig {
                strategy: Strategy::Sample(sampling),
                n_best: 1,
                ..config(8, Best::Agreement)
            };
            let mut drawn = run(&model, &vec![prompt.clone(); 8], &plain);
            let score = |one: &Generation| one.log_prob() / (one.ids.len() as f64).powf(length_penalty);
            drawn.sort_by(|a, b| score(b).total_cmp(&score(a)));
            let ids = |generations: &[Generation]| {
                generations.iter().map(|one| one.ids.clone()).collect::<Vec<_>>()
            };
            assert_eq!(ids(&found), ids(&drawn));
            assert!(found.iter().zip(&drawn).all(|(found, drawn)| found.score == score(drawn)));
        }
    }
}

#[test]
fn the_prompt_is_fed_once_for_all_draws() {
    let model = FakeModel::hashed(5, 1);
    run_one(
        &model,
        &[1, 2, 3],
        &GenerateConfig { end_of_text: None, n_best: 1, ..config(8, Best::Agreement) },
    );
    let steps = model.steps.borrow();
    assert_eq!(steps[0], [3]);
    assert!(steps[1..].iter().all(|step| *step == [1; 8]));
}

#[test]
fn agreement_is_the_mean_f1_of_ngrams() {
    assert_eq!(agreement(&[], &[]), 1.0);
    assert_eq!(agreement(&[1], &[]), 0.0);
    assert_eq!(agreement(&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]), 1.0);
    // Of one: 2 of 2 and 3; of two: 1 of 1 and 2; of three: 0 of 0 and 1.
    let expected = (4.0 / 5.0 + 2.0 / 3.0 + 0.0) / 3.0;
    assert!((agreement(&[1, 2], &[1, 2, 1]) - expected).abs() < 1e-12);
    assert_eq!(agreement(&[1, 1, 2], &[3, 1]), agreement(&[3, 1], &[1, 1, 2]));
}

#[test]
fn the_best_by_agreement_is_most_like_the_others() {
    let model = FakeModel::hashed(3, 8).with_end_of_text(END);
    let found = all(&model, &[vec![1]], &config(7, Best::Agreement)).remove(0);
    let likeness = |at: usize| {
        let others = (0..found.len()).filter(|&other| other != at);
        others.map(|other| agreement(&found[at].ids, &found[other].ids)).sum::<f64>() / 6.0
    };
    for at in 0..found.len() {
        assert!((found[at].score - likeness(at)).abs() < 1e-12);
        assert!(found[at].score <= found[0].score);
    }
}
