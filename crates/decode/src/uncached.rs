//! A model without its cache.

use crate::model::{Hidden, HiddenStates, LanguageModel, Logits, Positions};

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
        let whole = whole(state, ids);
        // Only where several ids were fed are logits before the last one wanted: those of a whole text are expensive.
        let several = positions == Positions::All && ids.iter().any(|ids| ids.len() > 1);
        let wanted = if several { Positions::All } else { Positions::Last };
        let logits = self.model.step(&mut self.model.start(ids.len()), &whole, wanted)?;
        Ok(if several { newest(&logits, ids) } else { logits })
    }

    fn fork(&self, state: &UncachedState, rows: &[usize]) -> UncachedState {
        UncachedState { rows: rows.iter().map(|&row| state.rows[row].clone()).collect() }
    }

    fn truncate(&self, state: &mut UncachedState, row: usize, len: usize) {
        state.rows[row].truncate(len);
    }

    fn throughout<T>(&self, work: impl FnOnce() -> T) -> T {
        self.model.throughout(work)
    }
}

impl<M: HiddenStates> HiddenStates for Uncached<'_, M> {
    fn step_with_hidden(
        &self,
        state: &mut UncachedState,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<(Logits, Hidden), Self::Error> {
        let whole = whole(state, ids);
        let mut fresh = self.model.start(ids.len());
        let (logits, hidden) = self.model.step_with_hidden(&mut fresh, &whole, positions)?;
        let counts: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
        let new = counts.iter().enumerate().flat_map(|(row, &count)| {
            let states = hidden.row(row);
            let before = states.len() - count;
            states.skip(before).flatten().copied()
        });
        let hidden = Hidden::new(new.collect(), &counts);
        Ok((if positions == Positions::All { newest(&logits, ids) } else { logits }, hidden))
    }
}

/// Adds ids to rows; returns what each is now, or nothing for a row to which nothing is fed: it gets no logits.
fn whole<'s>(state: &'s mut UncachedState, ids: &[&[u32]]) -> Vec<&'s [u32]> {
    let fed = |(row, ids): (&'s mut Vec<u32>, &&[u32])| -> &'s [u32] {
        row.extend_from_slice(ids);
        if ids.is_empty() { &[] } else { row.as_slice() }
    };
    state.rows.iter_mut().zip(ids).map(fed).collect()
}

/// The logits of the ids that were fed last.
fn newest(logits: &Logits, ids: &[&[u32]]) -> Logits {
    let counts: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
    let mut values = Vec::with_capacity(counts.iter().sum::<usize>() * logits.vocab_size());
    for (row, count) in counts.iter().enumerate() {
        let all = logits.positions(row);
        (all - count..all).for_each(|at| values.extend_from_slice(logits.at(row, at)));
    }
    Logits::new(values, logits.vocab_size(), &counts)
}
