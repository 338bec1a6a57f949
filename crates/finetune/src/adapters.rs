//! Any objective, for a model whose adapters are what is kept of it.

use firebrand_training::{BatchKey, Evaluation, Figure, Objective, Term, TrainingError};
use firebrand_transformer::hugging_face::{AdapterFolder, SaveAdapters};
use firebrand_transformer::lora::LoraConfig;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

/// An objective whose model is written as a folder of adapters, beside the model that they are for, in the place of a whole model.
#[derive(Debug, Clone)]
pub struct AdaptersOf<O> {
    /// What the model is trained for.
    pub objective: O,
    /// The folder of the model that it started from.
    pub base: PathBuf,
    /// How its adapters were made.
    pub lora: LoraConfig,
    /// The id that ends a document, for the folder.
    pub end_of_text: Option<u32>,
}

impl<O: Objective<Model: SaveAdapters>> Objective for AdaptersOf<O> {
    type Model = O::Model;
    type Rows = O::Rows;
    type Batch = O::Batch;
    type Answers = O::Answers;

    fn prepare(&self, rows: &O::Rows, key: BatchKey, device: &Device) -> O::Batch {
        self.objective.prepare(rows, key, device)
    }

    fn counts(&self, batch: &O::Batch) -> Vec<u64> {
        self.objective.counts(batch)
    }

    fn loss(&self, model: &O::Model, batch: O::Batch) -> Vec<Term> {
        self.objective.loss(model, batch)
    }

    fn judge(&self, model: &O::Model, batch: O::Batch, answers: &mut O::Answers) -> Vec<Term> {
        self.objective.judge(model, batch, answers)
    }

    fn figures(&self, answers: &O::Answers) -> Vec<Figure> {
        self.objective.figures(answers)
    }

    fn rank(&self, evaluation: &Evaluation) -> f64 {
        self.objective.rank(evaluation)
    }

    fn text_nats(&self, terms: &[(&'static str, f64, u64)]) -> Option<f64> {
        self.objective.text_nats(terms)
    }

    fn export(&self, model: &O::Model, dir: &Path) -> Result<(), TrainingError> {
        let folder = AdapterFolder { base: &self.base, lora: &self.lora };
        Ok(model.save_adapters(dir, self.end_of_text, folder)?)
    }
}
