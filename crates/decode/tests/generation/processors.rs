//! Each processor against its definition, on every combination of a few logits.

use firebrand_decode::processors::{
    argmax, bias, first_invalid, force, frequency_penalty, log_prob, no_repeat_ngram, repetition_penalty,
    temperature, top_k, top_p,
};
use firebrand_decode::{Distribution, Sampling};

use crate::reference;

/// All logits of four ids from a set that holds ties, both zeros and a ban.
pub(crate) fn all_logits() -> Vec<Vec<f32>> {
    const VALUES: [f32; 5] = [f32::NEG_INFINITY, -1.5, -0.0, 0.0, 2.0];
    let choices = crate::all_sequences(VALUES.len() as u32, 4);
    choices.into_iter().map(|ids| ids.into_iter().map(|id| VALUES[id as usize]).collect()).collect()
}

fn to_f64(logits: &[f32]) -> Vec<f64> {
    logits.iter().copied().map(f64::from).collect()
}

#[test]
fn every_distribution_is_its_definition() {
    for logits in all_logits() {
        for temperature in [0.25, 1.0, 3.0] {
            for top_k in [None, Some(1), Some(2), Some(3), Some(4), Some(100)] {
                for top_p in [None, Some(1e-9), Some(0.3), Some(0.5), Some(0.9), Some(1.0)] {
                    let sampling = Sampling { temperature, top_k, top_p, ..Default::default() };
                    check(&logits, &sampling);
                }
            }
        }
    }
}

#[test]
fn every_later_truncation_is_its_definition() {
    let thresholds = [None, Some(0.05), Some(0.2), Some(0.55), Some(0.9), Some(1.0)];
    for logits in all_logits() {
        for temperature in [1.0, 3.0] {
            for top_p in [None, Some(0.83)] {
                for threshold in thresholds {
                    let plain = Sampling { temperature, top_p, ..Default::default() };
                    check(&logits, &Sampling { min_p: threshold, ..plain.clone() });
                    check(&logits, &Sampling { typical_p: threshold, ..plain.clone() });
                    check(&logits, &Sampling { eta: threshold, ..plain.clone() });
                }
                let all =
                    Sampling { min_p: Some(0.1), typical_p: Some(0.7), eta: Some(0.3), ..Default::default() };
                check(&logits, &Sampling { temperature, top_p, ..all });
            }
        }
    }
}

#[test]
fn presence_is_subtracted_once_and_frequency_each_time() {
    let mut logits = [1.0, 2.0, f32::NEG_INFINITY, -1.0];
    frequency_penalty(&mut logits, &[1, 0, 1, 2], 0.5, 0.25);
    assert_eq!(logits, [0.25, 1.0, f32::NEG_INFINITY, -1.0]);
}

/// Against the definition: with the banned id, the last n ids would be there twice.
#[test]
fn no_ngram_comes_twice() {
    for seen in (0..=6).flat_map(|len| crate::all_sequences(2, len)) {
        for n in 0..=4 {
            let mut logits = [0.0; 2];
            no_repeat_ngram(&mut logits, &seen, n);
            for id in 0..2_u32 {
                let with = [&seen[..], &[id]].concat();
                let repeats =
                    n > 0 && with.len() >= n && seen.windows(n).any(|old| old == &with[with.len() - n..]);
                assert_eq!(logits[id as usize] == f32::NEG_INFINITY, repeats, "{seen:?}, n {n}, id {id}");
            }
        }
    }
}

