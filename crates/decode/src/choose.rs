//! One step of a strategy: from the logits of a position to those that count, and to an id.

use crate::error::DecodeError;
use crate::processors;
use crate::sampler::{Distribution, Draws, Sampling, Use};
use crate::strategy::GenerateConfig;

/// A position to be filled.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The number of its sequence.
    pub(crate) sequence: usize,
    /// What is before it, of which the first `prompt_len` are the prompt.
    pub(crate) ids: &'a [u32],
    pub(crate) prompt_len: usize,
    /// Of the new ids, the logarithms of the probabilities that the model gave them; a draft's proposals have none.
    pub(crate) log_probs: &'a [f64],
}

impl<'a> Place<'a> {
    /// Without the prompt.
    fn new_ids(&self) -> &'a [u32] {
        &self.ids[self.prompt_len..]
    }
}

/// Applies what comes before every strategy's own rule: penalties, bias, bans, forced tokens, the constraint.
pub(crate) struct Processor<'a> {
    config: &'a GenerateConfig,
    /// The logits while they are processed; kept for its memory.
    processed: Vec<f32>,
}

impl<'a> Processor<'a> {
    pub(crate) fn new(config: &'a GenerateConfig) -> Self {
        Self { config, processed: Vec::new() }
    }

    pub(crate) fn end_of_text(&self) -> Option<u32> {
        self.config.end_of_text
    }

    /// The model's logits for a place, processed.
    pub(crate) fn process(&mut self, logits: &[f32], place: Place<'_>) -> Result<&mut [f32], DecodeError> {
        let Place { sequence, ids, prompt_len, .. } = place;
        if let Some(index) = processors::first_invalid(logits) {
            let (id, value, position) = (index as u32, logits[index], ids.len());
            return Err(DecodeError::InvalidLogit { sequence, position, id, value });
        }
        let Self { config, processed } = self;
        processed.clear();
        processed.extend_from_slice(logits);
        config.penalties.apply(processed, ids);
        config.bias.iter().for_each(|&(id, bias)| processors::bias(processed, id, bias));
        config.banned.iter().for_each(|&id| processors::ban(processed, id));
        let new = ids.len() - prompt_len;
        if let Some(end_of_text) = config.end_of_text
            && new < config.min_new_tokens
        {
            processors::ban(processed, end_of_text);
        }
        if let Some(&forced) = config.forced.get(new) {
            processors::force(processed, forced);
        }
        config.constraint.allow(place.new_ids(), processed)?;
        Ok(processed)
    }

    /// The logits of the last place that was processed, as they are now: a [`choice`](Self::choice) samples them too.
    pub(crate) fn processed(&self) -> &[f32] {
        &self.processed
    }

    /// Why nothing is left of the logits of a place.
    pub(crate) fn nothing_to_choose(&self, place: Place<'_>) -> DecodeError {
        let (sequence, position) = (place.sequence, place.ids.len());
        if !self.config.constraint.is_some() {
            return DecodeError::NothingToChoose { sequence, position };
        }
        // What is left where nothing else is banned.
        let mut logits = vec![0.0; self.processed.len()];
        match self.config.constraint.allow(place.new_ids(), &mut logits) {
            Ok(()) => {
                let has_token = processors::argmax(&logits).is_some();
                DecodeError::ConstraintUnmet { sequence, position, has_token }
            }
            Err(error) => error,
        }
    }

    /// What the id of a place is chosen from.
    pub(crate) fn choice(
        &mut self,
        logits: &[f32],
        place: Place<'_>,
        rule: &Rule<'_>,
    ) -> Result<Choice, DecodeError> {
        rule.choice(self.process(logits, place)?, place).ok_or_else(|| self.nothing_to_choose(place))
    }
}

/// How an id is chosen from processed logits: greedily, or drawn; by a model and its draft alike.
pub(crate) struct Rule<'a>(Option<(&'a Sampling, Draws)>);

/// What an id is chosen from.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// This one, greedily.
    Certain(u32),
    /// One of these.
    Drawn(Distribution),
}

