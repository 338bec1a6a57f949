//! What to do: the choice of strategy and the limits of a generation.

use crate::error::ConfigError;
use crate::processors::Penalties;
use crate::sampler::Sampling;

/// How the next token is chosen. Options that only one strategy has are fields of that strategy.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Strategy {
    /// The most likely token at every step; of equally likely ones, that with the smaller id.
    #[default]
    Greedy,
    /// A token drawn from the model's distribution, sharpened or cut off as the options say.
    Sample(Sampling),
}

/// What to generate, besides the prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateConfig {
    /// How the next token is chosen.
    pub strategy: Strategy,
    /// What lowers the logits of tokens that have been seen, under any strategy.
    pub penalties: Penalties,
    /// The most ids to generate for a prompt, the end-of-text id included.
    pub max_new_tokens: usize,
    /// End-of-text is banned until this many ids have been generated. The context may still end earlier.
    pub min_new_tokens: usize,
    /// The id that ends a sequence; with `None`, length alone does.
    pub end_of_text: Option<u32>,
}

impl Default for GenerateConfig {
    /// Greedy, at most 128 new tokens, and nothing else.
    fn default() -> Self {
        Self {
            strategy: Strategy::Greedy,
            penalties: Penalties::default(),
            max_new_tokens: 128,
            min_new_tokens: 0,
            end_of_text: None,
        }
    }
}

impl GenerateConfig {
    /// Checks every field, for a model of `vocab_size` ids. [`generate`](crate::generate()) calls it.
    ///
    /// # Errors
    /// The first field that asks for something impossible.
    pub fn validate(&self, vocab_size: usize) -> Result<(), ConfigError> {
        match &self.strategy {
            Strategy::Greedy => {}
            Strategy::Sample(sampling) => sampling.validate()?,
        }
        self.penalties.validate()?;
        if self.min_new_tokens > self.max_new_tokens {
            return Err(ConfigError::MinAboveMax { min: self.min_new_tokens, max: self.max_new_tokens });
        }
        match self.end_of_text {
            Some(id) if id as usize >= vocab_size => {
                Err(ConfigError::EndOfTextOutsideVocabulary { id, vocab_size })
            }
            _ => Ok(()),
        }
    }
}
