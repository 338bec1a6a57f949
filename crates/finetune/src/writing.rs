//! Learning to write: a decoder predicts the responses of documents, or all of them [Radford 2018; Ouyang 2022].
//!
//! Of a document each token is a target or is not, and every target counts the same. Documents can stand side by side in a row;
//! none sees another, so that the loss of each is what it would be alone.

use crate::example::{Examples, Item};
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_corpus::batches::{Permutation, keyed_rng};
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::lora::merged;
use firebrand_transformer::{Decoder, Document, Dropout, Packed, hugging_face};
use std::path::Path;

/// A document whose tokens are predicted, all or some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    ids: Vec<u32>,
    learned: Vec<bool>,
}

impl Written {
    /// A document of parts: ids, and whether they are learned. Of `longest` ids and more, the rest is cut off. `None` where nothing
    /// is left that could be learned; the first id, which follows nothing, never can.
    pub fn new<'a>(parts: impl IntoIterator<Item = (&'a [u32], bool)>, longest: usize) -> Option<Self> {
        let (mut ids, mut learned) = (Vec::new(), Vec::new());
        for (part, is_learned) in parts {
            ids.extend_from_slice(part);
            learned.resize(ids.len(), is_learned);
        }
        ids.truncate(longest);
        learned.truncate(longest);
        if let Some(first) = learned.first_mut() {
            *first = false;
        }
        // What stands behind the last target is read for nothing.
        let end = learned.iter().rposition(|&learned| learned)? + 1;
        ids.truncate(end);
        learned.truncate(end);
        Some(Self { ids, learned })
    }

    /// The same with everything learned.
    #[must_use]
    pub fn all_learned(mut self) -> Self {
        self.learned[1..].fill(true);
        self
    }

    /// How many ids the model reads of it: all but the last, which is a target only.
    fn read(&self) -> usize {
        self.ids.len() - 1
    }

    /// How many targets it has.
    pub fn targets(&self) -> usize {
        self.learned.iter().filter(|&&learned| learned).count()
    }

    /// As the model reads it; its prompt is what stands before the first target.
    fn document(&self) -> Document<'_> {
        let prompt = self.learned.iter().position(|&learned| learned).unwrap_or(self.read());
        Document { ids: &self.ids[..self.read()], prompt }
    }
}

/// Documents that are read in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side(pub Vec<Written>);

impl Item for Side {
    fn tokens(&self) -> usize {
        self.0.iter().map(Written::read).sum()
    }
}

/// Puts documents side by side into rows of at most `longest` tokens: each into the first row, of those that were begun last, in
/// which there is room. The order of the documents follows from the seed.
pub fn pack(documents: &[Written], longest: usize, seed: u64) -> Vec<Side> {
    // Rows that are almost full would be looked at again and again.
    const OPEN: usize = 64;
    if documents.is_empty() {
        return Vec::new();
    }
    let order = Permutation::new(documents.len() as u64, &mut keyed_rng(seed, "packing", 0));
    let mut rows: Vec<(usize, Side)> = Vec::new();
    for index in 0..documents.len() {
        let document = &documents[order.image(index as u64) as usize];
        let open = rows.len().saturating_sub(OPEN);
        let row = rows[open..].iter_mut().find(|(used, _)| used + document.read() <= longest);
        match row {
            Some((used, side)) => {
                *used += document.read();
                side.0.push(document.clone());
            }
            None => rows.push((document.read(), Side(vec![document.clone()]))),
        }
    }
    rows.into_iter().map(|(_, side)| side).collect()
}

/// Learning to write.
#[derive(Debug, Clone)]
pub struct Writing {
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// Rows of documents and their targets.
#[derive(Debug)]
pub struct WritingBatch {
    rows: Packed,
    /// Where what predicts the targets stands in `[batch · longest]` states: `[targets]`.
    places: Tensor<1, Int>,
    /// `[targets]`
    targets: Tensor<1, Int>,
    dropout: Option<Dropout>,
}

impl Objective for Writing {
    type Model = Decoder;
    type Rows = Examples<Side>;
    type Batch = WritingBatch;
    type Answers = ();

    fn prepare(&self, rows: &Examples<Side>, key: BatchKey, device: &Device) -> WritingBatch {
        let documents: Vec<Vec<Document<'_>>> =
            rows.0.iter().map(|row| row.0.iter().map(Written::document).collect()).collect();
        let packed = Packed::new(&documents, device);
        let (mut places, mut targets) = (Vec::new(), Vec::new());
        for (index, row) in rows.0.iter().enumerate() {
            let mut start = index * packed.longest();
            for Written { ids, learned } in &row.0 {
                let learned = (1..ids.len()).filter(|&place| learned[place]);
                for place in learned {
                    places.push((start + place - 1) as i32);
                    targets.push(ids[place] as i32);
                }
                start += ids.len() - 1;
            }
        }
        let vector = |numbers: Vec<i32>| {
            let len = numbers.len();
            Tensor::from_data(TensorData::new(numbers, [len]), device)
        };
        WritingBatch {
            rows: packed,
            places: vector(places),
            targets: vector(targets),
            dropout: key.dropout(self.dropout, rows.0.len()),
        }
    }

    fn counts(&self, batch: &WritingBatch) -> Vec<u64> {
        vec![batch.targets.dims()[0] as u64]
    }

    fn loss(&self, model: &Decoder, mut batch: WritingBatch) -> Vec<Term> {
        let hidden = model.packed_hidden(&batch.rows, batch.dropout.as_mut());
        let [rows, longest, width] = hidden.dims();
        let hidden = hidden.reshape([rows * longest, width]).select(0, batch.places);
        vec![Term { name: "loss", weight: 1.0, nats: model.nats(hidden, batch.targets).sum() }]
    }

    fn export(&self, model: &Decoder, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, &merged(model.clone()), self.end_of_text)?)
    }
}

#[cfg(test)]
mod tests;
