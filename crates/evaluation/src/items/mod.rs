//! The examples of a task, read from files.

mod choice;
mod cloze;

pub use choice::{Choice, choices};
pub use cloze::{Cloze, cloze};

use firebrand_corpus::batches::{below, keyed_rng};

/// Of `examples` so many as a task asks for, drawn by the seed without replacement, in their order; all of them if there are no
/// more or nobody asked.
pub fn drawn<T>(examples: Vec<T>, limit: Option<usize>, seed: u64) -> Vec<T> {
    let n = examples.len();
    let Some(limit) = limit.filter(|&limit| limit < n) else { return examples };
    let mut rng = keyed_rng(seed, "examples", 0);
    let mut left = limit;
    let mut chosen = Vec::with_capacity(limit);
    for (i, example) in examples.into_iter().enumerate() {
        // Each of those still to come is as likely [Knuth, selection sampling].
        if below(&mut rng, (n - i) as u64) < left as u64 {
            chosen.push(example);
            left -= 1;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_is_as_likely_to_be_drawn() {
        let mut counts = [0; 6];
        for seed in 0..3000 {
            let chosen = drawn((0..6).collect(), Some(2), seed);
            assert!(chosen.len() == 2 && chosen[0] < chosen[1], "{chosen:?}");
            chosen.into_iter().for_each(|i: usize| counts[i] += 1);
        }
        // 1,000 each, standard deviation 26.
        assert!(counts.iter().all(|&count| (870..1130).contains(&count)), "{counts:?}");
        assert_eq!(drawn(vec![1, 2], Some(5), 0), [1, 2]);
    }
}
