//! Texts longer than a model's context.

use crate::model::{Hidden, HiddenStates, LanguageModel, Logits, Positions};

/// A model without a limit, which sees the newest ids only: when its context is full, the older half of it is forgotten and the
/// rest read again.
///
/// What it sees depends on how many ids there are before, and not on how they were fed: so every strategy works with it, and
/// speculation changes nothing.
#[derive(Debug)]
pub struct Sliding<'m, M> {
    model: &'m M,
    /// The context, and how far it moves.
    context: Option<(usize, usize)>,
}

/// The state of a [`Sliding`] model.
#[derive(Debug)]
pub struct SlidingState<S> {
    state: S,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    ids: Vec<u32>,
    /// The first of them that the model sees.
    first: usize,
}

impl<'m, M: LanguageModel> Sliding<'m, M> {
    /// `model` without a limit.
    pub fn new(model: &'m M) -> Self {
        Self { model, context: model.max_len().map(|max_len| (max_len, (max_len / 2).max(1))) }
    }

    /// Feeds what is left of the ids of each row by `step`, in as many passes as windows move.
    fn feed(
        &self,
        state: &mut SlidingState<M::State>,
        mut left: Vec<&[u32]>,
        positions: Positions,
        step: impl Fn(&M, &mut M::State, &[&[u32]]) -> Result<(Logits, Hidden), M::Error>,
    ) -> Result<(Logits, Hidden), M::Error> {
        let mut found: Vec<Vec<f32>> = vec![Vec::new(); left.len()];
        // By row, the positions that were told of and their states.
        let mut states: Vec<(usize, Vec<f32>)> = vec![(0, Vec::new()); left.len()];
        // One pass, or one more for each time that the window of some row moves.
        while left.iter().any(|ids| !ids.is_empty()) {
            let mut fed: Vec<Vec<u32>> = Vec::with_capacity(left.len());
            let mut new = Vec::with_capacity(left.len());
            for (index, (row, left)) in state.rows.iter_mut().zip(&mut left).enumerate() {
                // As many as see from the same id on as the next one does.
                let first = self.first_of(row.ids.len() + 1);
                let same = (1..=left.len()).take_while(|more| self.first_of(row.ids.len() + more) == first);
                let (now, later) = left.split_at(same.count());
                *left = later;
                let mut again = Vec::new();
                if !now.is_empty() && first != row.first {
                    self.model.truncate(&mut state.state, index, 0);
                    row.first = first;
                    again.extend_from_slice(&row.ids[first..]);
                }
                again.extend_from_slice(now);
                row.ids.extend_from_slice(now);
                new.push(now.len());
                fed.push(again);
            }
            let fed: Vec<&[u32]> = fed.iter().map(Vec::as_slice).collect();
            let (logits, hidden) = step(self.model, &mut state.state, &fed)?;
            for (row, ((count, states), new)) in states.iter_mut().zip(&new).enumerate() {
                // What is read again keeps the state that it had.
                let of_row = hidden.row(row);
                let again = of_row.len().saturating_sub(*new);
                of_row.skip(again).for_each(|state| {
                    *count += 1;
                    states.extend_from_slice(state);
                });
            }
            for (row, (found, new)) in found.iter_mut().zip(new).enumerate() {
                match positions {
                    Positions::Last if new > 0 => *found = logits.last(row).to_vec(),
                    Positions::Last => {}
                    Positions::All => {
                        let count = logits.positions(row);
                        (count - new..count).for_each(|at| found.extend_from_slice(logits.at(row, at)));
                    }
                }
            }
        }
        let vocab_size = self.model.vocab_size();
        let counts: Vec<usize> = found.iter().map(|found| found.len() / vocab_size).collect();
        let logits = Logits::new(found.concat(), vocab_size, &counts);
        let (counts, states): (Vec<usize>, Vec<Vec<f32>>) = states.into_iter().unzip();
        Ok((logits, Hidden::new(states.concat(), &counts)))
    }

    /// The first of `len` ids that is seen.
    fn first_of(&self, len: usize) -> usize {
        self.context.map_or(0, |(max_len, move_by)| len.saturating_sub(max_len).div_ceil(move_by) * move_by)
    }
}

impl<M: LanguageModel> LanguageModel for Sliding<'_, M> {
    type State = SlidingState<M::State>;
    type Error = M::Error;

    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn max_len(&self) -> Option<usize> {
        None
    }

    fn start(&self, rows: usize) -> Self::State {
        SlidingState { state: self.model.start(rows), rows: vec![Row::default(); rows] }
    }

    fn step(
        &self,
        state: &mut Self::State,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<Logits, Self::Error> {
        let mut left: Vec<&[u32]> = ids.to_vec();
        // Of a prompt longer than the context only the end is read, unless all its logits are wanted.
        for (row, left) in state.rows.iter_mut().zip(&mut left) {
            let first = self.first_of(row.ids.len() + left.len());
            if positions == Positions::Last && first > row.ids.len() {
                let (unseen, seen) = left.split_at(first - row.ids.len());
                row.ids.extend_from_slice(unseen);
                *left = seen;
            }
        }
        self.feed(state, left, positions, |model, state, ids| {
            let logits = model.step(state, ids, positions)?;
            Ok((logits, Hidden::new(Vec::new(), &vec![0; ids.len()])))
        })
        .map(|(logits, _)| logits)
    }

    fn fork(&self, state: &Self::State, rows: &[usize]) -> Self::State {
        SlidingState {
            state: self.model.fork(&state.state, rows),
            rows: rows.iter().map(|&row| state.rows[row].clone()).collect(),
        }
    }

    fn reorder(&self, state: &mut Self::State, rows: &[usize]) {
        self.model.reorder(&mut state.state, rows);
        state.rows = rows.iter().map(|&row| state.rows[row].clone()).collect();
    }

    fn truncate(&self, state: &mut Self::State, row: usize, len: usize) {
        let at = &mut state.rows[row];
        at.ids.truncate(len);
        if self.first_of(len) == at.first {
            return self.model.truncate(&mut state.state, row, len - at.first);
        }
        // Back over a move of the window: the next step reads what was seen before it.
        self.model.truncate(&mut state.state, row, 0);
        at.first = usize::MAX;
    }

    fn throughout<T>(&self, work: impl FnOnce() -> T) -> T {
        self.model.throughout(work)
    }
}

impl<M: HiddenStates> HiddenStates for Sliding<'_, M> {
    /// The state of an id is the one that it had when it was new: what is read again later keeps it. So no id is skipped, however
    /// long a prompt is.
    fn step_with_hidden(
        &self,
        state: &mut Self::State,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<(Logits, Hidden), Self::Error> {
        self.feed(state, ids.to_vec(), positions, |model, state, ids| {
            model.step_with_hidden(state, ids, positions)
        })
    }
}