impl<'a> Rule<'a> {
    pub(crate) fn new(sampling: Option<&'a Sampling>) -> Self {
        Self(sampling.map(|sampling| (sampling, Draws::new(sampling.seed))))
    }

    /// From logits that are processed but for the sampling; nothing when all are banned.
    pub(crate) fn choice(&self, processed: &mut [f32], place: Place<'_>) -> Option<Choice> {
        match &self.0 {
            None => processors::argmax(processed).map(Choice::Certain),
            Some((sampling, _)) => {
                sampling.apply(processed);
                if let Some(mirostat) = &sampling.mirostat {
                    processors::most_surprise(processed, mirostat.most_surprise(place.log_probs));
                }
                Distribution::from_logits(processed).map(Choice::Drawn)
            }
        }
    }

    pub(crate) fn choose(&self, choice: &Choice, place: Place<'_>, what_for: Use) -> u32 {
        match choice {
            Choice::Certain(id) => *id,
            Choice::Drawn(distribution) => distribution.sample(self.uniform(place, what_for)),
        }
    }

    /// 0 where nothing is drawn.
    pub(crate) fn uniform(&self, place: Place<'_>, what_for: Use) -> f64 {
        self.0.as_ref().map_or(0.0, |(sampling, draws)| {
            let stream = sampling.first_sequence.wrapping_add(place.sequence as u64);
            draws.uniform_for(stream, place.ids.len() as u64, what_for)
        })
    }
}

impl Choice {
    pub(crate) fn prob(&self, id: u32) -> f64 {
        match self {
            Self::Certain(certain) => f64::from(u8::from(*certain == id)),
            Self::Drawn(distribution) => distribution.prob(id),
        }
    }

    /// `min(1, p(x)/q(x))` of a proposed id; nothing is known of the draft's choice if it was certain.
    pub(crate) fn keep_probability(&self, id: u32, draft: Option<&Choice>) -> f64 {
        self.prob(id) / draft.map_or(1.0, |draft| draft.prob(id))
    }

    /// `max(0, p − q)`, from which an id is drawn in place of a proposed one that is not kept.
    pub(crate) fn without(&self, id: u32, draft: Option<&Choice>) -> Choice {
        let Self::Drawn(distribution) = self else { return self.clone() };
        let q = |other: u32| draft.map_or(f64::from(u8::from(other == id)), |draft| draft.prob(other));
        // Rounding may leave nothing where both are the same; then nothing is ever refused either, up to rounding.
        distribution.minus(q).map_or_else(|| self.clone(), Choice::Drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever both are, what is kept or drawn instead has the model's distribution, to the last digits.
    #[test]
    fn kept_or_drawn_instead_is_the_models_distribution() {
        let values = [f32::NEG_INFINITY, -1.0, 0.5, 2.0];
        let all: Vec<Vec<f32>> =
            (0..64).map(|n| [n % 4, n / 4 % 4, n / 16].map(|at| values[at]).to_vec()).collect();
        let choices = || all.iter().filter_map(|logits| Distribution::from_logits(logits)).map(Choice::Drawn);
        for p in choices() {
            for q in choices() {
                let kept = |id: u32| q.prob(id) * p.keep_probability(id, Some(&q)).min(1.0);
                let refused =
                    1.0 - (0..3).map(|id| if q.prob(id) > 0.0 { kept(id) } else { 0.0 }).sum::<f64>();
                for id in 0..3 {
                    let kept = if q.prob(id) > 0.0 { kept(id) } else { 0.0 };
                    let instead =
                        if refused > 1e-12 { refused * p.without(id, Some(&q)).prob(id) } else { 0.0 };
                    assert!((kept + instead - p.prob(id)).abs() < 1e-12);
                }
            }
            for certain in 0..3 {
                let refused = 1.0 - p.prob(certain);
                for id in 0..3 {
                    let kept = if id == certain { p.keep_probability(id, None) } else { 0.0 };
                    let instead =
                        if refused > 1e-12 { refused * p.without(certain, None).prob(id) } else { 0.0 };
                    assert!((kept + instead - p.prob(id)).abs() < 1e-12);
                }
            }
        }
    }
}
