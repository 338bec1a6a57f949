//! Progress as a bar, or as a line now and then.

use super::duration;
use crate::args::Global;
use crate::config::PretrainConfig;
use crate::output::{bar, say, thousands};
use firebrand_training::Event;
use indicatif::ProgressBar;
use std::time::Instant;

/// Progress in the terminal.
pub(super) struct View<'a> {
    global: &'a Global,
    pub(super) bar: ProgressBar,
    started: Instant,
    first_step: u64,
    tokens: u64,
    smoothed: Option<f64>,
    val_loss: Option<f64>,
}

impl<'a> View<'a> {
    pub(super) fn new(global: &'a Global, config: &PretrainConfig, step: u64) -> Self {
        let steps = config.training.steps;
        let bar = bar(global, steps, "{wide_bar} {pos}/{len} {msg}");
        bar.set_position(step);
        Self {
            global,
            bar,
            started: Instant::now(),
            first_step: step,
            tokens: 0,
            smoothed: None,
            val_loss: None,
        }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Step(report) => {
                self.tokens += report.tokens;
                // A mean over about the last twenty steps (over all of the first ones): single steps jump too much.
                let weight = 1.0 / (report.step - self.first_step).min(20) as f64;
                let smoothed = self.smoothed.map_or(report.loss, |mean| mean + (report.loss - mean) * weight);
                self.smoothed = Some(smoothed);
                self.bar.set_position(report.step);
                let left = self.bar.length().unwrap_or(0).saturating_sub(report.step) as f64;
                let per_step = self.started.elapsed().as_secs_f64() / (report.step - self.first_step) as f64;
                let val_loss = self.val_loss.map_or(String::new(), |loss| format!(", held out {loss:.3}"));
                self.bar.set_message(format!(
                    "loss {smoothed:.3}{val_loss}, {} tokens/s, {} left",
                    thousands(self.tokens_per_s() as u64),
                    duration(left * per_step)
                ));
                // Where there is no terminal to draw in, a line now and then says the same.
                let twentieth = (self.bar.length().unwrap_or(0) / 20).max(1);
                if self.bar.is_hidden() && report.step.is_multiple_of(twentieth) {
                    say(self.global, format!("step {}: {}", report.step, self.bar.message()));
                }
            }
            Event::Evaluated { step, evaluation, best } => {
                self.val_loss = Some(evaluation.loss);
                let mark = if *best { " (best so far)" } else { "" };
                self.say(format!("step {step}: held-out loss {:.4}{mark}", evaluation.loss));
            }
            Event::Saved(step) => {
                if self.global.verbose {
                    self.say(format!("step {step}: checkpoint written"));
                }
            }
        }
    }

    /// A line above the bar, or alone where there is none.
    fn say(&self, text: String) {
        match self.bar.is_hidden() {
            true => say(self.global, text),
            false => self.bar.println(text),
        }
    }

    pub(super) fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }
}
