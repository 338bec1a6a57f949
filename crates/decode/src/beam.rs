//! Beam search: of all extensions of the live hypotheses, the best stay live.
//!
//! One prompt at a time; its hypotheses are the rows of a batch, which begin as forks of one row, so that the prompt is fed
//! once.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::choose::{Place, Processor};
use crate::error::DecodeError;
use crate::generate::{FinishReason, Generation, feed, finish_reason};
use crate::model::{LanguageModel, Logits};
use crate::observe::{Event, Extension, Fate, Observer};
use crate::processors;
use crate::sampler::Draws;
use crate::strategy::{Beam, GenerateConfig};

/// The finished hypotheses of a prompt, the best first.
pub(crate) fn search<M: LanguageModel>(
    model: &M,
    prompt: &[u32],
    sequence: usize,
    config: &GenerateConfig,
    beam: &Beam,
    observer: &mut dyn Observer,
) -> Result<Vec<Generation>, DecodeError> {
    let root = Hypothesis { ids: prompt.to_vec(), log_probs: Vec::new(), sum: 0.0, row: 0 };
    if config.max_new_tokens == 0 {
        return Ok(vec![root.finish(prompt.len(), beam, FinishReason::MaxNewTokens)]);
    }
    let mut search = Search {
        config,
        beam,
        sequence,
        prompt_len: prompt.len(),
        max_len: model.max_len(),
        processor: Processor::new(config),
        told: observer.candidates(),
    };
    let mut groups: Vec<Group> =
        (0..beam.groups).map(|_| Group { live: vec![root.clone()], finished: Vec::new() }).collect();
    let mut state = model.start(1);
    let mut logits = feed(model, &mut state, &[prompt])?;
    loop {
        // How often each id was taken at this step.
        let mut taken = HashMap::new();
        for (number, group) in groups.iter_mut().enumerate() {
            let extensions = search.extend(group, &logits, &mut taken)?;
            if !extensions.is_empty() {
                observer.on_event(&Event::Extended { sequence, group: number, extensions });
            }
        }
        let live: Vec<&mut Hypothesis> = groups.iter_mut().flat_map(|group| &mut group.live).collect();
        if live.is_empty() {
            break;
        }
        let rows: Vec<usize> = live.iter().map(|hypothesis| hypothesis.row).collect();
        model.reorder(&mut state, &rows);
        let mut last = Vec::with_capacity(live.len());
        for (row, hypothesis) in live.into_iter().enumerate() {
            hypothesis.row = row;
            last.push(&hypothesis.ids[hypothesis.ids.len() - 1..]);
        }
        logits = feed(model, &mut state, &last)?;
    }
    let mut found: Vec<Generation> = groups.into_iter().flat_map(|group| group.finished).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.dedup_by(|a, b| a.ids == b.ids);
    Ok(found)
}

/// What stays the same during a search.
struct Search<'a> {
    config: &'a GenerateConfig,
    beam: &'a Beam,
    sequence: usize,
    prompt_len: usize,
    max_len: Option<usize>,
    processor: Processor<'a>,
    /// How many extensions of a step are told of at least, 0 if none.
    told: usize,
}

/// Hypotheses that are ranked together.
struct Group {
    /// The best first.
    live: Vec<Hypothesis>,
    finished: Vec<Generation>,
}

/// A prompt and a way to go on with it.
#[derive(Clone)]
struct Hypothesis {
    /// The prompt, then the new ids.
    ids: Vec<u32>,
    /// Under the model itself.
    log_probs: Vec<f64>,
    /// The sum of the log-probabilities after processors.
    sum: f64,
    /// Its row in the model's state.
    row: usize,
}

/// An extension by one id.
struct Candidate {
    /// What it is ranked by.
    key: f64,
    /// Which hypothesis it extends.
    from: usize,
    id: u32,
    sum: f64,
}

impl Candidate {
    /// The better first; of equals that of the better hypothesis, then the smaller id.
    fn order(&self, other: &Self) -> Ordering {
        other.key.total_cmp(&self.key).then(self.from.cmp(&other.from)).then(self.id.cmp(&other.id))
    }
}

/// Which extensions are kept.
#[derive(Default)]
struct Chosen {
    /// With what ends them.
    live: Vec<(Hypothesis, Option<FinishReason>)>,
    finished: Vec<Generation>,
    /// What is told of them, if anything is.
    told: Vec<Extension>,
}

