//! Who watches a generation: what is told of it, besides the ids.

use std::ops::ControlFlow;

use crate::generate::Generation;
use crate::processors;

/// Watches a generation. A closure `|sequence, id| …` is one that wants to know the ids and nothing else.
pub trait Observer {
    /// Called for each id of `prompts[sequence]`'s generation as soon as it is known; breaking ends that sequence.
    fn on_token(&mut self, sequence: usize, id: u32) -> ControlFlow<()>;

    /// How many candidates of a step it wants to be told of. With 0, which is what it wants unless it says so, there are no events
    /// and nothing is computed for them.
    fn candidates(&self) -> usize {
        0
    }

    /// Told how ids came about: before they are handed out by [`on_token`](Self::on_token), but for [`Event::Verified`], which comes
    /// when all of a round has been looked at.
    fn on_event(&mut self, event: &Event<'_>) {
        let _ = event;
    }
}

impl<F: FnMut(usize, u32) -> ControlFlow<()>> Observer for F {
    fn on_token(&mut self, sequence: usize, id: u32) -> ControlFlow<()> {
        self(sequence, id)
    }
}

/// What happened to a sequence, which is named by the number of its prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<'a> {
    /// An id was chosen: greedily, drawn, by contrast.
    Chosen(Step),
    /// Beam search extended the live hypotheses of a group.
    Extended {
        /// The sequence.
        sequence: usize,
        /// The group, from 0.
        group: usize,
        /// The best extensions, the best first; then some of those that did not get on.
        extensions: Vec<Extension>,
    },
    /// What a draft proposed was looked at.
    Verified {
        /// The sequence.
        sequence: usize,
        /// What was proposed; nothing at first, when the prompt is read.
        proposed: &'a [u32],
        /// An id each, up to the first proposal that was refused or the model's own behind them all.
        verdicts: Vec<Verdict>,
    },
    /// Whole sequences were compared.
    Ranked {
        /// The sequence.
        sequence: usize,
        /// All that were found, the best first.
        generations: &'a [Generation],
    },
}

/// How an id was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The sequence, by the number of its prompt.
    pub sequence: usize,
    /// Of several draws for this prompt, which one it belongs to, from 0.
    pub draw: usize,
    /// What was chosen.
    pub id: u32,
    /// The likeliest ids, before processors or after them, and the chosen one; the likeliest for the model first.
    pub candidates: Vec<Candidate>,
}

/// An id that might have been chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The id.
    pub id: u32,
    /// Its probability under the model itself.
    pub model: f64,
    /// Its probability after all processors: penalties, bans, constraint, temperature, truncation.
    pub processed: f64,
    /// What contrastive search made of it, if it looked at it.
    pub contrast: Option<Contrast>,
}

/// How contrastive search compares candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrast {
    /// The largest cosine of its hidden state with any before.
    pub penalty: f64,
    /// `(1 − α) · p − α · penalty`.
    pub score: f64,
}

/// A hypothesis of beam search with one id more.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    /// Which hypothesis it extends: the so-manieth of the live extensions of this group's last event; at first 0, the prompt.
    pub parent: usize,
    /// The id.
    pub id: u32,
    /// Its log-probability after processors, in nats.
    pub log_prob: f64,
    /// The sum of those of all new ids.
    pub sum: f64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an extension.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It goes on.
    Live,
    /// It is over, with this score.
    Finished(f64),
    /// Others were better.
    Dropped,
}

/// What stands at a position that a draft may have proposed something for.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How the id was chosen that stands there.
    pub step: Step,
    /// What had been proposed.
    pub proposed: Option<Proposed>,
}

/// A proposal that was looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposed {
    /// The id.
    pub id: u32,
    /// Its probability under the model after processors; where nothing is drawn, 1 for the likeliest.
    pub model: f64,
    /// The same under the draft; 1 for a draft without probabilities.
    pub draft: f64,
    /// Whether it was kept, as is done with probability `min(1, model / draft)`.
    pub kept: bool,
}

impl Step {
    /// Of the logits of a position, before and after processors, the `most` candidates that are worth telling.
    pub(crate) fn new(sequence: usize, id: u32, logits: &[f32], processed: &[f32], most: usize) -> Self {
        let (model, after) = (processors::log_sum_exp(logits), processors::log_sum_exp(processed));
        let log_probs = |id: u32| {
            let at = id as usize;
            (f64::from(logits[at]) - model, f64::from(processed[at]) - after)
        };
        let key = |id: u32| log_probs(id).0.max(log_probs(id).1);
        let mut best: Vec<u32> = Vec::with_capacity(most + 1);
        for id in 0..logits.len() as u32 {
            if best.len() == most && best.last().is_some_and(|&last| key(id) <= key(last)) {
                continue;
            }
            best.insert(best.partition_point(|&other| key(other) >= key(id)), id);
            best.truncate(most);
        }
        if !best.contains(&id) {
            best.truncate(most.saturating_sub(1));
            best.push(id);
        }
        let candidate = |id: u32| {
            let (model, processed) = log_probs(id);
            Candidate { id, model: model.exp(), processed: processed.exp(), contrast: None }
        };
        let mut candidates: Vec<Candidate> = best.into_iter().map(candidate).collect();
        candidates.sort_by(|a, b| b.model.total_cmp(&a.model).then(a.id.cmp(&b.id)));
        Self { sequence, draw: 0, id, candidates }
    }
}
