//! How fast a run goes, how long it still takes, and its loss without the jumps of single steps.

use firebrand_training::StepReport;
use std::time::Instant;

/// What is known of a run's course since this process began with it.
#[derive(Debug)]
pub(in crate::commands) struct Pace {
    started: Instant,
    first_step: u64,
    step: u64,
    steps: u64,
    tokens: u64,
    smoothed: Option<f64>,
}

impl Pace {
    /// Of a run of `steps` that has made `step` of them.
    pub(in crate::commands) fn new(step: u64, steps: u64) -> Self {
        Self { started: Instant::now(), first_step: step, step, steps, tokens: 0, smoothed: None }
    }

    /// Takes a step in.
    pub(in crate::commands) fn step(&mut self, report: &StepReport) {
        self.tokens += report.tokens;
        self.step = report.step;
        // A mean over about the last twenty steps (over all of the first ones): single steps jump too much.
        let weight = 1.0 / (report.step - self.first_step).min(20) as f64;
        let smoothed = self.smoothed.map_or(report.loss, |mean| mean + (report.loss - mean) * weight);
        self.smoothed = Some(smoothed);
    }

    /// The loss of about the last twenty steps; `NaN` before the first.
    pub(in crate::commands) fn smoothed(&self) -> f64 {
        self.smoothed.unwrap_or(f64::NAN)
    }

    pub(in crate::commands) fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// Seconds that the rest takes at the speed so far, evaluations and checkpoints included.
    pub(in crate::commands) fn seconds_left(&self) -> f64 {
        let made = (self.step - self.first_step).max(1) as f64;
        self.steps.saturating_sub(self.step) as f64 * self.started.elapsed().as_secs_f64() / made
    }
}