#[test]
fn bias_is_added_and_a_forced_id_is_the_only_one() {
    let mut logits = [1.0, f32::MAX, f32::NEG_INFINITY];
    bias(&mut logits, 0, -3.0);
    bias(&mut logits, 1, f32::MAX);
    bias(&mut logits, 2, 5.0);
    assert_eq!(logits, [-2.0, f32::MAX, f32::NEG_INFINITY]);
    force(&mut logits, 0);
    assert_eq!(logits, [-2.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
}

fn check(logits: &[f32], sampling: &Sampling) {
    let mut processed = logits.to_vec();
    sampling.apply(&mut processed);
    assert_eq!(first_invalid(&processed), None);
    let Some(distribution) = Distribution::from_logits(&processed) else {
        assert_eq!(logits, [f32::NEG_INFINITY; 4], "only what was banned before leaves nothing");
        return;
    };
    for (id, expected) in (0u32..).zip(reference::distribution(&to_f64(logits), sampling)) {
        let prob = distribution.prob(id);
        assert_eq!(prob == 0.0, expected == 0.0, "{logits:?} {sampling:?}: id {id}");
        assert!(
            (prob - expected).abs() < 1e-6,
            "{logits:?} {sampling:?}: id {id} has {prob}, not {expected}"
        );
    }
}

#[test]
fn truncation_changes_no_logit_that_stays() {
    for logits in all_logits() {
        let mut processed = logits.clone();
        top_k(&mut processed, 3);
        top_p(&mut processed, 0.8);
        for (before, after) in logits.iter().zip(processed) {
            assert!(after == f32::NEG_INFINITY || after.to_bits() == before.to_bits());
        }
    }
}

#[test]
fn top_k_and_top_p_keep_at_least_one() {
    for logits in all_logits().into_iter().filter(|logits| argmax(logits).is_some()) {
        let mut processed = logits.clone();
        top_k(&mut processed, 0);
        assert_eq!(argmax(&processed), argmax(&logits));
        let mut processed = logits.clone();
        top_p(&mut processed, 0.0);
        assert_eq!(argmax(&processed), argmax(&logits));
    }
}

#[test]
fn top_p_keeps_the_token_that_crosses_p() {
    let logits: Vec<f32> = [0.1f32, 0.4, 0.2, 0.3].iter().map(|p| p.ln()).collect();
    for (p, kept) in
        [(0.3, &[1][..]), (0.45, &[1, 3]), (0.65, &[1, 3]), (0.75, &[1, 2, 3]), (0.95, &[0, 1, 2, 3])]
    {
        let mut processed = logits.clone();
        top_p(&mut processed, p);
        let ids: Vec<usize> = (0..4).filter(|&id| processed[id] > f32::NEG_INFINITY).collect();
        assert_eq!(ids, kept, "p = {p}");
    }
}

#[test]
fn no_temperature_overflows() {
    for logits in all_logits().into_iter().chain([vec![f32::MAX, f32::MIN, 0.0, 1.0]]) {
        for t in [f64::MIN_POSITIVE, 1e-300, 1e-40, 1e40, f64::MAX] {
            let mut processed = logits.clone();
            temperature(&mut processed, t);
            assert_eq!(first_invalid(&processed), None);
            assert_eq!(argmax(&processed).is_some(), argmax(&logits).is_some());
            if t < 1.0 {
                assert_eq!(argmax(&processed), argmax(&logits));
            }
        }
    }
}

#[test]
fn repetition_divides_positive_and_multiplies_negative_logits_once() {
    let mut logits = [3.0, -1.0, 0.0, 3.0, f32::NEG_INFINITY];
    repetition_penalty(&mut logits, &[0, 1, 0, 2, 4, 1], 2.0);
    assert_eq!(logits, [1.5, -2.0, 0.0, 3.0, f32::NEG_INFINITY]);
    for theta in [f64::MIN_POSITIVE, 1e-40, 1e40, f64::MAX] {
        let mut logits = [3.0, -1.0, 0.0, 3.0, f32::NEG_INFINITY];
        repetition_penalty(&mut logits, &[0, 1, 2, 4], theta);
        assert_eq!(first_invalid(&logits), None, "{theta}");
    }
}

#[test]
fn log_probs_are_logs_of_the_softmax() {
    for logits in all_logits().into_iter().filter(|logits| argmax(logits).is_some()) {
        for (id, expected) in (0u32..).zip(reference::softmax(&to_f64(&logits))) {
            assert!((log_prob(&logits, id).exp() - expected).abs() < 1e-14);
        }
    }
    assert_eq!(log_prob(&[1e4, -1e4], 1), -2e4);
}

#[test]
fn invalid_logits_are_found() {
    assert_eq!(first_invalid(&[0.0, f32::NEG_INFINITY, f32::MAX]), None);
    assert_eq!(first_invalid(&[0.0, f32::INFINITY, f32::NAN]), Some(1));
    assert_eq!(first_invalid(&[0.0, 0.0, f32::NAN]), Some(2));
    assert_eq!(argmax(&[]), None);
}
