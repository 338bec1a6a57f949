//! One step of a strategy: from the logits of a position to those that count, and to an id.

use crate::error::DecodeError;
use crate::processors;
use crate::sampler::{Distribution, Draws, Sampling};
use crate::strategy::GenerateConfig;

/// A position to be filled.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The number of its sequence.
    pub(crate) sequence: usize,
    /// What is before it, of which the first `prompt_len` are the prompt.
    pub(crate) ids: &'a [u32],
    pub(crate) prompt_len: usize,
}

impl Place<'_> {
    pub(crate) fn nothing_to_choose(&self) -> DecodeError {
        DecodeError::NothingToChoose { sequence: self.sequence, position: self.ids.len() }
    }
}

/// Applies what comes before every strategy's own rule: penalties, bias, bans and forced tokens.
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
        let Place { sequence, ids, prompt_len } = place;
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
        Ok(processed)
    }
}

/// Chooses the next id of a single sequence.
pub(crate) struct Chooser<'a> {
    processor: Processor<'a>,
    rule: Rule<'a>,
}

/// How to choose from processed logits: the strategy, and what it needs while it runs.
enum Rule<'a> {
    Greedy,
    Sample { sampling: &'a Sampling, draws: Draws },
}

impl<'a> Chooser<'a> {
    /// Samples, or else takes the likeliest.
    pub(crate) fn new(config: &'a GenerateConfig, sampling: Option<&'a Sampling>) -> Self {
        let rule = match sampling {
            None => Rule::Greedy,
            Some(sampling) => Rule::Sample { sampling, draws: Draws::new(sampling.seed) },
        };
        Self { processor: Processor::new(config), rule }
    }

    /// The id for a place; `logits` are the model's for it.
    pub(crate) fn choose(&mut self, logits: &[f32], place: Place<'_>) -> Result<u32, DecodeError> {
        let processed = self.processor.process(logits, place)?;
        let chosen = match &self.rule {
            Rule::Greedy => processors::argmax(processed),
            Rule::Sample { sampling, draws } => {
                sampling.apply(processed);
                let stream = sampling.first_sequence.wrapping_add(place.sequence as u64);
                Distribution::from_logits(processed)
                    .map(|distribution| distribution.sample(draws.uniform(stream, place.ids.len() as u64)))
            }
        };
        chosen.ok_or_else(|| place.nothing_to_choose())
    }
}
