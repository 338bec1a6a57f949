//! Timings: of passes that a cost is fitted to, and of whole generations that it is shown beside.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::error::DecodeError;
use crate::generate::{Generation, feed, generate_n_best};
use crate::model::LanguageModel;
use crate::strategy::GenerateConfig;
use crate::timed::Timed;

/// How often something is timed, at most. The mean counts: a generation is a sum of passes, and what else the machine does is in it.
const REPEATS: usize = 5;
/// After so many seconds a timing is not repeated again.
const ENOUGH_SECONDS: f64 = 0.5;
/// Steps of the generation that choices are timed in.
const CHOICES: usize = 16;
/// Steps of the generation that passes over new ids are timed in. All but the first are such passes: an odd number, so that there is one
/// in the middle.
const STEPS: usize = 10;

/// Timings of single passes, `(n, seconds)`: none of them is part of a generation that a prediction is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Of reading one text of `n` ids.
    pub prompts: Vec<(usize, f64)>,
    /// Of reading as many texts of `n` ids as there are hypotheses.
    pub wholes: Vec<(usize, f64)>,
    /// Of a new id for each hypothesis behind `n`, which are cached.
    pub tokens: Vec<(usize, f64)>,
    /// Seconds of a step besides its pass.
    pub choice: f64,
}

/// A generation that was timed.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What came out.
    pub generations: Vec<Generation>,
    /// Seconds of the first pass.
    pub prompt: f64,
    /// Seconds of all other passes.
    pub tokens: f64,
    /// Seconds until each step's ids were chosen; the last are those of the whole.
    pub times: Vec<f64>,
}

impl Calibration {
    /// Lengths to time passes at for `new` ids after a prompt of `prompt`: at most six, some before the ones that come and some among
    /// them. None is longer than the model's context.
    pub fn lengths(prompt: usize, new: usize, max_len: Option<usize>) -> Vec<usize> {
        /// Passes that differ in less are hard to tell apart.
        const LEAST_RANGE: usize = 16;
        let from = (prompt / 2).max(1);
        let to = (prompt + new).max(from + LEAST_RANGE).min(max_len.unwrap_or(usize::MAX));
        let mut lengths: Vec<usize> =
            (0..=5).map(|fifths| from + to.saturating_sub(from) * fifths / 5).collect();
        lengths.dedup();
        lengths
    }

    /// Times passes at each of `lengths`, which are 1 or more, and a few steps after `prompt` under `config`.
    ///
    /// # Errors
    /// As [`generate`](crate::generate()).
    ///
    /// # Panics
    /// When a length is 0.
    pub fn measure<M: LanguageModel>(
        model: &M,
        prompt: &[u32],
        config: &GenerateConfig,
        lengths: &[usize],
    ) -> Result<Self, DecodeError> {
        assert!(!lengths.contains(&0), "a pass over nothing, among the lengths {lengths:?}");
        let rows = config.strategy.hypotheses();
        let few = config.at_most(CHOICES);
        // It comes before anything that takes a valid prompt for granted.
        let choice = mean_of(|| Ok(Measured::new(model, prompt, &few)?.choice()))?;
        let text: Vec<u32> =
            prompt.iter().copied().cycle().take(lengths.iter().copied().max().unwrap_or(0)).collect();
        let at_lengths = |time: &dyn Fn(&[u32]) -> Result<f64, DecodeError>| {
            lengths.iter().map(|&n| Ok((n, time(&text[..n])?))).collect::<Result<Vec<_>, DecodeError>>()
        };
        let prompts = at_lengths(&|text| time_whole(model, text, 1))?;
        let wholes = match rows {
            1 => prompts.clone(),
            _ => at_lengths(&|text| time_whole(model, text, rows))?,
        };
        // Whatever would end such a generation early is left out.
        let steps = GenerateConfig {
            strategy: config.strategy.clone(),
            max_new_tokens: STEPS,
            ..GenerateConfig::default()
        };
        let mut tokens = Vec::new();
        for &n in lengths {
            let mut passes = 0;
            let seconds = mean_of(|| {
                let measured = Measured::new(model, &text[..n], &steps)?;
                passes = measured.steps() - 1;
                Ok(measured.tokens / passes.max(1) as f64)
            })?;
            // Where the context was full there is none.
            if passes > 0 {
                tokens.push((n + (passes - 1) / 2, seconds));
            }
        }
        Ok(Self { prompts, wholes, tokens, choice })
    }
}

