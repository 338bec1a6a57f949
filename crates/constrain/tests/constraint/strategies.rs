//! Whatever the strategy, what ended by itself matches, and the strategies keep their own promises.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use firebrand_decode::{
    Beam, Best, BestOf, Constrained, DecodeError, Draft, DraftLength, FinishReason, GenerateConfig,
    Generation, Penalties, Sampling, Strategy, generate, generate_n_best, generate_speculative,
};

use crate::fake::FakeModel;
use crate::{END, Grammar, TOKENS, grammar, oracle, spelled, tokens};

const PATTERNS: [&str; 6] = ["ab+é", "(a|é){1,5}", "[ab]{3}", "(aé|b)*a", "é?b{2,6}", ".{4}"];

fn model(seed: u64) -> FakeModel {
    FakeModel::hashed(TOKENS.len(), seed).with_end_of_text(END)
}

fn config(pattern: &str, strategy: Strategy) -> GenerateConfig {
    GenerateConfig {
        strategy,
        max_new_tokens: 12,
        end_of_text: Some(END),
        constraint: Constrained::by(grammar(pattern)),
        ..GenerateConfig::default()
    }
}

fn run(model: &FakeModel, config: &GenerateConfig) -> Vec<Vec<Generation>> {
    let prompts = [vec![1], vec![4, 3, 2], vec![1]];
    generate_n_best(model, &prompts, config, &mut |_, _| ControlFlow::Continue(())).expect("generations")
}

fn speculate(
    model: &FakeModel,
    draft: &Draft<'_, FakeModel>,
    gamma: usize,
    config: &GenerateConfig,
) -> Vec<Generation> {
    let prompts = [vec![1], vec![4, 3, 2], vec![1]];
    let each = &mut |_, _| ControlFlow::Continue(());
    generate_speculative(model, draft, DraftLength::Fixed(gamma), &prompts, config, each)
        .expect("generations")
        .0
}

/// Says whether it ended by itself; then it has to match.
fn ended(pattern: &str, generation: &Generation) -> bool {
    let text = spelled(&generation.ids);
    let ended = matches!(generation.finish_reason, FinishReason::EndOfText | FinishReason::Complete);
    assert!(!ended || oracle(pattern)(&text), "{pattern}: {:?}", String::from_utf8_lossy(&text));
    assert_eq!(generation.ids.last() == Some(&END), generation.finish_reason == FinishReason::EndOfText);
    ended
}

fn strategies(seed: u64) -> Vec<Strategy> {
    let sampling = Sampling { temperature: 1.5, seed, ..Sampling::default() };
    let beam = |width, groups, sampling| {
        Strategy::Beam(Beam { width, groups, diversity: 0.5, sampling, ..Beam::default() })
    };
    vec![
        Strategy::Greedy,
        Strategy::Sample(sampling.clone()),
        Strategy::Sample(Sampling { top_k: Some(2), ..sampling.clone() }),
        beam(3, 1, None),
        beam(4, 2, None),
        beam(4, 1, Some(sampling.clone())),
        Strategy::BestOf(BestOf {
            n: 3,
            sampling: sampling.clone(),
            by: Best::LogProb { length_penalty: 1.0 },
        }),
        Strategy::BestOf(BestOf { n: 3, sampling, by: Best::Agreement }),
    ]
}

#[test]
fn under_every_strategy_what_ended_matches() {
    for pattern in PATTERNS {
        let (mut all, mut by_themselves) = (0, 0);
        for seed in 0..12 {
            for strategy in strategies(seed) {
                let n_best = match &strategy {
                    Strategy::Greedy | Strategy::Sample(_) => 1,
                    Strategy::Beam(_) | Strategy::BestOf(_) => 3,
                };
                let penalties = Penalties { repetition: 1.3, ..Penalties::default() };
                let config = GenerateConfig { n_best, penalties, ..config(pattern, strategy) };
                for generation in run(&model(seed), &config).iter().flatten() {
                    all += 1;
                    by_themselves += usize::from(ended(pattern, generation));
                }
            }
        }
        assert!(2 * by_themselves > all, "{pattern}: {by_themselves} of {all}");
    }
}

