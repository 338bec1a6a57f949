//! A model that is a function from the whole prefix to logits, and a cache that notices misuse.
//!
//! As the logits depend on every id of the prefix and on their order, a strategy that confuses rows or positions
//! gets other logits than brute force does. What breaks the contract of the trait panics.

use std::cell::RefCell;

use firebrand_decode::{Hidden, HiddenStates, LanguageModel, Logits, Positions};

/// The logits, or the hidden state, after a prefix.
type LogitsFn = Box<dyn Fn(&[u32]) -> Vec<f32>>;

pub(crate) struct FakeModel {
    vocab_size: usize,
    max_len: Option<usize>,
    /// After this id was generated, nothing more may be fed to its row.
    pub(crate) end_of_text: Option<u32>,
    /// The step that fails, counting from 0.
    failing_step: Option<usize>,
    /// How many ids each step fed to each row.
    pub(crate) steps: RefCell<Vec<Vec<usize>>>,
    logits: LogitsFn,
    hidden: LogitsFn,
}

/// What was fed to each row.
pub(crate) struct FakeState {
    rows: Vec<Vec<u32>>,
    usable: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the device is on fire")]
pub(crate) struct FakeError;

impl FakeModel {
    /// A model whose logits after `prefix` are `logits(prefix)`.
    pub(crate) fn new(vocab_size: usize, logits: impl Fn(&[u32]) -> Vec<f32> + 'static) -> Self {
        Self {
            vocab_size,
            max_len: None,
            end_of_text: None,
            failing_step: None,
            steps: RefCell::new(Vec::new()),
            logits: Box::new(logits),
            // Of -1, 0 and 1, so that many point the same way and some nowhere.
            hidden: Box::new(|prefix| (0..3).map(|at| (hash(7, prefix, at) % 3) as f32 - 1.0).collect()),
        }
    }

    /// A model with arbitrary logits between -2 and 2, all of them different for practical purposes.
    pub(crate) fn hashed(vocab_size: usize, seed: u64) -> Self {
        Self::new(vocab_size, move |prefix| {
            (0..vocab_size).map(|id| (hash(seed, prefix, id) % 65_536) as f32 / 16_384.0 - 2.0).collect()
        })
    }

    /// A model whose logits are -1, 0 or 1, so that many are equal.
    pub(crate) fn with_ties(vocab_size: usize, seed: u64) -> Self {
        Self::new(vocab_size, move |prefix| {
            (0..vocab_size).map(|id| (hash(seed, prefix, id) % 3) as f32 - 1.0).collect()
        })
    }

    pub(crate) fn with_max_len(self, max_len: usize) -> Self {
        Self { max_len: Some(max_len), ..self }
    }

    pub(crate) fn with_end_of_text(self, id: u32) -> Self {
        Self { end_of_text: Some(id), ..self }
    }

    pub(crate) fn with_hidden(self, hidden: impl Fn(&[u32]) -> Vec<f32> + 'static) -> Self {
        Self { hidden: Box::new(hidden), ..self }
    }

    pub(crate) fn failing_at(self, step: usize) -> Self {
        Self { failing_step: Some(step), ..self }
    }

    /// The logits after a prefix, without a cache.
    pub(crate) fn logits(&self, prefix: &[u32]) -> Vec<f32> {
        (self.logits)(prefix)
    }

    /// The hidden state after a prefix.
    pub(crate) fn hidden(&self, prefix: &[u32]) -> Vec<f32> {
        (self.hidden)(prefix)
    }
}

impl HiddenStates for FakeModel {
    fn step_with_hidden(
        &self,
        state: &mut FakeState,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<(Logits, Hidden), FakeError> {
        let logits = self.step(state, ids, positions)?;
        let counts: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
        let fed = |(row, count): (&Vec<u32>, &usize)| {
            let first = row.len() - count;
            (first..row.len()).flat_map(|last| self.hidden(&row[..=last])).collect::<Vec<_>>()
        };
        let values: Vec<f32> = state.rows.iter().zip(&counts).flat_map(fed).collect();
        Ok((logits, Hidden::new(values, &counts)))
    }
}

impl LanguageModel for FakeModel {
    type State = FakeState;
    type Error = FakeError;

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_len(&self) -> Option<usize> {
        self.max_len
    }

