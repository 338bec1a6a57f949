//! Objectives for encoder–decoders: a text is rewritten into what the encoder reads and what the decoder has to write.

use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{Dropout, EncoderDecoder, Model, hugging_face};
use std::path::Path;

/// What the encoder reads and what the decoder writes. Both end with the end of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What the encoder reads.
    pub input: Vec<u32>,
    /// What the decoder writes.
    pub target: Vec<u32>,
}

impl Pair {
    /// A row of which nothing can be taken: the last one of a held-out text may have a single token.
    pub(crate) fn without_noise(front: &[u32], ids: &[u32], end_of_text: u32) -> Self {
        Self { input: [front, ids, &[end_of_text]].concat(), target: vec![end_of_text] }
    }
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

/// Inputs and targets, padded to the longest of the batch.
#[derive(Debug)]
pub struct PairBatch {
    input: Padded,
    /// What the decoder has written before each target.
    written: Padded,
    /// Where the targets stand in `[batch · seq]` states of the decoder, unless they are all of them.
    places: Option<Tensor<1, Int>>,
    /// `[targets]`
    targets: Tensor<1, Int>,
    dropout: Option<Dropout>,
}

#[derive(Debug)]
struct Padded {
    /// `[batch, seq]`
    ids: Tensor<2, Int>,
    lens: Vec<usize>,
}

impl Padded {
    /// Rows with `pad`, which is never looked at, behind the shorter ones.
    fn new<'a>(rows: impl Iterator<Item = &'a [u32]> + Clone, pad: u32, device: &Device) -> Self {
        let lens: Vec<usize> = rows.clone().map(<[u32]>::len).collect();
        let seq = lens.iter().copied().max().unwrap_or(0);
        let mut ids = Vec::with_capacity(lens.len() * seq);
        for (index, row) in rows.enumerate() {
            ids.extend(row.iter().map(|&id| id as i32));
            ids.resize((index + 1) * seq, pad as i32);
        }
        Self { ids: Tensor::from_data(TensorData::new(ids, [lens.len(), seq]), device), lens }
    }
}

impl PairBatch {
    fn new(pairs: &[Pair], start: u32, dropout: Option<Dropout>, device: &Device) -> Self {
        let written: Vec<Vec<u32>> = pairs
            .iter()
            .map(|Pair { target, .. }| [&[start], &target[..target.len() - 1]].concat())
            .collect();
        let written = Padded::new(written.iter().map(Vec::as_slice), start, device);
        let seq = written.ids.dims()[1];
        let vector = |ids: Vec<i32>| {
            let len = ids.len();
            Tensor::from_data(TensorData::new(ids, [len]), device)
        };
        let is_padded = written.lens.iter().any(|&len| len < seq);
        let places = is_padded.then(|| {
            let of_row =
                |(row, &len): (usize, &usize)| (row * seq..row * seq + len).map(|place| place as i32);
            vector(written.lens.iter().enumerate().flat_map(of_row).collect())
        });
        Self {
            input: Padded::new(pairs.iter().map(|pair| pair.input.as_slice()), start, device),
            written,
            places,
            targets: vector(pairs.iter().flat_map(|pair| &pair.target).map(|&id| id as i32).collect()),
            dropout,
        }
    }
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
        vec![batch.targets.dims()[0] as u64]
    }

    fn loss(&self, model: &EncoderDecoder, batch: PairBatch) -> Vec<Term> {
        let PairBatch { input, written, places, targets, mut dropout } = batch;
        let encoded = model.encode(input.ids, &input.lens, dropout.as_mut());
        let [rows, seq] = written.ids.dims();
        let hidden = model.hidden(&encoded, written.ids, &written.lens, dropout.as_mut());
        let hidden = hidden.reshape([rows * seq, model.config().d_model]);
        let hidden = match places {
            Some(places) => hidden.select(0, places),
            None => hidden,
        };
        vec![Term { name: "loss", weight: 1.0, nats: model.nats(hidden, targets).sum() }]
    }

    fn export(&self, model: &EncoderDecoder, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, model, Some(self.end_of_text))?)
    }
}
