//! Sampling: which distribution to draw from, and draws that a seed determines.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::error::ConfigError;
use crate::processors;

/// The options of [`Strategy::Sample`](crate::Strategy::Sample).
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by this positive number: less than 1 sharpens the distribution, more flattens it.
    pub temperature: f64,
    /// Keep only the `k` most likely tokens.
    pub top_k: Option<usize>,
    /// Keep only the most likely tokens which together have the probability `p`, after temperature and top-k.
    pub top_p: Option<f64>,
    /// Keep only tokens at least so many times as likely as the likeliest.
    pub min_p: Option<f64>,
    /// Keep only the tokens nearest to the entropy which together have this probability.
    pub typical_p: Option<f64>,
    /// `ε`: keep only tokens above `min(ε, √ε·e^(−H))`.
    pub eta: Option<f64>,
    /// Keep only tokens so little surprising that the text is, on the whole, as surprising as asked for.
    pub mirostat: Option<Mirostat>,
    /// Determines every draw; the same seed, prompt and model give the same ids.
    pub seed: u64,
    /// The number of the first prompt; prompt `i` of a batch draws as number `first_sequence + i`. So a long list
    /// of prompts gives the same ids however it is split into batches, and equal prompts give different ones.
    pub first_sequence: u64,
}

/// Mirostat, version 2 (Basu et al. 2021, <https://arxiv.org/abs/2007.14966>): tokens that surprise more than `μ` are banned, and
/// `μ` falls by what the last token surprised more than asked for.
///
/// The surprise of a token is `−log₂` of the probability that the model itself gave it, so that `2^target` is the perplexity that texts
/// are brought to, whatever temperature and penalties do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mirostat {
    /// The surprise asked for, in bits a token.
    pub target: f64,
    /// `η`: how much of the difference is made up for with the next token.
    pub rate: f64,
}

impl Default for Mirostat {
    /// Three bits, a perplexity of 8, with the paper's rate.
    fn default() -> Self {
        Self { target: 3.0, rate: 0.1 }
    }
}

impl Mirostat {
    /// `μ`, which begins at twice the target, after tokens with these log-probabilities in nats.
    pub fn most_surprise(&self, log_probs: &[f64]) -> f64 {
        let surprise: f64 = log_probs.iter().map(|log_prob| -log_prob / std::f64::consts::LN_2).sum();
        2.0 * self.target - self.rate * (surprise - log_probs.len() as f64 * self.target)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let positive = |name, value: f64| match value > 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(ConfigError::Option { name, value, reason: "is not a positive number" }),
        };
        positive("the mirostat target", self.target)?;
        positive("the mirostat rate", self.rate)
    }
}

impl Default for Sampling {
    /// The model's own distribution, with seed 0.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            min_p: None,
            typical_p: None,
            eta: None,
            mirostat: None,
            seed: 0,
            first_sequence: 0,
        }
    }
}

impl Sampling {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field out of its range; for the temperature, the message names greedy.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(ConfigError::Temperature(self.temperature));
        }
        if self.top_k == Some(0) {
            return Err(ConfigError::TopK);
        }
        if let Some(p) = self.top_p.filter(|&p| !(p > 0.0 && p <= 1.0)) {
            return Err(ConfigError::TopP(p));
        }
        self.mirostat.as_ref().map_or(Ok(()), Mirostat::validate)?;
        for (name, value) in [("min_p", self.min_p), ("typical_p", self.typical_p), ("eta", self.eta)] {
            if let Some(value) = value.filter(|&value| !(value > 0.0 && value <= 1.0)) {
                return Err(ConfigError::Truncation { name, value });
            }
        }
        Ok(())
    }

    /// Applies temperature, top-k, top-p, min-p, typical and eta, in this order. (Mirostat, which is last, depends on the text.)
    pub fn apply(&self, logits: &mut [f32]) {
        processors::temperature(logits, self.temperature);
        if let Some(k) = self.top_k {
            processors::top_k(logits, k);
        }
        if let Some(p) = self.top_p {
            processors::top_p(logits, p);
        }
        if let Some(m) = self.min_p {
            processors::min_p(logits, m);
        }
        if let Some(tau) = self.typical_p {
            processors::typical(logits, tau);
        }
        if let Some(epsilon) = self.eta {
            processors::eta(logits, epsilon);
        }
    }
}

/// A probability distribution over the vocabulary: the softmax of logits, in double precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// `exp(logit − largest logit)` of each id.
    weights: Vec<f64>,
    /// The sum of the weights, in the order of the ids.
    total: f64,
}

