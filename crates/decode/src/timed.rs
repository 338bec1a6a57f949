//! A model whose steps are timed.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::model::{LanguageModel, Logits, Positions};

/// A model that notes how long each of its steps takes, whoever asks for them: what a strategy takes besides is its own.
#[derive(Debug)]
pub struct Timed<'m, M> {
    model: &'m M,
    passes: RefCell<Vec<Pass>>,
}

/// One step of a [`Timed`] model.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// When it began.
    pub started: Instant,
    /// How long it took.
    pub time: Duration,
}

impl<'m, M: LanguageModel> Timed<'m, M> {
    /// `model`, with nothing noted yet.
    pub fn new(model: &'m M) -> Self {
        Self { model, passes: RefCell::default() }
    }

    /// The steps so far, in order.
    pub fn into_passes(self) -> Vec<Pass> {
        self.passes.into_inner()
    }
}

impl<M: LanguageModel> LanguageModel for Timed<'_, M> {
    type State = M::State;
    type Error = M::Error;

    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }

    fn max_len(&self) -> Option<usize> {
        self.model.max_len()
    }

    fn start(&self, rows: usize) -> M::State {
        self.model.start(rows)
    }

    fn step(&self, state: &mut M::State, ids: &[&[u32]], positions: Positions) -> Result<Logits, M::Error> {
        let started = Instant::now();
        let logits = self.model.step(state, ids, positions)?;
        self.passes.borrow_mut().push(Pass { started, time: started.elapsed() });
        Ok(logits)
    }

    fn fork(&self, state: &M::State, rows: &[usize]) -> M::State {
        self.model.fork(state, rows)
    }

    fn reorder(&self, state: &mut M::State, rows: &[usize]) {
        self.model.reorder(state, rows);
    }

    fn truncate(&self, state: &mut M::State, row: usize, len: usize) {
        self.model.truncate(state, row, len);
    }

    fn throughout<T>(&self, work: impl FnOnce() -> T) -> T {
        self.model.throughout(work)
    }
}
