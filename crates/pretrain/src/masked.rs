//! Masked language modelling [Devlin 2018, BERT, <https://arxiv.org/abs/1810.04805>]: some tokens are hidden, and each is predicted
//! from all that can be seen on both sides. Every step hides others, and so does every epoch.

use crate::masking::{Masking, Noised, Targets, check_part, check_probability, matrix};
use crate::next_sentence::{NextSentence, Pair};
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{Dropout, Encoder, hugging_face};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The section `[masked]` of a config.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskedConfig {
    /// The part of the ordinary tokens that is to be predicted.
    pub probability: f64,
    /// Of those the part that becomes `[MASK]`.
    pub to_mask: f64,
    /// Of those the part that becomes a random token; the rest stays.
    pub to_random: f64,
    /// Choose whole words.
    pub whole_words: bool,
    /// Rows are pairs of segments, and whether the second follows the first is predicted too.
    pub next_sentence: bool,
}

impl Default for MaskedConfig {
    fn default() -> Self {
        Self { probability: 0.15, to_mask: 0.8, to_random: 0.1, whole_words: false, next_sentence: false }
    }
}

impl MaskedConfig {
    /// Refuses numbers that make no sense.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        check_probability("masked.probability", self.probability)?;
        check_part("masked.to_mask", self.to_mask)?;
        check_part("masked.to_random", self.to_random)?;
        if self.to_mask + self.to_random > 1.0 + 1e-9 {
            return Err(TrainingError::Config(format!(
                "masked.to_mask {} and masked.to_random {} are more than 1 together",
                self.to_mask, self.to_random
            )));
        }
        Ok(())
    }

    /// `masking` with these rates.
    pub fn rates(&self, masking: Masking) -> Masking {
        let Self { probability, to_mask, to_random, whole_words, .. } = *self;
        Masking { probability, to_mask, to_random, whole_words, ..masking }
    }
}

/// The masked objective.
#[derive(Debug, Clone)]
pub struct MaskedLm {
    /// Which tokens are hidden, and how.
    pub masking: Masking,
    /// With next-sentence prediction, the segments.
    pub next_sentence: Option<NextSentence>,
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// The id that ends a document, for the exported folder.
    pub end_of_text: Option<u32>,
}

/// What the model sees, and what it is to predict.
#[derive(Debug)]
pub struct MaskedBatch {
    rows: Vec<Noised>,
    /// `[batch, seq]`
    ids: Tensor<2, Int>,
    targets: Option<Targets>,
    /// With next-sentence prediction, the types of the tokens `[batch, seq]`, and 1 for each random second segment, `[batch]`.
    pairs: Option<(Tensor<2, Int>, Tensor<1, Int>)>,
    dropout: Option<Dropout>,
}

impl MaskedBatch {
    /// What became of each row.
    pub fn rows(&self) -> &[Noised] {
        &self.rows
    }
}

impl Objective for MaskedLm {
    type Model = Encoder;
    type Rows = TokenBatch;
    type Batch = MaskedBatch;
    type Answers = ();

    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> MaskedBatch {
        let (batch, seq) = (rows.rows, rows.len - 1);
        // The last id of a row is a target without an input, which this objective has no use for.
        let texts = (0..batch).map(|row| &rows.row(row)[..seq]);
        let pairs: Option<Vec<Pair>> = self
            .next_sentence
            .as_ref()
            .filter(|next| next.segment(seq) > 0)
            .map(|next| texts.clone().enumerate().map(|(row, ids)| next.pair(ids, key, row)).collect());
        let noised: Vec<Noised> = match &pairs {
            Some(pairs) => {
                pairs.iter().enumerate().map(|(row, pair)| self.masking.noise(&pair.ids, key, row)).collect()
            }
            None => texts.enumerate().map(|(row, ids)| self.masking.noise(ids, key, row)).collect(),
        };
        let seq = noised[0].ids.len();
        let dropout = key.dropout(self.dropout, batch);
        MaskedBatch {
            ids: matrix(noised.iter().map(|row| &row.ids), device),
            targets: Targets::new(&noised, seq, device),
            pairs: pairs.map(|pairs| {
                let is_random: Vec<i32> = pairs.iter().map(|pair| i32::from(pair.is_random)).collect();
                let types = matrix(pairs.iter().map(|pair| &pair.types), device);
                (types, Tensor::from_data(TensorData::new(is_random, [batch]), device))
            }),
            rows: noised,
            dropout,
        }
    }

    fn counts(&self, batch: &MaskedBatch) -> Vec<u64> {
        let mut counts = vec![batch.targets.as_ref().map_or(0, Targets::count) as u64];
        if self.next_sentence.is_some() {
            counts.push(batch.pairs.as_ref().map_or(0, |(_, is_random)| is_random.dims()[0]) as u64);
        }
        counts
    }

    fn loss(&self, model: &Encoder, mut batch: MaskedBatch) -> Vec<Term> {
        let (types, is_random) = batch.pairs.unzip();
        let hidden = model.hidden(batch.ids, types, &AttentionMask::Full, batch.dropout.as_mut());
        // Only the chosen places meet the vocabulary.
        let nats = match batch.targets {
            Some(targets) => model.masked_nats(targets.select(hidden.clone()), targets.ids).sum(),
            None => nothing(&hidden),
        };
        let mut terms = vec![Term { name: "mlm", weight: 1.0, nats }];
        if self.next_sentence.is_some() {
            let nats = match is_random {
                Some(is_random) => model.next_sentence_nats(hidden, is_random).sum(),
                None => nothing(&hidden),
            };
            terms.push(Term { name: "nsp", weight: 1.0, nats });
        }
        terms
    }

    fn export(&self, model: &Encoder, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, model, self.end_of_text)?)
    }
}

/// The nats of no targets, `[1]`, with the graph of the states.
pub(crate) fn nothing(hidden: &Tensor<3>) -> Tensor<1> {
    hidden.clone().sum() * 0.0
}
