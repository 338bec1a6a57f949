//! An encoder–decoder as a [`LanguageModel`] of what its decoder writes.

use crate::model::{Hidden, HiddenStates, LanguageModel, Logits, Positions};
use crate::transformer::{counts, step_tensors};
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

impl EncoderDecoderModel<'_> {
    fn feed(
        &self,
        cache: &mut Cache,
        ids: &[&[u32]],
        counts: &[usize],
        wants_hidden: bool,
    ) -> (Vec<f32>, Vec<f32>) {
        let step = || self.model.step(&self.memory, ids, cache);
        step_tensors(step, |hidden| self.model.logits(hidden), ids, counts, wants_hidden)
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
        let counts = counts(ids, positions);
        Ok(Logits::new(self.feed(state, ids, &counts, false).0, self.vocab_size(), &counts))
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

impl HiddenStates for EncoderDecoderModel<'_> {
    fn step_with_hidden(
        &self,
        state: &mut Cache,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<(Logits, Hidden), Infallible> {
        let counts = counts(ids, positions);
        let (logits, hidden) = self.feed(state, ids, &counts, true);
        let fed: Vec<usize> = ids.iter().map(|row| row.len()).collect();
        Ok((Logits::new(logits, self.vocab_size(), &counts), Hidden::new(hidden, &fed)))
    }
}