/// The best candidates, which come in the order of hypotheses and ids.
struct Best {
    most: usize,
    kept: Vec<Candidate>,
    /// Of those that were kept the last time they were sorted.
    worst: f64,
    dropped: bool,
}

impl Best {
    /// Whether something with this key may be among the best. Of equals the first stay. What is banned never is.
    fn takes(&mut self, key: f64) -> bool {
        let takes = key > self.worst;
        self.dropped |= !takes && key > f64::NEG_INFINITY;
        takes
    }

    fn add(&mut self, candidate: Candidate) {
        if !self.takes(candidate.key) {
            return;
        }
        self.kept.push(candidate);
        // Seldom enough to cost little, often enough to keep few.
        if self.kept.len() >= self.most.saturating_mul(4) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.kept.sort_by(Candidate::order);
        if self.kept.len() > self.most {
            self.kept.truncate(self.most);
            self.dropped = true;
        }
        if self.kept.len() == self.most {
            self.worst = self.kept[self.most - 1].key;
        }
    }

    fn sorted(mut self) -> Vec<Candidate> {
        self.cut();
        self.kept
    }
}

impl Search<'_> {
    /// Replaces the live hypotheses of a group by the best of their extensions; returns what is told of them.
    fn extend(
        &mut self,
        group: &mut Group,
        logits: &Logits,
        taken: &mut HashMap<u32, u32>,
    ) -> Result<Vec<Extension>, DecodeError> {
        if group.live.is_empty() {
            return Ok(Vec::new());
        }
        let width = self.beam.width / self.beam.groups;
        // Of the first there are no more than these that end, as a rule; if there are, all are looked at.
        let Chosen { live, finished, told } = match self.choose(group, logits, taken, width, 2 * width)? {
            Some(chosen) => chosen,
            None => self.choose(group, logits, taken, width, usize::MAX)?.unwrap_or_default(),
        };
        group.finished.extend(finished);
        live.iter().for_each(|(hypothesis, _)| *taken.entry(hypothesis.last()).or_default() += 1);
        group.live.clear();
        for (hypothesis, reason) in live {
            match reason {
                Some(reason) => {
                    group.finished.push(hypothesis.finish(self.prompt_len, self.beam, reason));
                }
                None => group.live.push(hypothesis),
            }
        }
        if self.is_over(group, width) {
            group.live.clear();
        }
        Ok(told)
    }

    /// The extensions that stay live, and those that are finished, from the best `most` of all; nothing if it takes more to know.
    fn choose(
        &mut self,
        group: &Group,
        logits: &Logits,
        taken: &HashMap<u32, u32>,
        width: usize,
        most: usize,
    ) -> Result<Option<Chosen>, DecodeError> {
        let mut best = Best { most, kept: Vec::new(), worst: f64::NEG_INFINITY, dropped: false };
        let mut totals = Vec::with_capacity(group.live.len());
        for (from, hypothesis) in group.live.iter().enumerate() {
            totals.push(self.candidates(from, hypothesis, logits, taken, &mut best)?);
        }
        let dropped = best.dropped;
        let candidates = best.sorted();
        if candidates.is_empty() && group.finished.is_empty() {
            return Err(self.processor.nothing_to_choose(self.place(&group.live[0])));
        }
        let (mut live, mut finished, mut at) = (Vec::with_capacity(width), Vec::new(), 0);
        let mut told = Vec::new();
        let mut tell = |candidate: &Candidate, fate| {
            if self.told > 0 {
                let (parent, id, sum) = (candidate.from, candidate.id, candidate.sum);
                told.push(Extension { parent, id, log_prob: sum - group.live[parent].sum, sum, fate });
            }
        };
        while live.len() < width && at < candidates.len() {
            let candidate = &candidates[at];
            let from = &group.live[candidate.from];
            let row = logits.last(from.row);
            let total = *totals[candidate.from].get_or_insert_with(|| processors::log_sum_exp(row));
            let extended = from.extend(candidate, f64::from(row[candidate.id as usize]) - total);
            match finish_reason(
                self.prompt_len,
                &extended.ids,
                ControlFlow::Continue(()),
                self.config,
                self.max_len,
            ) {
                Some(reason @ (FinishReason::EndOfText | FinishReason::Stop | FinishReason::Complete)) => {
                    if at < width {
                        let over = extended.finish(self.prompt_len, self.beam, reason);
                        tell(candidate, Fate::Finished(over.score));
                        finished.push(over);
                    } else {
                        tell(candidate, Fate::Dropped);
                    }
                }
                reason => {
                    let len = extended.ids.len() - self.prompt_len;
                    let score = score(extended.sum, len, self.beam.length_penalty);
                    tell(candidate, reason.map_or(Fate::Live, |_| Fate::Finished(score)));
                    live.push((extended, reason));
                }
            }
            at += 1;
        }
        let others = self.told.saturating_sub(at);
        candidates.iter().skip(at).take(others).for_each(|candidate| tell(candidate, Fate::Dropped));
        Ok((live.len() == width || !dropped).then_some(Chosen { live, finished, told }))
    }

    /// All that a hypothesis can be extended by; returns the logarithm of the sum of the exponentials of its logits, if processors left
    /// them as they are.
    fn candidates(
        &mut self,
        from: usize,
        hypothesis: &Hypothesis,
        logits: &Logits,
        taken: &HashMap<u32, u32>,
        best: &mut Best,
    ) -> Result<Option<f64>, DecodeError> {
        let place = self.place(hypothesis);
        let row = logits.last(hypothesis.row);
        let processed = self.processor.process(row, place)?;
        let mut noise = None;
        if let Some(sampling) = &self.beam.sampling {
            sampling.apply(processed);
            let stream = sampling.first_sequence.wrapping_add(self.sequence as u64);
            noise = Some(Draws::new(sampling.seed).gumbel(stream, hypothesis.ids.len() as u64, from as u64));
        }
        let total = processors::log_sum_exp(processed);
        for (id, &logit) in (0u32..).zip(&*processed) {
            // Drawn for every id, so that it does not depend on what is banned.
            let noise = noise.as_mut().map_or(0.0, |noise| noise());
            let sum = hypothesis.sum + f64::from(logit) - total;
            let mut key = sum + noise;
            if !best.takes(key) {
                continue;
            }
            if self.beam.diversity > 0.0 {
                key -= self.beam.diversity * taken.get(&id).map_or(0.0, |&times| f64::from(times));
            }
            best.add(Candidate { key, from, id, sum });
        }
        Ok((row == &*processed).then_some(total))
    }

    fn place<'h>(&self, hypothesis: &'h Hypothesis) -> Place<'h> {
        Place { sequence: self.sequence, ids: &hypothesis.ids, prompt_len: self.prompt_len, log_probs: &[] }
    }

    /// Whether no live hypothesis can become better than the last finished one that is wanted. Sums only fall.
    fn is_over(&self, group: &Group, width: usize) -> bool {
        let wanted = self.config.n_best.min(width);
        let mut scores: Vec<f64> = group.finished.iter().map(|finished| finished.score).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let Some(&to_beat) = scores.get(wanted - 1) else { return false };
        group.live.iter().all(|hypothesis| self.bound(hypothesis) <= to_beat)
    }

    /// What the score of a hypothesis can become at best.
    fn bound(&self, hypothesis: &Hypothesis) -> f64 {
        let new = hypothesis.ids.len() - self.prompt_len;
        let longest = self.max_len.map_or(usize::MAX, |max_len| max_len + 1 - self.prompt_len);
        let longest = longest.min(self.config.max_new_tokens);
        let len = if self.beam.length_penalty > 0.0 { longest } else { new + 1 };
        score(hypothesis.sum, len, self.beam.length_penalty)
    }
}

impl Hypothesis {
    fn last(&self) -> u32 {
        self.ids[self.ids.len() - 1]
    }

    fn extend(&self, &Candidate { id, sum, .. }: &Candidate, log_prob: f64) -> Self {
        Self {
            ids: self.ids.iter().copied().chain([id]).collect(),
            log_probs: self.log_probs.iter().copied().chain([log_prob]).collect(),
            sum,
            row: self.row,
        }
    }

    fn finish(mut self, prompt_len: usize, beam: &Beam, finish_reason: FinishReason) -> Generation {
        let ids = self.ids.split_off(prompt_len);
        let score = score(self.sum, ids.len(), beam.length_penalty);
        Generation { ids, log_probs: self.log_probs, score, finish_reason }
    }
}

/// `sum / length^λ`.
pub(crate) fn score(sum: f64, length: usize, length_penalty: f64) -> f64 {
    if length_penalty == 0.0 { sum } else { sum / (length.max(1) as f64).powf(length_penalty) }
}
