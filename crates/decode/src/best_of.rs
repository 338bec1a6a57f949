//! Several draws for each prompt, and which of them is best.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::beam::score;
use crate::error::DecodeError;
use crate::follow::follow;
use crate::generate::Generation;
use crate::model::LanguageModel;
use crate::observe::{Event, Observer, Step};
use crate::strategy::{Best, BestOf, GenerateConfig};

/// The longest n-grams that are compared.
const LONGEST: usize = 4;

/// All draws for each prompt, the best first; of equals the first drawn.
pub(crate) fn draw<M: LanguageModel>(
    model: &M,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
    options: &BestOf,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<Generation>>, DecodeError> {
    let copies: Vec<Vec<u32>> =
        prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt.clone(), options.n)).collect();
    let mut sampling = options.sampling.clone();
    // As many draws a prompt, whatever batch it comes in.
    sampling.first_sequence = sampling.first_sequence.wrapping_mul(options.n as u64);
    let mut told = Draws { each: options.n, inner: observer };
    let mut drawn = follow(model, &copies, config, Some(&sampling), &mut told)?.into_iter();
    Ok(prompts.iter().map(|_| rank(drawn.by_ref().take(options.n).collect(), options.by)).collect())
}

/// Tells of draws by the prompts that they are for. Their ids are handed out when it is known which are best.
struct Draws<'a> {
    /// So many a prompt.
    each: usize,
    inner: &'a mut dyn Observer,
}

impl Observer for Draws<'_> {
    fn on_token(&mut self, _: usize, _: u32) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn candidates(&self) -> usize {
        self.inner.candidates()
    }

    fn on_event(&mut self, event: &Event<'_>) {
        if let Event::Chosen(step) = event {
            let (sequence, draw) = (step.sequence / self.each, step.sequence % self.each);
            self.inner.on_event(&Event::Chosen(Step { sequence, draw, ..step.clone() }));
        }
    }
}

fn rank(mut drawn: Vec<Generation>, by: Best) -> Vec<Generation> {
    let scores: Vec<f64> = match by {
        Best::LogProb { length_penalty } => drawn
            .iter()
            .map(|generation| score(generation.log_prob(), generation.ids.len(), length_penalty))
            .collect(),
        Best::Agreement => {
            let likeness = |(at, one): (usize, &Generation)| {
                let others = drawn.iter().enumerate().filter(|(other, _)| *other != at);
                let sum: f64 = others.map(|(_, other)| agreement(&one.ids, &other.ids)).sum();
                sum / (drawn.len() - 1).max(1) as f64
            };
            drawn.iter().enumerate().map(likeness).collect()
        }
    };
    drawn.iter_mut().zip(scores).for_each(|(generation, score)| generation.score = score);
    drawn.sort_by(|a, b| b.score.total_cmp(&a.score));
    drawn
}

/// How alike two sequences are, from 0 to 1: the mean F1 of their n-grams, of the lengths that one of them has.
pub fn agreement(a: &[u32], b: &[u32]) -> f64 {
    let lengths = LONGEST.min(a.len().max(b.len()));
    if lengths == 0 {
        return 1.0;
    }
    (1..=lengths).map(|n| f1(a, b, n)).sum::<f64>() / lengths as f64
}

fn f1(a: &[u32], b: &[u32], n: usize) -> f64 {
    let mut left: HashMap<&[u32], usize> = HashMap::new();
    a.windows(n).for_each(|ngram| *left.entry(ngram).or_default() += 1);
    let common = b.windows(n).filter(|ngram| match left.get_mut(*ngram) {
        Some(count @ 1..) => {
            *count -= 1;
            true
        }
        _ => false,
    });
    let all = a.windows(n).len() + b.windows(n).len();
    2.0 * common.count() as f64 / all as f64
}
