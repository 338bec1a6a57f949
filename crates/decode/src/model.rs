//! What a strategy needs of a model: [`LanguageModel`] and the [`Logits`] it returns; for some, [`HiddenStates`].

/// A causal language model with a cache, reduced to what generation strategies need.
///
/// A *state* holds the cache of a batch of *rows*, one a sequence. Rows are independent: the logits of a row
/// depend on the ids fed to that row alone (tests of an implementation should show that a batch gives what
/// single sequences give).
///
/// Breaking the contract of a method, such as feeding more rows than the state has, is a mistake in a strategy,
/// not something a user can cause; an implementation may panic, and should say what it was given. What a user
/// can cause, ids outside the vocabulary or a prompt too long for the context, the strategies check before they
/// call the model.
///
/// What only some models can do (leaving after a lower layer, an encoder's context) does not belong here: strategies that need
/// it ask for a further trait which extends this one, as [`HiddenStates`] does.
pub trait LanguageModel {
    /// The cache of a batch of sequences.
    type State;
    /// Why a step failed, such as a device out of memory.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The number of ids; every id fed is less than this, and each position gets as many logits.
    fn vocab_size(&self) -> usize;

    /// The most ids a row can hold, or `None` when there is no limit.
    ///
    /// A row that is full still predicts: a context of `n` ids gives logits for the id after the `n`-th.
    fn max_len(&self) -> Option<usize>;

    /// A state of `rows` sequences to which nothing has been fed.
    fn start(&self, rows: usize) -> Self::State;

    /// Appends `ids[row]` to each row and returns logits for the fed positions that `positions` asks for.
    ///
    /// There is one slice a row, in the order of the rows. Slices may differ in length (prompts are fed at once)
    /// and may be empty: then the row stays as it is and gets no logits. The logits at a position score the id
    /// *after* it.
    ///
    /// # Errors
    /// When the model cannot be run. The state is then unspecified and must not be used again.
    fn step(
        &self,
        state: &mut Self::State,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<Logits, Self::Error>;

    /// A new state whose row `i` is a copy of row `rows[i]` of `state`, which stays as it is.
    ///
    /// Rows may be left out and may be repeated: `fork(&state, &[0; 4])` shares one prompt among four sequences.
    fn fork(&self, state: &Self::State, rows: &[usize]) -> Self::State;

    /// Makes row `i` what row `rows[i]` was: beams change places, and finished sequences leave the batch.
    ///
    /// Equal to replacing the state by its [`fork`](Self::fork), which is what it does unless an implementation
    /// has a way that copies less.
    fn reorder(&self, state: &mut Self::State, rows: &[usize]) {
        *state = self.fork(state, rows);
    }

    /// Forgets the ids of `row` from the `len`-th on, so that `len` remain; `len` is at most what the row holds.
    fn truncate(&self, state: &mut Self::State, row: usize, len: usize);

    /// Does `work`, which is mostly steps of this model: the strategies do a whole generation in it, so that a model can keep ready
    /// what each step needs, such as threads.
    fn throughout<T>(&self, work: impl FnOnce() -> T) -> T
    where
        Self: Sized,
    {
        work()
    }
}

/// A model that also tells what it made of each id.
pub trait HiddenStates: LanguageModel {
    /// [`step`](LanguageModel::step), and with the logits the hidden states of *all* fed positions, whichever get logits: the last
    /// layer's, as the head reads them.
    ///
    /// # Errors
    /// As [`step`](LanguageModel::step).
    fn step_with_hidden(
        &self,
        state: &mut Self::State,
        ids: &[&[u32]],
        positions: Positions,
    ) -> Result<(Logits, Hidden), Self::Error>;
}

/// Which of the fed positions get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Every fed position of every row, as verification of a draft needs it.
    All,
    /// The last fed position of each row that was fed: a prompt needs no more, and a large vocabulary makes the
    /// others expensive.
    Last,
}

/// The logits of one step: for each row, those of the positions that were asked for, in order.
///
/// Stored as one matrix `[positions, vocab_size]`, the rows of the batch one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    values: Vec<f32>,
    vocab_size: usize,
    /// Row `r` holds the positions `starts[r]..starts[r + 1]` of the matrix.
    starts: Vec<usize>,
}

impl Logits {
    /// Takes the matrix `[positions, vocab_size]` in row-major order; `positions[row]` says how many of its
    /// positions belong to each row of the batch.
    ///
    /// # Panics
    /// When the number of values is not `vocab_size` for each position.
    pub fn new(values: Vec<f32>, vocab_size: usize, positions: &[usize]) -> Self {
        let mut starts = vec![0];
        let mut end = 0;
        for count in positions {
            end += count;
            starts.push(end);
        }
        assert_eq!(
            values.len(),
            end * vocab_size,
            "{end} positions of {vocab_size} logits each need as many values"
        );
        Self { values, vocab_size, starts }
    }