    fn start(&self, rows: usize) -> FakeState {
        FakeState { rows: vec![Vec::new(); rows], usable: true }
    }

    fn step(&self, state: &mut FakeState, ids: &[&[u32]], positions: Positions) -> Result<Logits, FakeError> {
        assert!(state.usable, "a state was used after its step failed");
        assert_eq!(ids.len(), state.rows.len(), "as many slices as rows");
        assert!(ids.iter().any(|ids| !ids.is_empty()), "a step that feeds nothing");
        if self.failing_step == Some(self.steps.borrow().len()) {
            state.usable = false;
            return Err(FakeError);
        }
        self.steps.borrow_mut().push(ids.iter().map(|ids| ids.len()).collect());
        let mut values = Vec::new();
        let mut counts = Vec::new();
        for (row, ids) in state.rows.iter_mut().zip(ids) {
            let is_prompt = row.is_empty();
            for (index, &id) in ids.iter().enumerate() {
                assert!((id as usize) < self.vocab_size, "id {id} is outside the vocabulary");
                assert!(is_prompt || Some(id) != self.end_of_text, "a finished sequence is in the batch");
                row.push(id);
                if positions == Positions::All || index + 1 == ids.len() {
                    values.extend(self.logits(row));
                }
            }
            assert!(
                self.max_len.is_none_or(|max_len| row.len() <= max_len),
                "more fed than the context holds"
            );
            counts.push(if positions == Positions::All { ids.len() } else { ids.len().min(1) });
        }
        Ok(Logits::new(values, self.vocab_size, &counts))
    }

    fn fork(&self, state: &FakeState, rows: &[usize]) -> FakeState {
        assert!(state.usable, "a state was used after its step failed");
        assert!(!rows.is_empty(), "a batch of no rows");
        FakeState { rows: rows.iter().map(|&row| state.rows[row].clone()).collect(), usable: true }
    }

    fn truncate(&self, state: &mut FakeState, row: usize, len: usize) {
        assert!(state.usable, "a state was used after its step failed");
        assert!(len <= state.rows[row].len(), "truncated to {len}, more than the row holds");
        state.rows[row].truncate(len);
    }
}

/// A number that depends on everything given, in order.
fn hash(seed: u64, prefix: &[u32], id: usize) -> u64 {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    for word in prefix.iter().map(|&id| u64::from(id)).chain([u64::MAX, id as u64]) {
        // The finalizer of SplitMix64.
        state = (state ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
    }
    state >> 16
}

#[test]
fn cached_logits_are_those_of_the_whole_prefix() {
    let model = FakeModel::hashed(5, 0);
    let mut state = model.start(3);
    let all = model.step(&mut state, &[&[1, 2, 3], &[], &[4]], Positions::All).expect("a step");
    assert_eq!([0, 1, 2].map(|row| all.positions(row)), [3, 0, 1]);
    assert_eq!(all.at(0, 1), model.logits(&[1, 2]));
    // As a rejected draft: the first row forgets an id and goes on with another.
    model.truncate(&mut state, 0, 2);
    model.reorder(&mut state, &[2, 0, 0]);
    let last = model.step(&mut state, &[&[], &[0], &[4, 1]], Positions::Last).expect("a step");
    assert_eq!([0, 1, 2].map(|row| last.positions(row)), [0, 1, 1]);
    assert_eq!(last.last(1), model.logits(&[1, 2, 0]));
    assert_eq!(last.last(2), model.logits(&[1, 2, 4, 1]));
}

#[test]
fn a_fork_leaves_its_origin_alone() {
    let model = FakeModel::hashed(5, 0);
    let mut state = model.start(1);
    model.step(&mut state, &[&[1, 2]], Positions::Last).expect("a step");
    let mut fork = model.fork(&state, &[0, 0]);
    model.step(&mut fork, &[&[3], &[4]], Positions::Last).expect("a step");
    let logits = model.step(&mut state, &[&[0]], Positions::Last).expect("a step");
    assert_eq!(logits.last(0), model.logits(&[1, 2, 0]));
}
