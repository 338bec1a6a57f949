//! Speculative decoding: a draft proposes ids, the model scores all of them in one pass and keeps what it would have chosen
//! itself (Leviathan et al. 2023, <https://arxiv.org/abs/2211.17192>; Chen et al. 2023, <https://arxiv.org/abs/2302.01318>).
//!
//! What comes out has exactly the model's distribution: a proposed id `x ~ q` is kept with probability `min(1, p(x)/q(x))`, else
//! one is drawn from `max(0, p − q)`, and what was proposed behind it is dropped. Greedy, both are certain, and the ids are
//! those of greedy decoding. `p` and `q` are the distributions after the same processors.
//!
//! Draws belong to positions. One may be proposed several times, always with the same draw; but whatever was dropped had
//! no part in dropping it, so that what is drawn again is still independent of all that was kept.

use std::time::{Duration, Instant};

use crate::choose::{Processor, Rule};
use crate::draft::{Draft, Proposal, Proposer, Request};
use crate::draft_length::{DraftLength, Pace, Round};
use crate::error::{ConfigError, DecodeError};
use crate::generate::{Generation, check_prompts, finish_reason};
use crate::model::{LanguageModel, Positions};
use crate::observe::{Event, Observer, Proposed, Step, Verdict};
use crate::processors;
use crate::sampler::Use;
use crate::sequence::Sequence;
use crate::strategy::{GenerateConfig, Strategy};

/// What happened while decoding speculatively.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Speculation {
    /// How often a sequence was verified after its prompt, by how many ids were proposed: `rounds[n]` of `n`.
    pub rounds: Vec<u64>,
    /// Ids that were proposed.
    pub proposed: u64,
    /// Those of them that were looked at: all up to the first of a round that was not kept.
    pub examined: u64,
    /// Those of them that were kept.
    pub accepted: u64,
    /// New ids in all.
    pub tokens: u64,
    /// Time in the draft.
    pub draft_time: Duration,
    /// Time in the model after the prompts.
    pub model_time: Duration,
}

impl Speculation {
    /// `α`: how likely a proposal that is looked at is kept. Nothing when there was none.
    pub fn acceptance(&self) -> Option<f64> {
        (self.examined > 0).then(|| self.accepted as f64 / self.examined as f64)
    }

    /// How many passes there were of a sequence after its prompt.
    pub fn n_rounds(&self) -> u64 {
        self.rounds.iter().sum()
    }

    /// The mean number of new ids of a round.
    pub fn tokens_per_round(&self) -> Option<f64> {
        (self.n_rounds() > 0).then(|| self.tokens as f64 / self.n_rounds() as f64)
    }

    /// What the acceptance rate lets expect of [`tokens_per_round`](Self::tokens_per_round): [`expected_tokens`], as often as so many
    /// ids were proposed.
    pub fn expected_tokens_per_round(&self) -> Option<f64> {
        let alpha = self.acceptance().unwrap_or(0.0);
        let expected = self
            .rounds
            .iter()
            .enumerate()
            .map(|(gamma, &times)| times as f64 * expected_tokens(alpha, gamma));
        (self.n_rounds() > 0).then(|| expected.sum::<f64>() / self.n_rounds() as f64)
    }
}

/// `E[tokens a round] = (1 − α^{γ+1}) / (1 − α)`, for acceptance `alpha` and `gamma` proposals.
pub fn expected_tokens(alpha: f64, gamma: usize) -> f64 {
    (0..=gamma).map(|kept| alpha.powi(kept as i32)).sum()
}

/// By how much speculation is faster than plain decoding: `c` is the time of a draft's step and `v` that of a pass over `gamma + 1` ids,
/// both as parts of the time that the model takes for one id.
pub fn expected_speedup(alpha: f64, gamma: usize, c: f64, v: f64) -> f64 {
    expected_tokens(alpha, gamma) / (gamma as f64 * c + v)
}

