//! Denoising as BART is trained [Lewis 2019, <https://arxiv.org/abs/1910.13461>]: sentences change places, spans of any length are
//! replaced by one mask each, and the decoder writes the whole original.

use crate::draws::Draws;
use crate::pairs::Noising;
use firebrand_training::{BatchKey, TrainingError};
use firebrand_transformer::Pair;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How the mask is written.
pub const MASK: &str = "[MASK]";

/// The section `[denoising]` of a config.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenoisingConfig {
    /// Which part of the tokens is replaced by masks.
    pub rate: f64,
    /// The mean of the lengths of spans, which are Poisson numbers.
    pub mean_span: f64,
    /// Whether the sentences of a document change places.
    pub permute_sentences: bool,
}

impl Default for DenoisingConfig {
    fn default() -> Self {
        Self { rate: 0.3, mean_span: 3.0, permute_sentences: true }
    }
}

impl DenoisingConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        let Self { rate, mean_span, .. } = *self;
        if !(0.0..1.0).contains(&rate) {
            return Err(TrainingError::Config(format!("denoising: rate {rate} is no part of the tokens")));
        }
        match (1.0..=500.0).contains(&mean_span) {
            true => Ok(()),
            false => {
                Err(TrainingError::Config(format!("denoising: mean_span {mean_span} is not from 1 to 500")))
            }
        }
    }
}

/// Denoising of texts whose sentences end with certain tokens.
#[derive(Debug, Clone)]
pub struct Denoising {
    /// How much noise.
    pub config: DenoisingConfig,
    /// Stands for a span.
    pub mask: u32,
    /// Ends input and target, and each document within a row. No sentence crosses it, and it keeps its place.
    pub end_of_text: u32,
    /// For each id, whether a sentence ends with it; ids beyond end none.
    pub ends_sentence: Arc<[bool]>,
}

impl Denoising {
    /// `ids` with the sentences of each document in a random order.
    fn permute(&self, ids: &[u32], draws: &mut Draws) -> Vec<u32> {
        let mut permuted = Vec::with_capacity(ids.len());
        for document in ids.split_inclusive(|&id| id == self.end_of_text) {
            let (text, end) = match document.split_last() {
                Some((&id, text)) if id == self.end_of_text => (text, &document[text.len()..]),
                _ => (document, &[][..]),
            };
            let ends = |id: &u32| self.ends_sentence.get(*id as usize).copied().unwrap_or(false);
            let mut sentences: Vec<&[u32]> = text.split_inclusive(ends).collect();
            draws.shuffle(&mut sentences);
            permuted.extend(sentences.concat());
            permuted.extend(end);
        }
        permuted
    }

    /// The lengths of the spans of `len` tokens, 0 among them: together the rate's part of the tokens.
    fn spans(&self, len: usize, draws: &mut Draws) -> Vec<usize> {
        let covered = (self.config.rate * len as f64).round_ties_even() as usize;
        let (mut spans, mut left) = (Vec::new(), covered);
        while left > 0 {
            let span = poisson(self.config.mean_span, draws).min(left);
            // At most one mask more than tokens that they stand for, so that the input is hardly longer than the text.
            if span > 0 || spans.len() + left <= covered {
                spans.push(span);
                left -= span;
            }
        }
        spans
    }

    /// `ids` with masks for spans, each way to place them among the other tokens as likely as the others.
    fn fill(&self, ids: &[u32], draws: &mut Draws) -> Vec<u32> {
        let spans = self.spans(ids.len(), draws);
        let kept = ids.len() - spans.iter().sum::<usize>();
        let mut parts: Vec<Option<usize>> = spans.into_iter().map(Some).chain(vec![None; kept]).collect();
        draws.shuffle(&mut parts);
        let (mut filled, mut rest) = (Vec::with_capacity(ids.len() + 1), ids);
        for part in parts {
            match part {
                Some(span) => {
                    filled.push(self.mask);
                    rest = &rest[span..];
                }
                None => {
                    filled.push(rest[0]);
                    rest = &rest[1..];
                }
            }
        }
        filled
    }
}

/// A Poisson number of this mean.
fn poisson(mean: f64, draws: &mut Draws) -> usize {
    // P(k), and P(numbers from k on): k it is with the probability of their quotient.
    let (mut here, mut from_here) = ((-mean).exp(), 1.0);
    for k in 1.. {
        if from_here <= here || draws.happens(here / from_here) {
            return k - 1;
        }
        from_here -= here;
        here *= mean / k as f64;
    }
    unreachable!("the numbers have no end")
}

impl Noising for Denoising {
    fn pair(&self, ids: &[u32], key: BatchKey, row: usize) -> Pair {
        let draws = &mut Draws::new("denoising", key, row);
        let permuted = match self.config.permute_sentences {
            true => self.permute(ids, draws),
            false => ids.to_vec(),
        };
        let mut input = self.fill(&permuted, draws);
        input.push(self.end_of_text);
        Pair { input, target: [ids, &[self.end_of_text]].concat() }
    }
}
