//! The definitions of decoding, written down naively, to compare the crate with.

use std::collections::BTreeMap;

use firebrand_decode::{Mirostat, Sampling};

use crate::fake::FakeModel;

/// The softmax of logits.
pub(crate) fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    logits.iter().map(|logit| (logit - largest).exp() / total).collect()
}

/// The distribution a sampler draws from, as the order and the definitions of the processors have it.
pub(crate) fn distribution(logits: &[f64], sampling: &Sampling) -> Vec<f64> {
    let mut logits: Vec<f64> = logits.iter().map(|logit| logit / sampling.temperature).collect();
    if let Some(k) = sampling.top_k {
        logits = keep(&logits, |better| better.len() < k);
    }
    if let Some(p) = sampling.top_p {
        let probs = softmax(&logits);
        logits = keep(&logits, |better| better.iter().map(|&id| probs[id]).sum::<f64>() < p);
    }
    let keep_where = |logits: &[f64], stays: &dyn Fn(usize, &[f64]) -> bool| -> Vec<f64> {
        let probs = softmax(logits);
        let likeliest = (0..probs.len()).rev().max_by(|&a, &b| probs[a].total_cmp(&probs[b]));
        let kept = |id: usize| stays(id, &probs) || Some(id) == likeliest;
        (0..logits.len()).map(|id| if kept(id) { logits[id] } else { f64::NEG_INFINITY }).collect()
    };
    if logits.iter().all(|logit| *logit == f64::NEG_INFINITY) {
        return softmax(&logits);
    }
    if let Some(m) = sampling.min_p {
        logits = keep_where(&logits, &|id, probs| probs[id] >= m * probs.iter().copied().fold(0.0, f64::max));
    }
    if let Some(tau) = sampling.typical_p {
        let probs = softmax(&logits);
        let distance = |id: usize| (-probs[id].ln() - entropy(&probs)).abs();
        let is_nearer =
            |a: usize, b: usize| distance(a) < distance(b) || (distance(a) == distance(b) && a < b);
        let kept = |id: usize| {
            let nearer = (0..probs.len()).filter(|&other| probs[other] > 0.0 && is_nearer(other, id));
            probs[id] > 0.0 && nearer.map(|other| probs[other]).sum::<f64>() < tau
        };
        logits = (0..logits.len()).map(|id| if kept(id) { logits[id] } else { f64::NEG_INFINITY }).collect();
    }
    if let Some(epsilon) = sampling.eta {
        logits = keep_where(&logits, &|id, probs| {
            probs[id] > epsilon.min(epsilon.sqrt() * (-entropy(probs)).exp())
        });
    }
    softmax(&logits)
}

/// In nats.
fn entropy(probs: &[f64]) -> f64 {
    -probs.iter().filter(|prob| **prob > 0.0).map(|prob| prob * prob.ln()).sum::<f64>()
}

/// Bans every id for which `stays`, given the ids that are more likely, is false.
fn keep(logits: &[f64], stays: impl Fn(&[usize]) -> bool) -> Vec<f64> {
    let is_better = |a: usize, b: usize| logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
    let kept = |id: usize| {
        let better: Vec<usize> = (0..logits.len()).filter(|&other| is_better(other, id)).collect();
        stays(&better)
    };
    (0..logits.len()).map(|id| if kept(id) { logits[id] } else { f64::NEG_INFINITY }).collect()
}

/// The probability of each sequence that can follow `prompt`, of `max_new_tokens` ids or up to end-of-text.
pub(crate) fn joint_distribution(
    model: &FakeModel,
    prompt: &[u32],
    max_new_tokens: usize,
    sampling: &Sampling,
) -> BTreeMap<Vec<u32>, f64> {
    let mut complete = BTreeMap::new();
    let mut open = vec![(Vec::new(), 1.0)];
    while let Some((ids, prob)) = open.pop() {
        if ids.len() == max_new_tokens
            || (model.end_of_text.is_some() && ids.last() == model.end_of_text.as_ref())
        {
            complete.insert(ids, prob);
            continue;
        }
        let logits: Vec<f64> = model.logits(&[prompt, &ids].concat()).into_iter().map(f64::from).collect();
        let mut distribution = distribution(&logits, sampling);
        if let Some(Mirostat { target, rate }) = sampling.mirostat {
            // The paper's loop, from the start of the text.
            let mut most = 2.0 * target;
            for log_prob in log_probs(model, prompt, &ids) {
                most -= rate * (-log_prob / std::f64::consts::LN_2 - target);
            }
            let likeliest = distribution.iter().copied().fold(0.0, f64::max);
            for prob in &mut distribution {
                if -prob.log2() > most && *prob < likeliest {
                    *prob = 0.0;
                }
            }
            let total: f64 = distribution.iter().sum();
            distribution.iter_mut().for_each(|prob| *prob /= total);
        }
        for (id, next) in (0u32..).zip(distribution) {
            if next > 0.0 {
                open.push(([&ids[..], &[id]].concat(), prob * next));
            }
        }
    }
    complete
}

/// The log-probability of each of the ids after `prompt`, under the model itself.
pub(crate) fn log_probs(model: &FakeModel, prompt: &[u32], ids: &[u32]) -> Vec<f64> {
    (0..ids.len())
        .map(|len| {
            let logits: Vec<f64> =
                model.logits(&[prompt, &ids[..len]].concat()).into_iter().map(f64::from).collect();
            softmax(&logits)[ids[len] as usize].ln()
        })
        .collect()
}

/// Pearson's test that `counts` come from `expected`, which sums to 1, as a claim.
///
/// The bound is five standard deviations above the mean of the statistic; seeds are fixed, so it holds or not,
/// once and for all.
pub(crate) fn assert_fits<K: Ord + std::fmt::Debug>(
    counts: &BTreeMap<K, usize>,
    expected: &BTreeMap<K, f64>,
) {
    for outcome in counts.keys() {
        assert!(expected.contains_key(outcome), "{outcome:?} was drawn and cannot be");
    }
    let total: f64 = counts.values().map(|&count| count as f64).sum();
    let mut statistic = 0.0;
    for (outcome, prob) in expected {
        assert!(prob * total >= 5.0, "too few draws for the outcome {outcome:?} of probability {prob}");
        let count = counts.get(outcome).copied().unwrap_or(0) as f64;
        statistic += (count - prob * total).powi(2) / (prob * total);
    }
    let freedom = expected.len() as f64 - 1.0;
    let bound = freedom + 5.0 * (2.0 * freedom).sqrt();
    assert!(statistic <= bound, "χ² is {statistic} with {freedom} degrees of freedom, more than {bound}");
}
