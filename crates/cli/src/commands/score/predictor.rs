//! What predicts the tokens of a text from those before.

use super::encoder_decoder::Writer;
use super::windows::Window;
use crate::args::WeightsName;
use crate::commands::narrow::narrow;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_decode::processors::log_prob;
use firebrand_transformer::{
    CpuDecoder, Decoder, FactorizationOrder, Model, ModelConfig, Permutation, Wanted, WeightFormat, rounded,
};

/// A model, and the order in which it is asked.
pub(super) enum Predictor {
    Decoder(Box<Decoder>),
    /// A decoder whose weights are stored in less than 32 bits.
    Slices(Box<CpuDecoder>),
    /// Asked from left to right, which is one order among others to it.
    Permutation(Box<Permutation>),
    /// Asked for what it writes when it has read nothing of the text.
    EncoderDecoder(Box<Writer>),
}

/// A model with its weights in less than 32 bits.
pub(super) struct Narrow {
    pub(super) predictor: Predictor,
    pub(super) format: WeightFormat,
    /// What the weights take, and what they take as f32.
    pub(super) bytes: usize,
    pub(super) f32_bytes: usize,
}

impl Predictor {
    /// The same with the weights that the user wants, unless those are f32. A decoder computes with what is stored; other models with
    /// the numbers that stands for, which gives the same up to rounding.
    pub(super) fn narrow(&self, weights: WeightsName, device: &str) -> anyhow::Result<Option<Narrow>> {
        let format = WeightFormat::from(weights);
        if format == WeightFormat::F32 {
            return Ok(None);
        }
        let (predictor, bytes) = match self {
            Self::Decoder(model) => {
                let Some(slices) = narrow(model, weights, device)? else { return Ok(None) };
                let bytes = slices.weight_bytes();
                (Self::Slices(Box::new(slices)), bytes)
            }
            Self::Slices(_) => return Ok(None),
            Self::Permutation(model) => {
                let rounded = rounded(&**model, format)?;
                (Self::Permutation(Box::new(rounded.model)), rounded.bytes)
            }
            Self::EncoderDecoder(writer) => {
                let rounded = rounded(writer.model(), format)?;
                (Self::EncoderDecoder(Box::new(writer.with(rounded.model))), rounded.bytes)
            }
        };
        Ok(Some(Narrow { predictor, format, bytes, f32_bytes: 4 * self.config().n_params() }))
    }

    pub(super) fn config(&self) -> &ModelConfig {
        match self {
            Self::Decoder(model) => model.config(),
            Self::Slices(model) => model.config(),
            Self::Permutation(model) => model.config(),
            Self::EncoderDecoder(writer) => writer.model().config(),
        }
    }

    /// How many tokens it predicts at once, from those before and one that is given.
    pub(super) fn most_targets(&self) -> usize {
        let context = self.config().seq_len;
        match self {
            Self::Decoder(_) | Self::Slices(_) => context,
            // What it predicts has a position of its own.
            Self::Permutation(_) => context - 1,
            Self::EncoderDecoder(writer) => writer.most_targets(),
        }
    }

    /// How many ids like `ids` have room with a prediction behind each.
    pub(super) fn most_ids(&self, ids: &[u32]) -> usize {
        match self {
            Self::EncoderDecoder(writer) => writer.most_ids(ids),
            _ => self.most_targets(),
        }
    }

    /// Windows that are read together: of about 4,096 tokens; of slices, which keep all logits, fewer.
    pub(super) fn rows_at_once(&self) -> usize {
        let tokens = if matches!(self, Self::Slices(_)) { 512 } else { 4096 };
        (tokens / self.config().seq_len).max(1)
    }

