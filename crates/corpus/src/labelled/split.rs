//! Divides examples so that every part has its share of each label.
//!
//! Examples are brought into an order in which those of a stratum (a label, most often) stand together, strata and
//! examples within them by the draws of a seed. Whoever takes every so-many-th of this order takes from each stratum its
//! share, to within one example.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::rand_core::RngCore;

use super::{Example, Target};
use crate::batches::{below, keyed_rng};

/// Strata of numbers: tenths of the examples by rank.
const RANKS: usize = 10;

/// One fold of a cross-validation: places of examples, in rising order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// All others.
    pub train: Vec<usize>,
    /// Those that this fold measures on; over all folds each example once.
    pub held_out: Vec<usize>,
}

/// The stratum of each example: its label; of several labels, or tags, the rarest one; of numbers, the tenth it ranks in.
pub fn strata(examples: &[Example]) -> Vec<usize> {
    let labels: Vec<BTreeSet<usize>> = examples.iter().map(|example| example.target.labels()).collect();
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    labels.iter().flatten().for_each(|label| *counts.entry(*label).or_default() += 1);
    let rarest = |labels: &BTreeSet<usize>| {
        labels.iter().min_by_key(|label| counts[label]).map_or(0, |label| label + 1)
    };
    let mut strata: Vec<usize> = labels.iter().map(rarest).collect();
    let number = |target: &Target| match target {
        Target::Number(number) => Some(*number),
        _ => None,
    };
    let mut numbers: Vec<(f64, usize)> = examples
        .iter()
        .enumerate()
        .filter_map(|(place, example)| Some((number(&example.target)?, place)))
        .collect();
    numbers.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    for (rank, (_, place)) in numbers.iter().enumerate() {
        strata[*place] = rank * RANKS / numbers.len();
    }
    strata
}

/// What is trained on and what is held out, the given fraction of all: places in rising order. One example of each stratum
/// at least is trained on, as its label could not be learnt otherwise; so fewer are held out where that leaves too few. Both
/// parts have one example at least, if there are two.
///
/// # Panics
/// If the fraction is not between 0 and 1.
pub fn held_out(strata: &[usize], fraction: f64, seed: u64) -> Fold {
    drawn(strata, fraction, seed, "held out")
}

/// As [`held_out`], by draws of its own: what is measured on in the end, before anything of the rest is held out.
///
/// # Panics
/// If the fraction is not between 0 and 1.
pub fn tested(strata: &[usize], fraction: f64, seed: u64) -> Fold {
    drawn(strata, fraction, seed, "tested")
}

fn drawn(strata: &[usize], fraction: f64, seed: u64, purpose: &str) -> Fold {
    assert!(fraction > 0.0 && fraction < 1.0, "a fraction between 0 and 1, not {fraction}");
    let n = strata.len();
    let wanted = ((fraction * n as f64).round() as usize).clamp(1, n.saturating_sub(1).max(1));
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    strata.iter().for_each(|stratum| *counts.entry(*stratum).or_default() += 1);
    let mut candidates: Vec<usize> = (0..n).filter(|&place| counts[&strata[place]] > 1).collect();
    if candidates.is_empty() {
        candidates = (0..n).collect();
    }
    let chosen = spread(candidates, strata, wanted, seed, purpose);
    let held_out: BTreeSet<usize> = chosen.into_iter().collect();
    let fold = Fold {
        train: (0..n).filter(|place| !held_out.contains(place)).collect(),
        held_out: held_out.into_iter().collect(),
    };
    let alone: Vec<BTreeSet<usize>> = strata.iter().map(|&stratum| BTreeSet::from([stratum])).collect();
    keep_one_of_each(fold, &alone)
}

