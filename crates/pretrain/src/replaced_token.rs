//! Replaced-token detection [Clark 2020, ELECTRA, <https://arxiv.org/abs/2003.10555>]: a small generator fills masks by sampling,
//! and the model says of every token whether it is the one that stood there.

use crate::draws::Draws;
use crate::masked::nothing;
use crate::masking::{Masking, Noised, Targets, check_probability, matrix};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{BatchKey, Objective, Term, TrainingError};
use firebrand_transformer::{Dropout, Encoder, GeneratorConfig, ModelConfig, hugging_face};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The section `[replaced_token]` of a config.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplacedTokenConfig {
    /// The part of the ordinary tokens that the generator fills.
    pub probability: f64,
    /// The generator's width, heads and inner width over the model's; it has as many layers.
    pub generator_size: f64,
    /// What a nat of the discriminator's counts for, beside one of the generator's.
    pub weight: f64,
}

impl Default for ReplacedTokenConfig {
    fn default() -> Self {
        Self { probability: 0.15, generator_size: 0.25, weight: 50.0 }
    }
}

impl ReplacedTokenConfig {
    /// Refuses numbers that make no sense.
    ///
    /// # Errors
    /// Names the key and its value.
    pub fn validate(&self) -> Result<(), TrainingError> {
        check_probability("replaced_token.probability", self.probability)?;
        let fail = |message: String| Err(TrainingError::Config(message));
        if !(self.generator_size > 0.0 && self.generator_size <= 1.0) {
            return fail(format!(
                "replaced_token.generator_size {} is not in (0, 1]: the generator is as large as the model at most",
                self.generator_size
            ));
        }
        if !(self.weight >= 0.0 && self.weight.is_finite()) {
            return fail(format!("replaced_token.weight {} is negative; 50 is usual", self.weight));
        }
        Ok(())
    }

    /// The generator beside a model: heads as wide as the model's, and as many as the size says, one at least.
    pub fn generator(&self, model: &ModelConfig) -> GeneratorConfig {
        let part = |whole: usize| ((whole as f64 * self.generator_size).round_ties_even() as usize).max(1);
        let n_heads = part(model.n_heads);
        GeneratorConfig {
            d_model: n_heads * (model.d_model / model.n_heads.max(1)).max(1),
            n_layers: model.n_layers,
            n_heads,
            d_ff: part(model.d_ff),
        }
    }
}

/// The objective of replaced tokens. Its model is the discriminator, an encoder with the generator beside it.
#[derive(Debug, Clone)]
pub struct ReplacedToken {
    /// Which tokens are masked for the generator.
    masking: Masking,
    weight: f64,
    /// Probability of dropping an activation in training.
    dropout: f64,
    /// The id that ends a document, for the exported folder.
    end_of_text: Option<u32>,
}

impl ReplacedToken {
    /// Every chosen token becomes a mask, whatever the rates of `masking` are.
    pub fn new(
        config: &ReplacedTokenConfig,
        masking: Masking,
        dropout: f64,
        end_of_text: Option<u32>,
    ) -> Self {
        let masking = Masking { probability: config.probability, to_mask: 1.0, to_random: 0.0, ..masking };
        Self { masking, weight: config.weight, dropout, end_of_text }
    }
}

/// What the generator sees, what it is to predict, and the draws by which it fills the masks.
#[derive(Debug)]
pub struct ReplacedTokenBatch {
    rows: Vec<Noised>,
    /// `[batch, seq]`
    ids: Tensor<2, Int>,
    targets: Option<Targets>,
    /// For each target a number in [0, 1).
    uniform: Vec<f64>,
    dropout: Option<Dropout>,
}

impl ReplacedTokenBatch {
    /// What the generator sees of each row.
    pub fn rows(&self) -> &[Noised] {
        &self.rows
    }

    /// The rows with `samples` in the chosen places, and for each token whether it is another one than stood there.
    pub fn filled(&self, samples: &[u32]) -> (Vec<Vec<u32>>, Vec<bool>) {
        let mut samples = samples.iter();
        let (mut rows, mut replaced) = (Vec::with_capacity(self.rows.len()), Vec::new());
        for row in &self.rows {
            let (mut ids, mut is_replaced) = (row.ids.clone(), vec![false; row.ids.len()]);
            for (&(position, original), &sample) in row.targets.iter().zip(&mut samples) {
                ids[position] = sample;
                is_replaced[position] = sample != original;
            }
            rows.push(ids);
            replaced.extend(is_replaced);
        }
        (rows, replaced)
    }
}

