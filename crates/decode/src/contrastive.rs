//! Contrastive search: of the likeliest next ids, the one that is both likely and unlike what is there already (Su et al. 2022,
//! <https://arxiv.org/abs/2202.06417>).
//!
//! A model that repeats itself has hidden states that resemble each other. So each of the `k` likeliest ids is fed, and what
//! its hidden state has in common with any before it counts against it. The pass that finds this out gives the logits for the
//! next position too: there is one pass an id, of `k` rows.

use std::collections::HashMap;

use crate::choose::Processor;
use crate::error::{ConfigError, DecodeError};
use crate::generate::{Generation, check_logits, check_prompts, finish_reason};
use crate::model::{HiddenStates, Positions};
use crate::observe::{self, Contrast, Event, Observer, Step};
use crate::processors;
use crate::sequence::Sequence;
use crate::strategy::{GenerateConfig, Strategy};

/// The options of [`generate_contrastive`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrastive {
    /// How many of the likeliest ids are looked at. 1 is greedy.
    pub k: usize,
    /// `α`, from 0 to 1: how much being unlike the text so far counts, beside being likely. 0 is greedy.
    pub alpha: f64,
}

impl Default for Contrastive {
    /// Of four ids, with `α = 0.6`.
    fn default() -> Self {
        Self { k: 4, alpha: 0.6 }
    }
}

impl Contrastive {
    fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |name, value, reason| Err(ConfigError::Option { name, value, reason });
        if self.k == 0 {
            return wrong("contrastive k", 0.0, "looks at no token: give 1, which is greedy, or more");
        }
        if !(0.0..=1.0).contains(&self.alpha) {
            let reason = "is not from 0, which is greedy, to 1, where only being unlike the text counts";
            return wrong("contrastive alpha", self.alpha, reason);
        }
        Ok(())
    }

    /// `(1 − α) · p − α · penalty`.
    fn score(&self, candidate: &Candidate, penalty: f64) -> f64 {
        (1.0 - self.alpha) * candidate.prob - self.alpha * penalty
    }
}

/// [`generate`](crate::generate()) by contrastive search: at each position, of the `k` ids with the largest probability `p` after
/// processors, the one with the largest `(1 − α)·p − α·max_j cos(h, h_j)`, of equals the smaller. `h` is its hidden state and
/// `h_j` those of all ids before it, the prompt's too.
///
/// Where a sequence has filled the model's context, nothing more can be fed, and the likeliest id is the last.
///
/// # Errors
/// As [`generate`](crate::generate()); another strategy than greedy in `config`; a `k` of 0 or an `alpha` outside `[0, 1]`.
pub fn generate_contrastive<M: HiddenStates>(
    model: &M,
    prompts: &[Vec<u32>],
    options: &Contrastive,
    config: &GenerateConfig,
    observer: &mut dyn Observer,
) -> Result<Vec<Generation>, DecodeError> {
    config.validate(model.vocab_size())?;
    options.validate()?;
    if config.strategy != Strategy::Greedy {
        return Err(ConfigError::Contrastive.into());
    }
    check_prompts(model, prompts)?;
    model.throughout(|| search(model, prompts, options, config, observer))
}

