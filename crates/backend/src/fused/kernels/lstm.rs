//! An LSTM with projection [Sak 2014], step after step, and its gradient back through time.
//!
//! Examples do not know of each other: each task takes some of them through all steps, so that no thread waits for another
//! between steps. The weights are packed once for all steps. Products of the recurrence are in f32 always: an error in a state
//! is carried on. The sums over all steps, for the gradients of the weights, are ordinary products after the loop.

use super::gemm::{Panels, Product, Start, View};
use super::math::{sigmoid, tanh};
use super::memory::for_each_mut;
use crate::precision::Precision;

/// The most examples in a task: what one tile of a product takes.
const EXAMPLES: usize = 14;

/// What is computed: `batch` sequences of `seq` steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem<'a> {
    pub(crate) batch: usize,
    pub(crate) seq: usize,
    /// Numbers in a cell state.
    pub(crate) cell: usize,
    /// Numbers in an output.
    pub(crate) width: usize,
    /// `[width, 4 · cell]`
    pub(crate) recurrent: &'a [f32],
    /// `[cell, width]`
    pub(crate) projection: &'a [f32],
    /// Cell states and outputs are kept in `−clip ..= clip`.
    pub(crate) clip: f32,
}

impl Problem<'_> {
    fn gates(&self) -> usize {
        4 * self.cell
    }

    /// Examples in a task. The bits do not depend on it.
    fn examples(&self) -> usize {
        self.batch.div_ceil(rayon::current_num_threads().max(1)).clamp(1, EXAMPLES)
    }

    /// Numbers of `each` step in a task.
    fn numbers(&self, each: usize) -> usize {
        (self.examples() * self.seq * each).max(1)
    }

    /// Multiplications in all.
    fn work(&self) -> usize {
        self.batch * self.seq * self.width * 5 * self.cell
    }
}

#[inline(always)]
fn clipped(x: f32, clip: f32) -> f32 {
    // Comparisons, so that what is no number stays none.
    if x > clip {
        clip
    } else if x < -clip {
        -clip
    } else {
        x
    }
}

/// One step of one example: from what the gates are computed from (input, candidate, forget, output, one after the other) to the
/// gates themselves, the cell state after the step, and what is projected.
#[inline(always)]
fn step_body<const FMA: bool>(
    gates: &mut [f32],
    before: &[f32],
    after: &mut [f32],
    out: &mut [f32],
    clip: f32,
) {
    let cell = after.len();
    let (input, rest) = gates.split_at_mut(cell);
    let (candidate, rest) = rest.split_at_mut(cell);
    let (forget, output) = rest.split_at_mut(cell);
    let (before, out, output) = (&before[..cell], &mut out[..cell], &mut output[..cell]);
    for k in 0..cell {
        let (i, g) = (sigmoid::<FMA>(input[k]), tanh::<FMA>(candidate[k]));
        let (f, o) = (sigmoid::<FMA>(forget[k]), sigmoid::<FMA>(output[k]));
        let state = clipped(f * before[k] + i * g, clip);
        (input[k], candidate[k], forget[k], output[k]) = (i, g, f, o);
        after[k] = state;
        out[k] = o * tanh::<FMA>(state);
    }
}

vectorized!(
    fn step(gates: &mut [f32], before: &[f32], after: &mut [f32], out: &mut [f32], clip: f32) = step_body
);

/// A step of some examples in a row: `gates` is `[rows, 4 · cell]`, all else `[rows, cell]`; see [`step`].
pub(crate) fn step_rows(
    cell: usize,
    gates: &mut [f32],
    before: &[f32],
    after: &mut [f32],
    out: &mut [f32],
    clip: f32,
) {
    let rows = gates.chunks_exact_mut(4 * cell).zip(before.chunks_exact(cell));
    let rows = rows.zip(after.chunks_exact_mut(cell).zip(out.chunks_exact_mut(cell)));
    rows.for_each(|((gates, before), (after, out))| step(gates, before, after, out, clip));
}

/// Keeps every number in `−clip ..= clip`.
pub(crate) fn clip_all(x: &mut [f32], clip: f32) {
    x.iter_mut().for_each(|x| *x = clipped(*x, clip));
}

/// The same backwards: `d_out` is the gradient of what is projected, `d_state` that of the cell state after the step, which
/// becomes that before it. The gates become the gradient of what they are computed from, `d_out` what was projected.
#[inline(always)]
fn back_body<const FMA: bool>(
    gates: &mut [f32],
    before: &[f32],
    after: &[f32],
    d_out: &mut [f32],
    d_state: &mut [f32],
    clip: f32,
) {
    let cell = after.len();
    let (input, rest) = gates.split_at_mut(cell);
    let (candidate, rest) = rest.split_at_mut(cell);
    let (forget, output) = rest.split_at_mut(cell);
    let (before, output) = (&before[..cell], &mut output[..cell]);
    let (d_out, d_state) = (&mut d_out[..cell], &mut d_state[..cell]);
    for k in 0..cell {
        let (i, g, f, o) = (input[k], candidate[k], forget[k], output[k]);
        let (state, squashed) = (after[k], tanh::<FMA>(after[k]));
        let d = d_state[k] + d_out[k] * o * (1.0 - squashed * squashed);
        // A state that was clipped does not depend on what it was computed from.
        let d = if state.abs() >= clip { 0.0 } else { d };
        input[k] = d * g * i * (1.0 - i);
        candidate[k] = d * i * (1.0 - g * g);
        forget[k] = d * before[k] * f * (1.0 - f);
        output[k] = d_out[k] * squashed * o * (1.0 - o);
        d_state[k] = d * f;
        d_out[k] = o * squashed;
    }
}

