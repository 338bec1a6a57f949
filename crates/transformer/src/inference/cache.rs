//! Keys and values of sequences, each sequence by itself, and the buffers of a step.

use super::forward::Buffers;

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
    /// For each layer its keys and values, each `[len, n_kv_heads · d_head]`.
    pub(super) layers: Vec<KeysValues>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct KeysValues {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

impl CpuCache {
    pub(super) fn new(n_layers: usize, rows: usize) -> Self {
        let row = || Row { len: 0, layers: vec![KeysValues::default(); n_layers] };
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
        if len >= row.len {
            return;
        }
        for KeysValues { keys, values } in &mut row.layers {
            let numbers = keys.len() / row.len * len;
            keys.truncate(numbers);
            values.truncate(numbers);
        }
        row.len = len;
    }
}
