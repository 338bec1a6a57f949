//! Our transformers as [`LanguageModel`]s.

use crate::model::{Hidden, HiddenStates, LanguageModel, Logits, Positions};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_transformer::{Cache, CpuCache, CpuDecoder, Decoder, Model, Wanted, WeightFormat};
use std::borrow::Cow;
use std::convert::Infallible;

/// A decoder and nothing else; its state is its key–value cache.
///
/// On the CPU it runs on slices, elsewhere on tensors: the same logits up to rounding.
#[derive(Debug, Clone)]
pub struct DecoderModel<'a> {
    way: Way<'a>,
}

#[derive(Debug, Clone)]
enum Way<'a> {
    Tensors(&'a Decoder),
    Slices(Box<Cow<'a, CpuDecoder>>),
}

/// The cache of a [`DecoderModel`].
#[derive(Debug)]
pub struct DecoderState(Held);

#[derive(Debug)]
enum Held {
    Tensors(Cache),
    Slices(Box<CpuCache>),
}

impl<'a> DecoderModel<'a> {
    /// Wraps a decoder without autodiff.
    pub fn new(decoder: &'a Decoder) -> Self {
        match CpuDecoder::new(decoder, WeightFormat::F32) {
            Ok(decoder) => Self::on_cpu(Cow::Owned(decoder)),
            Err(_) => Self::on_tensors(decoder),
        }
    }

    /// Wraps a decoder for the CPU, whose weights may be stored in less than 32 bits.
    pub fn on_cpu(decoder: Cow<'a, CpuDecoder>) -> Self {
        Self { way: Way::Slices(Box::new(decoder)) }
    }

    /// Wraps a decoder without autodiff, and uses tensors wherever it is.
    pub fn on_tensors(decoder: &'a Decoder) -> Self {
        Self { way: Way::Tensors(decoder) }
    }

    fn config(&self) -> &firebrand_transformer::ModelConfig {
        match &self.way {
            Way::Tensors(decoder) => decoder.config(),
            Way::Slices(decoder) => decoder.config(),
        }
    }
}

impl LanguageModel for DecoderModel<'_> {
    type State = DecoderState;
    type Error = Infallible;

    fn vocab_size(&self) -> usize {
        self.config().vocab_size
    }

    fn max_len(&self) -> Option<usize> {
        Some(self.config().seq_len)
    }

    fn start(&self, rows: usize) -> DecoderState {
        DecoderState(match &self.way {
            Way::Tensors(decoder) => Held::Tensors(Cache::new(decoder.config().n_layers, rows)),
            Way::Slices(decoder) => Held::Slices(Box::new(decoder.start(rows))),
        })
    }

    fn step(
        &self,
        state: &mut DecoderState,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<Logits, Infallible> {
        let counts = counts(ids, positions);
        let values = match (&self.way, &mut state.0) {
            (Way::Slices(decoder), Held::Slices(cache)) => decoder.step(cache, ids, wanted(positions)),
            (Way::Tensors(decoder), Held::Tensors(cache)) => {
                let step = || decoder.step(ids, cache);
                step_tensors(step, |hidden| decoder.logits(hidden), ids, &counts, false).0
            }
            _ => panic!("{WRONG_STATE}"),
        };
        Ok(Logits::new(values, self.vocab_size(), &counts))
    }

    fn fork(&self, state: &DecoderState, rows: &[usize]) -> DecoderState {
        DecoderState(match &state.0 {
            Held::Slices(cache) => Held::Slices(Box::new(cache.fork(rows))),
            Held::Tensors(cache) => {
                let mut fork = cache.clone();
                fork.reorder(rows);
                Held::Tensors(fork)
            }
        })
    }

    fn reorder(&self, state: &mut DecoderState, rows: &[usize]) {
        match &mut state.0 {
            Held::Slices(cache) => cache.reorder(rows),
            Held::Tensors(cache) => cache.reorder(rows),
        }
    }

    fn truncate(&self, state: &mut DecoderState, row: usize, len: usize) {
        match &mut state.0 {
            Held::Slices(cache) => cache.truncate(row, len),
            Held::Tensors(cache) => cache.truncate(row, len),
        }
    }

    fn throughout<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.way {
            Way::Slices(decoder) => decoder.throughout(work),
            Way::Tensors(_) => work(),
        }
    }
}

impl HiddenStates for DecoderModel<'_> {
    fn step_with_hidden(
        &self,
        state: &mut DecoderState,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<(Logits, Hidden), Infallible> {
        let counts = counts(ids, positions);
        let (logits, hidden) = match (&self.way, &mut state.0) {
            (Way::Slices(decoder), Held::Slices(cache)) => {
                decoder.step_with_hidden(cache, ids, wanted(positions))
            }
            (Way::Tensors(decoder), Held::Tensors(cache)) => {
                let step = || decoder.step(ids, cache);
                step_tensors(step, |hidden| decoder.logits(hidden), ids, &counts, true)
            }
            _ => panic!("{WRONG_STATE}"),
        };
        let fed: Vec<usize> = ids.iter().map(|row| row.len()).collect();
        Ok((Logits::new(logits, self.vocab_size(), &counts), Hidden::new(hidden, &fed)))
    }
}

const WRONG_STATE: &str = "a state is used with the model that started it";

fn wanted(positions: Positions) -> Wanted {
    match positions {
        Positions::All => Wanted::All,
        Positions::Last => Wanted::Last,
    }
}

/// How many positions of each row get logits.
pub(crate) fn counts(ids: &[&[u32]], positions: Positions) -> Vec<usize> {
    let count = |row: &&[u32]| if positions == Positions::All { row.len() } else { row.len().min(1) };
    ids.iter().map(count).collect()
}

/// The logits of the last `counts[row]` positions of each row, row after row; and the hidden states of all positions, if they are
/// wanted. `step` feeds `ids` and returns hidden states `[rows, longest, d_model]`, of which `logits` makes logits.
pub(crate) fn step_tensors(
    step: impl FnOnce() -> Tensor<3>,
    logits: impl Fn(Tensor<2>) -> Tensor<2>,
    ids: &[&[u32]],
    counts: &[usize],
    wants_hidden: bool,
) -> (Vec<f32>, Vec<f32>) {
    let longest = ids.iter().map(|row| row.len()).max().unwrap_or(0);
    if longest == 0 {
        return (Vec::new(), Vec::new());
    }
    // [rows, longest, d_model]
    let hidden = step();
    let [rows, _, d_model] = hidden.dims();
    // [rows · longest, d_model]
    let hidden = hidden.reshape([rows * longest, d_model]);
    let last = |counts: &[usize]| {
        let of_row = |(row, (ids, &count)): (usize, (&&[u32], &usize))| {
            (ids.len() - count..ids.len()).map(move |position| (row * longest + position) as i32)
        };
        let index: Vec<i32> = ids.iter().zip(counts).enumerate().flat_map(of_row).collect();
        let len = index.len();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [len]), &hidden.device());
        hidden.clone().select(0, index)
    };
    let values =
        |x: Tensor<2>| x.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
    let fed: Vec<usize> = ids.iter().map(|row| row.len()).collect();
    let all = if wants_hidden { values(last(&fed)) } else { Vec::new() };
    (values(logits(last(counts))), all)
}
