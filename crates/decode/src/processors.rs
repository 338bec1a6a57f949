//! What changes logits before a token is chosen: pure functions over the logits `[vocab_size]` of one position.
//!
//! They are applied in one order, whatever the strategy: penalties, bans, temperature, top-k, top-p. A token that
//! may not be chosen has the logit minus infinity, probability 0. Functions here take logits that are finite or
//! minus infinity (see [`first_invalid`]) and return such logits.

use std::cmp::Ordering;

use crate::error::ConfigError;

/// Lowers the logits of tokens that were seen, in the prompt or among the generated ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalties {
    /// `θ` of [`repetition_penalty`]; 1 changes nothing.
    pub repetition: f64,
}

impl Default for Penalties {
    /// Changes nothing.
    fn default() -> Self {
        Self { repetition: 1.0 }
    }
}

impl Penalties {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is not a usable number.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.repetition > 0.0 && self.repetition.is_finite() {
            Ok(())
        } else {
            Err(ConfigError::RepetitionPenalty(self.repetition))
        }
    }

    /// Applies the penalties, given all ids of the sequence so far.
    pub fn apply(&self, logits: &mut [f32], seen: &[u32]) {
        if self.repetition != 1.0 {
            repetition_penalty(logits, seen, self.repetition);
        }
    }
}

/// The first id whose logit is NaN or plus infinity, from which no distribution can be made.
pub fn first_invalid(logits: &[f32]) -> Option<usize> {
    logits.iter().position(|&logit| logit.is_nan() || logit == f32::INFINITY)
}

/// The id with the largest logit, the smallest such id when there are several; `None` when all are banned.
pub fn argmax(logits: &[f32]) -> Option<u32> {
    let mut best = None;
    let mut largest = f32::NEG_INFINITY;
    for (id, &logit) in (0u32..).zip(logits) {
        if logit > largest {
            largest = logit;
            best = Some(id);
        }
    }
    best
}

/// The log-probability of `id` under the softmax of the logits, in nats.
pub fn log_prob(logits: &[f32], id: u32) -> f64 {
    let largest = maximum(logits);
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
    f64::from(logits[id as usize]) - largest - sum.ln()
}

/// Divides the positive logits of seen ids by `theta` and multiplies the negative ones by it, once for each id
/// however often it was seen (Keskar et al. 2019, "CTRL").
pub fn repetition_penalty(logits: &mut [f32], seen: &[u32], theta: f64) {
    let mut done = vec![false; logits.len()];
    for &id in seen {
        let id = id as usize;
        if std::mem::replace(&mut done[id], true) {
            continue;
        }
        let logit = f64::from(logits[id]);
        // A tiny theta must not make plus infinity, which is no logit, of a positive one.
        let penalized = if logit > 0.0 { (logit / theta).min(f64::from(f32::MAX)) } else { logit * theta };
        logits[id] = penalized as f32;
    }
}

/// Bans `id`: it gets probability 0.
pub fn ban(logits: &mut [f32], id: u32) {
    logits[id as usize] = f32::NEG_INFINITY;
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

/// Keeps the `k` ids with the largest logits and bans the others; of equal logits, the smaller ids are kept.
///
/// At least one stays, also when `k` is 0.
pub fn top_k(logits: &mut [f32], k: usize) {
    let k = k.max(1);
    if k >= logits.len() {
        return;
    }
    let mut ids = all_ids(logits);
    ids.select_nth_unstable_by(k, |&a, &b| more_likely_first(logits, a, b));
    for &id in &ids[k..] {
        ban(logits, id);
    }
}

/// Keeps the most likely ids until their probability reaches `p`, and bans the others (nucleus sampling,
/// Holtzman et al. 2020): the id with which the sum reaches or crosses `p` is the last to stay.
///
/// Probabilities are those of the ids that are not banned yet. Of equal ones, the smaller ids come first. At
/// least one stays.
pub fn top_p(logits: &mut [f32], p: f64) {
    if p >= 1.0 {
        return;
    }
    let largest = maximum(logits);
    if largest == f64::NEG_INFINITY {
        return;
    }
    let weight = |logit: f32| (f64::from(logit) - largest).exp();
    let mut ids = all_ids(logits);
    // Not needed for the result, but after top-k there is little left to sort.
    ids.retain(|&id| logits[id as usize] > f32::NEG_INFINITY);
    ids.sort_unstable_by(|&a, &b| more_likely_first(logits, a, b));
    let enough = p * ids.iter().map(|&id| weight(logits[id as usize])).sum::<f64>();
    let mut mass = 0.0;
    let kept = ids.iter().position(|&id| {
        mass += weight(logits[id as usize]);
        mass >= enough
    });
    for &id in &ids[kept.map_or(ids.len(), |last| last + 1)..] {
        ban(logits, id);
    }
}

/// The largest logit, as the number all arithmetic on logits is done in.
pub(crate) fn maximum(logits: &[f32]) -> f64 {
    f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

fn all_ids(logits: &[f32]) -> Vec<u32> {
    (0u32..).zip(logits).map(|(id, _)| id).collect()
}

/// The order of ids by likelihood: the larger logit first, then the smaller id. No two ids are equal in it, so
/// that what is kept does not depend on the sorting algorithm.
fn more_likely_first(logits: &[f32], a: u32, b: u32) -> Ordering {
    // Not `total_cmp`, for which 0 and -0 differ.
    let by_logit = logits[b as usize].partial_cmp(&logits[a as usize]).unwrap_or(Ordering::Equal);
    by_logit.then(a.cmp(&b))
}
