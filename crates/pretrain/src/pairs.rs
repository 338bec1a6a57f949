//! Objectives for encoder–decoders: a text is rewritten into what the encoder reads and what the decoder has to write.

use burn::tensor::Device;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{EncoderDecoder, Pair, PairBatch, hugging_face};
use std::path::Path;

/// The pair of a row of which nothing can be taken: the last one of a held-out text may have a single token.
pub(crate) fn without_noise(front: &[u32], ids: &[u32], end_of_text: u32) -> Pair {
    Pair { input: [front, ids, &[end_of_text]].concat(), target: vec![end_of_text] }
}

/// A way to rewrite a text.
pub trait Noising {
    /// The pair for `ids`, which stand in row `row` of the batch that `key` is of. What is drawn depends on seed, step and example
    /// alone.
    fn pair(&self, ids: &[u32], key: BatchKey, row: usize) -> Pair;
}

/// Predicts, from left to right, the targets of a [`Noising`] from its inputs. Its loss is nats a token of the targets; what a text
/// costs it does not say, because the inputs tell of the text.
#[derive(Debug, Clone)]
pub struct EncoderDecoderLm<N> {
    /// What becomes of the texts.
    pub noising: N,
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// The id that ends a document. The decoder begins with it.
    pub end_of_text: u32,
}

impl<N: Noising> Objective for EncoderDecoderLm<N> {
    type Model = EncoderDecoder;
    type Rows = TokenBatch;
    type Batch = PairBatch;
    type Answers = ();

    /// Of a row the last id is left out: it is the first one of the row that follows in the text.
    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> PairBatch {
        let pair = |row| self.noising.pair(&rows.row(row)[..rows.len - 1], key, row);
        let pairs: Vec<Pair> = (0..rows.rows).map(pair).collect();
        let dropout = key.dropout(self.dropout, rows.rows);
        PairBatch::new(&pairs, self.end_of_text, dropout, device)
    }

    fn counts(&self, batch: &PairBatch) -> Vec<u64> {
        vec![batch.targets() as u64]
    }

    fn loss(&self, model: &EncoderDecoder, batch: PairBatch) -> Vec<Term> {
        vec![Term { name: "loss", weight: 1.0, nats: batch.nats(model).sum() }]
    }

    fn export(&self, model: &EncoderDecoder, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, model, Some(self.end_of_text))?)
    }
}
