//! What to do: the choice of strategy and the limits of a generation.

use std::fmt;
use std::sync::Arc;

use crate::constraint::Constrained;
use crate::error::ConfigError;
use crate::processors::Penalties;
use crate::sampler::Sampling;

/// How the next tokens are chosen. Options that only one strategy has are fields of that strategy.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Strategy {
    /// The most likely token at every step; of equally likely ones, that with the smaller id.
    #[default]
    Greedy,
    /// A token drawn from the model's distribution, sharpened or cut off as the options say.
    Sample(Sampling),
    /// The likeliest sequence that a search finds which keeps several at every step.
    Beam(Beam),
    /// Several sequences are drawn and the best of them kept.
    BestOf(BestOf),
}

/// The options of [`Strategy::Beam`].
#[derive(Clone, Debug, PartialEq)]
pub struct Beam {
    /// How many hypotheses stay live, `K`. 1 is greedy.
    pub width: usize,
    /// `λ`: hypotheses are compared by their log-probability over `length^λ`. 0 compares the plain sums; more favours longer
    /// ones.
    pub length_penalty: f64,
    /// Into how many groups the hypotheses are divided, each of which avoids the tokens that those before it took (diverse
    /// beam search, Vijayakumar et al. 2018). 1 is plain beam search.
    pub groups: usize,
    /// What a token costs that another group took at the same step, in nats, for each time.
    pub diversity: f64,
    /// Extensions are drawn instead of ranked, without replacement: a sequence's log-probability is that under these options.
    pub sampling: Option<Sampling>,
}

impl Default for Beam {
    /// Four hypotheses, compared by the plain sums of their log-probabilities.
    fn default() -> Self {
        Self { width: 4, length_penalty: 0.0, groups: 1, diversity: 0.0, sampling: None }
    }
}

/// The options of [`Strategy::BestOf`].
#[derive(Clone, Debug, PartialEq)]
pub struct BestOf {
    /// How many sequences are drawn.
    pub n: usize,
    /// How each is drawn.
    pub sampling: Sampling,
    /// Which is best.
    pub by: Best,
}

/// Which of several sequences is best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Best {
    /// The likeliest under the model, its log-probability divided by `length^λ`.
    LogProb {
        /// `λ`; 0 compares the plain sums, 1 the means.
        length_penalty: f64,
    },
    /// The one that is most like all the others (minimum Bayes risk, Eikema and Aziz 2022), by the mean F1 of its n-grams of
    /// ids, `n` from 1 to 4.
    Agreement,
}

/// Says whether new ids, without their prompt, have come to an end, such as by spelling a stop string. Asked after every id.
#[derive(Clone, Default)]
pub struct Stop(Option<Arc<Says>>);

type Says = dyn Fn(&[u32]) -> bool + Send + Sync;

impl Stop {
    /// Ends where `says` is true of the new ids.
    pub fn when(says: impl Fn(&[u32]) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(says)))
    }

    /// Whether these new ids are at their end.
    pub fn ends(&self, new_ids: &[u32]) -> bool {
        self.0.as_ref().is_some_and(|says| says(new_ids))
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Stop::when(…)" } else { "Stop(None)" })
    }
}

/// Equal only to itself and its clones.
impl PartialEq for Stop {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// What to generate, besides the prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateConfig {
    /// How the next token is chosen.
    pub strategy: Strategy,
    /// How many generations of each prompt are given, the best first.
    pub n_best: usize,
    /// What lowers the logits of tokens that have been seen, under any strategy.
    pub penalties: Penalties,
    /// What is added to the logits of some ids.
    pub bias: Vec<(u32, f32)>,
    /// Ids that are never generated.
    pub banned: Vec<u32>,
    /// The first new ids are these.
    pub forced: Vec<u32>,
    /// The most ids to generate for a prompt, the end-of-text id included.
    pub max_new_tokens: usize,
    /// End-of-text is banned until this many ids have been generated. The context may still end earlier, and so may what the
    /// constraint lets nothing follow.
    pub min_new_tokens: usize,
    /// The id that ends a sequence; with `None`, length alone does.
    pub end_of_text: Option<u32>,
    /// What else ends a sequence.
    pub stop: Stop,
    /// What the new ids have to be.
    pub constraint: Constrained,
}