#[test]
fn a_draft_changes_nothing() {
    for pattern in PATTERNS {
        for seed in 0..12 {
            let plain = config(pattern, Strategy::Greedy);
            let greedy: Vec<Generation> = run(&model(seed), &plain).into_iter().flatten().collect();
            let sampled = config(pattern, Strategy::Sample(Sampling { seed, ..Sampling::default() }));
            for gamma in 1..=5 {
                // The same model, another, and no model at all.
                for draft_seed in [seed, seed + 100] {
                    let draft = model(draft_seed);
                    let draft = Draft::Model(&draft);
                    assert_eq!(speculate(&model(seed), &draft, gamma, &plain), greedy);
                    speculate(&model(seed), &draft, gamma, &sampled)
                        .iter()
                        .for_each(|one| _ = ended(pattern, one));
                }
                let lookup = Draft::PromptLookup { longest: 3 };
                assert_eq!(speculate(&model(seed), &lookup, gamma, &plain), greedy);
                speculate(&model(seed), &lookup, gamma, &sampled)
                    .iter()
                    .for_each(|one| _ = ended(pattern, one));
            }
        }
    }
}

#[test]
fn one_beam_is_greedy() {
    for pattern in PATTERNS {
        for seed in 0..12 {
            let beam = Strategy::Beam(Beam { width: 1, ..Beam::default() });
            let ids = |strategy| -> Vec<Vec<u32>> {
                run(&model(seed), &config(pattern, strategy))
                    .into_iter()
                    .flatten()
                    .map(|one| one.ids)
                    .collect()
            };
            assert_eq!(ids(beam), ids(Strategy::Greedy), "{pattern}");
        }
    }
}

/// The probability of every sequence that can come of a prompt: at each step the model's, of what may follow a match begun so,
/// renormalized. `texts` are all that match.
fn definition(model: &FakeModel, prompt: &[u32], texts: &[&str]) -> BTreeMap<Vec<u32>, f64> {
    let (mut found, mut open) = (BTreeMap::new(), vec![(vec![], 1.0)]);
    while let Some((ids, prob)) = open.pop() {
        let logits = model.logits(&[prompt, &ids].concat());
        let text = spelled(&ids);
        let ends = texts.iter().any(|match_| match_.as_bytes() == text);
        let begins = |id: u32| {
            let longer = [&text, TOKENS[id as usize]].concat();
            texts.iter().any(|match_| match_.as_bytes().starts_with(&longer))
        };
        let may_follow: Vec<u32> =
            (0..TOKENS.len() as u32).filter(|&id| if id == END { ends } else { begins(id) }).collect();
        if may_follow == [END] {
            found.insert(ids, prob);
            continue;
        }
        let weight = |id: u32| f64::from(logits[id as usize]).exp();
        let total: f64 = may_follow.iter().map(|&id| weight(id)).sum();
        for id in may_follow {
            let (longer, prob) = ([&ids, &[id][..]].concat(), prob * weight(id) / total);
            if id == END {
                found.insert(longer, prob);
            } else {
                open.push((longer, prob));
            }
        }
    }
    found
}

const FINITE: [(&str, &[&str]); 3] =
    [("ab?é", &["aé", "abé"]), ("a|ab|abb", &["a", "ab", "abb"]), ("é{1,2}b?", &["é", "éé", "éb", "ééb"])];

/// The sequences that are possible are those that match, and no other; their probabilities are the renormalized ones.
#[test]
fn a_search_that_keeps_everything_finds_every_match_with_its_probability() {
    for (pattern, texts) in FINITE {
        for seed in 0..10 {
            let expected = definition(&model(seed), &[1], texts);
            assert!((expected.values().sum::<f64>() - 1.0).abs() < 1e-9);
            let beam = Strategy::Beam(Beam { width: 200, ..Beam::default() });
            let config = GenerateConfig { n_best: 200, ..config(pattern, beam) };
            let found: BTreeMap<Vec<u32>, f64> = run(&model(seed), &config)
                .remove(0)
                .into_iter()
                .map(|one| (one.ids, one.score.exp()))
                .collect();
            assert!(found.keys().eq(expected.keys()), "{pattern}: {found:?} {expected:?}");
            for (ids, prob) in &found {
                assert!((prob - expected[ids]).abs() < 1e-6, "{pattern} {ids:?}: {prob} {}", expected[ids]);
            }
        }
    }
}

