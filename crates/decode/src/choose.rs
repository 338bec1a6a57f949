//! One step of a strategy that follows a single sequence: from the logits of a position to its id.

use crate::error::DecodeError;
use crate::processors;
use crate::sampler::{Distribution, Draws, Sampling};
use crate::strategy::{GenerateConfig, Strategy};

/// Applies the processors in their order, then the rule of the strategy.
pub(crate) struct Chooser<'a> {
    config: &'a GenerateConfig,
    rule: Rule<'a>,
    /// The logits while they are processed; kept for its memory.
    processed: Vec<f32>,
}

/// How to choose from processed logits: the strategy, and what it needs while it runs.
enum Rule<'a> {
    Greedy,
    Sample { sampling: &'a Sampling, draws: Draws },
}

impl<'a> Chooser<'a> {
    pub(crate) fn new(config: &'a GenerateConfig) -> Self {
        let rule = match &config.strategy {
            Strategy::Greedy => Rule::Greedy,
            Strategy::Sample(sampling) => Rule::Sample { sampling, draws: Draws::new(sampling.seed) },
        };
        Self { config, rule, processed: Vec::new() }
    }

    /// The id that follows `ids`, of which the first `prompt_len` are the prompt, in sequence number `sequence` of
    /// the batch; `logits` are the model's for it.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        sequence: usize,
        ids: &[u32],
        prompt_len: usize,
    ) -> Result<u32, DecodeError> {
        let position = ids.len();
        if let Some(index) = processors::first_invalid(logits) {
            let (id, value) = (index as u32, logits[index]);
            return Err(DecodeError::InvalidLogit { sequence, position, id, value });
        }
        self.processed.clear();
        self.processed.extend_from_slice(logits);
        self.config.penalties.apply(&mut self.processed, ids);
        if let Some(end_of_text) = self.config.end_of_text
            && position - prompt_len < self.config.min_new_tokens
        {
            processors::ban(&mut self.processed, end_of_text);
        }
        let chosen = match &self.rule {
            Rule::Greedy => processors::argmax(&self.processed),
            Rule::Sample { sampling, draws } => {
                sampling.apply(&mut self.processed);
                let stream = sampling.first_sequence.wrapping_add(sequence as u64);
                Distribution::from_logits(&self.processed)
                    .map(|distribution| distribution.sample(draws.uniform(stream, position as u64)))
            }
        };
        chosen.ok_or(DecodeError::NothingToChoose { sequence, position })
    }
}
