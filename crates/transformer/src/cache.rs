//! The key–value cache of a batch of sequences.
//!
//! Rows may differ in length. New keys are appended for all rows at once; where a row had fewer ids than the longest
//! one, a slot stays empty and is hidden from attention. Positions count a row's own tokens, not slots.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;

/// Keys and values of one layer, each `[rows, slots, n_kv_heads, d_head]`.
pub(crate) type KeysValues = (Tensor<4>, Tensor<4>);

/// What a model remembers of the tokens it has seen, for each row of a batch.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(crate) layers: Vec<Option<KeysValues>>,
    /// For each row, which slots hold a token of it.
    filled: Vec<Vec<bool>>,
}

impl Cache {
    /// An empty cache for `rows` sequences of a model with `n_layers` layers.
    pub fn new(n_layers: usize, rows: usize) -> Self {
        Self { layers: vec![None; n_layers], filled: vec![Vec::new(); rows] }
    }

    /// Number of sequences.
    pub fn rows(&self) -> usize {
        self.filled.len()
    }

    /// Number of tokens that row `row` holds.
    pub fn len(&self, row: usize) -> usize {
        self.filled[row].iter().filter(|&&filled| filled).count()
    }

    /// Whether row `row` holds no token yet.
    pub fn is_empty(&self, row: usize) -> bool {
        self.len(row) == 0
    }

    /// Keeps the rows `rows`, in that order; a row may be kept more than once.
    pub fn reorder(&mut self, rows: &[usize]) {
        self.filled = rows.iter().map(|&row| self.filled[row].clone()).collect();
        for (keys, values) in self.layers.iter_mut().flatten() {
            let index: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
            let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows.len()]), &keys.device());
            *keys = keys.clone().select(0, index.clone());
            *values = values.clone().select(0, index);
        }
    }

    /// Forgets all but the first `len` tokens of row `row`.
    pub fn truncate(&mut self, row: usize, len: usize) {
        let mut kept = 0;
        for filled in &mut self.filled[row] {
            *filled = *filled && kept < len;
            kept += usize::from(*filled);
        }
        self.drop_empty_slots();
    }

    /// Gives back the slots at the end that no row uses.
    fn drop_empty_slots(&mut self) {
        let slots = self
            .filled
            .iter()
            .filter_map(|row| row.iter().rposition(|&filled| filled))
            .max()
            .map_or(0, |i| i + 1);
        for row in &mut self.filled {
            row.truncate(slots);
        }
        for layer in &mut self.layers {
            *layer = match layer.take() {
                Some((keys, values)) if slots > 0 => {
                    Some((keys.narrow(1, 0, slots), values.narrow(1, 0, slots)))
                }
                _ => None,
            };
        }
    }

    /// Makes room for `lens[row]` new tokens in each row; returns their positions, padded to the longest.
    pub(crate) fn extend(&mut self, lens: &[usize]) -> Vec<Vec<usize>> {
        let longest = lens.iter().copied().max().unwrap_or(0);
        let mut positions = Vec::with_capacity(lens.len());
        for (row, &len) in lens.iter().enumerate() {
            let first = self.len(row);
            // The padding repeats the row's last position: it is computed and never looked at. A row that gets nothing
            // may be full, and there is no position after its last.
            let last = (first + len).saturating_sub(1);
            positions.push((0..longest).map(|i| (first + i).min(last)).collect());
            self.filled[row].extend((0..longest).map(|i| i < len));
        }
        positions
    }

    /// The mask for the last `new` slots as queries and all slots as keys.
    pub(crate) fn mask(&self, new: usize, device: &Device) -> AttentionMask {
        if self.filled.iter().all(|row| row.iter().all(|&filled| filled)) {
            return AttentionMask::Causal;
        }
        let (rows, slots) = (self.filled.len(), self.filled.first().map_or(0, Vec::len));
        let mut hidden = Vec::with_capacity(rows * new * slots);
        for row in &self.filled {
            for query in slots - new..slots {
                hidden.extend((0..slots).map(|key| key > query || !row[key]));
            }
        }
        AttentionMask::Hidden(Tensor::<3, Bool>::from_data(
            TensorData::new(hidden, [rows, new, slots]),
            device,
        ))
    }
}

/// Appends new keys and values to what a layer holds and returns all of them.
pub(crate) fn append(layer: &mut Option<KeysValues>, keys: Tensor<4>, values: Tensor<4>) -> KeysValues {
    let all = match layer.take() {
        Some((old_keys, old_values)) => {
            (Tensor::cat(vec![old_keys, keys], 1), Tensor::cat(vec![old_values, values], 1))
        }
        None => (keys, values),
    };
    *layer = Some(all.clone());
    all
}
