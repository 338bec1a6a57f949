//! What is timed is what a generation does.

use firebrand_decode::cost::{Calibration, Cost, CostError, Measured};
use firebrand_decode::{
    Beam, Best, BestOf, DecodeError, GenerateConfig, LanguageModel, Positions, Sampling, Strategy, Timed,
    Uncached,
};

use crate::fake::FakeModel;
use crate::run_one;

#[test]
fn a_timed_model_is_the_model_and_notes_its_steps() {
    let model = FakeModel::hashed(4, 1);
    let timed = Timed::new(&model);
    let mut state = timed.start(2);
    timed.step(&mut state, &[&[1, 2], &[3]], Positions::Last).expect("a step");
    timed.truncate(&mut state, 0, 1);
    timed.reorder(&mut state, &[1, 0]);
    let mut state = timed.fork(&state, &[1]);
    let logits = timed.step(&mut state, &[&[3]], Positions::Last).expect("a step");
    assert_eq!(logits.last(0), model.logits(&[1, 3]));
    let passes = timed.into_passes();
    assert_eq!(passes.len(), 2);
    assert!(passes[0].started + passes[0].time <= passes[1].started);
}

#[test]
fn a_measured_generation_is_the_generation_in_its_parts() {
    let model = FakeModel::hashed(4, 1).with_max_len(40);
    let sampling = Sampling::default();
    for strategy in [
        Strategy::Greedy,
        Strategy::Beam(Beam { width: 3, ..Default::default() }),
        Strategy::BestOf(BestOf { n: 2, sampling, by: Best::Agreement }),
    ] {
        let config = GenerateConfig { strategy, max_new_tokens: 9, ..Default::default() };
        let measured = Measured::median(&model, &[1, 2, 3], &config, 3, 10.0).expect("a valid generation");
        assert_eq!(measured.generations[0], run_one(&model, &[1, 2, 3], &config));
        assert_eq!(measured.steps(), 9);
        assert!(measured.times.is_sorted());
        assert!(measured.prompt > 0.0 && measured.tokens > 0.0 && measured.choice() > 0.0);
        assert!(measured.prompt + measured.tokens < measured.seconds());
        let uncached = Measured::new(&Uncached::new(&model), &[1, 2, 3], &config).expect("a generation");
        assert_eq!(uncached.generations, measured.generations);
    }
    let nothing = GenerateConfig { max_new_tokens: 0, ..Default::default() };
    let measured = Measured::new(&model, &[1], &nothing).expect("a valid generation");
    assert_eq!((measured.steps(), measured.seconds(), measured.choice()), (0, 0.0, 0.0));
}

#[test]
fn passes_are_timed_at_every_length_for_every_hypothesis() {
    let model = FakeModel::hashed(4, 1).with_max_len(30);
    let beam = Strategy::Beam(Beam { width: 3, ..Default::default() });
    let config = GenerateConfig { strategy: beam, max_new_tokens: 2, ..Default::default() };
    let lengths = [1, 8, 15, 30];
    let calibration = Calibration::measure(&model, &[1, 2], &config, &lengths).expect("valid");
    let at = |timings: &[(usize, f64)]| timings.iter().map(|timing| timing.0).collect::<Vec<_>>();
    assert_eq!((at(&calibration.prompts), at(&calibration.wholes)), (lengths.to_vec(), lengths.to_vec()));
    // Nine passes over new ids, of which the fifth counts; none where the context is full.
    assert_eq!(at(&calibration.tokens), [5, 12, 19]);
    let fed = model.steps.borrow();
    for expected in [vec![30], vec![15, 15, 15], vec![1, 1, 1]] {
        assert!(fed.contains(&expected), "{expected:?}");
    }
    let cost = Cost::fit(&calibration).expect("enough lengths");
    let (with, without) = (cost.with_cache(8, 10), cost.without_cache(8, 10));
    assert!(with[0] > 0.0 && with.is_sorted() && without.is_sorted() && with[0] == without[0]);
}

#[test]
fn what_cannot_be_generated_or_fitted_is_an_error() {
    let model = FakeModel::hashed(4, 1).with_max_len(2);
    let config = GenerateConfig::default();
    let lengths = Calibration::lengths(1, 5, model.max_len());
    let error = Calibration::measure(&model, &[1, 2, 3], &config, &lengths).expect_err("too long a prompt");
    assert!(matches!(error, DecodeError::Prompt(_)), "{error}");
    let calibration = Calibration::measure(&model, &[1], &config, &lengths).expect("a valid generation");
    assert_eq!(Cost::fit(&calibration), Err(CostError::TooFew { distinct: 2, needed: 3 }));
}
