//! Bidirectional language modelling as ELMo does it [Peters 2018, <https://arxiv.org/abs/1802.05365>]: maximize
//! `Σ_k ( log P(t_k | t_1 … t_{k-1}) + log P(t_k | t_{k+1} … t_N) )`, each direction by layers of its own.
//!
//! Texts follow one another with an end of text between them: it is the begin token from which the first token of a text is
//! predicted forwards, and the end token from which the last one is predicted backwards.

use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{Bidirectional, Decoder, Dropout, Model, hugging_face};
use std::path::Path;

/// The bidirectional objective. Its loss is half of each direction's: nats a token.
#[derive(Debug, Clone)]
pub struct BidirectionalLm {
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// What each direction reads, and the token that follows each.
#[derive(Debug)]
pub struct BidirectionalBatch {
    forward: Reading,
    /// From the end.
    backward: Reading,
    /// All ids, for embeddings that are computed.
    ids: Vec<u32>,
    dropout: Option<Dropout>,
}

#[derive(Debug)]
struct Reading {
    /// `[batch, seq]`
    ids: Tensor<2, Int>,
    /// `[batch · seq]`
    targets: Tensor<1, Int>,
}

impl Reading {
    /// Of rows of `seq + 1` ids, each in the order in which it is read.
    fn new(rows: &[Vec<i32>], device: &Device) -> Self {
        let (batch, seq) = (rows.len(), rows[0].len() - 1);
        let window =
            |from: usize| rows.iter().flat_map(|row| row[from..from + seq].to_vec()).collect::<Vec<i32>>();
        Self {
            ids: Tensor::from_data(TensorData::new(window(0), [batch, seq]), device),
            targets: Tensor::from_data(TensorData::new(window(1), [batch * seq]), device),
        }
    }

    /// `Σ −log P(target)`, `[1]`.
    fn nats(self, model: &Decoder, dropout: Option<&mut Dropout>) -> Tensor<1> {
        let [batch, seq] = self.ids.dims();
        let hidden = model.hidden(self.ids, &AttentionMask::Causal, dropout);
        model.nats(hidden.reshape([batch * seq, model.config().d_model]), self.targets).sum()
    }
}

impl Objective for BidirectionalLm {
    type Model = Bidirectional;
    type Rows = TokenBatch;
    type Batch = BidirectionalBatch;
    type Answers = ();

    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> BidirectionalBatch {
        let mut texts: Vec<Vec<i32>> =
            (0..rows.rows).map(|row| rows.row(row).iter().map(|&id| id as i32).collect()).collect();
        let forward = Reading::new(&texts, device);
        texts.iter_mut().for_each(|text| text.reverse());
        let backward = Reading::new(&texts, device);
        let dropout = key.dropout(self.dropout, rows.rows);
        BidirectionalBatch { forward, backward, ids: rows.ids.clone(), dropout }
    }

    fn counts(&self, batch: &BidirectionalBatch) -> Vec<u64> {
        [&batch.forward, &batch.backward].map(|reading| reading.targets.dims()[0] as u64).to_vec()
    }

    fn loss(&self, model: &Bidirectional, mut batch: BidirectionalBatch) -> Vec<Term> {
        let [forward, backward] = model.halves(&batch.ids);
        let forward = batch.forward.nats(&forward, batch.dropout.as_mut());
        let backward = batch.backward.nats(&backward, batch.dropout.as_mut());
        vec![
            Term { name: "forward", weight: 0.5, nats: forward },
            Term { name: "backward", weight: 0.5, nats: backward },
        ]
    }

    /// The mean of both directions.
    fn text_nats(&self, terms: &[(&'static str, f64, u64)]) -> Option<f64> {
        Some(terms.iter().map(|(_, nats, _)| 0.5 * nats).sum())
    }

    fn export(&self, model: &Bidirectional, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, model, self.end_of_text)?)
    }
}
