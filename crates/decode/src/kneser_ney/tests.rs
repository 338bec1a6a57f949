//! The model against its definition, computed in the slowest way.

use super::*;
use std::collections::BTreeMap;

const VOCAB_SIZE: u32 = 7;

/// Sequences of a grammar of sorts: some n-grams are frequent, many are rare. Id 0 begins and ends each.
fn sequences() -> Vec<Vec<u32>> {
    let mut state = 1u64;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut sequence = |_| {
        let mut ids = vec![0];
        for _ in 0..2 + below(9) {
            let last = u64::from(ids[ids.len() - 1]);
            // The last id of the vocabulary is never seen.
            ids.push((1 + if below(3) > 0 { (2 * last + below(2)) % 5 } else { below(5) }) as u32);
        }
        ids.push(0);
        ids
    };
    (0..60).map(&mut sequence).collect()
}

fn model(order: usize, sequences: &[Vec<u32>], vocab_size: u32) -> NgramModel {
    let mut counts = NgramCounts::new(order, 1 << 20);
    sequences.iter().for_each(|ids| counts.learn(ids).expect("there is room"));
    counts.model(vocab_size as usize)
}

/// Seen and unseen ones, of every length up to 4.
fn histories() -> Vec<Vec<u32>> {
    let mut all = vec![vec![]];
    for length in 1..=4 {
        let shorter: Vec<Vec<u32>> = all.iter().filter(|ids| ids.len() + 1 == length).cloned().collect();
        for ids in shorter {
            all.extend((0..VOCAB_SIZE).map(|id| [&ids[..], &[id]].concat()));
        }
    }
    all
}

#[test]
fn after_every_history_the_probabilities_sum_to_one() {
    for order in 1..=5 {
        let model = model(order, &sequences(), VOCAB_SIZE);
        for history in histories() {
            let each = (0..VOCAB_SIZE).map(|id| model.probability(&history, id));
            assert!(each.clone().all(|probability| probability > 0.0), "order {order}, {history:?}");
            let sum: f64 = each.sum();
            assert!((sum - 1.0).abs() < 1e-12, "order {order}, {history:?}: {sum}");
        }
    }
}

#[test]
fn a_small_example_is_as_worked_by_hand() {
    // Pairs: 0 1 twice; 1 2, 2 0, 1 3, 3 0 once. Before 0 stand two different ids, before the others one: 5 in all. There are
    // too few for estimates of what to take off, so 1/2 is taken off a count of 1, and 1 off a count of 2.
    let model = model(2, &[vec![0, 1, 2, 0], vec![0, 1, 3, 0]], 4);
    assert_eq!((model.order(), model.len()), (2, 9));
    // Without a history 3 · 1/2 + 1 · 1 = 2.5 of 5 are spread evenly over 4 ids.
    let alone = [(0, (1.0 + 2.5 / 4.0) / 5.0), (1, (0.5 + 2.5 / 4.0) / 5.0), (3, (0.5 + 2.5 / 4.0) / 5.0)];
    let close = |history: &[u32], id: u32, expected: f64| {
        let found = model.probability(history, id);
        assert!((found - expected).abs() < 1e-15, "{history:?} {id}: {found} instead of {expected}");
    };
    alone.iter().for_each(|&(id, expected)| close(&[], id, expected));
    // After 0 only 1 was seen, twice; after 1 two ids once each.
    close(&[0], 1, (1.0 + 0.225) / 2.0);
    close(&[1], 2, (0.5 + 2.0 * 0.5 * 0.225) / 2.0);
    close(&[1], 0, (0.0 + 2.0 * 0.5 * 0.325) / 2.0);
    let expected = -(0.6125f64.ln() + 0.3625f64.ln() + ((0.5 + 0.5 * 0.325) / 1.0f64).ln());
    assert!((model.nats(&[0, 1, 2, 0]) - expected).abs() < 1e-14);
}

/// How often an n-gram counts at some order, by going through all sequences.
fn naive_count(sequences: &[Vec<u32>], ngram: &[u32], order: usize) -> u64 {
    let ends: Vec<&[u32]> =
        sequences.iter().flat_map(|ids| (2..=ids.len()).map(move |end| &ids[..end])).collect();
    let seen = ends.iter().filter(|ids| ids.ends_with(ngram));
    let mut before: Vec<u32> =
        seen.clone().filter_map(|ids| ids.len().checked_sub(ngram.len() + 1).map(|at| ids[at])).collect();
    before.sort_unstable();
    before.dedup();
    if ngram.len() == order || before.is_empty() { seen.count() as u64 } else { before.len() as u64 }
}

