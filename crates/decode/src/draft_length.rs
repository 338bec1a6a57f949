//! How many ids are proposed at a time: as many as asked for, or as many as pay.

use std::time::Duration;

use crate::speculative::expected_tokens;

/// How many ids a draft proposes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DraftLength {
    /// So many.
    Fixed(usize),
    /// From none to so many, whatever is fastest by what was measured: how often proposals are kept, how long the draft takes for
    /// one, and the model for a pass over them. With none, decoding is plain.
    ///
    /// Greedy ids do not depend on it. A sampled text does, as other draws make it, though not its distribution: two runs with
    /// the same seed may differ, as their clocks do.
    Adaptive {
        /// The most.
        most: usize,
    },
}

impl DraftLength {
    /// The most that are proposed at a time.
    pub fn most(self) -> usize {
        match self {
            Self::Fixed(length) => length,
            Self::Adaptive { most } => most,
        }
    }
}

/// What a round took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// How many ids each sequence was to be proposed.
    pub(crate) asked: usize,
    /// Ids proposed to all sequences, those looked at, and those kept.
    pub(crate) proposed: u64,
    pub(crate) examined: u64,
    pub(crate) accepted: u64,
    pub(crate) draft_time: Duration,
    pub(crate) model_time: Duration,
}

/// Chooses lengths by what rounds took.
#[derive(Debug)]
pub(crate) struct Pace {
    length: DraftLength,
    /// Kept, and looked at, the past counting less and less. Begins with a guess, worth a few ids.
    accepted: f64,
    examined: f64,
    /// Seconds of the draft for an id of each sequence.
    draft: Mean,
    /// By length, seconds of a pass of the model.
    passes: Vec<Mean>,
    /// Rounds since something was proposed, and after how many it is tried again.
    idle: usize,
    patience: usize,
    /// Whether the draft has read the prompt.
    drafted: bool,
}

/// A mean in which the past counts less and less.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: f64,
    weight: f64,
}

impl Mean {
    /// How much of the past stays with every new value.
    const STAYS: f64 = 0.9;

    fn add(&mut self, value: f64) {
        let old = self.weight * Self::STAYS;
        self.value = (self.value * old + value) / (old + 1.0);
        self.weight = old + 1.0;
    }
}

impl Pace {
    /// How much of what is known of acceptance stays with every round.
    const STAYS: f64 = 0.95;
    const FIRST_PATIENCE: usize = 8;
    const MOST_PATIENCE: usize = 256;
    /// How many passes of a length are measured before they are believed: the first ones are slow.
    const ENOUGH: f64 = 1.5;

    pub(crate) fn new(length: DraftLength) -> Self {
        Self {
            length,
            accepted: 1.4,
            examined: 2.0,
            draft: Mean::default(),
            passes: vec![Mean::default(); length.most() + 1],
            idle: 0,
            patience: Self::FIRST_PATIENCE,
            drafted: false,
        }
    }

    /// How many ids are to be proposed now.
    pub(crate) fn choose(&self) -> usize {
        let DraftLength::Adaptive { most } = self.length else { return self.length.most() };
        if self.idle >= self.patience {
            return most.min(2);
        }
        // First what a long pass takes, then what none does; what lies between can be told from them.
        for length in [most, 0] {
            if self.passes[length].weight < Self::ENOUGH {
                return length;
            }
        }
        let alpha = self.accepted / self.examined;
        let speed = |length: usize| {
            expected_tokens(alpha, length) / (length as f64 * self.draft.value + self.pass(length))
        };
        (0..=most).max_by(|&a, &b| speed(a).total_cmp(&speed(b)).then(b.cmp(&a))).unwrap_or(0)
    }

    /// Seconds of a pass, as measured or as those of the lengths around it let expect.
    fn pass(&self, length: usize) -> f64 {
        let known = |length: &usize| self.passes[*length].weight >= Self::ENOUGH;
        let (below, above) = ((0..=length).rev().find(known), (length..self.passes.len()).find(known));
        match (below, above) {
            (Some(below), Some(above)) if below < above => {
                let part = (length - below) as f64 / (above - below) as f64;
                let [below, above] = [below, above].map(|length| self.passes[length].value);
                below + part * (above - below)
            }
            (Some(known), _) | (None, Some(known)) => self.passes[known].value,
            (None, None) => 0.0,
        }
    }

