//! A decoder behind a trained prompt as a [`LanguageModel`].

use crate::model::{LanguageModel, Logits, Positions};
use crate::transformer::{counts, step_tensors};
use burn::tensor::Tensor;
use firebrand_transformer::{Cache, Decoder, Model, TrainedPrompt};
use std::convert::Infallible;

/// A decoder whose rows begin behind a prompt that was trained. A soft prompt stands in the place of the first id of a row, whichever that is;
/// a prefix in front of it.
#[derive(Debug)]
pub struct PromptedModel {
    decoder: Decoder,
    /// Of one row that holds the prompt and nothing else.
    begun: Cache,
    /// How many places the prompt takes.
    taken: usize,
    /// The logits behind the last vector of a soft prompt.
    first: Option<Vec<f32>>,
}

/// Rows of a [`PromptedModel`].
#[derive(Debug, Clone)]
pub struct PromptedState {
    cache: Cache,
    /// Whether a row was fed its first id, which a soft prompt stands for.
    begun: Vec<bool>,
}

impl PromptedModel {
    /// `decoder`, which is without autodiff, behind `prompt`.
    pub fn new(decoder: Decoder, prompt: &TrainedPrompt) -> Self {
        let (begun, last) = prompt.read_by(&decoder);
        let first = last.map(|last: Tensor<3>| {
            let logits = decoder.logits(last.reshape([1, decoder.config().d_model]));
            logits.into_data().convert::<f32>().try_into_vec().expect("converted to f32 just now")
        });
        Self { taken: prompt.taken(), decoder, begun, first }
    }
}

impl LanguageModel for PromptedModel {
    type State = PromptedState;
    type Error = Infallible;

    fn vocab_size(&self) -> usize {
        self.decoder.config().vocab_size
    }

    fn max_len(&self) -> Option<usize> {
        Some(self.decoder.config().seq_len - self.taken)
    }

    fn start(&self, rows: usize) -> PromptedState {
        let mut cache = self.begun.clone();
        cache.reorder(&vec![0; rows]);
        PromptedState { cache, begun: vec![self.first.is_none(); rows] }
    }

    fn step(
        &self,
        state: &mut PromptedState,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<Logits, Infallible> {
        let vocab_size = self.vocab_size();
        // Rows whose first id is the prompt's: nothing is fed for it, as its logits are known.
        let begins: Vec<bool> =
            ids.iter().zip(&state.begun).map(|(ids, begun)| !begun && !ids.is_empty()).collect();
        let fed: Vec<&[u32]> =
            ids.iter().zip(&begins).map(|(ids, &begins)| &ids[usize::from(begins)..]).collect();
        state.begun.iter_mut().zip(&begins).for_each(|(begun, begins)| *begun |= begins);
        let of_fed = counts(&fed, positions);
        let step = || self.decoder.step(&fed, &mut state.cache);
        let values = step_tensors(step, |hidden| self.decoder.logits(hidden), &fed, &of_fed, false).0;
        let (wanted, mut rest) = (counts(ids, positions), values.as_slice());
        let mut all = Vec::with_capacity(wanted.iter().sum::<usize>() * vocab_size);
        for (&wanted, of_fed) in wanted.iter().zip(of_fed) {
            if wanted > of_fed {
                all.extend_from_slice(self.first.as_deref().unwrap_or_default());
            }
            let (own, others) = rest.split_at(of_fed * vocab_size);
            all.extend_from_slice(own);
            rest = others;
        }
        Ok(Logits::new(all, vocab_size, &wanted))
    }

    fn fork(&self, state: &PromptedState, rows: &[usize]) -> PromptedState {
        let mut fork = state.clone();
        self.reorder(&mut fork, rows);
        fork
    }

    fn reorder(&self, state: &mut PromptedState, rows: &[usize]) {
        state.cache.reorder(rows);
        state.begun = rows.iter().map(|&row| state.begun[row]).collect();
    }

    fn truncate(&self, state: &mut PromptedState, row: usize, len: usize) {
        // The last vector of a soft prompt is never forgotten: it is the first id of whatever comes.
        let kept =
            if self.first.is_some() { (len + self.taken).max(self.taken + 1) } else { len + self.taken };
        state.cache.truncate(row, kept);
        state.begun[row] = self.first.is_none() || (state.begun[row] && len > 0);
    }
}
