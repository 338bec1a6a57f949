//! What an observer is told, worked out by hand for a model of which nothing but the last id matters.

use std::ops::ControlFlow;

use firebrand_decode::observe::{Candidate, Contrast, Extension, Fate, Proposed, Step, Verdict};
use firebrand_decode::{
    Beam, Best, BestOf, Contrastive, Draft, DraftLength, Event, GenerateConfig, Mirostat, Observer, Sampling,
    Strategy, generate, generate_contrastive, generate_speculative,
};

use crate::fake::FakeModel;

/// By the last id, the probabilities of the next: 0 and 1 repeat themselves, 2 is followed by 1.
const NEXT: [[f32; 3]; 3] = [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.6, 0.2]];

fn model() -> FakeModel {
    let logits = |prefix: &[u32]| NEXT[prefix[prefix.len() - 1] as usize].map(f32::ln).to_vec();
    let axis = |prefix: &[u32]| (0..3).map(|id| f32::from(u8::from(prefix.ends_with(&[id])))).collect();
    FakeModel::new(3, logits).with_hidden(axis)
}

/// Writes down what it is told.
#[derive(Default)]
struct Recorder {
    candidates: usize,
    ids: Vec<u32>,
    steps: Vec<Step>,
    extensions: Vec<(usize, Vec<Extension>)>,
    rounds: Vec<(Vec<u32>, Vec<Verdict>)>,
    ranked: Vec<Vec<Vec<u32>>>,
}

impl Recorder {
    fn wanting(candidates: usize) -> Self {
        Self { candidates, ..Self::default() }
    }
}

impl Observer for Recorder {
    fn on_token(&mut self, _: usize, id: u32) -> ControlFlow<()> {
        self.ids.push(id);
        ControlFlow::Continue(())
    }

    fn candidates(&self) -> usize {
        self.candidates
    }

    fn on_event(&mut self, event: &Event<'_>) {
        assert!(self.candidates > 0, "nobody wants to know {event:?}");
        match event {
            Event::Chosen(step) => self.steps.push(step.clone()),
            Event::Extended { group, extensions, .. } => self.extensions.push((*group, extensions.clone())),
            Event::Verified { proposed, verdicts, .. } => {
                self.rounds.push((proposed.to_vec(), verdicts.clone()));
            }
            Event::Ranked { generations, .. } => {
                self.ranked.push(generations.iter().map(|generation| generation.ids.clone()).collect());
            }
        }
    }
}

fn record(candidates: usize, config: &GenerateConfig) -> Recorder {
    let mut recorder = Recorder::wanting(candidates);
    generate(&model(), &[vec![0]], config, &mut recorder).expect("a valid generation");
    recorder
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() < 1e-6
}

/// `(id, probability under the model, after processors)` of each candidate.
fn assert_candidates(candidates: &[Candidate], expected: &[(u32, f64, f64)]) {
    assert_eq!(candidates.len(), expected.len(), "{candidates:?}");
    for (candidate, &(id, model, processed)) in candidates.iter().zip(expected) {
        assert_eq!(candidate.id, id, "{candidates:?}");
        assert!(close(candidate.model, model) && close(candidate.processed, processed), "{candidate:?}");
    }
}

#[test]
fn a_greedy_step_tells_what_the_model_and_the_processors_made_of_it() {
    let config = GenerateConfig { max_new_tokens: 2, banned: vec![0], ..Default::default() };
    let told = record(2, &config);
    assert_eq!(told.ids, [1, 1]);
    assert_eq!(told.steps.iter().map(|step| (step.sequence, step.id)).collect::<Vec<_>>(), [(0, 1), (0, 1)]);
    // The likeliest of the model is told of although it is banned.
    assert_candidates(&told.steps[0].candidates, &[(0, 0.5, 0.0), (1, 0.3, 0.6)]);
    assert_candidates(&told.steps[1].candidates, &[(1, 0.6, 2.0 / 3.0), (2, 0.3, 1.0 / 3.0)]);
}

