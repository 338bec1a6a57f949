//! A constraint that is a function of the new ids: asked in one place, for every strategy. (What texts it lets through is tested
//! in `constrain`.)

use std::error::Error;
use std::ops::ControlFlow;

use firebrand_decode::{
    Beam, Best, BestOf, Constrained, Constraint, DecodeError, Draft, DraftLength, FinishReason,
    GenerateConfig, Sampling, Stop, Strategy, generate, generate_speculative,
};

use crate::fake::FakeModel;
use crate::{run, run_one};

const END: u32 = 0;

/// New ids rise by one, from 1 to `last`; the end may come behind an even one.
struct Rising {
    last: u32,
}

impl Constraint for Rising {
    fn allow(&self, new_ids: &[u32], logits: &mut [f32]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let before = new_ids.last().copied().unwrap_or(0);
        assert!(new_ids.iter().copied().eq(1..=before), "asked for what it did not allow: {new_ids:?}");
        for (id, logit) in (0..).zip(logits) {
            let follows = id == before + 1 && id <= self.last;
            let ends = id == END && before > 0 && before % 2 == 0;
            if !(follows || ends) {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }

    fn is_complete(&self, new_ids: &[u32]) -> bool {
        new_ids.last() == Some(&self.last) && self.last.is_multiple_of(2)
    }
}

struct Failing;

impl Constraint for Failing {
    fn allow(&self, new_ids: &[u32], _: &mut [f32]) -> Result<(), Box<dyn Error + Send + Sync>> {
        if new_ids.len() == 2 { Err("it is too hard".into()) } else { Ok(()) }
    }

    fn is_complete(&self, _: &[u32]) -> bool {
        false
    }
}

fn strategies() -> [Strategy; 5] {
    let sampling = Sampling::default();
    [
        Strategy::Greedy,
        Strategy::Sample(sampling.clone()),
        Strategy::Beam(Beam::default()),
        Strategy::Beam(Beam {
            groups: 2,
            diversity: 0.5,
            sampling: Some(sampling.clone()),
            ..Beam::default()
        }),
        Strategy::BestOf(BestOf { n: 4, sampling, by: Best::Agreement }),
    ]
}

fn config(last: u32, strategy: Strategy) -> GenerateConfig {
    GenerateConfig {
        strategy,
        max_new_tokens: 20,
        end_of_text: Some(END),
        constraint: Constrained::by(Rising { last }),
        ..GenerateConfig::default()
    }
}

#[test]
fn every_strategy_gives_what_it_allows() {
    for seed in 0..20 {
        let model = FakeModel::hashed(9, seed).with_end_of_text(END);
        for strategy in strategies() {
            for generation in run(&model, &[vec![3], vec![7, 0]], &config(6, strategy)) {
                let (end, ids) = match generation.finish_reason {
                    FinishReason::EndOfText => (
                        &generation.ids[generation.ids.len() - 1..],
                        generation.ids.split_last().expect("an end").1,
                    ),
                    _ => (&[][..], &*generation.ids),
                };
                assert!(ids.iter().copied().eq(1..=ids.len() as u32) && [2, 4, 6].contains(&ids.len()));
                assert_eq!(end.is_empty(), ids.len() == 6);
                assert_eq!(generation.finish_reason == FinishReason::Complete, ids.len() == 6);
            }
        }
    }
}

#[test]
fn what_is_complete_ends_whatever_the_minimum_is_and_a_stop_comes_before() {
    for strategy in strategies() {
        let model = FakeModel::hashed(9, 0).with_end_of_text(END);
        let config = GenerateConfig { min_new_tokens: 15, ..config(8, strategy) };
        let generation = run_one(&model, &[1], &config);
        assert_eq!((generation.ids.len(), generation.finish_reason), (8, FinishReason::Complete));
        let stopping = GenerateConfig { stop: Stop::when(|ids| ids.len() == 8), ..config.clone() };
        assert_eq!(run_one(&model, &[1], &stopping).finish_reason, FinishReason::Stop);
        let short = GenerateConfig { max_new_tokens: 8, min_new_tokens: 8, ..config };
        assert_eq!(run_one(&model, &[1], &short).finish_reason, FinishReason::Complete);
    }
}

#[test]
fn a_draft_is_held_to_it_too() {
    for seed in 0..20 {
        let model = FakeModel::hashed(9, seed).with_end_of_text(END);
        for draft_seed in [seed, seed + 50] {
            let draft = FakeModel::hashed(9, draft_seed).with_end_of_text(END);
            for draft in [Draft::Model(&draft), Draft::PromptLookup { longest: 2 }] {
                let (config, prompts) = (config(6, Strategy::Greedy), [vec![3], vec![1, 2, 3, 4, 7, 1]]);
                let each = &mut |_, _| ControlFlow::Continue(());
                let (found, _) =
                    generate_speculative(&model, &draft, DraftLength::Fixed(4), &prompts, &config, each)
                        .expect("generations");
                assert_eq!(found, run(&model, &prompts, &config));
            }
        }
    }
}

#[test]
fn what_leaves_nothing_and_what_fails_are_told_apart() {
    for strategy in strategies() {
        let failure = |config: &GenerateConfig| {
            let model = FakeModel::hashed(9, 0).with_end_of_text(END);
            generate(&model, &[vec![5]], config, &mut |_, _| ControlFlow::Continue(())).expect_err("an error")
        };
        // It ends at an odd one, behind which no end may come, nor at one before.
        let dead = GenerateConfig { min_new_tokens: 9, ..config(5, strategy.clone()) };
        let error = failure(&dead);
        assert!(
            matches!(error, DecodeError::ConstraintUnmet { position: 6, has_token: false, .. }),
            "{error}"
        );
        let banned = GenerateConfig { banned: vec![3], min_new_tokens: 9, ..config(6, strategy.clone()) };
        let error = failure(&banned);
        assert!(
            matches!(error, DecodeError::ConstraintUnmet { position: 3, has_token: true, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("min_new_tokens"), "{error}");
        let failing =
            GenerateConfig { constraint: Constrained::by(Failing), min_new_tokens: 9, ..config(6, strategy) };
        let error = failure(&failing);
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("it is too hard"));
    }
}

#[test]
fn a_constraint_is_equal_to_itself_and_its_clones() {
    let constraint = Constrained::by(Failing);
    assert_eq!(constraint, constraint.clone());
    assert_ne!(constraint, Constrained::by(Failing));
    assert_ne!(constraint, Constrained::default());
    assert_eq!(
        format!("{constraint:?} {:?}", Constrained::default()),
        "Constrained::by(…) Constrained(None)"
    );
}
