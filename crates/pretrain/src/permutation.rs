//! Permutation language modelling [Yang 2019, XLNet, <https://arxiv.org/abs/1906.08237>]: the tokens of a row are put into a random
//! order, and the last ones of it are predicted, each from those before it in that order.

use crate::draws::Draws;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{Dropout, FactorizationOrder, Permutation, hugging_face};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The section `[permutation]` of a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PermutationConfig {
    /// One token in so many is predicted: the last ones of the order.
    pub predict: usize,
}

impl Default for PermutationConfig {
    fn default() -> Self {
        Self { predict: 6 }
    }
}

impl PermutationConfig {
    /// Checks the numbers, for rows of `seq_len` tokens.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self, seq_len: usize) -> Result<(), TrainingError> {
        if self.predict < 2 {
            return Err(TrainingError::Config(format!(
                "permutation.predict {} is not 2 or more: one token in so many is predicted, from the others",
                self.predict
            )));
        }
        if seq_len < 2 {
            return Err(TrainingError::Config(format!(
                "training.seq_len {seq_len} is too short for the objective permutation: one token is predicted from another"
            )));
        }
        Ok(())
    }
}

/// The permutation objective. Its loss is not that of a text, of which it predicts a part only.
#[derive(Debug, Clone)]
pub struct PermutationLm {
    /// One token in so many is predicted.
    pub predict: usize,
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// Inputs, the order of each row, and what is predicted.
#[derive(Debug)]
pub struct PermutationBatch {
    /// `[batch, seq]`
    ids: Tensor<2, Int>,
    /// `[batch]`
    orders: Vec<FactorizationOrder>,
    /// `[batch · predicted]`
    targets: Tensor<1, Int>,
    dropout: Option<Dropout>,
}

impl PermutationBatch {
    /// The order of each row.
    pub fn orders(&self) -> &[FactorizationOrder] {
        &self.orders
    }
}

impl PermutationLm {
    /// A random order of `seq` positions, all as likely, whose last `seq / predict` are predicted: rounded, at least one and never the
    /// first.
    fn order(&self, seq: usize, draws: &mut Draws) -> FactorizationOrder {
        let mut positions: Vec<usize> = (0..seq).collect();
        draws.shuffle(&mut positions);
        let mut ranks = vec![0; seq];
        for (rank, &position) in positions.iter().enumerate() {
            ranks[position] = rank;
        }
        let count = (seq as f64 / self.predict as f64).round_ties_even() as usize;
        FactorizationOrder { ranks, predicted: positions.split_off(seq - count.clamp(1, seq - 1)) }
    }
}

impl Objective for PermutationLm {
    type Model = Permutation;
    type Rows = TokenBatch;
    type Batch = PermutationBatch;
    type Answers = ();

    /// Nothing is shifted: the last id of a row, which is the next row's first, is not used.
    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> PermutationBatch {
        let (batch, seq) = (rows.rows, rows.len - 1);
        let order = |row| self.order(seq, &mut Draws::new("permutation", key, row));
        let orders: Vec<FactorizationOrder> = (0..batch).map(order).collect();
        let ids: Vec<i32> =
            (0..batch).flat_map(|row| rows.row(row)[..seq].iter().map(|&id| id as i32)).collect();
        let targets: Vec<i32> = orders
            .iter()
            .enumerate()
            .flat_map(|(row, order)| order.predicted.iter().map(move |&position| (row, position)))
            .map(|(row, position)| rows.row(row)[position] as i32)
            .collect();
        let count = targets.len();
        let dropout = key.dropout(self.dropout, batch);
        PermutationBatch {
            ids: Tensor::from_data(TensorData::new(ids, [batch, seq]), device),
            orders,
            targets: Tensor::from_data(TensorData::new(targets, [count]), device),
            dropout,
        }
    }

    fn counts(&self, batch: &PermutationBatch) -> Vec<u64> {
        vec![batch.targets.dims()[0] as u64]
    }

    fn loss(&self, model: &Permutation, mut batch: PermutationBatch) -> Vec<Term> {
        let states = model.predictions(batch.ids, &batch.orders, batch.dropout.as_mut());
        let [rows, count, d_model] = states.dims();
        let nats = model.decoder().nats(states.reshape([rows * count, d_model]), batch.targets);
        vec![Term { name: "loss", weight: 1.0, nats: nats.sum() }]
    }

    fn export(&self, model: &Permutation, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, model, self.end_of_text)?)
    }
}
