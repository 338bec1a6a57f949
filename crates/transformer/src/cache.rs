//! The key–value cache of a batch of sequences.
//!
//! Rows may differ in length. New keys are appended for all rows at once; where a row had fewer ids than the longest
//! one, a slot stays empty and is hidden from attention. Positions count a row's own tokens, not slots.
//!
//! Each layer has room for more slots than it holds, and room doubles when it ends: appending a token writes that token.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;

/// Slots that a layer begins with.
const LEAST_SLOTS: usize = 16;

/// Keys and values of one layer (of an LSTM: its outputs and cell states), each `[rows, room, n_kv_heads, d_head]`, of which the first slots are in use.
#[derive(Debug, Clone)]
pub(crate) struct KeysValues {
    keys: Tensor<4>,
    values: Tensor<4>,
}

/// A layer's part of the cache, and how many slots of it are in use.
pub(crate) struct LayerCache<'a> {
    layer: &'a mut Option<KeysValues>,
    used: usize,
    filled: &'a [Vec<bool>],
}

/// What a model remembers of the tokens it has seen, for each row of a batch.
#[derive(Debug, Clone)]
pub struct Cache {
    layers: Vec<Option<KeysValues>>,
    /// For each row, which slots hold a token of it.
    filled: Vec<Vec<bool>>,
}

impl Cache {
    /// An empty cache for `rows` sequences of a model with `n_layers` layers.
    pub fn new(n_layers: usize, rows: usize) -> Self {
        Self { layers: vec![None; n_layers], filled: vec![Vec::new(); rows] }
    }

    /// One row that holds these keys and values of each layer, each `[1, slots, n_kv_heads, d_head]`.
    pub(crate) fn holding(layers: Vec<[Tensor<4>; 2]>) -> Self {
        let slots = layers.first().map_or(0, |[keys, _]| keys.dims()[1]);
        let layers = layers.into_iter().map(|[keys, values]| Some(KeysValues { keys, values })).collect();
        Self { layers, filled: vec![vec![true; slots]] }
    }

