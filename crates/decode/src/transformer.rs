//! Our transformers as [`LanguageModel`]s.

use crate::model::{LanguageModel, Logits, Positions};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_transformer::{Cache, Decoder};
use std::convert::Infallible;

/// A decoder and nothing else; its state is its key–value cache.
#[derive(Debug, Clone, Copy)]
pub struct DecoderModel<'a> {
    decoder: &'a Decoder,
}

impl<'a> DecoderModel<'a> {
    /// Wraps a decoder without autodiff.
    pub fn new(decoder: &'a Decoder) -> Self {
        Self { decoder }
    }
}

impl LanguageModel for DecoderModel<'_> {
    type State = Cache;
    type Error = Infallible;

    fn vocab_size(&self) -> usize {
        self.decoder.config().vocab_size
    }

    fn max_len(&self) -> Option<usize> {
        Some(self.decoder.config().seq_len)
    }

    fn start(&self, rows: usize) -> Cache {
        Cache::new(self.decoder.config().n_layers, rows)
    }

    fn step(&self, state: &mut Cache, ids: &[&[u32]], positions: Positions) -> Result<Logits, Infallible> {
        let longest = ids.iter().map(|row| row.len()).max().unwrap_or(0);
        let vocab_size = self.vocab_size();
        let wanted: Vec<Vec<usize>> = ids
            .iter()
            .map(|row| match positions {
                Positions::All => (0..row.len()).collect(),
                Positions::Last => row.len().checked_sub(1).into_iter().collect(),
            })
            .collect();
        let counts: Vec<usize> = wanted.iter().map(Vec::len).collect();
        if longest == 0 {
            return Ok(Logits::new(Vec::new(), vocab_size, &counts));
        }
        // [rows, longest, d_model]
        let hidden = self.decoder.step(ids, state);
        let [rows, _, d_model] = hidden.dims();
        let index: Vec<i32> = wanted
            .iter()
            .enumerate()
            .flat_map(|(row, positions)| {
                positions.iter().map(move |position| (row * longest + position) as i32)
            })
            .collect();
        let index =
            Tensor::<1, Int>::from_data(TensorData::new(index.clone(), [index.len()]), &hidden.device());
        let logits = self.decoder.logits(hidden.reshape([rows * longest, d_model]).select(0, index));
        let values = logits.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now");
        Ok(Logits::new(values, vocab_size, &counts))
    }

    fn fork(&self, state: &Cache, rows: &[usize]) -> Cache {
        let mut fork = state.clone();
        fork.reorder(rows);
        fork
    }

    fn reorder(&self, state: &mut Cache, rows: &[usize]) {
        if rows.len() != state.rows() || rows.iter().enumerate().any(|(index, &row)| index != row) {
            state.reorder(rows);
        }
    }

    fn truncate(&self, state: &mut Cache, row: usize, len: usize) {
        state.truncate(row, len);
    }
}
