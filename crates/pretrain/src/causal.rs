//! Causal language modelling: maximize `Σ_i log P(t_i | t_1 … t_{i-1})`.

use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{Decoder, Dropout, Model, hugging_face};
use std::path::Path;

/// The causal objective.
#[derive(Debug, Clone)]
pub struct Causal {
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// Inputs and the token that follows each.
#[derive(Debug)]
pub struct CausalBatch {
    /// `[batch, seq]`
    pub(crate) ids: Tensor<2, Int>,
    /// `[batch · seq]`
    targets: Tensor<1, Int>,
    dropout: Option<Dropout>,
}

impl CausalBatch {
    /// What `model` makes of the inputs, `[batch · seq, d_model]`, and the targets.
    pub(crate) fn predict(mut self, model: &Decoder) -> (Tensor<2>, Tensor<1, Int>) {
        (hidden(model, self.ids, self.dropout.as_mut()), self.targets)
    }
}

/// Hidden states at each position of `ids` `[batch, seq]`, each of which sees those before it: `[batch · seq, d_model]`.
pub(crate) fn hidden(model: &Decoder, ids: Tensor<2, Int>, dropout: Option<&mut Dropout>) -> Tensor<2> {
    let [rows, seq] = ids.dims();
    let hidden = model.hidden(ids, &AttentionMask::Causal, dropout);
    hidden.reshape([rows * seq, model.config().d_model])
}

impl Objective for Causal {
    type Model = Decoder;
    type Rows = TokenBatch;
    type Batch = CausalBatch;
    type Answers = ();

    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> CausalBatch {
        let (batch, seq) = (rows.rows, rows.len - 1);
        let window = |from: usize| -> Vec<i32> {
            (0..batch).flat_map(|row| rows.row(row)[from..from + seq].iter().map(|&id| id as i32)).collect()
        };
        let dropout = key.dropout(self.dropout, batch);
        CausalBatch {
            ids: Tensor::from_data(TensorData::new(window(0), [batch, seq]), device),
            targets: Tensor::from_data(TensorData::new(window(1), [batch * seq]), device),
            dropout,
        }
    }

    fn counts(&self, batch: &CausalBatch) -> Vec<u64> {
        vec![batch.targets.dims()[0] as u64]
    }

    fn loss(&self, model: &Decoder, batch: CausalBatch) -> Vec<Term> {
        let (hidden, targets) = batch.predict(model);
        vec![Term { name: "loss", weight: 1.0, nats: model.nats(hidden, targets).sum() }]
    }

    fn text_nats(&self, terms: &[(&'static str, f64, u64)]) -> Option<f64> {
        terms.first().map(|(_, nats, _)| *nats)
    }

    fn export(&self, model: &Decoder, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, model, self.end_of_text)?)
    }
}
