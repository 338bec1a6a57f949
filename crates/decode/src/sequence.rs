//! A prompt that one sequence goes on with.

use crate::choose::Place;
use crate::generate::{FinishReason, Generation};

/// A prompt and what was generated for it so far.
pub(crate) struct Sequence {
    /// The prompt, then the new ids.
    pub(crate) ids: Vec<u32>,
    pub(crate) prompt_len: usize,
    log_probs: Vec<f64>,
    pub(crate) finish_reason: FinishReason,
}

impl Sequence {
    pub(crate) fn new(prompt: &[u32]) -> Self {
        Self {
            ids: prompt.to_vec(),
            prompt_len: prompt.len(),
            log_probs: Vec::new(),
            // What holds of a sequence that is never extended, with `max_new_tokens: 0`.
            finish_reason: FinishReason::MaxNewTokens,
        }
    }

    pub(crate) fn place(&self, sequence: usize) -> Place<'_> {
        Place { sequence, ids: &self.ids, prompt_len: self.prompt_len, log_probs: &self.log_probs }
    }

    pub(crate) fn push(&mut self, id: u32, log_prob: f64) {
        self.ids.push(id);
        self.log_probs.push(log_prob);
    }

    /// The last id, which the model has not been fed.
    pub(crate) fn last(&self) -> &[u32] {
        &self.ids[self.ids.len() - 1..]
    }

    pub(crate) fn into_generation(mut self) -> Generation {
        Generation {
            ids: self.ids.split_off(self.prompt_len),
            score: self.log_probs.iter().sum(),
            log_probs: self.log_probs,
            finish_reason: self.finish_reason,
        }
    }
}
