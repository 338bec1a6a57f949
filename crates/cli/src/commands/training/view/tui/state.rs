//! What the screen shows of a run.

use super::curves::Curve;
use crate::output::thousands;
use serde_json::{Map, Value};

/// What does not change while it trains.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Heading {
    pub(in crate::commands) run: String,
    pub(in crate::commands) model: String,
    pub(in crate::commands) steps: u64,
}

/// A run as far as it is known.
#[derive(Debug)]
pub(super) struct State {
    pub(super) heading: Heading,
    pub(super) step: u64,
    /// The loss of every step.
    pub(super) train: Curve,
    /// The same, without the jumps.
    pub(super) smoothed: Curve,
    pub(super) held_out: Curve,
    pub(super) lr: Curve,
    pub(super) tokens_per_s: Curve,
    /// The lowest held-out loss, and its step.
    pub(super) best: Option<(u64, f64)>,
    pub(super) messages: Vec<String>,
    /// Of this process.
    pub(super) mean_tokens_per_s: f64,
    pub(super) seconds_left: Option<f64>,
    /// Of the past, where not every step was logged.
    past: Option<f64>,
    past_lines: u32,
    step_before: u64,
}

impl State {
    /// A run whose `metrics.jsonl` holds `lines` up to `step`.
    pub(super) fn new(heading: Heading, step: u64, lines: &[Map<String, Value>]) -> Self {
        let mut state = Self {
            heading,
            step,
            train: Curve::default(),
            smoothed: Curve::default(),
            held_out: Curve::default(),
            lr: Curve::default(),
            tokens_per_s: Curve::default(),
            best: None,
            messages: Vec::new(),
            mean_tokens_per_s: 0.0,
            seconds_left: None,
            past: None,
            past_lines: 0,
            step_before: 0,
        };
        for line in lines {
            let at = line.get("step").and_then(Value::as_u64).unwrap_or(u64::MAX);
            if at <= step {
                state.past_loss(at, line.get("train_loss").and_then(Value::as_f64));
                state.logged(line);
            }
        }
        state
    }

    /// A step of before this process. Only some of them were logged: each counts for as many of the twenty steps of
    /// the mean as lie between it and the one before.
    fn past_loss(&mut self, step: u64, loss: Option<f64>) {
        let Some(loss) = loss else { return };
        self.past_lines += 1;
        let gap = step.saturating_sub(self.step_before) as f64;
        self.step_before = step;
        let weight = (gap / 20.0).clamp(1.0 / f64::from(self.past_lines.min(20)), 1.0);
        let smoothed = self.past.map_or(loss, |mean| mean + (loss - mean) * weight);
        self.past = Some(smoothed);
        self.step(step, loss, smoothed);
    }

    pub(super) fn step(&mut self, step: u64, loss: f64, smoothed: f64) {
        self.step = self.step.max(step);
        self.train.push(step, loss);
        self.smoothed.push(step, smoothed);
    }

    /// Takes in a line of `metrics.jsonl`.
    pub(super) fn logged(&mut self, line: &Map<String, Value>) {
        let number = |key: &str| line.get(key).and_then(Value::as_f64);
        let Some(step) = line.get("step").and_then(Value::as_u64) else { return };
        for (key, curve) in
            [("val_loss", &mut self.held_out), ("lr", &mut self.lr), ("tokens_per_s", &mut self.tokens_per_s)]
        {
            if let Some(value) = number(key) {
                curve.push(step, value);
            }
        }
        if let Some(loss) = number("val_loss")
            && self.best.is_none_or(|(_, best)| loss < best)
        {
            self.best = Some((step, loss));
        }
    }

    /// Adds a message below; the oldest ones go.
    pub(super) fn say(&mut self, message: impl Into<String>) {
        const KEPT: usize = 50;
        self.messages.push(message.into().trim().to_string());
        if self.messages.len() > KEPT {
            self.messages.remove(0);
        }
    }

    /// Loss, best and speed in one line, the most important first.
    pub(super) fn figures(&self, peak_bytes: Option<u64>) -> String {
        let mut parts = Vec::new();
        parts.extend(self.smoothed.last().map(|loss| format!("loss {loss:.4}")));
        parts.extend(self.held_out.last().map(|loss| format!("held out {loss:.4}")));
        parts.extend(self.best.map(|(step, loss)| format!("best {loss:.4} at {}", thousands(step))));
        if self.mean_tokens_per_s > 0.0 {
            parts.push(format!("{} tokens/s", thousands(self.mean_tokens_per_s as u64)));
        }
        parts.extend(peak_bytes.map(|bytes| format!("{} MB", thousands(bytes / 1_000_000))));
        parts.join(" · ")
    }
}