impl Distribution {
    /// The softmax of logits that are finite or minus infinity; `None` when all ids are banned.
    pub fn from_logits(logits: &[f32]) -> Option<Self> {
        let largest = processors::maximum(logits);
        if largest == f64::NEG_INFINITY {
            return None;
        }
        let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).collect();
        let total = weights.iter().sum();
        Some(Self { weights, total })
    }

    /// What is left of the probabilities when others are taken from them, down to 0; `None` when nothing is.
    pub fn minus(&self, others: impl Fn(u32) -> f64) -> Option<Self> {
        let left = |id: u32| (self.prob(id) - others(id)).max(0.0);
        let weights: Vec<f64> = (0u32..).zip(&self.weights).map(|(id, _)| left(id)).collect();
        let total: f64 = weights.iter().sum();
        (total > 0.0).then_some(Self { weights, total })
    }

    /// The probability of `id`.
    ///
    /// # Panics
    /// When `id` is outside the vocabulary.
    pub fn prob(&self, id: u32) -> f64 {
        self.weights[id as usize] / self.total
    }

    /// The id at `u` in `[0, 1)` of the inverse cumulative distribution: the first whose cumulative probability,
    /// in the order of the ids, is greater than `u`. So a uniform `u` gives each id with its probability, and
    /// never one of probability 0.
    ///
    /// # Panics
    /// When `u` is not in `[0, 1)`.
    pub fn sample(&self, u: f64) -> u32 {
        assert!((0.0..1.0).contains(&u), "a draw of {u} is not in [0, 1)");
        let target = u * self.total;
        let mut cumulative = 0.0;
        let crosses = |(_, weight): &(u32, &f64)| {
            cumulative += *weight;
            cumulative > target
        };
        let (id, _) = (0u32..)
            .zip(&self.weights)
            .find(crosses)
            .expect("u ≤ 1 − 2⁻⁵³, so the target rounds to less than the total, the last cumulative sum");
        id
    }
}

/// What a draw at a position is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The id itself.
    Choose,
    /// Whether a proposed id is kept.
    Keep,
    /// The id in place of a proposed one.
    Instead,
    /// The id that a draft proposes.
    Propose,
}

/// Uniform draws that depend on (seed, sequence, position) and nothing else.
///
/// A counter-based generator, ChaCha with 8 rounds, is read at the place that the key names, so that a draw does
/// not depend on how many were made before, on the other sequences of a batch, or on how the work is split.
/// The seed is its key, the sequence its stream, and each position owns one block of 64 bytes, of which one draw
/// takes the first 8: strategies that need several draws at a position find the rest there.
#[derive(Clone, Debug)]
pub struct Draws {
    key: [u8; 32],
}

impl Draws {
    /// The draws of a seed.
    pub fn new(seed: u64) -> Self {
        // The rest of the key separates these draws from those of other parts of Firebrand with the same seed.
        let mut key = *b"########firebrand decode samples";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self { key }
    }

    /// A number from the uniform distribution over the multiples of `2^-53` in `[0, 1)`.
    ///
    /// `position` is that of the token to be drawn, counting prompt and new ids: so a text that is generated in
    /// two goes is the one that is generated in one.
    pub fn uniform(&self, sequence: u64, position: u64) -> f64 {
        self.uniform_for(sequence, position, Use::Choose)
    }

    /// [`uniform`](Self::uniform), and others at the same position, independent of it and of each other.
    pub fn uniform_for(&self, sequence: u64, position: u64, what_for: Use) -> f64 {
        const WORDS_A_BLOCK: u128 = 16;
        const WORDS_A_DRAW: u128 = 2;
        let mut generator = ChaCha8Rng::from_seed(self.key);
        generator.set_stream(sequence);
        generator.set_word_pos(u128::from(position) * WORDS_A_BLOCK + what_for as u128 * WORDS_A_DRAW);
        (generator.next_u64() >> 11) as f64 * (-53f64).exp2()
    }

    /// Numbers from the standard Gumbel distribution, for the `hypothesis`-th way to fill a position: the `k` largest sums of
    /// log-probabilities and such numbers are `k` draws without replacement (Kool et al. 2019).
    pub fn gumbel(&self, sequence: u64, position: u64, hypothesis: u64) -> impl FnMut() -> f64 + use<> {
        let mut key = self.key;
        key[24..].copy_from_slice(&hypothesis.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(sequence);
        // Far enough apart for any vocabulary.
        generator.set_word_pos(u128::from(position) << 34);
        move || {
            let uniform = ((generator.next_u64() >> 11) as f64 + 0.5) * (-53f64).exp2();
            -(-uniform.ln()).ln()
        }
    }
}
