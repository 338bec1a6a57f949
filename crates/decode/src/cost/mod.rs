//! What decoding costs: the formulas of the course with fitted times, and the measurements that they are fitted to and shown beside.
//!
//! Without a cache a pass reads the whole text, and `k` tokens after a prompt of `p` take `Σ_{i<k} pass(p + i)`: over all `L` layers
//! `O(kpL + k²L)`. With the cache they take `pass(p) + Σ_{i<k−1} token(p + i)`, as the first token comes with the prompt. Both
//! take `k` choices besides, greedy ones `O(|V|)` each and those of a search `O(K·|V|)`.

mod fit;
mod measure;

pub use fit::CostError;
pub use measure::{Calibration, Measured};

/// Seconds of a pass over a text of which nothing is cached: `base + per_token · n + per_pair · n²` for `n` ids. Attention is the
/// square: each id looks at all before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassCost {
    /// Of reading the weights.
    pub base: f64,
    /// Of an id's way through the layers.
    pub per_token: f64,
    /// Of an id's look at another.
    pub per_pair: f64,
}

impl PassCost {
    /// The cost that comes nearest to timings `(n, seconds)`.
    ///
    /// # Errors
    /// Fewer than three different `n`, or a time that is none.
    pub fn fit(timings: &[(usize, f64)]) -> Result<Self, CostError> {
        let [base, per_token, per_pair] = fit::fit(timings, |n| [1.0, n, n * n])?;
        Ok(Self { base, per_token, per_pair })
    }

    /// Of `n` ids.
    pub fn at(&self, n: usize) -> f64 {
        let n = n as f64;
        self.base + self.per_token * n + self.per_pair * n * n
    }
}

/// Seconds of a pass over one new id a row, all before it cached: `base + per_context · n` behind `n` ids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenCost {
    /// Of reading the weights and of the id's way through the layers.
    pub base: f64,
    /// Of the id's look at another.
    pub per_context: f64,
}

impl TokenCost {
    /// The cost that comes nearest to timings `(n, seconds)`.
    ///
    /// # Errors
    /// Fewer than two different `n`, or a time that is none.
    pub fn fit(timings: &[(usize, f64)]) -> Result<Self, CostError> {
        let [base, per_context] = fit::fit(timings, |n| [1.0, n])?;
        Ok(Self { base, per_context })
    }

    /// Behind `n` ids.
    pub fn at(&self, n: usize) -> f64 {
        self.base + self.per_context * n as f64
    }
}

/// What a strategy costs with a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Of reading a prompt, which all hypotheses share.
    pub prompt: PassCost,
    /// Of reading as many texts as there are hypotheses from the beginning.
    pub whole: PassCost,
    /// Of one new id for each hypothesis, with the cache.
    pub token: TokenCost,
    /// Seconds of choosing the next id for every hypothesis, and of all else that is no pass.
    pub choice: f64,
}

impl Cost {
    /// The cost that comes nearest to what was timed.
    ///
    /// # Errors
    /// Too few different lengths, or a time that is none.
    pub fn fit(calibration: &Calibration) -> Result<Self, CostError> {
        let choice = calibration.choice;
        if !(choice.is_finite() && choice >= 0.0) {
            return Err(CostError::Time { n: 0, seconds: choice });
        }
        Ok(Self {
            prompt: PassCost::fit(&calibration.prompts)?,
            whole: PassCost::fit(&calibration.wholes)?,
            token: TokenCost::fit(&calibration.tokens)?,
            choice,
        })
    }

    /// Seconds until each of `new` ids after a prompt of `prompt` is chosen, with the cache.
    pub fn with_cache(&self, prompt: usize, new: usize) -> Vec<f64> {
        self.sum((0..new).map(|i| match i {
            0 => self.prompt.at(prompt),
            _ => self.token.at(prompt + i - 1),
        }))
    }

    /// The same without it.
    pub fn without_cache(&self, prompt: usize, new: usize) -> Vec<f64> {
        self.sum((0..new).map(|i| match i {
            0 => self.prompt.at(prompt),
            _ => self.whole.at(prompt + i),
        }))
    }

    /// Running sums of passes with a choice after each.
    fn sum(&self, passes: impl Iterator<Item = f64>) -> Vec<f64> {
        passes
            .scan(0.0, |sum, pass| {
                *sum += pass + self.choice;
                Some(*sum)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost {
        prompt: PassCost { base: 100.0, per_token: 10.0, per_pair: 1.0 },
        whole: PassCost { base: 200.0, per_token: 20.0, per_pair: 2.0 },
        token: TokenCost { base: 50.0, per_context: 3.0 },
        choice: 7.0,
    };

    #[test]
    fn sums_are_those_of_the_formulas() {
        let prompt = 100.0 + 40.0 + 16.0 + 7.0;
        // The second token's pass feeds one id behind the prompt of 4, the third's one behind 5.
        let cached = [prompt, prompt + 62.0 + 7.0, prompt + 62.0 + 65.0 + 14.0];
        assert_eq!(COST.with_cache(4, 3), cached);
        // Without a cache those passes read 5 and 6 ids.
        let (five, six) = (200.0 + 100.0 + 50.0 + 7.0, 200.0 + 120.0 + 72.0 + 7.0);
        assert_eq!(COST.without_cache(4, 3), [prompt, prompt + five, prompt + five + six]);
        assert!(COST.with_cache(4, 0).is_empty());
    }

    #[test]
    fn what_was_timed_is_found_again() {
        let passes = |cost: PassCost| [3, 10, 50, 200].map(|n| (n, cost.at(n))).to_vec();
        let calibration = Calibration {
            prompts: passes(COST.prompt),
            wholes: passes(COST.whole),
            tokens: [3, 10, 50].map(|n| (n, COST.token.at(n))).to_vec(),
            choice: 7.0,
        };
        let found = Cost::fit(&calibration).expect("enough lengths");
        for n in [1, 64, 500] {
            for (found, expected) in [
                (found.prompt.at(n), COST.prompt.at(n)),
                (found.whole.at(n), COST.whole.at(n)),
                (found.token.at(n), COST.token.at(n)),
            ] {
                assert!((found / expected - 1.0).abs() < 1e-9, "{n}: {found}, {expected}");
            }
        }
        let odd = Calibration { choice: f64::NAN, ..calibration };
        Cost::fit(&odd).expect_err("no time");
    }
}