/// [`generate`](crate::generate()) with greedy decoding or sampling, some ids proposed at a time.
///
/// # Errors
/// As [`generate`](crate::generate()); another strategy; a length of 0; a draft with another vocabulary.
pub fn generate_speculative<M: LanguageModel, D: LanguageModel>(
    model: &M,
    draft: &Draft<'_, D>,
    length: DraftLength,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
    observer: &mut dyn Observer,
) -> Result<(Vec<Generation>, Speculation), DecodeError> {
    config.validate(model.vocab_size())?;
    check_prompts(model, prompts)?;
    let sampling = match &config.strategy {
        Strategy::Greedy => None,
        Strategy::Sample(sampling) => Some(sampling),
        Strategy::Beam(_) | Strategy::BestOf(_) => return Err(ConfigError::Speculative.into()),
    };
    if length.most() == 0 {
        let reason = "proposes nothing: give 1 or more, or no draft";
        return Err(ConfigError::Option { name: "the draft length", value: 0.0, reason }.into());
    }
    if let Some(draft) = draft.vocab_size().filter(|&size| size != model.vocab_size()) {
        return Err(ConfigError::DraftVocabulary { draft, model: model.vocab_size() }.into());
    }
    let run = Run {
        config,
        rule: Rule::new(sampling),
        processor: Processor::new(config),
        max_len: model.max_len(),
        speculation: Speculation::default(),
    };
    let sequences: Vec<Sequence> = prompts.iter().map(|prompt| Sequence::new(prompt)).collect();
    if config.max_new_tokens == 0 || prompts.is_empty() {
        return Ok((sequences.into_iter().map(Sequence::into_generation).collect(), run.speculation));
    }
    model.throughout(|| verify_rounds(model, draft.start(prompts.len()), length, sequences, run, observer))
}

/// The rounds of [`generate_speculative`], compiled once for all drafts.
fn verify_rounds<M: LanguageModel>(
    model: &M,
    mut draft: Box<dyn Proposer + '_>,
    length: DraftLength,
    mut sequences: Vec<Sequence>,
    mut run: Run<'_>,
    observer: &mut dyn Observer,
) -> Result<(Vec<Generation>, Speculation), DecodeError> {
    let config = run.config;
    let mut live: Vec<usize> = (0..sequences.len()).collect();
    let mut state = model.start(live.len());
    let mut pace = Pace::new(length);
    let mut is_first = true;
    while !live.is_empty() {
        let (asked, before) = (pace.choose(), run.speculation.clone());
        // The prompt is read before anything is proposed, as its last logits give an id for nothing.
        let proposals = match is_first {
            true => vec![Proposal::default(); live.len()],
            false => run.propose(&mut *draft, &sequences, &live, asked)?,
        };
        let rows: Vec<Vec<u32>> = live
            .iter()
            .zip(&proposals)
            .map(|(&index, proposal)| {
                let sequence = &sequences[index];
                // What would come after the end is never asked for.
                let ends = config.end_of_text.is_some() && proposal.ids.last() == config.end_of_text.as_ref();
                let fed = &proposal.ids[..proposal.ids.len() - usize::from(ends)];
                [if is_first { &sequence.ids } else { sequence.last() }, fed].concat()
            })
            .collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let started = Instant::now();
        let positions = if is_first { Positions::Last } else { Positions::All };
        let logits = model.step(&mut state, &rows, positions);
        let logits = logits.map_err(|error| DecodeError::Model(Box::new(error)))?;
        let model_time = started.elapsed();
        if !is_first {
            run.speculation.model_time += model_time;
            for proposal in &proposals {
                let length = proposal.ids.len();
                let rounds = &mut run.speculation.rounds;
                rounds.resize(rounds.len().max(length + 1), 0);
                rounds[length] += 1;
            }
        }
        let mut remaining = Vec::with_capacity(live.len());
        for (row, (&index, proposal)) in live.iter().zip(&proposals).enumerate() {
            let sequence = &mut sequences[index];
            let before = sequence.ids.len();
            let scores = |at: usize| logits.at(row, at);
            let goes_on = run.verify(index, sequence, proposal, &scores, observer)?;
            if !is_first {
                run.speculation.tokens += (sequence.ids.len() - before) as u64;
            }
            if goes_on {
                // All but the last id are in the cache now, and what was not kept is taken out.
                let kept = sequence.ids.len() - 1;
                model.truncate(&mut state, row, kept);
                draft.keep(row, kept);
                remaining.push(row);
            }
        }
        if !is_first {
            let done = &run.speculation;
            pace.record(Round {
                asked,
                proposed: done.proposed - before.proposed,
                examined: done.examined - before.examined,
                accepted: done.accepted - before.accepted,
                draft_time: done.draft_time.saturating_sub(before.draft_time),
                model_time,
            });
        }
        if remaining.len() < live.len() && !remaining.is_empty() {
            model.reorder(&mut state, &remaining);
            draft.reorder(&remaining);
        }
        live = remaining.iter().map(|&row| live[row]).collect();
        is_first = false;
    }
    Ok((sequences.into_iter().map(Sequence::into_generation).collect(), run.speculation))
}

