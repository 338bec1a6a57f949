//! The `[training]`, `[optimizer]` and `[schedule]` sections of a config.

use crate::TrainingError;
use firebrand_backend::Precision;
use serde::{Deserialize, Serialize};

/// How long, in what portions, and how often to look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Optimizer steps.
    pub steps: u64,
    /// Sequences in a step.
    pub batch_size: usize,
    /// Pieces that a step's sequences are cut into to save memory; divides `batch_size`, changes no result.
    pub grad_accum_steps: usize,
    /// Each layer keeps only its input and is run again for its gradients: less memory for a quarter to a third more time,
    /// changes no result. On the device `cpu` only.
    pub activation_checkpointing: bool,
    /// Tokens in a sequence.
    pub seq_len: usize,
    /// The global gradient norm is clipped to this; 0 for no clipping.
    pub grad_clip_norm: f64,
    /// Evaluate on held-out data every so many steps, and at the end; 0 for at the end only.
    pub eval_every: u64,
    /// Held-out tokens used for that, from the start of the held-out part; 0 for all. The best weights are evaluated on
    /// all of it when the run ends.
    pub eval_tokens: usize,
    /// End the run after so many evaluations in a row that were no better than the best one; 0 for never.
    pub patience: u64,
    /// What matrix products round their operands to; weights, gradients and the optimizer stay f32.
    pub precision: Precision,
    /// Write a line of metrics every so many steps.
    pub log_every: u64,
    /// Keep a checkpoint every so many steps, and at the end; 0 for at the end only.
    pub checkpoint_every: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch_size: 16,
            grad_accum_steps: 1,
            activation_checkpointing: false,
            seq_len: 256,
            grad_clip_norm: 1.0,
            eval_every: 250,
            eval_tokens: 0,
            patience: 0,
            precision: Precision::F32,
            log_every: 10,
            checkpoint_every: 500,
        }
    }
}

impl TrainingConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        let fail = |message: String| Err(TrainingError::Config(message));
        for (key, value) in [
            ("steps", self.steps),
            ("batch_size", self.batch_size as u64),
            ("grad_accum_steps", self.grad_accum_steps as u64),
            ("seq_len", self.seq_len as u64),
            ("log_every", self.log_every),
        ] {
            if value == 0 {
                return fail(format!("training.{key} must be at least 1"));
            }
        }
        if self.patience > 0 && self.eval_every == 0 {
            return fail(format!(
                "training.patience {} counts evaluations, and with training.eval_every 0 there is one at the end only",
                self.patience
            ));
        }
        if !self.batch_size.is_multiple_of(self.grad_accum_steps) {
            return fail(format!(
                "training.batch_size {} is not divisible by training.grad_accum_steps {}",
                self.batch_size, self.grad_accum_steps
            ));
        }
        if !(self.grad_clip_norm >= 0.0 && self.grad_clip_norm.is_finite()) {
            return fail(format!(
                "training.grad_clip_norm {} is negative; 0 means no clipping",
                self.grad_clip_norm
            ));
        }
        Ok(())
    }
}

/// Which rule turns gradients into updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// AdamW [Loshchilov & Hutter 2019].
    Adamw,
    /// Muon [Jordan 2024] for the matrices of the layers, AdamW for everything else.
    Muon,
}

/// The optimizer and its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Which one.
    pub kind: OptimizerKind,
    /// The highest learning rate of the schedule, for everything that AdamW updates.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled decay of matrices and embeddings; vectors do not decay.
    pub weight_decay: f64,
    /// The highest learning rate for Muon's matrices.
    pub muon_lr: f64,
    /// Muon's momentum.
    pub muon_momentum: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.1,
            muon_lr: 0.02,
            muon_momentum: 0.95,
        }
    }
}

impl OptimizerConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        let fail = |key: &str, value: f64, range: &str| {
            Err(TrainingError::Config(format!("optimizer.{key} {value} is not {range}")))
        };
        for (key, value) in [("lr", self.lr), ("eps", self.eps), ("muon_lr", self.muon_lr)] {
            if !(value > 0.0 && value.is_finite()) {
                return fail(key, value, "above 0");
            }
        }
        for (key, value) in
            [("beta1", self.beta1), ("beta2", self.beta2), ("muon_momentum", self.muon_momentum)]
        {
            if !(0.0..1.0).contains(&value) {
                return fail(key, value, "in [0, 1)");
            }
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return fail("weight_decay", self.weight_decay, "0 or more");
        }
        Ok(())
    }
}

/// The shape of the learning rate over the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Half a cosine down to the minimum.
    Cosine,
    /// Warm-up, stable, decay: constant, then linear down to the minimum [Hu 2024].
    Wsd,
    /// Constant after the warm-up.
    Constant,
}

/// The learning rate over the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Which shape.
    pub kind: ScheduleKind,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// The last learning rate over the highest.
    pub min_lr_ratio: f64,
    /// `wsd`: the part of all steps, at the end, in which the rate falls.
    pub decay_fraction: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { kind: ScheduleKind::Cosine, warmup_steps: 100, min_lr_ratio: 0.1, decay_fraction: 0.2 }
    }
}

impl ScheduleConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        for (key, value) in [("min_lr_ratio", self.min_lr_ratio), ("decay_fraction", self.decay_fraction)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(TrainingError::Config(format!("schedule.{key} {value} is not in [0, 1]")));
            }
        }
        Ok(())
    }
}
