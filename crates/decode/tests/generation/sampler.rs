//! The inverse cumulative distribution, and the draws it is given.

use std::collections::{BTreeMap, BTreeSet};

use firebrand_decode::{Distribution, Draws};

use crate::processors::all_logits;
use crate::reference;

/// The largest draw there is.
const LAST_DRAW: f64 = 1.0 - f64::EPSILON / 2.0;

#[test]
fn each_id_takes_its_share_of_all_draws() {
    const GRID: usize = 4096;
    for logits in all_logits() {
        let Some(distribution) = Distribution::from_logits(&logits) else { continue };
        let mut counts = [0usize; 4];
        for step in 0..GRID {
            counts[distribution.sample(step as f64 / GRID as f64) as usize] += 1;
        }
        for (id, count) in (0u32..).zip(counts) {
            // An interval of length p holds p of an even grid's points, give or take the one at its border.
            let expected = distribution.prob(id) * GRID as f64;
            assert!(
                (count as f64 - expected).abs() <= 1.0,
                "{logits:?}: id {id} {count} times, not {expected}"
            );
            assert!(count == 0 || distribution.prob(id) > 0.0);
        }
    }
}

#[test]
fn probabilities_that_are_exact_give_exact_shares() {
    let distribution =
        Distribution::from_logits(&[1.0, f32::NEG_INFINITY, 1.0, 1.0, 1.0]).expect("not all banned");
    let ids: Vec<u32> = (0..8).map(|eighth| distribution.sample(f64::from(eighth) / 8.0)).collect();
    assert_eq!(ids, [0, 0, 2, 2, 3, 3, 4, 4]);
}

#[test]
fn the_first_and_the_last_draw_give_ids_that_are_possible() {
    for logits in all_logits() {
        let Some(distribution) = Distribution::from_logits(&logits) else { continue };
        let possible = |&id: &u32| distribution.prob(id) > 0.0;
        assert_eq!(Some(distribution.sample(0.0)), (0..4).find(possible));
        assert_eq!(Some(distribution.sample(LAST_DRAW)), (0..4).rev().find(possible));
    }
    assert_eq!(Distribution::from_logits(&[f32::NEG_INFINITY; 3]), None);
    assert_eq!(Distribution::from_logits(&[]), None);
}

/// From an implementation of ChaCha8 of our own in Python, as RFC 8439 describes it except for 8 rounds and a
/// counter and a nonce of 64 bits: key = seed (little-endian) and label, counter = position, nonce = sequence.
#[test]
fn draws_never_change_between_versions() {
    for ((seed, sequence, position), expected) in GOLDEN {
        assert_eq!(Draws::new(seed).uniform(sequence, position), expected, "{seed} {sequence} {position}");
    }
}

#[test]
fn draws_are_uniform_along_each_of_their_keys() {
    let check = |draw: &dyn Fn(u64) -> f64| {
        let mut counts = BTreeMap::new();
        for key in 0..64_000 {
            *counts.entry((draw(key) * 64.0) as usize).or_insert(0) += 1;
        }
        reference::assert_fits(&counts, &(0..64).map(|bin| (bin, 1.0 / 64.0)).collect());
    };
    check(&|seed| Draws::new(seed).uniform(0, 0));
    check(&|sequence| Draws::new(0).uniform(sequence, 0));
    check(&|position| Draws::new(0).uniform(0, position));
}

#[test]
fn different_keys_give_different_draws() {
    let keys = [0, 1, 2, 1 << 32, u64::MAX - 1, u64::MAX];
    let mut seen = BTreeSet::new();
    for seed in keys {
        for sequence in keys {
            for position in keys {
                let draw = Draws::new(seed).uniform(sequence, position);
                assert!((0.0..=LAST_DRAW).contains(&draw));
                assert!(seen.insert(draw.to_bits()), "{seed} {sequence} {position}");
            }
        }
    }
}

const GOLDEN: [((u64, u64, u64), f64); 5] = [
    ((0, 0, 0), 0.6703301430559361),
    ((1, 0, 0), 0.32087179982511804),
    ((0, 1, 0), 0.09448802570805936),
    ((0, 0, 1), 0.8745045209171589),
    ((18446744073709551615, 8589934597, 1099511627783), 0.2626664667701222),
];
