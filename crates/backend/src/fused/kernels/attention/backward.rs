//! The gradients of attention.

use super::super::gemm::{Product, Start, View};
use super::super::memory::{Shared, as_written, block, for_each};
use super::super::number::Number;
use super::super::rope::HeadLayout;
use super::blocks::{gradient_block, row_dots, write_row};
use super::mask::Window;
use super::{Heads, KEYS, Problem, QUERIES, Sizes, Statistics};

/// Where the gradients go: buffers that need not have been written, and how heads lie in them.
#[derive(Clone, Copy)]
pub(crate) struct Gradients<T> {
    /// `[batch, s, heads, d_head]`
    pub(crate) q: (Shared<T>, HeadLayout),
    /// `[batch, t, kv_heads, d_head]`
    pub(crate) k: (Shared<T>, HeadLayout),
    /// `[batch, t, kv_heads, d_head]`
    pub(crate) v: (Shared<T>, HeadLayout),
    /// Shaped as the bias, and zero at first.
    pub(crate) bias: Option<Shared>,
}

/// Writes the gradients of `q`, `k` and `v` and adds that of the bias, from the output and its gradient, both
/// `[batch, s, heads, d_head]` and contiguous.
///
/// # Safety
/// The buffers must hold heads of the shapes of `q`, `k` and `v`, and a bias, and nothing else may access them.
#[allow(unsafe_code, reason = "tasks write disjoint parts of the outputs")]
pub(crate) unsafe fn backward<T: Number>(
    problem: &Problem<'_>,
    statistics: &Statistics,
    out: &[T],
    grad: &[T],
    gradients: Gradients<T>,
) {
    let sizes = Sizes::of(problem);
    let Sizes { batch, s, heads, kv_heads, d_head, .. } = sizes;
    let q_len = batch * s * heads * d_head;
    assert!(grad.len() == q_len && out.len() == q_len, "the gradient has the output's shape");
    assert!(
        gradients.q.1.shape == problem.q.layout.shape
            && gradients.k.1.shape == problem.k.layout.shape
            && gradients.v.1.shape == problem.v.layout.shape,
        "gradients have the shapes of what they are the gradients of"
    );
    // A task is a key head of an example with the query heads that share it; or more of them, if they share a bias.
    let (examples, kv_groups) = match (problem.bias, gradients.bias) {
        (Some(bias), Some(_)) => {
            (if bias.batch == 1 { 1 } else { batch }, if bias.heads == 1 { 1 } else { kv_heads })
        }
        _ => (batch, kv_heads),
    };
    for_each(examples * kv_groups, sizes.work() * 5, |index| {
        for example in (index / kv_groups..batch).step_by(examples) {
            for kv_head in (index % kv_groups..kv_heads).step_by(kv_groups) {
                // SAFETY: this task's own key head of its own example and, for the bias, its own part of it.
                unsafe {
                    backward_head(sizes, problem, statistics, out, grad, (example, kv_head), gradients)
                };
            }
        }
    });
}