vectorized!(
    fn back(
        gates: &mut [f32],
        before: &[f32],
        after: &[f32],
        d_out: &mut [f32],
        d_state: &mut [f32],
        clip: f32,
    ) = back_body
);

/// From `gates`, `[batch, seq, 4 · cell]`, what the inputs add to them, to the outputs `[batch, seq, width]` and the cell states
/// `[batch, seq, cell]`. The gates themselves are left in `gates`. Everything begins with zeros.
pub(crate) fn forward(problem: Problem<'_>, gates: &mut [f32]) -> (Vec<f32>, Vec<f32>) {
    let Problem { batch, seq, cell, width, clip, .. } = problem;
    let wide = problem.gates();
    let mut outputs = vec![0.0; batch * seq * width];
    let mut cells = vec![0.0; batch * seq * cell];
    let recurrent = Panels::new([width, wide], View::rows(problem.recurrent, wide));
    let projection = Panels::new([cell, width], View::rows(problem.projection, width));
    let parts = gates.chunks_mut(problem.numbers(wide));
    let parts = parts.zip(outputs.chunks_mut(problem.numbers(width)));
    let mut parts: Vec<_> = parts.zip(cells.chunks_mut(problem.numbers(cell))).collect();
    for_each_mut(&mut parts, problem.work(), |((gates, outputs), cells)| {
        let examples = gates.len() / (seq * wide);
        // What stands before the first step, one example's; then what is projected and what comes of it, all examples'.
        let zeros = vec![0.0; cell];
        let mut inner = vec![0.0; examples * cell];
        let mut states = vec![0.0; examples * width];
        for t in 0..seq {
            if t > 0 {
                let product =
                    Product::with_packed(examples, View::rows(states.as_slice(), width), &recurrent);
                let gates = &mut gates[t * wide..];
                #[allow(unsafe_code, reason = "the rows of an output are a sequence apart")]
                // SAFETY: row `b` begins at `b · seq · wide` of this slice, which holds all of them, as numbers, and is this
                // task's alone.
                unsafe {
                    product.write_here(gates.as_mut_ptr(), seq * wide, Start::Output);
                }
            }
            for b in 0..examples {
                let at = b * seq + t;
                let (before, after) = cells.split_at_mut(at * cell);
                let before = if t > 0 { &before[(at - 1) * cell..] } else { &zeros[..] };
                let (gates, inner) = (&mut gates[at * wide..][..wide], &mut inner[b * cell..][..cell]);
                step(gates, before, &mut after[..cell], inner, clip);
            }
            let product = Product::with_packed(examples, View::rows(inner.as_slice(), cell), &projection);
            #[allow(unsafe_code, reason = "products write by address")]
            // SAFETY: the buffer is `[examples, width]` and this task's alone.
            unsafe {
                product.write_here(states.as_mut_ptr(), width, Start::Zero);
            }
            for (b, state) in states.chunks_exact_mut(width).enumerate() {
                clip_all(state, clip);
                outputs[(b * seq + t) * width..][..width].copy_from_slice(state);
            }
        }
    });
    (outputs, cells)
}

/// What a forward pass leaves: see [`forward`].
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    /// Overwritten.
    pub(crate) gates: Vec<f32>,
    pub(crate) cells: &'a [f32],
    pub(crate) outputs: &'a [f32],
}

/// The gradients of what inputs add to the gates, of the recurrent weights and of the projection.
#[derive(Debug)]
pub(crate) struct Gradients {
    pub(crate) gates: Vec<f32>,
    pub(crate) recurrent: Option<Vec<f32>>,
    pub(crate) projection: Option<Vec<f32>>,
}

