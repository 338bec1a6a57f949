//! Progress as a bar, or as a line now and then where there is no terminal to draw in.

use super::View;
use crate::args::Global;
use crate::commands::training::pace::Pace;
use crate::output::{bar, duration, say, thousands};
use firebrand_training::Event;
use indicatif::ProgressBar;

/// Progress in one line of the terminal.
pub(in crate::commands) struct Bar<'a> {
    global: &'a Global,
    bar: ProgressBar,
    val_loss: Option<f64>,
}

impl<'a> Bar<'a> {
    pub(in crate::commands) fn new(global: &'a Global, step: u64, steps: u64) -> Self {
        let bar = bar(global, steps, "{wide_bar} {pos}/{len} {msg}");
        bar.set_position(step);
        Self { global, bar, val_loss: None }
    }

    /// A line above the bar, or alone where there is none.
    fn say(&self, text: String) {
        match self.bar.is_hidden() {
            true => say(self.global, text),
            false => self.bar.println(text),
        }
    }
}

impl View for Bar<'_> {
    fn show(&mut self, event: &Event<'_>, pace: &Pace) {
        match event {
            Event::Step(report) => {
                self.bar.set_position(report.step);
                let val_loss = self.val_loss.map_or(String::new(), |loss| format!(", held out {loss:.3}"));
                self.bar.set_message(format!(
                    "loss {:.3}{val_loss}, {} tokens/s, {} left",
                    pace.smoothed(),
                    thousands(pace.tokens_per_s() as u64),
                    duration(pace.seconds_left())
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
            Event::Logged(_) => {}
            Event::Saved(step) => {
                if self.global.verbose {
                    self.say(format!("step {step}: checkpoint written"));
                }
            }
        }
    }

    fn close(&mut self) {
        self.bar.finish_and_clear();
    }
}
