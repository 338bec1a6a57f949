//! What makes tokens less likely that were seen before.

use crate::error::ConfigError;

/// Lowers the logits of tokens that were seen, in the prompt or among the generated ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalties {
    /// `θ` of [`repetition_penalty`]; 1 changes nothing.
    pub repetition: f64,
    /// `α` of [`frequency_penalty`]; 0 changes nothing.
    pub presence: f64,
    /// `β` of [`frequency_penalty`]; 0 changes nothing.
    pub frequency: f64,
    /// `n` of [`no_repeat_ngram`]; 0 bans nothing.
    pub no_repeat_ngram: usize,
}

impl Default for Penalties {
    /// Changes nothing.
    fn default() -> Self {
        Self { repetition: 1.0, presence: 0.0, frequency: 0.0, no_repeat_ngram: 0 }
    }
}

impl Penalties {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is not a usable number.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(self.repetition > 0.0 && self.repetition.is_finite()) {
            return Err(ConfigError::RepetitionPenalty(self.repetition));
        }
        for (name, value) in [("presence", self.presence), ("frequency", self.frequency)] {
            if !value.is_finite() {
                return Err(ConfigError::Penalty { name, value });
            }
        }
        Ok(())
    }

    /// Applies the penalties, given all ids of the sequence so far.
    pub fn apply(&self, logits: &mut [f32], seen: &[u32]) {
        if self.repetition != 1.0 {
            repetition_penalty(logits, seen, self.repetition);
        }
        if self.presence != 0.0 || self.frequency != 0.0 {
            frequency_penalty(logits, seen, self.presence, self.frequency);
        }
        no_repeat_ngram(logits, seen, self.no_repeat_ngram);
    }
}

/// Divides the positive logits of seen ids by `theta` and multiplies the negative ones by it, once for each id
/// however often it was seen (Keskar et al. 2019, "CTRL").
pub fn repetition_penalty(logits: &mut [f32], seen: &[u32], theta: f64) {
    let mut done = vec![false; logits.len()];
    for &id in seen {
        let id = id as usize;
        if std::mem::replace(&mut done[id], true) {
            continue;
        }
        let logit = f64::from(logits[id]);
        let penalized = if logit > 0.0 { logit / theta } else { logit * theta };
        logits[id] = finite(penalized);
    }
}

/// Subtracts from the logit of each seen id `presence` once, and `frequency` as often as it was seen.
pub fn frequency_penalty(logits: &mut [f32], seen: &[u32], presence: f64, frequency: f64) {
    let mut counts = vec![0_u32; logits.len()];
    seen.iter().for_each(|&id| counts[id as usize] += 1);
    for (logit, count) in logits.iter_mut().zip(counts).filter(|(_, count)| *count > 0) {
        *logit = finite(f64::from(*logit) - presence - frequency * f64::from(count));
    }
}

/// Bans every id with which the last `n` ids would be an n-gram that was there before; 0 bans nothing, 1 all that was seen.
pub fn no_repeat_ngram(logits: &mut [f32], seen: &[u32], n: usize) {
    if n == 0 || seen.len() < n {
        return;
    }
    let (context, _) = seen[seen.len() + 1 - n..].split_at(n - 1);
    for ngram in seen.windows(n) {
        let (before, last) = ngram.split_at(n - 1);
        if before == context {
            super::ban(logits, last[0]);
        }
    }
}

/// A number as a logit. None is plus infinity; minus infinity stays.
fn finite(logit: f64) -> f32 {
    logit.min(f64::from(f32::MAX)) as f32
}