#[test]
fn samples_have_the_renormalized_distribution_with_a_draft_too() {
    let n = 20_000;
    for (pattern, texts) in FINITE {
        let expected = definition(&model(3), &[1], texts);
        let config = config(pattern, Strategy::Sample(Sampling::default()));
        let prompts = vec![vec![1]; n];
        let each = &mut |_, _| ControlFlow::Continue(());
        let plain = generate(&model(3), &prompts, &config, each).expect("generations");
        let draft = model(50);
        let drafted = generate_speculative(
            &model(3),
            &Draft::Model(&draft),
            DraftLength::Fixed(3),
            &prompts,
            &config,
            each,
        );
        for drawn in [plain, drafted.expect("generations").0] {
            let mut counts = BTreeMap::<Vec<u32>, usize>::new();
            drawn.into_iter().for_each(|one| *counts.entry(one.ids).or_default() += 1);
            assert!(counts.keys().all(|ids| expected.contains_key(ids)), "{pattern}");
            for (ids, prob) in &expected {
                let (count, mean) = (counts.get(ids).copied().unwrap_or(0) as f64, prob * n as f64);
                let deviation = (mean * (1.0 - prob)).sqrt();
                assert!(
                    (count - mean).abs() <= 4.5 * deviation + 1.0,
                    "{pattern} {ids:?}: {count}, not {mean}"
                );
            }
        }
    }
}

#[test]
fn what_comes_as_it_is_chosen_is_what_comes_in_the_end() {
    let mut streamed = vec![Vec::new(); 2];
    let config = config("(a|é){1,5}", Strategy::Sample(Sampling::default()));
    let generations = generate(&model(1), &[vec![1], vec![2]], &config, &mut |at: usize, id| {
        streamed[at].push(id);
        ControlFlow::Continue(())
    });
    assert_eq!(
        generations.expect("generations").into_iter().map(|one| one.ids).collect::<Vec<_>>(),
        streamed
    );
}

#[test]
fn a_match_that_cannot_go_on_ends_before_the_minimum_and_without_an_end() {
    for end_of_text in [None, Some(END)] {
        let model = FakeModel::hashed(TOKENS.len(), 5);
        let config = |pattern| {
            let grammar = Grammar::regular_expression(pattern, &tokens(), end_of_text).expect(pattern);
            let constraint = Constrained::by(grammar);
            GenerateConfig { end_of_text, min_new_tokens: 9, constraint, ..config(pattern, Strategy::Greedy) }
        };
        for generation in run(&model, &config("[ab]{3}")).iter().flatten() {
            assert_eq!(generation.finish_reason, FinishReason::Complete);
            assert_eq!(spelled(&generation.ids).len(), 3);
        }
        // One that can go on does.
        for generation in run(&model, &config("[ab]*")).iter().flatten() {
            assert!(
                generation.ids.len() >= 9 && oracle("[ab]*")(&spelled(&generation.ids)),
                "{:?}",
                generation.ids
            );
        }
    }
}

#[test]
fn what_leaves_nothing_is_told_apart() {
    let failure = |config: &GenerateConfig| {
        let each = &mut |_, _| ControlFlow::Continue(());
        generate(&model(5), &[vec![1]], config, each).expect_err("nothing to choose")
    };
    for strategy in strategies(0) {
        let plain = config("ax", strategy.clone());
        let error = failure(&plain);
        assert!(
            matches!(error, DecodeError::ConstraintUnmet { position: 2, has_token: false, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("no token of the vocabulary spells"), "{error}");
        let banned = GenerateConfig { banned: vec![4, 5], ..config("aé", strategy.clone()) };
        let error = failure(&banned);
        assert!(error.to_string().contains("banned"), "{error}");
        let forced = GenerateConfig { forced: vec![1, 2], ..config("aé", strategy) };
        assert!(matches!(
            failure(&forced),
            DecodeError::ConstraintUnmet { position: 2, has_token: true, .. }
        ));
    }
}
