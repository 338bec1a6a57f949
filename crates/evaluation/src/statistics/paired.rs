//! Whether two runs differ on the same examples by more than chance.

use super::Statistic;
use firebrand_corpus::batches::{below, keyed_rng};
use std::f64::consts::LN_2;

/// The test that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Of examples that one run gets right and the other wrong, as many should be right in either [McNemar 1947]; exact, by the
    /// binomial distribution.
    McNemar,
    /// Either run could have had either value of each example [Fisher 1935]: all exchanges.
    SignFlips,
    /// The same, so many exchanges drawn.
    DrawnSignFlips(usize),
}

/// The probability of a difference as large as the one found, or larger, if there were none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Two-sided.
    pub p: f64,
    /// By which test.
    pub test: Test,
}

impl Test {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::McNemar => "McNemar, exact",
            Self::SignFlips => "paired permutation, exact",
            Self::DrawnSignFlips(_) => "paired permutation",
        }
    }
}

impl Paired {
    /// The test that suits two values of one statistic on the same examples: McNemar's where an example is right or wrong,
    /// exchanges where it has a number; `None` where the two count other things (nats of other tokens).
    pub fn of(first: &Statistic, second: &Statistic, seed: u64, drawn: usize) -> Option<Self> {
        if let (Some(first), Some(second)) = (first.is_right_or_wrong(), second.is_right_or_wrong()) {
            let count = |wanted: (f64, f64)| {
                first.iter().zip(second).filter(|&(&a, &b)| (a, b) == wanted).count() as u64
            };
            return Some(Self { p: mcnemar(count((1.0, 0.0)), count((0.0, 1.0))), test: Test::McNemar });
        }
        match (first, second) {
            (
                Statistic::Ratio { numerators: first, denominators },
                Statistic::Ratio { numerators: second, denominators: others },
            ) if denominators == others && first.len() > 1 => {
                let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
                Some(sign_flips(&differences, seed, drawn))
            }
            _ => None,
        }
    }
}

/// McNemar's test: how many examples only the first run got right, and how many only the second.
pub fn mcnemar(only_first: u64, only_second: u64) -> f64 {
    let n = only_first + only_second;
    // Twice the probability of at most so many heads in n throws of a coin.
    let (mut log_term, mut tail) = (-(n as f64) * LN_2, 0.0);
    for heads in 0..=only_first.min(only_second) {
        tail += log_term.exp();
        log_term += ((n - heads) as f64 / (heads + 1) as f64).ln();
    }
    f64::min(1.0, 2.0 * tail)
}

/// How often the sum of the differences is as far from 0 when each may have either sign: of all ways where these are few, else
/// of `drawn` ways, with the one that was found among them.
pub fn sign_flips(differences: &[f64], seed: u64, drawn: usize) -> Paired {
    /// All ways are tried for so many differences at most.
    const ALL: usize = 16;
    let differences: Vec<f64> = differences.iter().copied().filter(|&difference| difference != 0.0).collect();
    let size: f64 = differences.iter().map(|difference| difference.abs()).sum();
    // Sums that are equal but for the order of addition are equal.
    let found = differences.iter().sum::<f64>().abs() - 1e-12 * size;
    let is_as_far = |sum: f64| sum.abs() >= found;
    let signed = |bits: u64, differences: &[f64]| -> f64 {
        let sign =
            |(i, difference): (usize, &f64)| if bits >> i & 1 == 0 { *difference } else { -difference };
        differences.iter().enumerate().map(sign).sum()
    };
    if differences.len() <= ALL {
        let ways = 1_u64 << differences.len();
        let as_far = (0..ways).filter(|&bits| is_as_far(signed(bits, &differences))).count();
        return Paired { p: as_far as f64 / ways as f64, test: Test::SignFlips };
    }
    /// Signs that one number of a generator holds.
    const BITS: usize = 32;
    let as_far = (0..drawn).filter(|&draw| {
        let mut rng = keyed_rng(seed, "sign flips", draw as u64);
        is_as_far(differences.chunks(BITS).map(|chunk| signed(below(&mut rng, 1 << BITS), chunk)).sum())
    });
    Paired { p: (as_far.count() + 1) as f64 / (drawn + 1) as f64, test: Test::DrawnSignFlips(drawn) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_is_twice_the_tail_of_a_fair_coin() {
        // 1 of 5: (1 + 5) / 32, twice.
        assert!((mcnemar(1, 4) - 0.375).abs() < 1e-12);
        assert!((mcnemar(0, 6) - 2.0 / 64.0).abs() < 1e-12);
        assert_eq!((mcnemar(3, 3), mcnemar(0, 0)), (1.0, 1.0));
        assert!((mcnemar(2, 1) - 1.0).abs() < 1e-12);
        assert_eq!(mcnemar(7, 30), mcnemar(30, 7));
        assert_eq!(mcnemar(0, 100_000), 0.0);
    }

    #[test]
    fn few_differences_are_flipped_in_all_ways() {
        // Of eight ways, +++ and --- are as far as 6.
        let exact = sign_flips(&[1.0, 2.0, 3.0], 0, 10);
        assert_eq!(exact, Paired { p: 0.25, test: Test::SignFlips });
        // Sums 2 and 4 of either sign, and 0: all but 0 of ±1 ±1 ±2.
        assert_eq!(sign_flips(&[1.0, -1.0, 2.0], 0, 10).p, 0.75);
        assert_eq!(sign_flips(&[0.0, 0.0], 0, 10).p, 1.0);
    }

    #[test]
    fn drawn_flips_are_near_all_flips_and_depend_on_the_seed_alone() {
        let differences: Vec<f64> = (0..16).map(|i| f64::from(i).sin() + 0.35).collect();
        let exact = sign_flips(&differences, 0, 10);
        assert_eq!(exact.test, Test::SignFlips);
        // One that hardly counts makes them too many to try all.
        let more = [&differences[..], &[1e-9]].concat();
        let drawn = sign_flips(&more, 5, 20_000);
        assert_eq!(drawn.test, Test::DrawnSignFlips(20_000));
        let deviation = (exact.p * (1.0 - exact.p) / 20_000.0).sqrt();
        assert!((drawn.p - exact.p).abs() < 5.0 * deviation, "{drawn:?} {exact:?}");
        assert_eq!(drawn, sign_flips(&more, 5, 20_000));
    }

    #[test]
    fn the_test_is_the_one_that_suits() {
        let right = |pattern: &str| Statistic::accuracy(pattern.chars().map(|c| c == '+'));
        let paired = Paired::of(&right("++++++-"), &right("------+"), 0, 100).expect("both are accuracies");
        assert_eq!(paired.test, Test::McNemar);
        assert!((paired.p - 2.0 * 8.0 / 128.0).abs() < 1e-12);
        let nats = |numerators: &[f64], denominators: &[f64]| Statistic::Ratio {
            numerators: numerators.to_vec(),
            denominators: denominators.to_vec(),
        };
        let paired = Paired::of(&nats(&[1.0, 2.0], &[5.0, 6.0]), &nats(&[2.0, 4.0], &[5.0, 6.0]), 0, 100);
        assert_eq!(paired, Some(Paired { p: 0.5, test: Test::SignFlips }));
        let other_tokens =
            Paired::of(&nats(&[1.0, 2.0], &[5.0, 6.0]), &nats(&[2.0, 4.0], &[5.0, 7.0]), 0, 100);
        assert_eq!(other_tokens, None);
    }
}
