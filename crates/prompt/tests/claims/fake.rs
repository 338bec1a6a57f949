//! A model that is a function from what was read to logits, and counts what it reads.

use firebrand_decode::{LanguageModel, Logits, Positions};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;

type LogitsFn = Box<dyn Fn(&[u32]) -> Vec<f32>>;

pub(crate) struct Fake {
    vocab_size: usize,
    logits: LogitsFn,
    /// How many ids were read.
    pub(crate) read: Cell<usize>,
    /// How many rows each state was started or forked with.
    pub(crate) rows: RefCell<Vec<usize>>,
    max_len: Option<usize>,
}

impl Fake {
    pub(crate) fn new(vocab_size: usize, logits: impl Fn(&[u32]) -> Vec<f32> + 'static) -> Self {
        let (read, rows) = (Cell::new(0), RefCell::new(Vec::new()));
        Self { vocab_size, logits: Box::new(logits), read, rows, max_len: None }
    }

    pub(crate) fn with_max_len(self, most: usize) -> Self {
        Self { max_len: Some(most), ..self }
    }

    /// Logits that depend on everything that was read, in order.
    pub(crate) fn hashed(vocab_size: usize, seed: u64) -> Self {
        Self::new(vocab_size, move |prefix| {
            let mut state = seed;
            for &id in prefix {
                state = mixed(state ^ (u64::from(id) + 1));
            }
            (0..vocab_size as u64)
                .map(|id| (mixed(state ^ (id << 32)) % 4001) as f32 / 1000.0 - 2.0)
                .collect()
        })
    }

    /// Probabilities after what was read, by a table of its last id.
    pub(crate) fn table(rows: Vec<Vec<f64>>) -> Self {
        let vocab_size = rows[0].len();
        Self::new(vocab_size, move |prefix| {
            let last = *prefix.last().expect("something was read") as usize;
            rows[last].iter().map(|p| p.ln() as f32).collect()
        })
    }

    /// `log P(ids[from..] | ids[..from])`, by reading each prefix anew.
    pub(crate) fn log_prob(&self, ids: &[u32], from: usize) -> f64 {
        (from..ids.len())
            .map(|at| {
                let logits = (self.logits)(&ids[..at]);
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                f64::from(logits[ids[at] as usize]) - sum.ln()
            })
            .sum()
    }
}

/// The finalizer of SplitMix64.
pub(crate) fn mixed(mut state: u64) -> u64 {
    state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

impl LanguageModel for Fake {
    type State = Vec<Vec<u32>>;
    type Error = Infallible;

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn max_len(&self) -> Option<usize> {
        self.max_len
    }

    fn start(&self, rows: usize) -> Self::State {
        self.rows.borrow_mut().push(rows);
        vec![Vec::new(); rows]
    }

    fn step(
        &self,
        state: &mut Self::State,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<Logits, Infallible> {
        assert_eq!(ids.len(), state.len(), "as many slices as rows");
        assert!(ids.iter().any(|ids| !ids.is_empty()), "a step that feeds nothing");
        let (mut values, mut counts) = (Vec::new(), Vec::new());
        for (row, ids) in state.iter_mut().zip(ids) {
            self.read.set(self.read.get() + ids.len());
            for (index, &id) in ids.iter().enumerate() {
                row.push(id);
                if positions == Positions::All || index + 1 == ids.len() {
                    values.extend((self.logits)(row));
                }
            }
            assert!(self.max_len.is_none_or(|most| row.len() <= most), "more read than the context holds");
            counts.push(if positions == Positions::All { ids.len() } else { ids.len().min(1) });
        }
        Ok(Logits::new(values, self.vocab_size, &counts))
    }

    fn fork(&self, state: &Self::State, rows: &[usize]) -> Self::State {
        self.rows.borrow_mut().push(rows.len());
        rows.iter().map(|&row| state[row].clone()).collect()
    }

    fn truncate(&self, state: &mut Self::State, row: usize, len: usize) {
        assert!(len <= state[row].len(), "truncated to {len}, more than the row holds");
        state[row].truncate(len);
    }
}