impl Default for GenerateConfig {
    /// Greedy, at most 128 new tokens, and nothing else.
    fn default() -> Self {
        Self {
            strategy: Strategy::Greedy,
            n_best: 1,
            penalties: Penalties::default(),
            bias: Vec::new(),
            banned: Vec::new(),
            forced: Vec::new(),
            max_new_tokens: 128,
            min_new_tokens: 0,
            end_of_text: None,
            stop: Stop::default(),
            constraint: Constrained::default(),
        }
    }
}

impl GenerateConfig {
    /// The same for at most so many new ids.
    #[must_use]
    pub fn at_most(&self, max_new_tokens: usize) -> Self {
        let max_new_tokens = self.max_new_tokens.min(max_new_tokens);
        Self { max_new_tokens, min_new_tokens: self.min_new_tokens.min(max_new_tokens), ..self.clone() }
    }

    /// Checks every field, for a model of `vocab_size` ids. [`generate`](crate::generate()) calls it.
    ///
    /// # Errors
    /// The first field that asks for something impossible.
    pub fn validate(&self, vocab_size: usize) -> Result<(), ConfigError> {
        let most = match &self.strategy {
            Strategy::Greedy => 1,
            Strategy::Sample(sampling) => {
                sampling.validate()?;
                1
            }
            Strategy::Beam(beam) => {
                beam.validate()?;
                beam.width
            }
            Strategy::BestOf(best_of) => {
                best_of.validate()?;
                best_of.n
            }
        };
        if !(1..=most).contains(&self.n_best) {
            return Err(ConfigError::NBest { n_best: self.n_best, most });
        }
        self.penalties.validate()?;
        let bias = self.bias.iter().map(|(id, _)| ("biased", *id));
        let banned = self.banned.iter().map(|id| ("banned", *id));
        let forced = self.forced.iter().map(|id| ("forced", *id));
        let mut named = bias.chain(banned).chain(forced);
        if let Some((what, id)) = named.find(|(_, id)| *id as usize >= vocab_size) {
            return Err(ConfigError::IdOutsideVocabulary { what, id, vocab_size });
        }
        if let Some(&(id, bias)) = self.bias.iter().find(|(_, bias)| bias.is_nan() || *bias == f32::INFINITY)
        {
            return Err(ConfigError::Bias { id, bias });
        }
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

impl Strategy {
    /// How many hypotheses of a text there are at a time: `K`.
    pub fn hypotheses(&self) -> usize {
        match self {
            Self::Greedy | Self::Sample(_) => 1,
            Self::Beam(beam) => beam.width,
            Self::BestOf(best_of) => best_of.n,
        }
    }
}

impl Beam {
    fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |name, value, reason| Err(ConfigError::Option { name, value, reason });
        if self.width == 0 {
            return wrong("beam width", 0.0, "keeps no hypothesis: give 1, which is greedy, or more");
        }
        if self.groups == 0 || !self.width.is_multiple_of(self.groups) {
            let reason = "does not divide the beam width: every group has as many hypotheses";
            return wrong("the number of groups", self.groups as f64, reason);
        }
        if !self.length_penalty.is_finite() {
            return wrong("length penalty", self.length_penalty, "is not a number; 0 compares plain sums");
        }
        if !(self.diversity >= 0.0 && self.diversity.is_finite()) {
            return wrong("diversity", self.diversity, "is not 0, which changes nothing, or more");
        }
        if let Some(mirostat) = self.sampling.as_ref().and_then(|sampling| sampling.mirostat) {
            let reason = "follows the surprise of one text: a search has many";
            return wrong("the mirostat target", mirostat.target, reason);
        }
        self.sampling.as_ref().map_or(Ok(()), Sampling::validate)
    }
}

impl BestOf {
    fn validate(&self) -> Result<(), ConfigError> {
        if self.n == 0 {
            let reason = "draws nothing: give 1 or more";
            return Err(ConfigError::Option { name: "the number of samples", value: 0.0, reason });
        }
        match self.by {
            Best::LogProb { length_penalty } if !length_penalty.is_finite() => {
                let reason = "is not a number; 0 compares plain sums";
                Err(ConfigError::Option { name: "length penalty", value: length_penalty, reason })
            }
            _ => self.sampling.validate(),
        }
    }
}