/// Gives back to training an example of each label that it has none of. `labels` are those of all examples. One example at
/// least stays held out.
pub(super) fn keep_one_of_each(mut fold: Fold, labels: &[BTreeSet<usize>]) -> Fold {
    let mut trained: BTreeSet<usize> = fold.train.iter().flat_map(|&place| &labels[place]).copied().collect();
    let mut left = fold.held_out.len();
    fold.held_out.retain(|&place| {
        if left == 1 || labels[place].is_subset(&trained) {
            return true;
        }
        left -= 1;
        trained.extend(&labels[place]);
        fold.train.push(place);
        false
    });
    fold.train.sort_unstable();
    fold
}

/// So many examples, or all where there are no more: places in rising order.
pub fn subset(strata: &[usize], wanted: usize, seed: u64) -> Vec<usize> {
    let mut chosen = spread((0..strata.len()).collect(), strata, wanted, seed, "subset");
    chosen.sort_unstable();
    chosen
}

/// Divides the examples into `n_folds` parts and holds out each in turn.
///
/// # Panics
/// If there are fewer than two folds, or fewer examples than folds.
pub fn folds(strata: &[usize], n_folds: usize, seed: u64) -> Vec<Fold> {
    assert!((2..=strata.len()).contains(&n_folds), "{n_folds} folds of {} examples", strata.len());
    let mut fold_of = vec![0; strata.len()];
    for (position, place) in
        ordered((0..strata.len()).collect(), strata, seed, "folds").into_iter().enumerate()
    {
        fold_of[place] = position % n_folds;
    }
    let fold = |number: usize| {
        let (held_out, train) = (0..strata.len()).partition(|&place| fold_of[place] == number);
        Fold { train, held_out }
    };
    (0..n_folds).map(fold).collect()
}

/// Takes `wanted` of these places, evenly spread over their order.
fn spread(places: Vec<usize>, strata: &[usize], wanted: usize, seed: u64, purpose: &str) -> Vec<usize> {
    let n = places.len();
    if wanted >= n {
        return places;
    }
    let offset = below(&mut keyed_rng(seed, purpose, u64::MAX), n as u64) as usize;
    let ordered = ordered(places, strata, seed, purpose);
    // Of any n numbers that rise by `wanted`, as many pass a multiple of n.
    let chosen = ordered.into_iter().enumerate().filter(|(at, _)| (at * wanted + offset) % n < wanted);
    chosen.map(|(_, place)| place).collect()
}

