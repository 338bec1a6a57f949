//! Span corruption as T5 is trained [Raffel 2020, <https://arxiv.org/abs/1910.10683>]: spans of a text are replaced by sentinels, and
//! the decoder writes what stood there.

use crate::draws::Draws;
use crate::pairs::{Noising, without_noise};
use crate::sentinels::Sentinels;
use firebrand_training::{BatchKey, TrainingError};
use firebrand_transformer::Pair;
use serde::{Deserialize, Serialize};

/// The section `[span_corruption]` of a config.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpanCorruptionConfig {
    /// Which part of the tokens is in spans.
    pub rate: f64,
    /// How long a span is on average, in tokens.
    pub mean_span: f64,
}

impl Default for SpanCorruptionConfig {
    fn default() -> Self {
        Self { rate: 0.15, mean_span: 3.0 }
    }
}

impl SpanCorruptionConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        self.spans().validate("span_corruption")
    }

    /// The spans that they describe.
    pub fn spans(&self) -> Spans {
        Spans { rate: self.rate, mean_span: self.mean_span }
    }
}

/// How many tokens are in spans, and how long these are on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spans {
    /// Which part of the tokens is in spans.
    pub rate: f64,
    /// How long a span is on average, in tokens.
    pub mean_span: f64,
}

impl Spans {
    pub(crate) fn validate(&self, section: &str) -> Result<(), TrainingError> {
        if !(self.rate > 0.0 && self.rate < 1.0) {
            return Err(TrainingError::Config(format!(
                "{section}: rate {} is no part of the tokens: between 0 and 1",
                self.rate
            )));
        }
        match self.mean_span >= 1.0 && self.mean_span.is_finite() {
            true => Ok(()),
            false => Err(TrainingError::Config(format!(
                "{section}: mean_span {} is no number of tokens from 1 on",
                self.mean_span
            ))),
        }
    }

    /// Tokens in spans and number of spans, of `len` tokens. Halves are rounded to even.
    ///
    /// # Panics
    /// When there are fewer than 2 tokens: one has to stay.
    pub fn counts(&self, len: usize) -> (usize, usize) {
        assert!(len >= 2, "{len} tokens are too few to take some and leave some");
        let noise = (self.rate * len as f64).round_ties_even() as usize;
        let noise = noise.clamp(1, len - 1);
        let spans = (noise as f64 / self.mean_span).round_ties_even() as usize;
        (noise, spans.max(1).min(noise).min(len - noise))
    }

    /// The lengths of what stays and of the span behind it, in turn, of `len` tokens.
    fn lengths(&self, len: usize, draws: &mut Draws) -> Vec<(usize, usize)> {
        let (noise, spans) = self.counts(len);
        let noise = composition(noise, spans, draws);
        let kept = composition(len - noise.iter().sum::<usize>(), spans, draws);
        kept.into_iter().zip(noise).collect()
    }

    /// `ids` with a sentinel for each span, behind `front`.
    pub(crate) fn rewrite(
        &self,
        front: &[u32],
        ids: &[u32],
        sentinels: &Sentinels,
        end_of_text: u32,
        draws: &mut Draws,
    ) -> Pair {
        if ids.len() < 2 {
            return without_noise(front, ids, end_of_text);
        }
        let (mut input, mut target) = (front.to_vec(), Vec::new());
        let mut rest = ids;
        for (number, (kept, noise)) in self.lengths(ids.len(), draws).into_iter().enumerate() {
            let (before, behind) = rest.split_at(kept);
            let (span, behind) = behind.split_at(noise);
            input.extend(before);
            input.push(sentinels.id(number));
            target.push(sentinels.id(number));
            target.extend(span);
            rest = behind;
        }
        input.push(end_of_text);
        target.push(end_of_text);
        Pair { input, target }
    }
}

/// `sum` as a sum of `parts` numbers from 1 on: of all such sums in their order, each as likely as the others.
pub(crate) fn composition(sum: usize, parts: usize, draws: &mut Draws) -> Vec<usize> {
    assert!((1..=sum).contains(&parts), "{sum} has no {parts} parts");
    // Of the places between two ones, `parts − 1` are cut.
    let (mut lengths, mut len, mut cuts) = (Vec::with_capacity(parts), 1, parts - 1);
    for places in (1..sum).rev() {
        if draws.below(places) < cuts {
            lengths.push(len);
            (len, cuts) = (0, cuts - 1);
        }
        len += 1;
    }
    lengths.push(len);
    lengths
}

/// Span corruption with these sentinels.
#[derive(Debug, Clone)]
pub struct SpanCorruption {
    /// Which spans.
    pub spans: Spans,
    /// As many as a row needs at least.
    pub sentinels: Sentinels,
    /// Ends input and target.
    pub end_of_text: u32,
}

impl Noising for SpanCorruption {
    fn pair(&self, ids: &[u32], key: BatchKey, row: usize) -> Pair {
        let draws = &mut Draws::new("spans", key, row);
        self.spans.rewrite(&[], ids, &self.sentinels, self.end_of_text, draws)
    }
}