fn search<M: HiddenStates>(
    model: &M,
    prompts: &[Vec<u32>],
    options: &Contrastive,
    config: &GenerateConfig,
    observer: &mut dyn Observer,
) -> Result<Vec<Generation>, DecodeError> {
    let mut sequences: Vec<Sequence> = prompts.iter().map(|prompt| Sequence::new(prompt)).collect();
    if config.max_new_tokens == 0 || prompts.is_empty() {
        return Ok(sequences.into_iter().map(Sequence::into_generation).collect());
    }
    // Where nothing but the probability counts, the others need not be looked at.
    let most = if options.alpha == 0.0 { 1 } else { options.k };
    let mut processor = Processor::new(config);
    let mut states = vec![States::default(); prompts.len()];
    // The next ids of the live sequences: of each what is to be fed, in the order of the rows.
    let mut live: Vec<usize> = (0..prompts.len()).collect();
    let mut fed: Vec<Vec<u32>> = prompts.to_vec();
    let mut state = model.start(prompts.len());
    // Row by row what the rows that are fed are candidates for; prompts and what is decided already are the only ones.
    let mut candidates: Vec<Vec<Candidate>> = vec![Vec::new(); prompts.len()];
    // What will be told of the choice among them, where somebody wants to know.
    let mut told: HashMap<usize, Step> = HashMap::new();
    loop {
        let rows: Vec<&[u32]> = fed.iter().map(Vec::as_slice).collect();
        let stepped = model.step_with_hidden(&mut state, &rows, Positions::Last);
        let (logits, hidden) = stepped.map_err(|error| DecodeError::Model(Box::new(error)))?;
        check_logits(&logits, rows.len(), model.vocab_size());
        let mut next = Next::default();
        let mut first = 0;
        for (&index, candidates) in live.iter().zip(&candidates) {
            let sequence = &mut sequences[index];
            let mut row = first;
            first += candidates.len().max(1);
            if !candidates.is_empty() {
                let penalties = (row..first).map(|row| states[index].penalty(hidden.row(row).next_back()));
                let penalties: Vec<f64> = penalties.collect();
                let best = best(options, candidates, &penalties);
                row += best;
                let Candidate { id, log_prob, .. } = candidates[best];
                if let Some(step) = told.get(&index) {
                    observer.on_event(&Event::Chosen(compared(step, id, candidates, &penalties, options)));
                }
                sequence.push(id, log_prob);
                let flow = observer.on_token(index, id);
                if let Some(reason) =
                    finish_reason(sequence.prompt_len, &sequence.ids, flow, config, model.max_len())
                {
                    sequence.finish_reason = reason;
                    continue;
                }
            }
            hidden.row(row).for_each(|hidden| states[index].push(hidden));
            let row_logits = logits.last(row);
            let place = sequence.place(index);
            let mut found = likeliest(processor.process(row_logits, place)?, row_logits, most);
            let Some(likeliest) = found.first() else {
                return Err(processor.nothing_to_choose(place));
            };
            let wanted = observer.candidates();
            if wanted > 0 {
                let step = Step::new(index, likeliest.id, row_logits, processor.processed(), wanted);
                told.insert(index, step);
            }
            let is_full = model.max_len().is_some_and(|max_len| sequence.ids.len() >= max_len);
            if is_full {
                found.truncate(1);
            }
            if found.len() > 1 {
                next.add(index, row, found);
                continue;
            }
            // There is nothing to compare: what ends here is not fed.
            let only = &found[0];
            if let Some(step) = told.remove(&index) {
                observer.on_event(&Event::Chosen(step));
            }
            sequence.push(only.id, only.log_prob);
            let flow = observer.on_token(index, only.id);
            match finish_reason(sequence.prompt_len, &sequence.ids, flow, config, model.max_len()) {
                Some(reason) => sequence.finish_reason = reason,
                None => next.add_decided(index, row, only.id),
            }
        }
        if next.live.is_empty() {
            return Ok(sequences.into_iter().map(Sequence::into_generation).collect());
        }
        model.reorder(&mut state, &next.rows);
        Next { live, fed, candidates, .. } = next;
    }
}

/// What the next pass feeds.
#[derive(Default)]
struct Next {
    live: Vec<usize>,
    /// By live sequence; none where the id is decided.
    candidates: Vec<Vec<Candidate>>,
    /// For each row, which one of the last pass it goes on with, and what it is fed.
    rows: Vec<usize>,
    fed: Vec<Vec<u32>>,
}

impl Next {
    fn add(&mut self, index: usize, row: usize, candidates: Vec<Candidate>) {
        self.live.push(index);
        self.rows.extend(std::iter::repeat_n(row, candidates.len()));
        self.fed.extend(candidates.iter().map(|candidate| vec![candidate.id]));
        self.candidates.push(candidates);
    }

