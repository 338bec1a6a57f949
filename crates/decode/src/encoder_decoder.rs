//! An encoder–decoder as a [`LanguageModel`] of what its decoder writes.

use crate::model::{LanguageModel, Logits, Positions};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_transformer::{Cache, EncoderDecoder, Memory, Model};
use std::convert::Infallible;

/// An encoder–decoder that has read one text. Prompts are the beginnings of what is written to it, and so begin with what the decoder
/// begins with; rows of a state are ways to go on.
#[derive(Debug, Clone)]
pub struct EncoderDecoderModel<'a> {
    model: &'a EncoderDecoder,
    memory: Memory,
}

impl<'a> EncoderDecoderModel<'a> {
    /// Reads `text`, which is not empty, with a model without autodiff.
    pub fn new(model: &'a EncoderDecoder, text: &[u32]) -> Self {
        Self { model, memory: model.remember(text) }
    }
}

impl LanguageModel for EncoderDecoderModel<'_> {
    /// What was written, as keys and values; those of the text are the model's own and are made once.
    type State = Cache;
    type Error = Infallible;

    fn vocab_size(&self) -> usize {
        self.model.config().vocab_size
    }

    fn max_len(&self) -> Option<usize> {
        Some(self.model.config().seq_len)
    }

    fn start(&self, rows: usize) -> Cache {
        self.model.cache(rows)
    }

    fn step(&self, state: &mut Cache, ids: &[&[u32]], positions: Positions) -> Result<Logits, Infallible> {
        let count = |row: &&[u32]| if positions == Positions::All { row.len() } else { row.len().min(1) };
        let counts: Vec<usize> = ids.iter().map(count).collect();
        let longest = ids.iter().map(|row| row.len()).max().unwrap_or(0);
        if longest == 0 {
            return Ok(Logits::new(Vec::new(), self.vocab_size(), &counts));
        }
        // [rows, longest, d_model]
        let hidden = self.model.step(&self.memory, ids, state);
        let [rows, _, d_model] = hidden.dims();
        let wanted = |(row, (ids, &count)): (usize, (&&[u32], &usize))| {
            (ids.len() - count..ids.len()).map(move |position| (row * longest + position) as i32)
        };
        let index: Vec<i32> = ids.iter().zip(&counts).enumerate().flat_map(wanted).collect();
        let len = index.len();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [len]), &hidden.device());
        let logits = self.model.logits(hidden.reshape([rows * longest, d_model]).select(0, index));
        let logits = logits.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
        Ok(Logits::new(logits, self.vocab_size(), &counts))
    }

    fn fork(&self, state: &Cache, rows: &[usize]) -> Cache {
        let mut fork = state.clone();
        fork.reorder(rows);
        fork
    }

    fn reorder(&self, state: &mut Cache, rows: &[usize]) {
        state.reorder(rows);
    }

    fn truncate(&self, state: &mut Cache, row: usize, len: usize) {
        state.truncate(row, len);
    }
}