impl Objective for ReplacedToken {
    type Model = Encoder;
    type Rows = TokenBatch;
    type Batch = ReplacedTokenBatch;
    type Answers = ();

    fn prepare(&self, rows: &TokenBatch, key: BatchKey, device: &Device) -> ReplacedTokenBatch {
        let (batch, seq) = (rows.rows, rows.len - 1);
        let noised: Vec<Noised> =
            (0..batch).map(|row| self.masking.noise(&rows.row(row)[..seq], key, row)).collect();
        let uniform = noised.iter().enumerate().flat_map(|(row, noised)| {
            let mut draws = Draws::new("replaced-token", key, row);
            noised.targets.iter().map(move |_| draws.uniform()).collect::<Vec<f64>>()
        });
        let dropout = key.dropout(self.dropout, batch);
        ReplacedTokenBatch {
            ids: matrix(noised.iter().map(|row| &row.ids), device),
            targets: Targets::new(&noised, seq, device),
            uniform: uniform.collect(),
            rows: noised,
            dropout,
        }
    }

    fn counts(&self, batch: &ReplacedTokenBatch) -> Vec<u64> {
        let [rows, seq] = batch.ids.dims();
        vec![batch.targets.as_ref().map_or(0, Targets::count) as u64, (rows * seq) as u64]
    }

    fn loss(&self, model: &Encoder, mut batch: ReplacedTokenBatch) -> Vec<Term> {
        let device = batch.ids.device();
        let states = model
            .generator_hidden(batch.ids.clone(), &AttentionMask::Full, batch.dropout.as_mut())
            .expect("the config of the objective's model has a generator");
        let (nats, samples) = match &batch.targets {
            Some(targets) => {
                let (chosen, uniform) = (targets.select(states), &batch.uniform);
                let (nats, samples) = model.generator_nats_and_draws(chosen, targets.ids.clone(), uniform);
                (nats.sum(), samples)
            }
            None => (nothing(&states), Vec::new()),
        };
        let (rows, is_replaced) = batch.filled(&samples);
        let hidden =
            model.hidden(matrix(rows.iter(), &device), None, &AttentionMask::Full, batch.dropout.as_mut());
        let [rows, seq, d] = hidden.dims();
        let log_odds = model
            .replaced_logits(hidden.reshape([rows * seq, d]))
            .expect("the config of the objective's model has a head for replaced tokens");
        let is_replaced: Vec<f32> =
            is_replaced.into_iter().map(|replaced| f32::from(u8::from(replaced))).collect();
        let is_replaced = Tensor::<1>::from_data(TensorData::new(is_replaced, [rows * seq]), &device);
        vec![
            Term { name: "mlm", weight: 1.0, nats },
            Term { name: "rtd", weight: self.weight, nats: binary_nats(log_odds, is_replaced).sum() },
        ]
    }

    fn export(&self, model: &Encoder, dir: &Path) -> Result<(), TrainingError> {
        Ok(hugging_face::save(dir, model, self.end_of_text)?)
    }
}

/// `−log P` of what is so (1) or not (0), given its log-odds: `log(1 + e^z) − z·y`, in a form in which nothing overflows.
fn binary_nats(log_odds: Tensor<1>, is_so: Tensor<1>) -> Tensor<1> {
    relu(log_odds.clone()) + log_odds.clone().abs().neg().exp().log1p() - log_odds * is_so
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_nats_are_those_of_the_logistic_function() {
        let (_, cpu) = firebrand_backend::device::resolve(Some("cpu")).expect("the CPU is always there");
        let vector = |numbers: Vec<f32>| {
            let len = numbers.len();
            Tensor::<1>::from_data(TensorData::new(numbers, [len]), &cpu)
        };
        let nats = binary_nats(vector(vec![0.0, 2.0, 2.0, -200.0]), vector(vec![1.0, 1.0, 0.0, 1.0]));
        let nats = nats.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
        let expected = [2.0_f32.ln(), (1.0 + (-2.0_f32).exp()).ln(), (1.0 + 2.0_f32.exp()).ln(), 200.0];
        assert!(nats.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{nats:?}");
    }
}
