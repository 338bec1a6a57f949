//! A model without its cache.

use crate::model::{LanguageModel, Logits, Positions};

/// A model that keeps nothing between steps and reads each row from its beginning every time, as the formulas of textbooks count it:
/// the same logits up to rounding, and the work that a cache saves.
///
/// It is a model like any other, and every strategy works with it.
#[derive(Debug)]
pub struct Uncached<'m, M> {
    model: &'m M,
}

/// The state of an [`Uncached`] model: what was fed to each row.
#[derive(Clone, Debug)]
pub struct UncachedState {
    rows: Vec<Vec<u32>>,
}

impl<'m, M: LanguageModel> Uncached<'m, M> {
    /// `model` without its cache.
    pub fn new(model: &'m M) -> Self {
        Self { model }
    }
}

impl<M: LanguageModel> LanguageModel for Uncached<'_, M> {
    type State = UncachedState;
    type Error = M::Error;

    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn max_len(&self) -> Option<usize> {
        self.model.max_len()
    }

    fn start(&self, rows: usize) -> UncachedState {
        UncachedState { rows: vec![Vec::new(); rows] }
    }

    fn step(
        &self,
        state: &mut UncachedState,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<Logits, Self::Error> {
        let whole: Vec<&[u32]> = state
            .rows
            .iter_mut()
            .zip(ids)
            .map(|(row, ids)| {
                row.extend_from_slice(ids);
                // A row that nothing is fed to gets no logits.
                if ids.is_empty() { &[] } else { row.as_slice() }
            })
            .collect();
        // Only where several ids were fed are logits before the last one wanted: those of a whole text are expensive.
        let several = positions == Positions::All && ids.iter().any(|ids| ids.len() > 1);
        let wanted = if several { Positions::All } else { Positions::Last };
        let logits = self.model.step(&mut self.model.start(ids.len()), &whole, wanted)?;
        if !several {
            return Ok(logits);
        }
        let counts: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
        let mut values = Vec::with_capacity(counts.iter().sum::<usize>() * self.vocab_size());
        for (row, count) in counts.iter().enumerate() {
            let all = logits.positions(row);
            (all - count..all).for_each(|at| values.extend_from_slice(logits.at(row, at)));
        }
        Ok(Logits::new(values, self.vocab_size(), &counts))
    }

    fn fork(&self, state: &UncachedState, rows: &[usize]) -> UncachedState {
        UncachedState { rows: rows.iter().map(|&row| state.rows[row].clone()).collect() }
    }

    fn truncate(&self, state: &mut UncachedState, row: usize, len: usize) {
        state.rows[row].truncate(len);
    }
}
