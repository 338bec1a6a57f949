//! LSTM layers on slices: where a transformer has the key and value of a token in its cache they have their state after it.

use super::cache::Row;
use super::forward::Token;
use super::{CpuLinear, WeightFormat, vector_len};
use crate::lstm::LstmLayer;
use firebrand_backend::inference::{self as slices, Matrix, Scratch};

/// A layer of an LSTM: see [`LstmLayer`].
#[derive(Debug, Clone)]
pub(super) struct CpuLstm {
    input: CpuLinear,
    recurrent: CpuLinear,
    projection: CpuLinear,
    clip: f32,
}

/// What a step of a layer computes in.
#[derive(Debug, Default)]
pub(super) struct LstmBuffers {
    /// What the inputs add to the gates, of all tokens.
    gates: Vec<f32>,
    /// Where the tokens of each row begin, and how many they are.
    runs: Vec<(usize, usize)>,
    /// Of all tokens.
    outputs: Vec<f32>,
    /// The tokens of one step: of each row the next one.
    now: Vec<usize>,
    now_gates: Vec<f32>,
    now_outputs: Vec<f32>,
    before: Vec<f32>,
    after: Vec<f32>,
    inner: Vec<f32>,
}

impl CpuLstm {
    pub(super) fn of(layer: &LstmLayer, format: WeightFormat) -> Option<Self> {
        let linear = |weight| Some(CpuLinear { weight: Matrix::new(weight, format)?, bias: None });
        Some(Self {
            input: CpuLinear::of(&[&layer.input], format)?,
            recurrent: linear(layer.recurrent.val())?,
            projection: linear(layer.projection.val())?,
            clip: layer.clip,
        })
    }

    pub(super) fn matrix_bytes(&self) -> usize {
        let Self { input, recurrent, projection, .. } = self;
        [input, recurrent, projection].map(|linear| linear.weight.bytes()).iter().sum()
    }

    pub(super) fn f32_numbers(&self) -> usize {
        vector_len(self.input.bias.as_ref())
    }

    /// Takes tokens through layer `index`, each row's from the state before its first: `x`, `[tokens, d_model]`, becomes what the next
    /// layer reads. The states after all of them are kept.
    pub(super) fn run(
        &self,
        index: usize,
        tokens: &[Token],
        rows: &mut [Row],
        x: &mut [f32],
        buffers: &mut LstmBuffers,
        scratch: &mut Scratch,
    ) {
        let [cell, d] = self.projection.weight.shape();
        let LstmBuffers { gates, runs, outputs, now, now_gates, now_outputs, before, after, inner } = buffers;
        self.input.apply(x, gates, scratch);
        outputs.resize(x.len(), 0.0);
        runs.clear();
        for run in tokens.chunk_by(|a, b| a.row == b.row) {
            runs.push((runs.last().map_or(0, |(first, len)| first + len), run.len()));
        }
        let longest = runs.iter().map(|&(_, len)| len).max().unwrap_or(0);
        for step in 0..longest {
            now.clear();
            now.extend(runs.iter().filter(|(_, len)| *len > step).map(|(first, _)| first + step));
            for numbers in [&mut *now_gates, &mut *now_outputs, &mut *before] {
                numbers.clear();
            }
            for &at in &*now {
                let Token { row, position, .. } = tokens[at];
                now_gates.extend_from_slice(&gates[at * 4 * cell..][..4 * cell]);
                match position.checked_sub(1) {
                    Some(last) => {
                        let (output, state) = rows[row].state(index, last, d);
                        now_outputs.extend_from_slice(output);
                        before.extend_from_slice(state);
                    }
                    None => {
                        now_outputs.resize(now_outputs.len() + d, 0.0);
                        before.resize(before.len() + cell, 0.0);
                    }
                }
            }
            self.recurrent.add(now_outputs, now_gates, scratch);
            for numbers in [&mut *after, &mut *inner] {
                numbers.resize(now.len() * cell, 0.0);
            }
            slices::lstm_cells(cell, now_gates, before, after, inner, self.clip);
            self.projection.apply(inner, now_outputs, scratch);
            slices::clip(now_outputs, self.clip);
            let states = now_outputs.chunks_exact(d).zip(after.chunks_exact(cell));
            for (&at, (output, state)) in now.iter().zip(states) {
                let Token { row, position, .. } = tokens[at];
                rows[row].write_state(index, position, [output, state]);
                outputs[at * d..][..d].copy_from_slice(output);
            }
        }
        match index {
            0 => x.copy_from_slice(outputs),
            // All but the lowest are added to what they read.
            _ => x.iter_mut().zip(&*outputs).for_each(|(x, output)| *x += output),
        }
    }
}