struct Run<'a> {
    config: &'a GenerateConfig,
    rule: Rule<'a>,
    processor: Processor<'a>,
    max_len: Option<usize>,
    speculation: Speculation,
}

impl Run<'_> {
    fn propose(
        &mut self,
        draft: &mut dyn Proposer,
        sequences: &[Sequence],
        live: &[usize],
        gamma: usize,
    ) -> Result<Vec<Proposal>, DecodeError> {
        let request = |&index: &usize| {
            let sequence = &sequences[index];
            let new = sequence.ids.len() - sequence.prompt_len;
            let room = self.max_len.map_or(usize::MAX, |max_len| max_len - sequence.ids.len());
            // The model adds one of its own.
            let most = gamma.min(self.config.max_new_tokens - new - 1).min(room);
            Request { place: sequence.place(index), most }
        };
        let requests: Vec<Request<'_>> = live.iter().map(request).collect();
        let started = Instant::now();
        let mut proposals = draft.propose(&requests, &mut self.processor, &self.rule)?;
        for proposal in &mut proposals {
            if let Some(end) = proposal.ids.iter().position(|&id| Some(id) == self.config.end_of_text) {
                proposal.ids.truncate(end + 1);
            }
        }
        self.speculation.draft_time += started.elapsed();
        self.speculation.proposed += proposals.iter().map(|proposal| proposal.ids.len() as u64).sum::<u64>();
        Ok(proposals)
    }

    /// Keeps of a proposal what the model would have chosen, and adds one of the model's; says whether the sequence goes on.
    fn verify<'l>(
        &mut self,
        index: usize,
        sequence: &mut Sequence,
        proposal: &Proposal,
        scores: &dyn Fn(usize) -> &'l [f32],
        observer: &mut dyn Observer,
    ) -> Result<bool, DecodeError> {
        let (wanted, mut verdicts, mut goes_on) = (observer.candidates(), Vec::new(), true);
        for at in 0..=proposal.ids.len() {
            let logits = scores(at);
            let place = sequence.place(index);
            let choice = self.processor.choice(logits, place, &self.rule)?;
            let proposed = proposal.ids.get(at).copied();
            let told = proposed.map(|id| Proposed {
                id,
                model: choice.prob(id),
                draft: proposal.choices.get(at).map_or(1.0, |draft| draft.prob(id)),
                kept: false,
            });
            let id = match proposed {
                None => self.rule.choose(&choice, place, Use::Choose),
                Some(id) => {
                    self.speculation.examined += 1;
                    let keeps = choice.keep_probability(id, proposal.choices.get(at));
                    match self.rule.uniform(place, Use::Keep) < keeps {
                        true => {
                            self.speculation.accepted += 1;
                            id
                        }
                        false => {
                            let left = choice.without(id, proposal.choices.get(at));
                            self.rule.choose(&left, place, Use::Instead)
                        }
                    }
                }
            };
            if wanted > 0 {
                let step = Step::new(index, id, logits, self.processor.processed(), wanted);
                let told = told.map(|told| Proposed { kept: told.id == id, ..told });
                verdicts.push(Verdict { step, proposed: told });
            }
            sequence.push(id, processors::log_prob(logits, id));
            let flow = observer.on_token(index, id);
            let reason = finish_reason(sequence.prompt_len, &sequence.ids, flow, self.config, self.max_len);
            if let Some(reason) = reason {
                sequence.finish_reason = reason;
                goes_on = false;
            }
            if !goes_on || proposed != Some(id) {
                break;
            }
        }
        if wanted > 0 {
            observer.on_event(&Event::Verified { sequence: index, proposed: &proposal.ids, verdicts });
        }
        Ok(goes_on)
    }
}
