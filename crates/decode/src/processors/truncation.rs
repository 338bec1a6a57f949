//! What bans all but the tokens worth sampling. Of tokens that are equal in what decides, smaller ids stay; at least one stays
//! always.

use super::{ban, maximum};
use std::cmp::Ordering;

/// Keeps the `k` ids with the largest logits and bans the others; of equal logits, the smaller ids are kept.
///
/// At least one stays, also when `k` is 0.
pub fn top_k(logits: &mut [f32], k: usize) {
    let k = k.max(1);
    if k >= logits.len() {
        return;
    }
    let mut ids: Vec<u32> = (0u32..).zip(&*logits).map(|(id, _)| id).collect();
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
    let Some(mut left) = Left::of(logits) else { return };
    left.ids.sort_unstable_by(|&a, &b| more_likely_first(logits, a, b));
    left.keep_mass(logits, p);
}

/// Keeps the ids that are at least `m` times as likely as the likeliest, and bans the others (Nguyen et al. 2024).
pub fn min_p(logits: &mut [f32], m: f64) {
    let least = maximum(logits) + m.ln();
    logits.iter_mut().filter(|logit| f64::from(**logit) < least).for_each(|logit| *logit = f32::NEG_INFINITY);
}

/// Keeps the ids whose surprise `−log p` is nearest to the entropy of the distribution until their probability reaches `tau`,
/// and bans the others (locally typical sampling, Meister et al. 2022).
pub fn typical(logits: &mut [f32], tau: f64) {
    if tau >= 1.0 {
        return;
    }
    let Some(mut left) = Left::of(logits) else { return };
    let entropy = left.entropy();
    let distance = |id: u32| (left.log_prob(id) + entropy).abs();
    let mut ids = left.ids.clone();
    // Stable, so that of equally distant ids the smaller comes first.
    ids.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
    left.ids = ids;
    left.keep_mass(logits, tau);
}

/// Keeps the ids whose surprise `−log₂ p` is at most `most` bits, and bans the others. The likeliest stays.
pub fn most_surprise(logits: &mut [f32], most: f64) {
    let largest = maximum(logits);
    if largest == f64::NEG_INFINITY {
        return;
    }
    let least = super::log_sum_exp(logits) - most.max(0.0) * std::f64::consts::LN_2;
    let least = least.min(largest);
    logits.iter_mut().filter(|logit| f64::from(**logit) < least).for_each(|logit| *logit = f32::NEG_INFINITY);
}

/// Keeps the ids with a probability above `min(ε, √ε·e^(−H))`, `H` the entropy of the distribution, and bans the others (eta
/// sampling, Hewitt et al. 2022). The likeliest stays.
pub fn eta(logits: &mut [f32], epsilon: f64) {
    let Some(left) = Left::of(logits) else { return };
    let least = epsilon.min(epsilon.sqrt() * (-left.entropy()).exp());
    let likeliest = left.ids.iter().copied().min_by(|&a, &b| more_likely_first(logits, a, b));
    let is_unlikely = |id: &u32| left.weight(*id) / left.total <= least && Some(*id) != likeliest;
    left.ids.iter().copied().filter(is_unlikely).for_each(|id| ban(logits, id));
}

/// The ids that are not banned, and the distribution over them.
struct Left {
    ids: Vec<u32>,
    /// By id: `exp(logit − largest logit)`.
    weights: Vec<f64>,
    total: f64,
}

impl Left {
    /// Nothing when all are banned.
    fn of(logits: &[f32]) -> Option<Self> {
        let largest = maximum(logits);
        if largest == f64::NEG_INFINITY {
            return None;
        }
        let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).collect();
        let ids = (0u32..).zip(logits).filter(|(_, logit)| **logit > f32::NEG_INFINITY).map(|(id, _)| id);
        Some(Self { ids: ids.collect(), total: weights.iter().sum(), weights })
    }

    fn weight(&self, id: u32) -> f64 {
        self.weights[id as usize]
    }

    /// In nats; of a weight too small for a number, the least there is.
    fn log_prob(&self, id: u32) -> f64 {
        self.weight(id).max(f64::MIN_POSITIVE).ln() - self.total.ln()
    }

    /// In nats.
    fn entropy(&self) -> f64 {
        -self.ids.iter().map(|&id| self.weight(id) / self.total * self.log_prob(id)).sum::<f64>()
    }

    /// Keeps the first of `ids` until they have that part of the weight, and bans the others.
    fn keep_mass(&self, logits: &mut [f32], mass: f64) {
        let enough = mass * self.ids.iter().map(|&id| self.weight(id)).sum::<f64>();
        let mut sum = 0.0;
        let last = self.ids.iter().position(|&id| {
            sum += self.weight(id);
            sum >= enough
        });
        for &id in &self.ids[last.map_or(self.ids.len(), |last| last + 1)..] {
            ban(logits, id);
        }
    }
}

/// The order of ids by likelihood: the larger logit first, then the smaller id. No two ids are equal in it, so
/// that what is kept does not depend on the sorting algorithm.
pub(crate) fn more_likely_first(logits: &[f32], a: u32, b: u32) -> Ordering {
    // Not `total_cmp`, for which 0 and -0 differ.
    let by_logit = logits[b as usize].partial_cmp(&logits[a as usize]).unwrap_or(Ordering::Equal);
    by_logit.then(a.cmp(&b))
}
