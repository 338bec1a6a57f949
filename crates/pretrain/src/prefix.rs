//! Prefix language modelling [Raffel 2020, <https://arxiv.org/abs/1910.10683>; Liu 2018, <https://arxiv.org/abs/1801.10198>]: the
//! first tokens are given and see each other; each of the rest is predicted from all before it.

use crate::draws::Draws;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{Decoder, Dropout, Model, hugging_face};
use std::path::Path;

/// The prefix objective. Of a row of `L` tokens a prefix of a length that is uniform in `[1, L − 1]` is given.
///
/// There is no text that it has a loss for: the tokens of prefixes are not predicted.
#[derive(Debug, Clone)]
pub struct PrefixLm {
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// Inputs, how long their prefixes are, and the tokens that follow.
#[derive(Debug)]
pub struct PrefixBatch {
    /// `[batch, seq]`
    ids: Tensor<2, Int>,
    /// Of each row, `[batch]`.
    prefixes: Vec<usize>,
    /// The place of each target's prediction in `[batch · seq]`, and the target: each `[targets]`.
    places: Tensor<1, Int>,
    targets: Tensor<1, Int>,
    dropout: Option<Dropout>,
}

impl PrefixBatch {
    /// How many tokens of each row are given.
    pub fn prefixes(&self) -> &[usize] {
        &self.prefixes
    }
}

impl Objective for PrefixLm {
    type Model = Decoder;
    type Rows = TokenBatch;
    type Batch = PrefixBatch;
    type Answers = ();

    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> PrefixBatch {
        let (batch, seq) = (rows.rows, rows.len - 1);
        let (mut ids, mut prefixes) = (Vec::with_capacity(batch * seq), Vec::with_capacity(batch));
        let (mut places, mut targets) = (Vec::new(), Vec::new());
        for row in 0..batch {
            let tokens = rows.row(row);
            // As many lengths as there are tokens to predict.
            let prefix = 1 + Draws::new("prefix", key, row).below(seq);
            ids.extend(tokens[..seq].iter().map(|&id| id as i32));
            targets.extend(tokens[prefix..].iter().map(|&id| id as i32));
            places.extend((prefix - 1..seq).map(|position| (row * seq + position) as i32));
            prefixes.push(prefix);
        }
        let vector = |numbers: Vec<i32>| {
            let len = numbers.len();
            Tensor::from_data(TensorData::new(numbers, [len]), device)
        };
        let dropout = key.dropout(self.dropout, batch);
        PrefixBatch {
            ids: Tensor::from_data(TensorData::new(ids, [batch, seq]), device),
            prefixes,
            places: vector(places),
            targets: vector(targets),
            dropout,
        }
    }

    fn counts(&self, batch: &PrefixBatch) -> Vec<u64> {
        vec![batch.targets.dims()[0] as u64]
    }

    fn loss(&self, model: &Decoder, mut batch: PrefixBatch) -> Vec<Term> {
        let [rows, seq] = batch.ids.dims();
        let mask = AttentionMask::Prefix(batch.prefixes.into());
        let hidden = model.hidden(batch.ids, &mask, batch.dropout.as_mut());
        let hidden = hidden.reshape([rows * seq, model.config().d_model]).select(0, batch.places);
        vec![Term { name: "loss", weight: 1.0, nats: model.nats(hidden, batch.targets).sum() }]
    }

    fn export(&self, model: &Decoder, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, model, self.end_of_text)?)
    }
}
