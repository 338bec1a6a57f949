//! Few-shot demonstrations: which labelled examples stand in front of an input.

use crate::error::PromptError;
use crate::template::Fields;
use firebrand_corpus::batches::{below, keyed_rng};
use std::collections::BTreeMap;

/// An input, and its label where it is known.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Example {
    /// Its fields.
    pub fields: Fields,
    /// The number of its label, among those of the prompt.
    pub label: Option<usize>,
}

/// How demonstrations are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShotChoice {
    /// By the seed, the same for all inputs.
    Random,
    /// By the seed, as many of each label as of any other, or one less.
    #[default]
    Balanced,
    /// For each input those whose embeddings are nearest to its own; the nearest one stands last.
    Nearest,
}

/// Labelled examples, and how many of them are shown.
#[derive(Clone, Copy, Debug)]
pub struct Shots<'a> {
    /// What is chosen from.
    pub pool: &'a [Example],
    /// How many.
    pub count: usize,
    /// How.
    pub choice: ShotChoice,
    /// Another seed, another choice.
    pub seed: u64,
}

impl Shots<'_> {
    /// Refuses a pool that has not enough labelled examples.
    ///
    /// # Errors
    /// Says how many there are.
    pub fn check(&self) -> Result<(), PromptError> {
        let labelled = self.labelled().len();
        match self.count <= labelled {
            true => Ok(()),
            false => Err(PromptError::Shots(format!(
                "{} demonstrations are asked for, and there are {labelled} labelled examples to choose from",
                self.count
            ))),
        }
    }

    /// The numbers of the examples that have a label.
    fn labelled(&self) -> Vec<usize> {
        (0..self.pool.len()).filter(|&number| self.pool[number].label.is_some()).collect()
    }

    /// The numbers of the examples to show, in the order in which they stand; the same for all inputs, but for those of `without`, which are
    /// passed over: the input itself.
    pub fn chosen(&self, without: &[usize]) -> Vec<usize> {
        let mut numbers = self.labelled();
        let mut draws = keyed_rng(self.seed, "demonstrations", 0);
        for last in (1..numbers.len()).rev() {
            numbers.swap(last, below(&mut draws, last as u64 + 1) as usize);
        }
        numbers.retain(|number| !without.contains(number));
        if self.choice == ShotChoice::Balanced {
            // The first of each label, then the second of each, and so on.
            let mut seen = BTreeMap::new();
            let mut ranked: Vec<(usize, usize)> = numbers
                .iter()
                .map(|&number| {
                    let rank: &mut usize = seen.entry(self.pool[number].label).or_default();
                    *rank += 1;
                    (*rank, number)
                })
                .collect();
            ranked.sort_by_key(|&(rank, _)| rank);
            numbers = ranked.into_iter().map(|(_, number)| number).collect();
        }
        numbers.truncate(self.count);
        numbers
    }

    /// The numbers of the examples nearest to an input, the nearest one last. `embeddings` are those of the pool.
    pub fn nearest(&self, input: &[f32], embeddings: &[Vec<f32>], without: &[usize]) -> Vec<usize> {
        let mut near: Vec<(f64, usize)> = self
            .labelled()
            .into_iter()
            .filter(|number| !without.contains(number))
            .map(|number| (cosine(input, &embeddings[number]), number))
            .collect();
        // Of two as near the one that comes first in the pool.
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        near.truncate(self.count);
        near.into_iter().rev().map(|(_, number)| number).collect()
    }
}

/// How much two vectors point the same way; 0 where one of them points nowhere.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn pool(labels: &[Option<usize>]) -> Vec<Example> {
        labels.iter().map(|&label| Example { label, ..Example::default() }).collect()
    }

    fn shots(pool: &[Example], count: usize, choice: ShotChoice, seed: u64) -> Shots<'_> {
        Shots { pool, count, choice, seed }
    }

    #[test]
    fn a_seed_always_chooses_the_same_and_another_one_others() {
        let pool = pool(&[Some(0); 30]);
        let chosen = |seed| shots(&pool, 5, ShotChoice::Random, seed).chosen(&[]);
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
        assert_eq!(chosen(1).iter().collect::<BTreeSet<_>>().len(), 5, "each once");
    }

    #[test]
    fn balanced_demonstrations_show_each_label_as_often_as_any_other() {
        let labels: Vec<Option<usize>> =
            (0..40).map(|i| Some(usize::from(i % 10 == 0) + usize::from(i % 20 == 0))).collect();
        let pool = pool(&labels);
        for seed in 0..20 {
            let mut counts = [0; 3];
            for number in shots(&pool, 6, ShotChoice::Balanced, seed).chosen(&[]) {
                counts[pool[number].label.expect("labelled")] += 1;
            }
            assert_eq!(counts, [2, 2, 2]);
        }
    }

    #[test]
    fn neither_the_input_itself_nor_what_has_no_label_is_shown() {
        let pool = pool(&[Some(0), None, Some(1), Some(0)]);
        let mut chosen = shots(&pool, 2, ShotChoice::Random, 3).chosen(&[2]);
        chosen.sort_unstable();
        assert_eq!(chosen, [0, 3]);
        let error = shots(&pool, 4, ShotChoice::Random, 3).check().expect_err("too many").to_string();
        assert_eq!(error, "4 demonstrations are asked for, and there are 3 labelled examples to choose from");
    }

    #[test]
    fn what_is_passed_over_changes_the_choice_only_where_it_would_be_in_it() {
        let labels: Vec<Option<usize>> = (0..30).map(|i| Some(i % 3)).collect();
        let pool = pool(&labels);
        for choice in [ShotChoice::Random, ShotChoice::Balanced] {
            let shots = shots(&pool, 4, choice, 7);
            let usual = shots.chosen(&[]);
            for number in 0..pool.len() {
                let chosen = shots.chosen(&[number]);
                assert!(!chosen.contains(&number) && chosen.len() == 4);
                assert_eq!(chosen == usual, !usual.contains(&number), "{choice:?} without {number}");
            }
        }
    }

    #[test]
    fn the_nearest_example_stands_last() {
        let pool = pool(&[Some(0), Some(1), Some(0), None]);
        let embeddings = [vec![1.0, 0.0], vec![0.6, 0.8], vec![-1.0, 0.0], vec![0.0, 2.0]];
        let near = shots(&pool, 2, ShotChoice::Nearest, 0).nearest(&[0.0, 3.0], &embeddings, &[]);
        assert_eq!(near, [0, 1]);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }
}