    fn add_decided(&mut self, index: usize, row: usize, id: u32) {
        self.live.push(index);
        self.rows.push(row);
        self.fed.push(vec![id]);
        self.candidates.push(Vec::new());
    }
}

/// An id that may come next.
#[derive(Clone, Debug)]
struct Candidate {
    id: u32,
    /// After processors.
    prob: f64,
    /// Under the model itself.
    log_prob: f64,
}

/// The `most` likeliest ids, the likeliest first; none when all are banned.
fn likeliest(processed: &[f32], logits: &[f32], most: usize) -> Vec<Candidate> {
    let is_better = |a: u32, b: u32| processors::more_likely_first(processed, a, b).is_lt();
    let mut best: Vec<u32> = Vec::with_capacity(most.min(processed.len()) + 1);
    for (id, &logit) in (0u32..).zip(processed) {
        let full = best.len() == most;
        if logit == f32::NEG_INFINITY || (full && best.last().is_some_and(|&last| !is_better(id, last))) {
            continue;
        }
        best.insert(best.partition_point(|&other| is_better(other, id)), id);
        best.truncate(most);
    }
    if best.is_empty() {
        return Vec::new();
    }
    let (total, model_total) = (processors::log_sum_exp(processed), processors::log_sum_exp(logits));
    let candidate = |id: u32| Candidate {
        id,
        prob: (f64::from(processed[id as usize]) - total).exp(),
        log_prob: f64::from(logits[id as usize]) - model_total,
    };
    best.into_iter().map(candidate).collect()
}

/// Which of the candidates is best; of equals the smaller id.
fn best(options: &Contrastive, candidates: &[Candidate], penalties: &[f64]) -> usize {
    let score = |at: usize| options.score(&candidates[at], penalties[at]);
    let is_better = |a: usize, b: usize| {
        score(a) > score(b) || (score(a) == score(b) && candidates[a].id < candidates[b].id)
    };
    (1..candidates.len()).fold(0, |best, at| if is_better(at, best) { at } else { best })
}

/// What is told of a choice, with what it came from.
fn compared(
    step: &Step,
    id: u32,
    candidates: &[Candidate],
    penalties: &[f64],
    options: &Contrastive,
) -> Step {
    let mut step = Step { id, ..step.clone() };
    for (candidate, &penalty) in candidates.iter().zip(penalties) {
        let contrast = Contrast { penalty, score: options.score(candidate, penalty) };
        match step.candidates.iter_mut().find(|told| told.id == candidate.id) {
            Some(told) => told.contrast = Some(contrast),
            // More are compared than are told of; the chosen one is told of always.
            None if candidate.id == id => step.candidates.push(observe::Candidate {
                id,
                model: candidate.log_prob.exp(),
                processed: candidate.prob,
                contrast: Some(contrast),
            }),
            None => {}
        }
    }
    step
}

/// The hidden states of a sequence, each divided by its length.
#[derive(Clone, Debug, Default)]
struct States {
    /// `[ids, d_model]`
    directions: Vec<f32>,
}

impl States {
    fn push(&mut self, hidden: &[f32]) {
        self.directions.extend(direction(hidden));
    }

    /// The largest cosine with any of them: `max_j cos(h, h_j)`. One of length 0 is like none.
    fn penalty(&self, hidden: Option<&[f32]>) -> f64 {
        let hidden: Vec<f32> = direction(hidden.unwrap_or_default()).collect();
        let cosines = self.directions.chunks_exact(hidden.len().max(1)).map(|other| dot(other, &hidden));
        cosines.fold(f64::NEG_INFINITY, f64::max)
    }
}

/// A vector of length 1 that points the same way; zeros stay.
fn direction(hidden: &[f32]) -> impl Iterator<Item = f32> {
    let length = dot(hidden, hidden).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    hidden.iter().map(move |&x| (f64::from(x) * scale) as f32)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