    /// The number of rows in the batch.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of logits at each position.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// How many positions of `row` have logits.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn positions(&self, row: usize) -> usize {
        self.starts[row + 1] - self.starts[row]
    }

    /// The logits `[vocab_size]` at `position` of `row`, counting the positions that have logits from 0.
    ///
    /// # Panics
    /// When there is no such row or position.
    pub fn at(&self, row: usize, position: usize) -> &[f32] {
        let positions = self.positions(row);
        assert!(position < positions, "position {position} of row {row}, which has logits for {positions}");
        let start = (self.starts[row] + position) * self.vocab_size;
        &self.values[start..start + self.vocab_size]
    }

    /// The logits `[vocab_size]` at the last position of `row`.
    ///
    /// # Panics
    /// When there is no such row, or nothing was fed to it.
    pub fn last(&self, row: usize) -> &[f32] {
        let positions = self.positions(row);
        assert!(positions > 0, "row {row} has no logits, because nothing was fed to it");
        self.at(row, positions - 1)
    }
}

/// The hidden states of one step: for each row, those of the positions that were fed, in order.
///
/// Stored as one matrix `[positions, d_model]`, the rows of the batch one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Hidden {
    values: Vec<f32>,
    width: usize,
    /// Row `r` holds the positions `starts[r]..starts[r + 1]` of the matrix.
    starts: Vec<usize>,
}

impl Hidden {
    /// Takes the matrix `[positions, d_model]` in row-major order; `positions[row]` says how many of its positions belong to
    /// each row of the batch.
    ///
    /// # Panics
    /// When the values are no matrix of so many positions.
    pub fn new(values: Vec<f32>, positions: &[usize]) -> Self {
        let mut starts = vec![0];
        starts.extend(positions.iter().scan(0, |end, count| {
            *end += count;
            Some(*end)
        }));
        let all = starts[positions.len()];
        let width = values.len().checked_div(all).unwrap_or(0);
        assert_eq!(values.len(), all * width, "{all} positions have hidden states of one width");
        Self { values, width, starts }
    }

    /// `d_model`; 0 where nothing was fed.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The hidden states of `row`, `[d_model]` for each position that was fed.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> impl DoubleEndedIterator<Item = &[f32]> + ExactSizeIterator {
        let range = self.starts[row] * self.width..self.starts[row + 1] * self.width;
        // Without positions there is nothing to divide, and the width is 0.
        self.values[range].chunks_exact(self.width.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::{Hidden, Logits};

    #[test]
    fn hidden_states_are_those_of_their_row() {
        let hidden = Hidden::new((0..8).map(|i| i as f32).collect(), &[1, 0, 3]);
        assert_eq!(hidden.width(), 2);
        assert_eq!([0, 1, 2].map(|row| hidden.row(row).len()), [1, 0, 3]);
        assert_eq!(hidden.row(2).next_back(), Some(&[6.0, 7.0][..]));
        assert_eq!(Hidden::new(vec![], &[0, 0]).row(1).len(), 0);
    }

    #[test]
    #[should_panic(expected = "2 positions have hidden states of one width")]
    fn hidden_states_of_different_width_are_refused() {
        Hidden::new(vec![0.0; 5], &[1, 1]);
    }

    #[test]
    fn rows_of_different_length_are_found() {
        let logits = Logits::new((0..8).map(|i| i as f32).collect(), 2, &[1, 0, 3]);
        assert_eq!((logits.rows(), logits.vocab_size()), (3, 2));
        assert_eq!([0, 1, 2].map(|row| logits.positions(row)), [1, 0, 3]);
        assert_eq!(logits.at(0, 0), [0.0, 1.0]);
        assert_eq!(logits.at(2, 1), [4.0, 5.0]);
        assert_eq!(logits.last(2), [6.0, 7.0]);
    }

    #[test]
    #[should_panic(expected = "position 1 of row 0, which has logits for 1")]
    fn a_position_of_the_next_row_is_not_returned() {
        Logits::new(vec![0.0; 4], 2, &[1, 1]).at(0, 1);
    }

    #[test]
    #[should_panic(expected = "3 positions of 2 logits each")]
    fn a_matrix_of_another_shape_is_refused() {
        Logits::new(vec![0.0; 5], 2, &[1, 2]);
    }
}