/// One key head of one example, with the query heads that share it, in order.
///
/// # Safety
/// Nothing else may access these heads of this example in the gradients, nor the part of the bias they use.
#[allow(unsafe_code, reason = "writes rows of single heads, which are strided")]
unsafe fn backward_head<T: Number>(
    sizes: Sizes,
    problem: &Problem<'_>,
    statistics: &Statistics,
    out: &[T],
    grad: &[T],
    (example, kv_head): (usize, usize),
    gradients: Gradients<T>,
) {
    let Sizes { batch, s, t, heads, kv_heads, d_head } = sizes;
    let Problem { q, k, v, mask, bias, scale, precision } = *problem;
    let layout = HeadLayout::contiguous([batch, s, heads, d_head]);
    let stride = heads * d_head;
    let grads = Heads { values: grad.into(), layout };
    let (mut weights, mut d_scores) = (sizes.score_block(), sizes.score_block());
    let mut delta = [0.0; QUERIES];
    let mut dq = sizes.query_sums();
    // [t, d_head] each: every block of queries adds to them.
    let (mut dk, mut dv) = (vec![0.0; t * d_head], vec![0.0; t * d_head]);
    let group = heads / kv_heads;
    for head in kv_head * group..(kv_head + 1) * group {
        for q_block in 0..s.div_ceil(QUERIES) {
            let (q_start, q_len) = block(q_block, QUERIES, s);
            let row = (example * heads + head) * s + q_start;
            let (max, inv_sum) = (&statistics.max[row..row + q_len], &statistics.inv_sum[row..row + q_len]);
            let offset = layout.at(example, q_start, head);
            let queries = q.rows(example, q_start, head);
            let grads = grads.rows(example, q_start, head);
            let delta = &mut delta[..q_len];
            row_dots(&out[offset..], &grad[offset..], stride, d_head, delta);
            let dq = &mut dq[..q_len * d_head];
            let (first_key, end) = mask.reach(example, (q_start, q_len), s, t);
            let mut first = true;
            for k_start in (first_key / KEYS * KEYS..end).step_by(KEYS) {
                let k_len = KEYS.min(end - k_start);
                let (keys, values) = (k.rows(example, k_start, kv_head), v.rows(example, k_start, kv_head));
                let weights = &mut weights[..q_len * k_len];
                let d_scores = &mut d_scores[..q_len * k_len];
                let square = [q_len, k_len, d_head];
                // SAFETY: both are [q_len, k_len] and borrowed exclusively.
                unsafe {
                    Product::new(square, queries, keys.transposed(), precision).scaled(scale).write_here(
                        weights.as_mut_ptr(),
                        k_len,
                        Start::Zero,
                    );
                    Product::new(square, grads, values.transposed(), precision).write_here(
                        d_scores.as_mut_ptr(),
                        k_len,
                        Start::Zero,
                    );
                }
                let window = Window { mask, example, query: q_start, key: k_start, s, t };
                let at = bias.map(|bias| bias.at(&sizes, example, head, q_start) + k_start);
                let bias = bias.zip(at).map(|(bias, at)| (&bias.values[at..], t));
                gradient_block(weights, d_scores, k_len, window, bias, max, inv_sum, delta);
                if let Some((d_bias, at)) = gradients.bias.zip(at) {
                    for (row, d_scores) in d_scores.chunks_exact(k_len).enumerate() {
                        // SAFETY: numbers of this task's part of the bias, zero at first.
                        let d_bias = unsafe { as_written(d_bias.slots(at + row * t, k_len)) };
                        d_bias.iter_mut().zip(d_scores).for_each(|(sum, d_score)| *sum += d_score);
                    }
                }
                let (weights, d_scores) = (View::rows(&*weights, k_len), View::rows(&*d_scores, k_len));
                let by_key = [k_len, d_head, q_len];
                let keys_at = k_start * d_head..(k_start + k_len) * d_head;
                let start = if first { Start::Zero } else { Start::Output };
                // SAFETY: rows of `dv`, `dk` and `dq`, borrowed exclusively.
                unsafe {
                    Product::new(by_key, weights.transposed(), grads, precision).write_here(
                        dv[keys_at.clone()].as_mut_ptr(),
                        d_head,
                        Start::Output,
                    );
                    Product::new(by_key, d_scores.transposed(), queries, precision).scaled(scale).write_here(
                        dk[keys_at].as_mut_ptr(),
                        d_head,
                        Start::Output,
                    );
                    Product::new([q_len, d_head, k_len], d_scores, keys, precision).scaled(scale).write_here(
                        dq.as_mut_ptr(),
                        d_head,
                        start,
                    );
                }
                first = false;
            }
            // SAFETY: rows of this task's own heads.
            unsafe { write_rows(dq, gradients.q, [example, q_start, head]) };
        }
    }
    // SAFETY: as above.
    unsafe {
        write_rows(&dk, gradients.k, [example, 0, kv_head]);
        write_rows(&dv, gradients.v, [example, 0, kv_head]);
    }
}

/// Writes the rows of one head from a position on.
///
/// # Safety
/// They must be rows of the buffer, which nothing else may access meanwhile.
#[allow(unsafe_code, reason = "rows of one head are strided")]
unsafe fn write_rows<T: Number>(
    rows: &[f32],
    (to, layout): (Shared<T>, HeadLayout),
    [example, start, head]: [usize; 3],
) {
    let d_head = layout.shape[3];
    for (i, row) in rows.chunks_exact(d_head.max(1)).enumerate() {
        // SAFETY: this function's contract.
        write_row(row, 1.0, unsafe { to.slots(layout.at(example, start + i, head), d_head) });
    }
}