    pub(crate) fn record(&mut self, round: Round) {
        let Round { asked, proposed, examined, accepted, draft_time, model_time } = round;
        // Else it reads first what was written without it.
        let draft_is_up_to_date = self.drafted && self.idle == 0;
        self.drafted |= asked > 0;
        self.idle = if asked == 0 { self.idle + 1 } else { 0 };
        if asked > 0 {
            if draft_is_up_to_date {
                self.draft.add(draft_time.as_secs_f64() / asked as f64);
            }
            // What did not help is tried again ever more seldom.
            let helped = examined > 0 && accepted * 2 > examined;
            self.patience = match helped {
                true => Self::FIRST_PATIENCE,
                false => (2 * self.patience).min(Self::MOST_PATIENCE),
            };
        }
        if proposed > 0 {
            self.accepted = self.accepted * Self::STAYS + accepted as f64;
            self.examined = self.examined * Self::STAYS + examined as f64;
        }
        self.passes[if proposed > 0 { asked } else { 0 }].add(model_time.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays rounds in which each proposal is kept with probability `alpha`, drafting takes `c` and a pass `1 + v · length`
    /// milliseconds, and returns how many new ids there are in so many seconds, and the last lengths.
    fn play(length: DraftLength, alpha: f64, c: f64, v: f64) -> (f64, Vec<usize>) {
        let mut pace = Pace::new(length);
        let (mut seconds, mut tokens, mut lengths, mut random) = (0.0, 0.0, Vec::new(), 1_u64);
        for _ in 0..3000 {
            let asked = pace.choose();
            let (mut accepted, mut examined) = (0, 0);
            while examined < asked as u64 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                examined += 1;
                if (random >> 33) as f64 / (1_u64 << 31) as f64 >= alpha {
                    break;
                }
                accepted += 1;
            }
            let (draft, model) = (c * asked as f64 / 1e3, (1.0 + v * asked as f64) / 1e3);
            let [draft_time, model_time] = [draft, model].map(Duration::from_secs_f64);
            pace.record(Round { asked, proposed: asked as u64, examined, accepted, draft_time, model_time });
            seconds += draft + model;
            tokens += accepted as f64 + 1.0;
            lengths.push(asked);
        }
        (tokens / seconds, lengths)
    }

    #[test]
    fn the_best_fixed_length_is_found_whatever_drafting_costs() {
        for (alpha, c, v) in
            [(0.9, 0.05, 0.1), (0.7, 0.1, 0.05), (0.5, 0.3, 0.2), (0.2, 0.5, 0.5), (0.0, 0.1, 0.5)]
        {
            let (adaptive, lengths) = play(DraftLength::Adaptive { most: 8 }, alpha, c, v);
            let fixed: Vec<f64> =
                (0..=8).map(|length| play(DraftLength::Fixed(length), alpha, c, v).0).collect();
            let best = fixed.iter().copied().fold(0.0, f64::max);
            assert!(adaptive > 0.93 * best, "{alpha} {c} {v}: {adaptive} of {best}, {:?}", &lengths[..60]);
        }
    }

    #[test]
    fn a_draft_that_is_always_wrong_costs_next_to_nothing() {
        let (speed, lengths) = play(DraftLength::Adaptive { most: 4 }, 0.0, 0.5, 0.5);
        assert!(speed > 980.0, "{speed} of 1000 a second");
        assert!(lengths.iter().filter(|&&length| length > 0).count() < 60);
    }

    #[test]
    fn a_draft_that_becomes_good_is_used_again() {
        let mut pace = Pace::new(DraftLength::Adaptive { most: 4 });
        let round = |asked: usize, accepted: u64| Round {
            asked,
            proposed: asked as u64,
            examined: asked as u64,
            accepted,
            draft_time: Duration::from_micros(10),
            model_time: Duration::from_millis(1),
        };
        for _ in 0..500 {
            pace.record(round(pace.choose(), 0));
        }
        for _ in 0..300 {
            let asked = pace.choose();
            pace.record(round(asked, asked as u64));
        }
        assert_eq!(pace.choose(), 4);
    }
}
