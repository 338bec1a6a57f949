//! Keys and values of sequences, each sequence by itself, and the buffers of a step.

use super::forward::Buffers;
use firebrand_backend::inference::{KeyValueBlock, Rows, SLOTS, Seen};
use std::sync::Arc;

/// What a [`CpuDecoder`](super::CpuDecoder) remembers of the tokens it has seen, for each row of a batch.
///
/// Each row has its own length and no empty slots, takes new tokens at its end, and is cut back without copying. Its tokens stand in
/// blocks; a copy of a row shares them, and what is written to one of them later copies that block alone.
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
    /// Of each layer the keys and values in blocks, which rows that begin alike share.
    layers: Vec<Vec<Arc<KeyValueBlock>>>,
}

impl Row {
    /// Writes a layer's keys and values, rows of `[n_kv_heads, d_head]`, of the tokens at `position` and behind it.
    pub(super) fn write(
        &mut self,
        layer: usize,
        position: usize,
        [kv_heads, d_head]: [usize; 2],
        [keys, values]: [Rows<'_>; 2],
    ) {
        let blocks = &mut self.layers[layer];
        let mut done = 0;
        while done < keys.count {
            let (block, slot) = ((position + done) / SLOTS, (position + done) % SLOTS);
            let part = done..keys.count.min(done + SLOTS - slot);
            if block == blocks.len() {
                blocks.push(Arc::new(KeyValueBlock::new(kv_heads, d_head)));
            }
            // A block that another row reads as well is copied here, before it differs.
            let block = Arc::make_mut(&mut blocks[block]);
            block.write(slot, keys.part(part.clone()), values.part(part.clone()));
            done = part.end;
        }
    }

    /// What the query of a token sees in a layer that looks at the first `count`.
    pub(super) fn seen(&self, layer: usize, count: usize) -> Seen<'_> {
        Seen { blocks: &self.layers[layer], count }
    }
}

impl CpuCache {
    pub(super) fn new(n_layers: usize, rows: usize) -> Self {
        let row = || Row { layers: vec![Vec::new(); n_layers], ..Row::default() };
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

    /// A new cache whose row `i` is what row `rows[i]` is. Copies no keys or values.
    pub fn fork(&self, rows: &[usize]) -> Self {
        Self { rows: rows.iter().map(|&row| self.rows[row].clone()).collect(), buffers: Buffers::default() }
    }

    /// Makes row `i` what row `rows[i]` was. Copies no keys or values.
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
