//! What an encoder reads beside what its decoder writes.

use super::EncoderDecoder;
use crate::classifier::{Padded, Sequence};
use crate::dropout::Dropout;
use crate::model::Model;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// What the encoder reads and what the decoder writes. Both end with the end of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What the encoder reads.
    pub input: Vec<u32>,
    /// What the decoder writes.
    pub target: Vec<u32>,
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

impl PairBatch {
    /// These pairs on `device`; the decoder begins with `start`.
    ///
    /// # Panics
    /// When there is none, or an input or a target is empty.
    pub fn new(pairs: &[Pair], start: u32, dropout: Option<Dropout>, device: &Device) -> Self {
        let written: Vec<Vec<u32>> = pairs
            .iter()
            .map(|Pair { target, .. }| [&[start], &target[..target.len() - 1]].concat())
            .collect();
        let padded = |rows: &mut dyn Iterator<Item = &[u32]>| {
            let rows: Vec<Sequence<'_>> = rows.map(|ids| Sequence { ids, second: None }).collect();
            Padded::new(rows, device)
        };
        let written = padded(&mut written.iter().map(Vec::as_slice));
        let seq = written.longest();
        let vector = |ids: Vec<i32>| {
            let len = ids.len();
            Tensor::from_data(TensorData::new(ids, [len]), device)
        };
        let is_padded = written.lens().iter().any(|&len| len < seq);
        let places = is_padded.then(|| {
            let of_row =
                |(row, &len): (usize, &usize)| (row * seq..row * seq + len).map(|place| place as i32);
            vector(written.lens().iter().enumerate().flat_map(of_row).collect())
        });
        Self {
            input: padded(&mut pairs.iter().map(|pair| pair.input.as_slice())),
            written,
            places,
            targets: vector(pairs.iter().flat_map(|pair| &pair.target).map(|&id| id as i32).collect()),
            dropout,
        }
    }

    /// How many targets there are.
    pub fn targets(&self) -> usize {
        self.targets.dims()[0]
    }

    /// `−log P` in nats of each target, given the input and the targets before it: `[targets]`.
    pub fn nats(self, model: &EncoderDecoder) -> Tensor<1> {
        let Self { input, written, places, targets, mut dropout } = self;
        let encoded = model.encode(input.ids(), input.lens(), dropout.as_mut());
        let (rows, seq) = (written.lens().len(), written.longest());
        let hidden = model.hidden(&encoded, written.ids(), written.lens(), dropout.as_mut());
        let hidden = hidden.reshape([rows * seq, model.config().d_model]);
        let hidden = match places {
            Some(places) => hidden.select(0, places),
            None => hidden,
        };
        model.nats(hidden, targets)
    }
}
