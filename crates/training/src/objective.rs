//! What a model is trained for.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use firebrand_transformer::Dropout;
use std::path::Path;

use crate::TrainingError;
use crate::data::Rows;
use crate::evaluate::Evaluation;

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

impl BatchKey {
    /// The dropout of a batch of `rows` examples: in training, where there is any.
    pub fn dropout(self, probability: f64, rows: usize) -> Option<Dropout> {
        (self.training && probability > 0.0)
            .then(|| Dropout::new(probability, self.seed, self.step, self.first_example, rows))
    }
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

/// One number that an evaluation comes to, beside its loss: an accuracy, say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// What it is called in the metrics, behind `val_`.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

/// What a model is trained for: it owns its model, its batch and its loss.
pub trait Objective {
    /// The model that is trained.
    type Model: Module;
    /// What it is made from: windows of tokens, labelled examples.
    type Rows: Rows;
    /// What the model is given: inputs, targets, masks.
    type Batch;
    /// What an evaluation collects beside the loss; `()` where that is all.
    type Answers: Default;

    /// Turns rows into inputs and targets on `device`.
    fn prepare(&self, rows: &Self::Rows, key: BatchKey, device: &Device) -> Self::Batch;

    /// How many targets each term has in `batch`, in the order of [`Objective::loss`].
    fn counts(&self, batch: &Self::Batch) -> Vec<u64>;

    /// The terms of the loss on `batch`.
    fn loss(&self, model: &Self::Model, batch: Self::Batch) -> Vec<Term>;

    /// The terms of the loss on a batch of an evaluation; what the model answered is added to `answers`.
    fn judge(&self, model: &Self::Model, batch: Self::Batch, answers: &mut Self::Answers) -> Vec<Term> {
        let _ = answers;
        self.loss(model, batch)
    }

    /// What the answers of a whole evaluation come to.
    fn figures(&self, answers: &Self::Answers) -> Vec<Figure> {
        let _ = answers;
        Vec::new()
    }

    /// The number by which evaluations are compared: the lowest one has the best weights. Of a figure that should be high it is the
    /// negative.
    fn rank(&self, evaluation: &Evaluation) -> f64 {
        evaluation.loss
    }

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
