//! What a model is trained for.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use firebrand_corpus::batches::TokenBatch;
use std::path::Path;

use crate::TrainingError;

/// What every draw for a batch is keyed by: never the place in a micro-batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchKey {
    /// The run's seed.
    pub seed: u64,
    /// The optimizer step, from 0.
    pub step: u64,
    /// The place of the batch's first row among the step's examples.
    pub first_example: usize,
    /// Whether to train (dropout, fresh masks) or to evaluate.
    pub training: bool,
}

/// One term of a loss. The step's loss is the sum over terms of `weight · nats / count`, both summed over the whole
/// step: never a mean of means.
#[derive(Debug)]
pub struct Term {
    /// What it measures, for the metrics.
    pub name: &'static str,
    /// Its weight in the loss.
    pub weight: f64,
    /// Sum over the batch's targets, in nats: `[1]`, with its graph.
    pub nats: Tensor<1>,
}

/// A pretraining objective: it owns its model, its batch and its loss.
pub trait Objective {
    /// The model that is trained.
    type Model: Module;
    /// What the model is given: inputs, targets, masks.
    type Batch;

    /// Turns rows of token ids into inputs and targets on `device`.
    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> Self::Batch;

    /// How many targets each term has in `batch`, in the order of [`Objective::loss`].
    fn counts(&self, batch: &Self::Batch) -> Vec<u64>;

    /// The terms of the loss on `batch`.
    fn loss(&self, model: &Self::Model, batch: Self::Batch) -> Vec<Term>;

    /// What the text itself costs, in nats, if the terms of an evaluation (name, sum of nats, targets) say so: for bits per byte.
    /// `None` where not every token is predicted from others, each once.
    fn text_nats(&self, terms: &[(&'static str, f64, u64)]) -> Option<f64> {
        let _ = terms;
        None
    }

    /// Writes the model as a folder that can be used.
    ///
    /// # Errors
    /// When it cannot be written.
    fn export(&self, model: &Self::Model, dir: &Path) -> Result<(), TrainingError>;
}