/// The recursion of Chen and Goodman's modified Kneser–Ney as it stands there, from the longest history down.
fn naive(sequences: &[Vec<u32>], order: usize, history: &[u32], id: u32) -> f64 {
    let history = &history[history.len().saturating_sub(order - 1)..];
    let lower = match history {
        [] => 1.0 / f64::from(VOCAB_SIZE),
        [_, shorter @ ..] => naive(sequences, order, shorter, id),
    };
    level(sequences, order, history, id, lower)
}

fn level(sequences: &[Vec<u32>], order: usize, history: &[u32], id: u32, lower: f64) -> f64 {
    let length = history.len() + 1;
    let mut all: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    for ngram in sequences.iter().flat_map(|ids| ids.windows(length)) {
        all.entry(ngram.to_vec()).or_insert_with(|| naive_count(sequences, ngram, order));
    }
    let n = |count: u64| all.values().filter(|&&found| found == count).count() as f64;
    let y = n(1) / (n(1) + 2.0 * n(2));
    let discount = |count: u64| {
        let estimated = [1.0, 2.0, 3.0].map(|k: f64| k - (k + 1.0) * y * n(k as u64 + 1) / n(k as u64));
        let usable = estimated.iter().zip([1.0, 2.0, 3.0]).all(|(d, k)| *d >= 0.0 && *d <= k);
        match count {
            0 => 0.0,
            _ => (if usable { estimated } else { [0.5, 1.0, 1.5] })[count.min(3) as usize - 1],
        }
    };
    let behind = all.iter().filter(|(ngram, _)| ngram.starts_with(history)).map(|(_, &count)| count);
    let total: u64 = behind.clone().sum();
    if total == 0 {
        return lower;
    }
    let taken: f64 = behind.map(discount).sum();
    let count = all.get(&[history, &[id]].concat()).copied().unwrap_or(0);
    (count as f64 - discount(count) + taken * lower) / total as f64
}

#[test]
fn it_equals_the_definition() {
    let sequences = &sequences()[..25];
    for order in [1, 2, 3, 5] {
        let model = model(order, sequences, VOCAB_SIZE);
        for history in histories().iter().step_by(17) {
            for id in 0..VOCAB_SIZE {
                let (found, expected) =
                    (model.probability(history, id), naive(sequences, order, history, id));
                assert!(
                    (found - expected).abs() < 1e-12,
                    "order {order}, {history:?} {id}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn what_large_counts_say_is_estimated_from_the_counts() {
    // 1 − 2 · 0.5 · 25/50, 2 − 3 · 0.5 · 10/25, 3 − 4 · 0.5 · 4/10: Y is 50 / (50 + 2 · 25).
    let found = discounts([50, 25, 10, 4]);
    assert!(found.iter().zip([0.5, 1.4, 2.2]).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-12), "{found:?}");
    assert_eq!(discounts([0, 0, 0, 0]), [0.5, 1.0, 1.5]);
    assert_eq!(discounts([5, 0, 3, 1]), [0.5, 1.0, 1.5], "without a count of 2 the second is none");
}

#[test]
fn longer_ngrams_know_more_of_what_they_were_counted_on() {
    let sequences = sequences();
    let nats = |order: usize| {
        let model = model(order, &sequences, VOCAB_SIZE);
        sequences.iter().map(|ids| model.nats(ids)).sum::<f64>()
    };
    assert!(nats(3) < nats(2) && nats(2) < nats(1));
}

#[test]
fn nothing_counted_is_an_even_guess_and_too_much_an_error() {
    let empty = model(3, &[], VOCAB_SIZE);
    assert!(empty.is_empty() && (empty.probability(&[1, 2], 3) - 1.0 / 7.0).abs() < 1e-15);
    let mut counts = NgramCounts::new(2, 5);
    assert!(counts.is_empty() && counts.learn(&[1, 2, 3]).is_ok());
    // 1, 2, 3, 1 2, 2 3: what is known may be seen again.
    assert_eq!((counts.len(), counts.learn(&[1, 2, 3])), (5, Ok(())));
    assert_eq!(counts.learn(&[1, 4]), Err(TooManyNgrams { most: 5 }));
}
