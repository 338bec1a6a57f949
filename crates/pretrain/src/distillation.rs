//! Distillation: causal language modelling with a teacher, which says at each position how likely every token is, not
//! only which one came [Hinton, Vinyals & Dean 2015, <https://arxiv.org/abs/1503.02531>].
//!
//! The loss is `(1 − w) · CE + w · T² · KL(teacher ‖ student)`, both sides of the divergence being
//! `softmax(logits / T)`; the factor `T²` keeps the size of its gradients the same whatever the temperature is. On
//! held-out data the loss is the causal one alone, so that runs with and without a teacher compare.

use crate::causal::{Causal, CausalBatch, hidden};
use burn::tensor::Device;
use firebrand_backend::ops;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{Decoder, Model};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The `[distillation]` section of a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillationConfig {
    /// The folder of a model with the same tokenizer.
    pub teacher: PathBuf,
    /// The part of the loss that is the divergence from the teacher, in (0, 1]; the rest is the text's.
    #[serde(default = "half")]
    pub weight: f64,
    /// What logits are divided by before they are compared: above 1 unlikely tokens count for more.
    #[serde(default = "one")]
    pub temperature: f64,
}

fn half() -> f64 {
    0.5
}

fn one() -> f64 {
    1.0
}

impl DistillationConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        // Beyond these, logits divided by it are no numbers or all the same.
        const TEMPERATURES: std::ops::RangeInclusive<f64> = 0.01..=100.0;
        let Self { weight, temperature, .. } = self;
        if !(*weight > 0.0 && *weight <= 1.0) {
            return Err(TrainingError::Config(format!(
                "distillation.weight {weight} is not in (0, 1]; without a teacher leave [distillation] out"
            )));
        }
        if !TEMPERATURES.contains(temperature) {
            return Err(TrainingError::Config(format!(
                "distillation.temperature {temperature} is not from {} to {}; 1 compares the models as they are",
                TEMPERATURES.start(),
                TEMPERATURES.end()
            )));
        }
        Ok(())
    }
}

/// The causal objective with a teacher.
#[derive(Debug, Clone)]
pub struct Distillation {
    causal: Causal,
    /// Outside of any graph.
    teacher: Decoder,
    weight: f64,
    temperature: f64,
}

impl Distillation {
    /// `teacher` is on the device that is trained on, without autodiff, and has the student's vocabulary.
    ///
    /// # Panics
    /// When it is with autodiff.
    pub fn new(causal: Causal, teacher: Decoder, config: &DistillationConfig) -> Self {
        assert!(!teacher.device().is_autodiff(), "a teacher is not trained");
        let DistillationConfig { weight, temperature, .. } = *config;
        Self { causal, teacher, weight, temperature }
    }
}

/// Inputs and the token that follows each.
#[derive(Debug)]
pub struct DistillationBatch {
    causal: CausalBatch,
    /// Whether the teacher is asked: in training.
    taught: bool,
}

impl Objective for Distillation {
    type Model = Decoder;
    type Rows = TokenBatch;
    type Batch = DistillationBatch;
    type Answers = ();

    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> DistillationBatch {
        DistillationBatch { causal: self.causal.prepare(rows, key, device), taught: key.training }
    }

    fn counts(&self, batch: &DistillationBatch) -> Vec<u64> {
        let terms = if batch.taught { 2 } else { 1 };
        self.causal.counts(&batch.causal).repeat(terms)
    }

    fn loss(&self, model: &Decoder, batch: DistillationBatch) -> Vec<Term> {
        let DistillationBatch { causal, taught } = batch;
        if !taught {
            return self.causal.loss(model, causal);
        }
        // Before the student, whose activations are not there yet.
        let ids = causal.ids.clone();
        let ids = if ids.device().is_autodiff() { ids.inner() } else { ids };
        let teacher = self.teacher.scores(hidden(&self.teacher, ids, None));
        let (hidden, targets) = causal.predict(model);
        let divergence = ops::distillation(model.scores(hidden.clone()), teacher, self.temperature);
        // Not called `loss`: in the metrics that is what the step minimizes, the sum of both.
        vec![
            Term {
                name: "cross_entropy",
                weight: 1.0 - self.weight,
                nats: model.nats(hidden, targets).sum(),
            },
            Term { name: "distillation", weight: self.weight * self.temperature.powi(2), nats: divergence },
        ]
    }

    /// Of an evaluation, in which there is no teacher.
    fn text_nats(&self, terms: &[(&'static str, f64, u64)]) -> Option<f64> {
        self.causal.text_nats(terms)
    }

    fn export(&self, model: &Decoder, dir: &Path) -> Result<(), TrainingError> {
        self.causal.export(model, dir)
    }
}
