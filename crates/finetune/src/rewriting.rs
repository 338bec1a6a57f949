//! Learning to rewrite: an encoder reads a text, and its decoder writes another one [Sutskever 2014; Raffel 2020].

use crate::example::{Examples, Item};
use burn::tensor::Device;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::lora::merged;
use firebrand_transformer::{EncoderDecoder, Pair, PairBatch, hugging_face};
use std::path::Path;

impl Item for Pair {
    fn tokens(&self) -> usize {
        self.input.len() + self.target.len()
    }
}

/// Learning to rewrite. Every token of what is written is a target.
#[derive(Debug, Clone)]
pub struct Rewriting {
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// What the decoder begins with: most often the id that ends a text.
    pub start: u32,
    /// The id that ends a text, for the exported folder.
    pub end_of_text: Option<u32>,
}

impl Objective for Rewriting {
    type Model = EncoderDecoder;
    type Rows = Examples<Pair>;
    type Batch = PairBatch;
    type Answers = ();

    fn prepare(&self, rows: &Examples<Pair>, key: BatchKey, device: &Device) -> PairBatch {
        PairBatch::new(&rows.0, self.start, key.dropout(self.dropout, rows.0.len()), device)
    }

    fn counts(&self, batch: &PairBatch) -> Vec<u64> {
        vec![batch.targets() as u64]
    }

    fn loss(&self, model: &EncoderDecoder, batch: PairBatch) -> Vec<Term> {
        vec![Term { name: "loss", weight: 1.0, nats: batch.nats(model).sum() }]
    }

    fn export(&self, model: &EncoderDecoder, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, &merged(model.clone()), self.end_of_text)?)
    }
}