fn time_whole<M: LanguageModel>(model: &M, text: &[u32], rows: usize) -> Result<f64, DecodeError> {
    let texts = vec![text; rows];
    mean_of(|| {
        let mut state = model.start(rows);
        let started = Instant::now();
        feed(model, &mut state, &texts)?;
        Ok(started.elapsed().as_secs_f64())
    })
}

/// The mean of several times, fewer of what takes long; before them one that does not count, to warm up.
fn mean_of(mut time: impl FnMut() -> Result<f64, DecodeError>) -> Result<f64, DecodeError> {
    time()?;
    let (started, mut sum, mut times) = (Instant::now(), 0.0, 0_usize);
    while times == 0 || (times < REPEATS && started.elapsed().as_secs_f64() < ENOUGH_SECONDS) {
        sum += time()?;
        times += 1;
    }
    Ok(sum / times as f64)
}

impl Measured {
    /// Generates after one prompt.
    ///
    /// # Errors
    /// As [`generate`](crate::generate()).
    pub fn new<M: LanguageModel>(
        model: &M,
        prompt: &[u32],
        config: &GenerateConfig,
    ) -> Result<Self, DecodeError> {
        let timed = Timed::new(model);
        let started = Instant::now();
        let each = &mut |_, _| ControlFlow::Continue(());
        let generations = generate_n_best(&timed, &[prompt.to_vec()], config, each)?.swap_remove(0);
        let end = started.elapsed().as_secs_f64();
        let passes = timed.into_passes();
        let mut seconds = passes.iter().map(|pass| pass.time.as_secs_f64());
        let prompt = seconds.next().unwrap_or(0.0);
        let tokens = seconds.sum();
        // What a step fed is what the one before it chose.
        let times = passes.iter().skip(1).map(|pass| pass.started.duration_since(started).as_secs_f64());
        let times = times.chain((!passes.is_empty()).then_some(end)).collect();
        Ok(Self { generations, prompt, tokens, times })
    }

    /// The one in the middle of `runs` generations, or of fewer if they take long.
    ///
    /// # Errors
    /// As [`generate`](crate::generate()).
    pub fn median<M: LanguageModel>(
        model: &M,
        prompt: &[u32],
        config: &GenerateConfig,
        runs: usize,
        enough_seconds: f64,
    ) -> Result<Self, DecodeError> {
        let started = Instant::now();
        let mut measured = vec![Self::new(model, prompt, config)?];
        while measured.len() < runs && started.elapsed().as_secs_f64() < enough_seconds {
            measured.push(Self::new(model, prompt, config)?);
        }
        measured.sort_by(|a, b| a.seconds().total_cmp(&b.seconds()));
        let middle = measured.len() / 2;
        Ok(measured.swap_remove(middle))
    }

    /// How many ids were chosen one after the other: `k`, of the longest hypothesis.
    pub fn steps(&self) -> usize {
        self.times.len()
    }

    /// Seconds of the whole.
    pub fn seconds(&self) -> f64 {
        self.times.last().copied().unwrap_or(0.0)
    }

    /// Seconds of a step besides its pass. The first one is left out where there are more: a search begins with one hypothesis.
    pub fn choice(&self) -> f64 {
        let steps = self.steps();
        match self.times.first() {
            Some(first) if steps > 1 => (self.seconds() - first - self.tokens) / (steps - 1) as f64,
            Some(first) => first - self.prompt,
            None => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Calibration;

    #[test]
    fn lengths_lie_around_those_that_come_and_fit_the_context() {
        assert_eq!(Calibration::lengths(100, 50, Some(2048)), [50, 70, 90, 110, 130, 150]);
        assert_eq!(Calibration::lengths(1, 1, None), [1, 4, 7, 10, 13, 17]);
        assert_eq!(Calibration::lengths(10, 50, Some(12)), [5, 6, 7, 9, 10, 12]);
        assert_eq!(Calibration::lengths(1, 9, Some(2)), [1, 2]);
    }
}