    /// The keys and values that each layer holds, each `[rows, slots, n_kv_heads, d_head]`.
    pub(crate) fn held(&self) -> impl Iterator<Item = [Tensor<4>; 2]> {
        let slots = self.slots();
        self.layers.iter().flatten().map(move |KeysValues { keys, values }| {
            [keys, values].map(|held| held.clone().narrow(1, 0, slots))
        })
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

    /// Slots in use: those that some row fills, and what lies between.
    fn slots(&self) -> usize {
        self.filled.first().map_or(0, Vec::len)
    }

    /// Keeps the rows `rows`, in that order; a row may be kept more than once. Rows that stay in their place are not
    /// copied, unless there are more than before.
    pub fn reorder(&mut self, rows: &[usize]) {
        let (before, slots) = (self.rows(), self.slots());
        self.filled = rows.iter().map(|&row| self.filled[row].clone()).collect();
        for layer in &mut self.layers {
            // Taken out, so that nothing else holds the tensors and they are written in place.
            *layer =
                layer.take().filter(|_| !rows.is_empty()).map(|KeysValues { keys, values }| KeysValues {
                    keys: reorder(keys, rows, before, slots),
                    values: reorder(values, rows, before, slots),
                });
        }
    }

    /// Forgets all but the first `len` tokens of row `row`. Copies nothing.
    pub fn truncate(&mut self, row: usize, len: usize) {
        let mut kept = 0;
        for filled in &mut self.filled[row] {
            *filled = *filled && kept < len;
            kept += usize::from(*filled);
        }
        // Slots at the end that no row uses are free again.
        let last = |row: &Vec<bool>| row.iter().rposition(|&filled| filled).map_or(0, |last| last + 1);
        let slots = self.filled.iter().map(last).max().unwrap_or(0);
        for row in &mut self.filled {
            row.truncate(slots);
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

    /// Layer `index`, to which the last `new` slots are still to be appended.
    pub(crate) fn layer(&mut self, index: usize, new: usize) -> LayerCache<'_> {
        let used = self.slots() - new;
        LayerCache { layer: &mut self.layers[index], used, filled: &self.filled }
    }

    /// The positions of what stands in the slots, `[rows][slots]`, or one row where all are alike.
    pub(crate) fn slot_positions(&self) -> Vec<Vec<usize>> {
        let positions = |row: &Vec<bool>| {
            let mut next = 0;
            row.iter()
                .map(|&filled| {
                    next += usize::from(filled);
                    // An empty slot is hidden from all; any position will do.
                    next.saturating_sub(1)
                })
                .collect()
        };
        let all: Vec<Vec<usize>> = self.filled.iter().map(positions).collect();
        if all.windows(2).all(|pair| pair[0] == pair[1]) { all.into_iter().take(1).collect() } else { all }
    }

    /// The mask for the last `new` slots as queries and all slots as keys. Of the rows that are `prompts` every new slot sees all
    /// of the row, of the others what stands before.
    pub(crate) fn mask(&self, new: usize, prompts: &[bool], device: &Device) -> AttentionMask {
        if self.filled.iter().all(|row| row.iter().all(|&filled| filled)) {
            if prompts.iter().all(|&prompt| !prompt) {
                return AttentionMask::Causal;
            }
            if prompts.iter().all(|&prompt| prompt) {
                return AttentionMask::Full;
            }
        }
        let (rows, slots) = (self.filled.len(), self.slots());
        let mut hidden = Vec::with_capacity(rows * new * slots);
        for (row, prompt) in self.filled.iter().zip(prompts) {
            for query in slots - new..slots {
                hidden.extend((0..slots).map(|key| (key > query && !prompt) || !row[key]));
            }
        }
        AttentionMask::Hidden(Tensor::<3, Bool>::from_data(
            TensorData::new(hidden, [rows, new, slots]),
            device,
        ))
    }
}

impl LayerCache<'_> {
    /// What each row's last token before the new ones left, of keys `[rows, n_kv_heads · d_head]` and of values; zeros for rows
    /// without one. `None` while there is nothing at all.
    pub(crate) fn last(&self) -> Option<(Tensor<2>, Tensor<2>)> {
        let KeysValues { keys, values } = self.layer.as_ref()?;
        let ([rows, room, ..], device) = (keys.dims(), keys.device());
        let slots = self.filled.iter().map(|row| row[..self.used].iter().rposition(|&filled| filled));
        let slots: Vec<Option<usize>> = slots.collect();
        let index = slots.iter().enumerate().map(|(row, slot)| (row * room + slot.unwrap_or(0)) as i32);
        let index = TensorData::new::<i32, _>(index.collect(), [rows]);
        let index = Tensor::<1, Int>::from_data(index, &device);
        let last = |x: &Tensor<4>| {
            let [_, _, heads, d] = x.dims();
            let x = x.clone().reshape([rows * room, heads * d]).select(0, index.clone());
            if slots.iter().all(Option::is_some) {
                return x;
            }
            let empty = slots.iter().map(Option::is_none).collect();
            let empty = Tensor::<2, Bool>::from_data(TensorData::new::<bool, _>(empty, [rows, 1]), &device);
            x.mask_fill(empty.repeat_dim(1, heads * d), 0.0)
        };
        Some((last(keys), last(values)))
    }

    /// Appends new keys and values, each `[rows, new, n_kv_heads, d_head]`, and returns all that are in use, as views.
    pub(crate) fn append(self, keys: Tensor<4>, values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let slots = self.used + keys.dims()[1];
        // Taken out, so that nothing else holds the tensors and they are written in place.
        let (old_keys, old_values) = match self.layer.take() {
            Some(KeysValues { keys, values }) => (Some(keys), Some(values)),
            None => (None, None),
        };
        let keys = append(old_keys, self.used, keys);
        let values = append(old_values, self.used, values);
        let in_use = (keys.clone().narrow(1, 0, slots), values.clone().narrow(1, 0, slots));
        *self.layer = Some(KeysValues { keys, values });
        in_use
    }
}

/// `new` after the first `used` slots of `old`, in a larger tensor if there is no room.
fn append(old: Option<Tensor<4>>, used: usize, new: Tensor<4>) -> Tensor<4> {
    let [rows, count, heads, d_head] = new.dims();
    let slots = used + count;
    let room = old.as_ref().map_or(0, |old| old.dims()[1]);
    let old = match old {
        Some(old) if slots <= room => old,
        old => {
            let room = slots.max(2 * room).max(LEAST_SLOTS);
            let larger = Tensor::zeros([rows, room, heads, d_head], &new.device());
            match old {
                Some(old) if used > 0 => {
                    larger.slice_assign([0..rows, 0..used, 0..heads, 0..d_head], old.narrow(1, 0, used))
                }
                _ => larger,
            }
        }
    };
    old.slice_assign([0..rows, used..slots, 0..heads, 0..d_head], new)
}

/// Rows `rows` of `x`, of whose `room` slots the first `slots` count.
fn reorder(x: Tensor<4>, rows: &[usize], before: usize, slots: usize) -> Tensor<4> {
    let ([_, _, heads, d_head], device) = (x.dims(), x.device());
    let index = |rows: &[usize]| {
        let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let len = rows.len();
        Tensor::<1, Int>::from_data(TensorData::new(rows, [len]), &device)
    };
    if rows.len() > before || slots == 0 {
        return x.select(0, index(rows));
    }
    let moved: Vec<usize> = (0..rows.len()).filter(|&to| rows[to] != to).collect();
    if moved.is_empty() {
        return x.narrow(0, 0, rows.len());
    }
    let sources: Vec<usize> = moved.iter().map(|&to| rows[to]).collect();
    // Copied out first: a row may be overwritten and be another's source.
    let copies = x.clone().narrow(1, 0, slots).select(0, index(&sources));
    let mut x = x.narrow(0, 0, rows.len());
    for (i, to) in moved.into_iter().enumerate() {
        let row = copies.clone().narrow(0, i, 1);
        x = x.slice_assign([to..to + 1, 0..slots, 0..heads, 0..d_head], row);
    }
    x
}
