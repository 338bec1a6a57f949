//! Keys and values of sequences, each sequence by itself, and the buffers of a step.

use super::forward::Buffers;
use firebrand_backend::inference::Seen;

/// What a [`CpuDecoder`](super::CpuDecoder) remembers of the tokens it has seen, for each row of a batch.
///
/// Rows have nothing to do with each other: each has its own length and no empty slots, takes new tokens at its end, and
/// is cut back without copying. Room doubles when it ends.
#[derive(Debug, Default)]
pub struct CpuCache {
    pub(super) rows: Vec<Row>,
    pub(super) buffers: Buffers,
}

/// One sequence.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// Tokens.
    pub(super) len: usize,
    /// Tokens that there is room for.
    room: usize,
    layers: Vec<KeysValues>,
}

/// Of a layer, each `[n_kv_heads, room, d_head]`; of an LSTM's its outputs `[room, d_model]` and cell states `[room, d_ff]`, so that
/// it goes on from any token.
#[derive(Debug, Clone, Default)]
struct KeysValues {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Row {
    /// Makes room for `len` tokens of so many heads, which have `widths` numbers in keys and in values.
    pub(super) fn make_room(&mut self, len: usize, heads: usize, widths: [usize; 2]) {
        if len <= self.room {
            return;
        }
        let room = len.max(2 * self.room).next_multiple_of(16);
        let (old_room, used) = (self.room, self.len);
        let larger = |numbers: &mut Vec<f32>, width: usize| {
            let mut larger = vec![0.0; heads * room * width];
            let old = (old_room * width).max(1);
            for (from, to) in numbers.chunks_exact(old).zip(larger.chunks_exact_mut(room * width)) {
                to[..used * width].copy_from_slice(&from[..used * width]);
            }
            *numbers = larger;
        };
        for KeysValues { keys, values } in &mut self.layers {
            larger(keys, widths[0]);
            larger(values, widths[1]);
        }
        self.room = room;
    }

    /// Writes a layer's key and value of the token at `position`, each of `heads` heads, for which there is room.
    pub(super) fn write(&mut self, layer: usize, position: usize, heads: usize, [key, value]: [&[f32]; 2]) {
        let KeysValues { keys, values } = &mut self.layers[layer];
        for (all, new) in [(keys, key), (values, value)] {
            let width = new.len() / heads;
            for (head, new) in new.chunks_exact(width).enumerate() {
                all[(head * self.room + position) * width..][..width].copy_from_slice(new);
            }
        }
    }

    /// The output and the cell state of an LSTM layer, of so many numbers, after the token at `position`.
    pub(super) fn state(&self, layer: usize, position: usize, widths: [usize; 2]) -> [&[f32]; 2] {
        let KeysValues { keys, values } = &self.layers[layer];
        [&keys[position * widths[0]..][..widths[0]], &values[position * widths[1]..][..widths[1]]]
    }

    /// What the query of a token sees in a layer that looks at the first `count`.
    pub(super) fn seen(&self, layer: usize, count: usize) -> Seen<'_> {
        let KeysValues { keys, values } = &self.layers[layer];
        Seen { keys, values, count, room: self.room }
    }
}

impl CpuCache {
    pub(super) fn new(n_layers: usize, rows: usize) -> Self {
        let row = || Row { layers: vec![KeysValues::default(); n_layers], ..Row::default() };
        Self { rows: (0..rows).map(|_| row()).collect(), buffers: Buffers::default() }
    }

    /// Number of sequences.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Number of tokens that row `row` holds.
    pub fn len(&self, row: usize) -> usize {
        self.rows[row].len
    }

    /// Whether row `row` holds no token yet.
    pub fn is_empty(&self, row: usize) -> bool {
        self.len(row) == 0
    }

    /// A new cache whose row `i` is a copy of row `rows[i]`.
    pub fn fork(&self, rows: &[usize]) -> Self {
        Self { rows: rows.iter().map(|&row| self.rows[row].clone()).collect(), buffers: Buffers::default() }
    }

    /// Makes row `i` what row `rows[i]` was. Copies only rows that are kept more than once.
    pub fn reorder(&mut self, rows: &[usize]) {
        let mut old = std::mem::take(&mut self.rows);
        self.rows = rows
            .iter()
            .enumerate()
            .map(|(i, &row)| match rows[i + 1..].contains(&row) {
                true => old[row].clone(),
                false => std::mem::take(&mut old[row]),
            })
            .collect();
    }

    /// Forgets all but the first `len` tokens of row `row`. Copies nothing.
    pub fn truncate(&mut self, row: usize, len: usize) {
        let row = &mut self.rows[row];
        row.len = row.len.min(len);
    }
}