/// From `grad`, `[batch, seq, width]`, that of the outputs, which is overwritten; of the two weights those that are `wanted`.
pub(crate) fn backward(
    problem: Problem<'_>,
    kept: Kept<'_>,
    mut grad: Vec<f32>,
    wanted: [bool; 2],
    precision: Precision,
) -> Gradients {
    let Problem { batch, seq, cell, width, clip, .. } = problem;
    let (wide, rows) = (problem.gates(), batch * seq);
    let Kept { mut gates, cells, outputs } = kept;
    let recurrent = Panels::new([wide, width], View::rows(problem.recurrent, wide).transposed());
    let projection = Panels::new([width, cell], View::rows(problem.projection, width).transposed());
    // What was projected, `[batch, seq, cell]`.
    let mut inner = vec![0.0; rows * cell];
    let parts = gates.chunks_mut(problem.numbers(wide));
    let parts = parts.zip(grad.chunks_mut(problem.numbers(width)));
    let parts = parts.zip(inner.chunks_mut(problem.numbers(cell)));
    let parts = parts.zip(cells.chunks(problem.numbers(cell)).zip(outputs.chunks(problem.numbers(width))));
    let mut parts: Vec<_> = parts.collect();
    for_each_mut(&mut parts, problem.work(), |(((gates, grad), inner), (cells, outputs))| {
        let examples = gates.len() / (seq * wide);
        let zeros = vec![0.0; cell];
        let mut d_states = vec![0.0; examples * cell];
        let mut d_outputs = vec![0.0; examples * width];
        let mut d_inner = vec![0.0; examples * cell];
        for t in (0..seq).rev() {
            // What comes from the step after, and from outside.
            for (b, d_output) in d_outputs.chunks_exact_mut(width).enumerate() {
                let at = (b * seq + t) * width;
                let (grad, output) = (&mut grad[at..][..width], &outputs[at..][..width]);
                for ((d, grad), output) in d_output.iter_mut().zip(grad).zip(output) {
                    *d = if output.abs() >= clip { 0.0 } else { *d + *grad };
                    *grad = *d;
                }
            }
            let product =
                Product::with_packed(examples, View::rows(d_outputs.as_slice(), width), &projection);
            #[allow(unsafe_code, reason = "products write by address")]
            // SAFETY: the buffer is `[examples, cell]` and this task's alone.
            unsafe {
                product.write_here(d_inner.as_mut_ptr(), cell, Start::Zero);
            }
            for b in 0..examples {
                let at = b * seq + t;
                let before = if t > 0 { &cells[(at - 1) * cell..][..cell] } else { &zeros[..] };
                let (gates, after) = (&mut gates[at * wide..][..wide], &cells[at * cell..][..cell]);
                let (d_out, d_state) = (&mut d_inner[b * cell..][..cell], &mut d_states[b * cell..][..cell]);
                back(gates, before, after, d_out, d_state, clip);
                inner[at * cell..][..cell].copy_from_slice(d_out);
            }
            if t > 0 {
                let a = View::rows(&gates[t * wide..], seq * wide);
                #[allow(unsafe_code, reason = "products write by address")]
                // SAFETY: the buffer is `[examples, width]` and this task's alone.
                unsafe {
                    Product::with_packed(examples, a, &recurrent).write_here(
                        d_outputs.as_mut_ptr(),
                        width,
                        Start::Zero,
                    );
                }
            }
        }
    });
    let sum = |left: &[f32], d_left: usize, right: &[f32], d_right: usize| {
        let left = View::rows(left, d_left).transposed();
        Product::new([d_left, d_right, rows], left, View::rows(right, d_right), precision).to_vec(Start::Zero)
    };
    let of_recurrent = wanted[0].then(|| {
        // The output before each step.
        let mut before = vec![0.0; rows * width];
        for (before, outputs) in before.chunks_mut(seq * width).zip(outputs.chunks(seq * width)) {
            before[width..].copy_from_slice(&outputs[..(seq - 1) * width]);
        }
        sum(&before, width, &gates, wide)
    });
    let of_projection = wanted[1].then(|| sum(&inner, cell, &grad, width));
    Gradients { gates, recurrent: of_recurrent, projection: of_projection }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Forward = fn(&mut [f32], &[f32], &mut [f32], &mut [f32], f32);
    type Backward = fn(&mut [f32], &[f32], &[f32], &mut [f32], &mut [f32], f32);

    #[test]
    fn vector_kernels_equal_their_scalar_twins() {
        let numbers = |salt: usize| move |i: usize| ((i * 7 + salt * 3) % 23) as f32 * 0.31 - 3.3;
        for cell in [1, 16, 37] {
            let gates: Vec<f32> = (0..4 * cell).map(numbers(1)).collect();
            let before: Vec<f32> = (0..cell).map(numbers(2)).collect();
            let run = |vector: bool| {
                let (mut gates, mut after, mut out) = (gates.clone(), vec![0.0; cell], vec![0.0; cell]);
                let forward: Forward = if vector { step } else { step_body::<false> };
                let backward: Backward = if vector { back } else { back_body::<false> };
                forward(&mut gates, &before, &mut after, &mut out, 2.0);
                assert!(
                    cell == 1 || after.iter().any(|x| x.abs() == 2.0) && after.iter().any(|x| x.abs() < 2.0)
                );
                let kept = [gates.clone(), after.clone(), out.clone()].concat();
                let mut d_state: Vec<f32> = (0..cell).map(numbers(5)).collect();
                backward(&mut gates, &before, &after, &mut out, &mut d_state, 2.0);
                [kept, gates, out, d_state].concat()
            };
            for (i, (a, b)) in run(true).iter().zip(run(false)).enumerate() {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "cell of {cell}, number {i}: {a} and {b}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_not_clipped_to_one() {
        assert!(clipped(f32::NAN, 3.0).is_nan());
        assert_eq!([clipped(5.0, 3.0), clipped(-5.0, 3.0), clipped(1.0, 3.0)], [3.0, -3.0, 1.0]);
    }
}