    /// `−log P` of each id but the first of each window, from those before.
    pub(super) fn target_nats(&self, batch: &[Window]) -> Vec<Vec<f64>> {
        match self {
            Self::Decoder(model) => of_tensors(batch, &model.device(), |ids| {
                let [rows, len] = ids.dims();
                let targets = ids.clone().narrow(1, 1, len - 1).reshape([rows * (len - 1)]);
                let states = model.hidden(ids.narrow(1, 0, len - 1), &AttentionMask::Causal, None);
                model.nats(flat(states), targets)
            }),
            Self::Slices(model) => of_slices(batch, model),
            Self::Permutation(model) => of_tensors(batch, &model.device(), |ids| {
                let [rows, len] = ids.dims();
                let targets = ids.clone().narrow(1, 1, len - 1).reshape([rows * (len - 1)]);
                let orders = vec![FactorizationOrder::left_to_right(len); rows];
                model.decoder().nats(flat(model.predictions(ids, &orders, None)), targets)
            }),
            Self::EncoderDecoder(writer) => writer.target_nats(batch),
        }
    }

    /// The logits behind every one of `ids`, `[ids, vocab]`.
    pub(super) fn logits(&self, ids: &[u32]) -> Vec<f32> {
        match self {
            Self::Decoder(model) => {
                let row = padded(&[ids], ids.len(), &model.device());
                numbers(model.logits(flat(model.hidden(row, &AttentionMask::Causal, None))))
            }
            Self::Slices(model) => model.step(&mut model.start(1), &[ids], Wanted::All),
            Self::Permutation(model) => {
                // What stands behind the last one is predicted, too; nobody sees the id in its place.
                let row = padded(&[ids], ids.len() + 1, &model.device());
                let order = FactorizationOrder::left_to_right(ids.len() + 1);
                numbers(model.decoder().logits(flat(model.predictions(row, &[order], None))))
            }
            Self::EncoderDecoder(writer) => writer.logits(ids),
        }
    }
}

/// Rows of ids as a tensor `[rows, len]`; where a row is shorter, ids that nothing before them sees stand behind it.
pub(super) fn padded(rows: &[&[u32]], len: usize, device: &Device) -> Tensor<2, Int> {
    let row =
        |row: &[u32]| -> Vec<i32> { (0..len).map(|at| row.get(at).map_or(0, |&id| id as i32)).collect() };
    let ids: Vec<i32> = rows.iter().flat_map(|ids| row(ids)).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), len]), device)
}

/// `[rows, seq, d_model]` to `[rows · seq, d_model]`.
pub(super) fn flat(states: Tensor<3>) -> Tensor<2> {
    let [rows, seq, d_model] = states.dims();
    states.reshape([rows * seq, d_model])
}

/// The numbers of a tensor, row-major.
pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now")
}

/// `nats` says of ids `[rows, len]` what all but the first of each row cost, `[rows · (len − 1)]`.
fn of_tensors(
    batch: &[Window],
    device: &Device,
    nats: impl FnOnce(Tensor<2, Int>) -> Tensor<1>,
) -> Vec<Vec<f64>> {
    let rows: Vec<&[u32]> = batch.iter().map(|window| window.ids.as_slice()).collect();
    let longest = rows.iter().map(|row| row.len()).max().unwrap_or(2);
    let nats = numbers(nats(padded(&rows, longest, device)));
    let row =
        |(row, nats): (&&[u32], &[f32])| nats[..row.len() - 1].iter().map(|&nats| f64::from(nats)).collect();
    rows.iter().zip(nats.chunks(longest - 1)).map(row).collect()
}

/// The same of a decoder on slices.
fn of_slices(batch: &[Window], model: &CpuDecoder) -> Vec<Vec<f64>> {
    let inputs: Vec<&[u32]> = batch.iter().map(|window| &window.ids[..window.ids.len() - 1]).collect();
    let logits = model.step(&mut model.start(inputs.len()), &inputs, Wanted::All);
    let mut logits = logits.chunks_exact(model.config().vocab_size);
    let nats = |window: &Window| {
        let targets = window.ids[1..].iter().zip(logits.by_ref());
        targets.map(|(&target, logits)| -log_prob(logits, target)).collect()
    };
    batch.iter().map(nats).collect()
}
