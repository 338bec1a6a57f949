//! What changes logits before a token is chosen: pure functions over the logits `[vocab_size]` of one position.
//!
//! They are applied in one order, whatever the strategy: penalties, bias, bans and forced tokens, the constraint, temperature, top-k,
//! top-p, then min-p, typical, eta and mirostat. A token that may not be chosen has the logit minus infinity, probability 0. Functions here
//! take logits that are finite or minus infinity (see [`first_invalid`]) and return such logits.

mod penalties;
mod scan;
mod truncation;

pub use penalties::{Penalties, frequency_penalty, no_repeat_ngram, repetition_penalty};
pub(crate) use truncation::more_likely_first;
pub use truncation::{eta, min_p, most_surprise, top_k, top_p, typical};

/// The first id whose logit is NaN or plus infinity, from which no distribution can be made.
pub fn first_invalid(logits: &[f32]) -> Option<usize> {
    let is_invalid = |logit: f32| logit.is_nan() || logit == f32::INFINITY;
    // Whether there is one at all is found many at a time.
    let any = scan::any(logits, is_invalid);
    any.then(|| logits.iter().position(|&logit| is_invalid(logit)))?
}

/// The id with the largest logit, the smallest such id when there are several; `None` when all are banned.
pub fn argmax(logits: &[f32]) -> Option<u32> {
    let largest = scan::maximum(logits);
    if largest == f32::NEG_INFINITY {
        return None;
    }
    logits.iter().position(|&logit| logit == largest).map(|id| id as u32)
}

/// The log-probability of `id` under the softmax of the logits, in nats.
pub fn log_prob(logits: &[f32], id: u32) -> f64 {
    f64::from(logits[id as usize]) - log_sum_exp(logits)
}

/// The logarithm of the sum of the exponentials of logits that are not all minus infinity: what they are more than log-probabilities.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = maximum(logits);
    largest + scan::sum_of_exponentials(logits, largest).ln()
}

/// Bans `id`: it gets probability 0.
pub fn ban(logits: &mut [f32], id: u32) {
    logits[id as usize] = f32::NEG_INFINITY;
}

/// Bans every id but `id`.
pub fn force(logits: &mut [f32], id: u32) {
    let logit = logits[id as usize];
    logits.fill(f32::NEG_INFINITY);
    logits[id as usize] = logit;
}

/// Adds `bias` to the logit of `id`: a positive one makes it likelier, minus infinity bans it.
pub fn bias(logits: &mut [f32], id: u32, bias: f32) {
    // A logit stays finite: infinity is none.
    logits[id as usize] = (logits[id as usize] + bias).min(f32::MAX);
}

/// Divides the logits by `temperature`, which is positive and finite.
///
/// They are shifted first, so that the largest becomes 0: the distribution stays, and no temperature, however
/// low, can overflow. At 1 they stay as they are.
pub fn temperature(logits: &mut [f32], temperature: f64) {
    let largest = maximum(logits);
    if temperature == 1.0 || largest == f64::NEG_INFINITY {
        return;
    }
    for logit in logits {
        *logit = ((f64::from(*logit) - largest) / temperature) as f32;
    }
}

/// The largest logit, as the number all arithmetic on logits is done in.
pub(crate) fn maximum(logits: &[f32]) -> f64 {
    f64::from(scan::maximum(logits))
}