#[test]
fn a_drawn_step_tells_what_truncation_left() {
    let sampling = |seed| Sampling { top_k: Some(2), seed, ..Sampling::default() };
    for seed in 0..9 {
        let strategy = Strategy::Sample(sampling(seed));
        let told = record(10, &GenerateConfig { strategy, max_new_tokens: 1, ..Default::default() });
        assert_eq!(told.steps[0].id, told.ids[0]);
        let expected = [(0, 0.5, 0.625), (1, 0.3, 0.375), (2, 0.2, 0.0)];
        assert_candidates(&told.steps[0].candidates, &expected);
    }
    // What was chosen is told of, however unlikely.
    let unlikely = |seed| {
        let sampling = Sampling { temperature: 5.0, seed, ..Sampling::default() };
        let strategy = Strategy::Sample(sampling);
        record(1, &GenerateConfig { strategy, max_new_tokens: 1, ..Default::default() })
    };
    let told = (0..50).map(unlikely).find(|told| told.ids == [2]).expect("one of them draws it");
    assert_eq!(told.steps[0].candidates.iter().map(|candidate| candidate.id).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_beam_of_two_tells_its_tree() {
    let beam = Beam { width: 2, ..Beam::default() };
    let told = record(
        4,
        &GenerateConfig { strategy: Strategy::Beam(beam), max_new_tokens: 2, ..Default::default() },
    );
    let first = [(0, 0, 0.5, Some(true)), (0, 1, 0.3, Some(true)), (0, 2, 0.2, None)];
    let second = [
        (0, 0, 0.5 * 0.5, Some(false)),
        (1, 1, 0.3 * 0.6, Some(false)),
        (0, 1, 0.5 * 0.3, None),
        (0, 2, 0.5 * 0.2, None),
    ];
    assert_eq!(told.extensions.len(), 2);
    let mut sums = vec![0.0];
    for ((group, extensions), expected) in told.extensions.iter().zip([&first[..], &second]) {
        assert_eq!((*group, extensions.len()), (0, expected.len()), "{extensions:?}");
        let before = std::mem::take(&mut sums);
        for (extension, &(parent, id, prob, live)) in extensions.iter().zip(expected) {
            assert_eq!((extension.parent, extension.id), (parent, id), "{extensions:?}");
            assert!(close(extension.sum, f64::ln(prob)), "{extension:?}");
            assert!(close(extension.log_prob, f64::ln(prob) - before[parent]), "{extension:?}");
            match (extension.fate, live) {
                (Fate::Live, Some(true)) | (Fate::Dropped, None) => {}
                (Fate::Finished(score), Some(false)) => assert!(close(score, f64::ln(prob))),
                _ => panic!("{extension:?}"),
            }
            sums.push(extension.sum);
        }
    }
    assert_eq!(told.ranked, [[[0, 0], [1, 1]]]);
    assert_eq!(told.ids, [0, 0]);
}

#[test]
fn an_extension_that_ends_is_told_of_as_finished_with_its_score() {
    let beam = Beam { width: 2, length_penalty: 1.0, ..Beam::default() };
    let config = GenerateConfig {
        strategy: Strategy::Beam(beam),
        max_new_tokens: 3,
        end_of_text: Some(1),
        ..Default::default()
    };
    let told = record(3, &config);
    let fates: Vec<(u32, Fate)> =
        told.extensions[0].1.iter().map(|extension| (extension.id, extension.fate)).collect();
    assert!(matches!(fates[1], (1, Fate::Finished(score)) if close(score, f64::ln(0.3))), "{fates:?}");
    assert_eq!([fates[0], fates[2]], [(0, Fate::Live), (2, Fate::Live)]);
}

#[test]
fn a_round_tells_what_was_proposed_and_what_the_model_chose_instead() {
    let mut recorder = Recorder::wanting(3);
    let config = GenerateConfig { max_new_tokens: 5, ..Default::default() };
    let draft: Draft<'_, FakeModel> = Draft::PromptLookup { longest: 1 };
    let length = DraftLength::Fixed(2);
    generate_speculative(&model(), &draft, length, &[vec![1, 0, 2]], &config, &mut recorder).expect("valid");
    assert_eq!(recorder.ids, [1, 1, 1, 1, 1]);
    // The prompt gives 1; behind the 1 before came 0 and 2, but the model repeats it; then it is proposed, and kept; the last
    // one is the model's own.
    let proposed: Vec<&[u32]> = recorder.rounds.iter().map(|(proposed, _)| &proposed[..]).collect();
    assert_eq!(proposed, [&[][..], &[0, 2], &[1], &[]]);
    let [first, refused, kept, _] = &recorder.rounds[..] else { panic!("four rounds") };
    assert!(first.1.len() == 1 && first.1[0].proposed.is_none());
    assert_eq!(refused.1.len(), 1);
    assert_eq!(refused.1[0].proposed, Some(Proposed { id: 0, model: 0.0, draft: 1.0, kept: false }));
    assert_eq!(refused.1[0].step.id, 1);
    assert_candidates(&refused.1[0].step.candidates, &[(1, 0.6, 0.6), (2, 0.3, 0.3), (0, 0.1, 0.1)]);
    assert_eq!(kept.1[0].proposed, Some(Proposed { id: 1, model: 1.0, draft: 1.0, kept: true }));
    assert_eq!((kept.1.len(), &kept.1[1].proposed), (2, &None));
}

#[test]
fn a_drawn_round_tells_both_probabilities() {
    let draft = FakeModel::new(3, |_| [0.25_f32, 0.25, 0.5].map(f32::ln).to_vec());
    let mut recorder = Recorder::wanting(3);
    let strategy = Strategy::Sample(Sampling::default());
    let config = GenerateConfig { strategy, max_new_tokens: 30, ..Default::default() };
    let length = DraftLength::Fixed(2);
    let (_, speculation) =
        generate_speculative(&model(), &Draft::Model(&draft), length, &[vec![0]], &config, &mut recorder)
            .expect("valid");
    let (mut ids, mut kept, mut examined) = (vec![0], 0, 0);
    for verdict in recorder.rounds.iter().flat_map(|(_, verdicts)| verdicts) {
        if let Some(proposed) = verdict.proposed {
            let next = NEXT[ids[ids.len() - 1] as usize].map(f64::from);
            assert!(close(proposed.model, next[proposed.id as usize]), "{proposed:?} after {ids:?}");
            assert!(close(proposed.draft, [0.25, 0.25, 0.5][proposed.id as usize]), "{proposed:?}");
            assert_eq!(proposed.kept, proposed.id == verdict.step.id);
            examined += 1;
            kept += u64::from(proposed.kept);
        }
        ids.push(verdict.step.id);
    }
    assert_eq!(ids[1..], recorder.ids);
    assert_eq!((examined, kept), (speculation.examined, speculation.accepted));
    assert!(kept > 0 && kept < examined, "{kept} of {examined}");
}

#[test]
fn a_step_of_contrastive_search_tells_penalties_and_scores() {
    let mut recorder = Recorder::wanting(3);
    let config = GenerateConfig { max_new_tokens: 2, ..Default::default() };
    let options = Contrastive { k: 2, alpha: 0.5 };
    generate_contrastive(&model(), &[vec![0]], &options, &config, &mut recorder).expect("valid");
    assert_eq!(recorder.ids, [1, 2]);
    let first = &recorder.steps[0];
    assert_eq!((first.sequence, first.id), (0, 1));
    assert_candidates(&first.candidates, &[(0, 0.5, 0.5), (1, 0.3, 0.3), (2, 0.2, 0.2)]);
    let contrasts: Vec<Option<Contrast>> = first.candidates.iter().map(|told| told.contrast).collect();
    let is = |told: Option<Contrast>, penalty: f64, score: f64| {
        told.is_some_and(|told| close(told.penalty, penalty) && close(told.score, score))
    };
    assert!(is(contrasts[0], 1.0, 0.25 - 0.5) && is(contrasts[1], 0.0, 0.15), "{contrasts:?}");
    assert_eq!(contrasts[2], None);
    assert_eq!((recorder.steps.len(), recorder.steps[1].id), (2, 2));
}

#[test]
fn of_several_draws_the_ranking_is_told_and_how_each_came_about() {
    let by = Best::LogProb { length_penalty: 0.0 };
    let best_of = BestOf { n: 3, sampling: Sampling::default(), by };
    let config =
        GenerateConfig { strategy: Strategy::BestOf(best_of), max_new_tokens: 2, ..Default::default() };
    let told = record(1, &config);
    assert_eq!((told.ranked.len(), told.ranked[0].len()), (1, 3));
    assert_eq!(told.ranked[0][0], told.ids);
    let mut drawn: Vec<Vec<u32>> = (0..3)
        .map(|draw| told.steps.iter().filter(|step| step.draw == draw).map(|step| step.id).collect())
        .collect();
    let mut ranked = told.ranked[0].clone();
    drawn.sort();
    ranked.sort();
    assert_eq!(drawn, ranked);
}

#[test]
fn who_wants_no_candidates_is_told_of_ids_alone_and_watching_changes_nothing() {
    let mirostat = Sampling { mirostat: Some(Mirostat::default()), ..Sampling::default() };
    let strategies = [
        Strategy::Greedy,
        Strategy::Sample(mirostat),
        Strategy::Beam(Beam { width: 4, groups: 2, diversity: 0.5, ..Beam::default() }),
        Strategy::BestOf(BestOf {
            n: 2,
            sampling: Sampling::default(),
            by: Best::LogProb { length_penalty: 1.0 },
        }),
    ];
    for strategy in strategies {
        let config = GenerateConfig { strategy, max_new_tokens: 5, ..Default::default() };
        // The recorder panics when it is told of what nobody wants to know.
        let (plain, watched) = (record(0, &config), record(5, &config));
        assert_eq!(plain.ids, watched.ids);
        assert!(watched.steps.len() == 5 || !watched.ranked.is_empty());
    }
    let config = GenerateConfig { max_new_tokens: 5, ..Default::default() };
    let search = |candidates| {
        let mut recorder = Recorder::wanting(candidates);
        let options = Contrastive::default();
        generate_contrastive(&model(), &[vec![0]], &options, &config, &mut recorder).expect("valid");
        let draft: Draft<'_, FakeModel> = Draft::PromptLookup { longest: 1 };
        let length = DraftLength::Fixed(2);
        generate_speculative(&model(), &draft, length, &[vec![0]], &config, &mut recorder).expect("valid");
        recorder.ids
    };
    assert_eq!(search(0), search(5));
}