/// The places by stratum, strata and the examples in each by the draws of the seed.
fn ordered(mut places: Vec<usize>, strata: &[usize], seed: u64, purpose: &str) -> Vec<usize> {
    let draw = |index: usize| keyed_rng(seed, purpose, index as u64).next_u64();
    // Streams of examples begin where those of strata end.
    let n_strata = strata.iter().max().map_or(0, |last| last + 1);
    places.sort_by_cached_key(|&place| {
        let stratum = strata[place];
        (draw(stratum), stratum, draw(n_strata + place), place)
    });
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(places: &[usize], strata: &[usize], stratum: usize) -> usize {
        places.iter().filter(|&&place| strata[place] == stratum).count()
    }

    proptest! {
        #[test]
        fn both_parts_have_their_share_of_every_stratum(
            strata in prop::collection::vec(0_usize..6, 2..400), percent in 1_usize..100, seed: u64,
        ) {
            let fraction = percent as f64 / 100.0;
            let fold = held_out(&strata, fraction, seed);
            let mut all = [fold.train.clone(), fold.held_out.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..strata.len()).collect::<Vec<_>>());
            let alone = (0..6).filter(|&stratum| strata.iter().filter(|&&other| other == stratum).count() == 1).count();
            let candidates = strata.len() - alone;
            let wanted = ((fraction * strata.len() as f64).round() as usize).max(1);
            let there = |stratum| strata.iter().filter(|&&other| other == stratum).count();
            let in_training = |stratum| count(&fold.train, &strata, stratum);
            if candidates > 0 {
                prop_assert!((0..6).all(|stratum| there(stratum) == 0 || in_training(stratum) > 0));
            }
            if candidates > wanted {
                let may_be_given_back = (0..6).filter(|&stratum| in_training(stratum) == 1).count();
                prop_assert!(fold.held_out.len() <= wanted && fold.held_out.len() + may_be_given_back >= wanted);
                for stratum in 0..6 {
                    let there = strata.iter().filter(|&&other| other == stratum).count();
                    let expected = if there == 1 { 0.0 } else { there as f64 * wanted as f64 / candidates as f64 };
                    let found = count(&fold.held_out, &strata, stratum);
                    prop_assert!((found as f64 - expected).abs() < 1.0, "{found} for {expected}");
                }
            }
        }

        #[test]
        fn every_example_is_held_out_by_one_fold(
            strata in prop::collection::vec(0_usize..4, 10..200), n_folds in 2_usize..8, seed: u64,
        ) {
            let folds = folds(&strata, n_folds, seed);
            let mut all: Vec<usize> = folds.iter().flat_map(|fold| fold.held_out.clone()).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..strata.len()).collect::<Vec<_>>());
            for fold in &folds {
                prop_assert_eq!(fold.train.len() + fold.held_out.len(), strata.len());
                prop_assert!(fold.train.iter().all(|place| !fold.held_out.contains(place)));
                for stratum in 0..4 {
                    let expected = count(&(0..strata.len()).collect::<Vec<_>>(), &strata, stratum) as f64 / n_folds as f64;
                    let found = count(&fold.held_out, &strata, stratum) as f64;
                    prop_assert!((found - expected).abs() < 1.0, "{found} for {expected}");
                }
            }
        }

        #[test]
        fn subsets_have_the_size_that_is_asked_for(
            strata in prop::collection::vec(0_usize..4, 1..100), wanted in 0_usize..120, seed: u64,
        ) {
            let chosen = subset(&strata, wanted, seed);
            prop_assert_eq!(chosen.len(), wanted.min(strata.len()));
            prop_assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn the_seed_alone_says_what_is_held_out() {
        let strata: Vec<usize> = (0..100).map(|place| place % 3).collect();
        assert_eq!(held_out(&strata, 0.2, 7), held_out(&strata, 0.2, 7));
        assert_ne!(held_out(&strata, 0.2, 7), held_out(&strata, 0.2, 8));
        // Each is held out about as often as any other.
        let mut times = vec![0; 100];
        for seed in 0..500 {
            held_out(&strata, 0.2, seed).held_out.into_iter().for_each(|place| times[place] += 1);
        }
        // 100 each, standard deviation 9.
        assert!(times.iter().all(|time| (64..136).contains(time)), "{times:?}");
    }

    #[test]
    fn what_is_alone_in_its_stratum_is_trained_on() {
        let strata = [&[9_usize; 1][..], &[3; 20]].concat();
        for seed in 0..40 {
            assert!(held_out(&strata, 0.4, seed).train.contains(&0));
        }
        assert_eq!(held_out(&[1, 2], 0.5, 0).held_out.len(), 1);
    }

    #[test]
    fn one_of_each_stratum_is_trained_on_however_much_is_held_out() {
        // More is asked for than the strata of more than one example have.
        let strata = [0, 1, 2, 3, 4, 5, 6, 7, 8, 8];
        for seed in 0..40 {
            let fold = held_out(&strata, 0.3, seed);
            assert_eq!((count(&fold.train, &strata, 8), fold.held_out.len()), (1, 1), "seed {seed}");
        }
        let of_labels = |places: &[&[usize]]| -> Vec<BTreeSet<usize>> {
            places.iter().map(|labels| labels.iter().copied().collect()).collect()
        };
        // The third example is the only one with label 2, which is not its stratum.
        let labels = of_labels(&[&[0], &[1], &[1, 2], &[0], &[1]]);
        let fold = Fold { train: vec![0, 1], held_out: vec![2, 3, 4] };
        assert_eq!(keep_one_of_each(fold, &labels), Fold { train: vec![0, 1, 2], held_out: vec![3, 4] });
    }
}
