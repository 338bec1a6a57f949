//! Classifier-free guidance: a model pushed away from what it would write after another prompt.

use crate::model::{Hidden, HiddenStates, LanguageModel, Logits, Positions};
use crate::processors::log_sum_exp;

/// A model whose log-probabilities are `log q + s · (log p − log q)`, `p` after the prompt and `q` after a negative prompt with the
/// same ids behind it (Sanchez et al. 2023, <https://arxiv.org/abs/2306.17806>). At `s = 1` it is the model; more makes a prompt
/// matter more.
///
/// It is a model like any other, and every strategy works with it. Each id costs two passes.
#[derive(Debug)]
pub struct Guided<'m, M> {
    model: &'m M,
    negative_prompt: Vec<u32>,
    scale: f64,
}

/// The state of a [`Guided`] model.
#[derive(Debug)]
pub struct GuidedState<S> {
    states: [S; 2],
    /// By row, how many ids it has been fed, and how many more after the negative prompt.
    fed: Vec<(usize, isize)>,
}

impl<'m, M: LanguageModel> Guided<'m, M> {
    /// `model`, guided away from `negative_prompt`; an empty one stands for the last id of each prompt.
    pub fn new(model: &'m M, negative_prompt: Vec<u32>, scale: f64) -> Self {
        Self { model, negative_prompt, scale }
    }

    /// A step in which `step` feeds the prompts' own rows; with what else it returns.
    fn step_by<T>(
        &self,
        state: &mut GuidedState<M::State>,
        ids: &[&[u32]],
        positions: Positions,
        step: impl FnOnce(&M, &mut M::State) -> Result<(Logits, T), M::Error>,
    ) -> Result<(Logits, T), M::Error> {
        let [main, negative] = &mut state.states;
        let is_first: Vec<bool> =
            state.fed.iter().zip(ids).map(|(fed, ids)| fed.0 == 0 && !ids.is_empty()).collect();
        let negative_ids: Vec<&[u32]> = ids
            .iter()
            .zip(&is_first)
            .map(|(ids, is_first)| match (is_first, self.negative_prompt.is_empty()) {
                (false, _) => *ids,
                (true, true) => &ids[ids.len() - 1..],
                (true, false) => &self.negative_prompt,
            })
            .collect();
        let (logits, more) = step(self.model, main)?;
        let negative_logits = self.model.step(negative, &negative_ids, positions)?;
        let (mut values, mut counts) = (Vec::new(), Vec::new());
        for (row, is_first) in is_first.iter().enumerate() {
            let count = logits.positions(row);
            counts.push(count);
            for position in 0..count {
                let logits = logits.at(row, position);
                match (is_first, position + 1 == count) {
                    (true, false) => values.extend_from_slice(logits),
                    (true, true) => values.extend(self.combine(logits, negative_logits.last(row))),
                    (false, _) => values.extend(self.combine(logits, negative_logits.at(row, position))),
                }
            }
            let (len, longer) = &mut state.fed[row];
            *len += ids[row].len();
            if *is_first {
                *longer = negative_ids[row].len() as isize - ids[row].len() as isize;
            }
        }
        Ok((Logits::new(values, self.model.vocab_size(), &counts), more))
    }

    /// Logits after the prompt and after the negative one, combined.
    fn combine(&self, logits: &[f32], negative: &[f32]) -> impl Iterator<Item = f32> {
        let (sum, negative_sum, scale) = (log_sum_exp(logits), log_sum_exp(negative), self.scale);
        logits.iter().zip(negative).map(move |(&logit, &negative)| {
            let (p, q) = (f64::from(logit) - sum, f64::from(negative) - negative_sum);
            // What the model never writes stays so.
            if p == f64::NEG_INFINITY { f32::NEG_INFINITY } else { (q + scale * (p - q)) as f32 }
        })
    }
}

impl<M: LanguageModel> LanguageModel for Guided<'_, M> {
    type State = GuidedState<M::State>;
    type Error = M::Error;

    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    /// So many that there is room behind the negative prompt too, however short a prompt is.
    fn max_len(&self) -> Option<usize> {
        let more = self.negative_prompt.len().saturating_sub(1);
        self.model.max_len().map(|max_len| max_len.saturating_sub(more))
    }

    fn start(&self, rows: usize) -> Self::State {
        GuidedState { states: [self.model.start(rows), self.model.start(rows)], fed: vec![(0, 0); rows] }
    }

    /// In a prompt, which is fed first, the last position alone is guided: there is nothing to compare the others to.
    fn step(
        &self,
        state: &mut Self::State,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<Logits, Self::Error> {
        let plain = |model: &M, state: &mut M::State| Ok((model.step(state, ids, positions)?, ()));
        Ok(self.step_by(state, ids, positions, plain)?.0)
    }

    fn fork(&self, state: &Self::State, rows: &[usize]) -> Self::State {
        GuidedState {
            states: state.states.each_ref().map(|state| self.model.fork(state, rows)),
            fed: rows.iter().map(|&row| state.fed[row]).collect(),
        }
    }

    fn reorder(&self, state: &mut Self::State, rows: &[usize]) {
        state.states.iter_mut().for_each(|state| self.model.reorder(state, rows));
        state.fed = rows.iter().map(|&row| state.fed[row]).collect();
    }

    fn truncate(&self, state: &mut Self::State, row: usize, len: usize) {
        let (fed, more) = &mut state.fed[row];
        *fed = len;
        let [main, negative] = &mut state.states;
        self.model.truncate(main, row, len);
        self.model.truncate(negative, row, len.saturating_add_signed(*more));
    }

    fn throughout<T>(&self, work: impl FnOnce() -> T) -> T {
        self.model.throughout(work)
    }
}

impl<M: HiddenStates> HiddenStates for Guided<'_, M> {
    /// The hidden states are those after the prompt.
    fn step_with_hidden(
        &self,
        state: &mut Self::State,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<(Logits, Hidden), Self::Error> {
        self.step_by(state, ids, positions, |model, state| model.step_with_hidden(state, ids, positions))
    }
}
