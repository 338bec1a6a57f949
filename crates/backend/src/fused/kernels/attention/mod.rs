//! Attention without the `[seq, seq]` matrix, after FlashAttention [Dao 2022]: blocks of queries meet blocks of keys,
//! the softmax is corrected as larger scores turn up, and the backward pass computes the scores again.

mod backward;
mod blocks;
mod mask;

use super::gemm::{Product, Start, View};
use super::memory::{Shared, as_written, block, for_each, written};
use super::number::{Number, Numbers};
use super::rope::HeadLayout;
use crate::precision::Precision;
pub(crate) use backward::{Gradients, backward};
use blocks::{softmax_block, write_row};
pub(crate) use mask::Mask;
use mask::Window;

/// Queries in a block.
const QUERIES: usize = 64;
/// Keys in a block: with [`QUERIES`], scores of 64 KiB, which stay in the second-level cache.
const KEYS: usize = 256;

/// Queries, keys or values, wherever they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) values: Numbers<'a>,
    pub(crate) layout: HeadLayout,
}

impl<'a> Heads<'a> {
    /// The rows of one head from position `start` on.
    fn rows(&self, batch: usize, start: usize, head: usize) -> View<'a> {
        View::rows(self.values.from(self.layout.at(batch, start, head)), self.layout.strides[1])
    }
}

/// Numbers added to the scaled scores, `[batch or 1, heads or 1, s, t]`, one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bias<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) batch: usize,
    pub(crate) heads: usize,
}

impl Bias<'_> {
    /// Where the row of a query starts.
    fn at(&self, sizes: &Sizes, example: usize, head: usize, query: usize) -> usize {
        let (example, head) = (example % self.batch, head % self.heads);
        ((example * self.heads + head) * sizes.s + query) * sizes.t
    }
}

/// What attention is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem<'a> {
    /// `[batch, s, heads, d_head]`
    pub(crate) q: Heads<'a>,
    /// `[batch, t, kv_heads, d_head]`
    pub(crate) k: Heads<'a>,
    /// `[batch, t, kv_heads, d_head]`
    pub(crate) v: Heads<'a>,
    pub(crate) mask: Mask<'a>,
    pub(crate) bias: Option<Bias<'a>>,
    pub(crate) scale: f32,
    pub(crate) precision: Precision,
}

/// What the backward pass needs to compute the weights of row `i` again: `e^(score − max) · inv_sum`.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    /// `[batch, heads, s]`
    pub(crate) max: Vec<f32>,
    /// `[batch, heads, s]`
    pub(crate) inv_sum: Vec<f32>,
}

/// The sizes of one attention.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    s: usize,
    t: usize,
    heads: usize,
    kv_heads: usize,
    d_head: usize,
}

impl Sizes {
    fn of(problem: &Problem<'_>) -> Self {
        let Problem { q, k, v, mask, bias, .. } = *problem;
        let [batch, s, heads, d_head] = q.layout.shape;
        let [kv_batch, t, kv_heads, kv_d_head] = k.layout.shape;
        assert_eq!(k.layout.shape, v.layout.shape, "keys and values have the same shape");
        assert!(
            kv_batch == batch && kv_d_head == d_head,
            "queries and keys are of the same examples and size"
        );
        assert!(kv_heads > 0 && heads % kv_heads == 0, "{kv_heads} key heads divide {heads} query heads");
        assert!(
            [q, k, v].iter().all(|heads| heads.layout.fits(heads.values.len())),
            "heads lie in their buffers"
        );
        mask.check(batch, s, t);
        if let Some(bias) = bias {
            assert!(
                [1, batch].contains(&bias.batch)
                    && [1, heads].contains(&bias.heads)
                    && bias.values.len() == bias.batch * bias.heads * s * t,
                "a bias is [batch or 1, heads or 1, s, t]"
            );
        }
        Self { batch, s, t, heads, kv_heads, d_head }
    }

    fn is_empty(&self) -> bool {
        self.batch == 0 || self.s == 0 || self.t == 0 || self.d_head == 0
    }

    fn work(&self) -> usize {
        self.batch * self.heads * self.s * self.t * self.d_head
    }

    fn score_block(&self) -> Vec<f32> {
        vec![0.0; self.s.min(QUERIES) * self.t.min(KEYS)]
    }

    /// What a block of queries sums up, in f32 whatever the type of the output.
    fn query_sums(&self) -> Vec<f32> {
        vec![0.0; self.s.min(QUERIES) * self.d_head]
    }
}

/// The output, `[batch, s, heads, d_head]`.
#[allow(unsafe_code, reason = "tasks write disjoint parts of one output")]
pub(crate) fn forward<T: Number>(problem: &Problem<'_>) -> (Vec<T>, Statistics) {
    let sizes = Sizes::of(problem);
    let Sizes { batch, s, heads, d_head, .. } = sizes;
    let rows = batch * heads * s;
    if sizes.is_empty() {
        let statistics = Statistics { max: vec![0.0; rows], inv_sum: vec![0.0; rows] };
        return (vec![T::narrow(0.0); rows * d_head], statistics);
    }
    let (mut max, mut inv_sum) = (vec![f32::NEG_INFINITY; rows], vec![0.0; rows]);
    let (shared_max, shared_sum) = (Shared::of(&mut max), Shared::of(&mut inv_sum));
    // SAFETY: each task writes its own head of its own example, for all positions, in each output.
    let out = unsafe {
        written(rows * d_head, |out| {
            let out = Shared::new(out);
            for_each(batch * heads, sizes.work() * 2, |index| {
                let max = as_written(shared_max.slots(index * s, s));
                let sum = as_written(shared_sum.slots(index * s, s));
                forward_head(sizes, problem, (index / heads, index % heads), out, max, sum);
            });
        })
    };
    (out, Statistics { max, inv_sum })
}

/// One head of one example.
///
/// # Safety
/// Nothing else may access this head of this example in `out`, a contiguous `[batch, s, heads, d_head]`.
#[allow(unsafe_code, reason = "writes rows of one head, which are strided")]
unsafe fn forward_head<T: Number>(
    sizes: Sizes,
    problem: &Problem<'_>,
    (example, head): (usize, usize),
    out: Shared<T>,
    max: &mut [f32],
    sum: &mut [f32],
) {
    let Sizes { s, t, heads, kv_heads, d_head, .. } = sizes;
    let Problem { q, k, v, mask, bias, scale, precision } = *problem;
    let kv_head = head / (heads / kv_heads);
    let layout = HeadLayout::contiguous([sizes.batch, s, heads, d_head]);
    let (mut scores, mut outputs) = (sizes.score_block(), sizes.query_sums());
    let mut corrections = [0.0; QUERIES];
    for q_block in 0..s.div_ceil(QUERIES) {
        let (q_start, q_len) = block(q_block, QUERIES, s);
        let outputs = &mut outputs[..q_len * d_head];
        let (max, sum) = (&mut max[q_start..q_start + q_len], &mut sum[q_start..q_start + q_len]);
        let (first_key, end) = mask.reach(example, (q_start, q_len), s, t);
        let mut first = true;
        for k_start in (first_key / KEYS * KEYS..end).step_by(KEYS) {
            let k_len = KEYS.min(end - k_start);
            let scores = &mut scores[..q_len * k_len];
            let (queries, keys) =
                (q.rows(example, q_start, head), k.rows(example, k_start, kv_head).transposed());
            // SAFETY: `scores` is [q_len, k_len] and borrowed exclusively.
            unsafe {
                Product::new([q_len, k_len, d_head], queries, keys, precision).scaled(scale).write_here(
                    scores.as_mut_ptr(),
                    k_len,
                    Start::Zero,
                );
            }
            let bias =
                bias.map(|bias| (&bias.values[bias.at(&sizes, example, head, q_start) + k_start..], t));
            let window = Window { mask, example, query: q_start, key: k_start, s, t };
            softmax_block(scores, k_len, window, bias, max, sum, &mut corrections[..q_len]);
            if !first {
                for (row, correction) in outputs.chunks_exact_mut(d_head).zip(&corrections) {
                    row.iter_mut().for_each(|x| *x *= correction);
                }
            }
            let start = if first { Start::Zero } else { Start::Output };
            let (weights, values) = (View::rows(&*scores, k_len), v.rows(example, k_start, kv_head));
            // SAFETY: `outputs` is [q_len, d_head] and borrowed exclusively.
            unsafe {
                Product::new([q_len, d_head, k_len], weights, values, precision).write_here(
                    outputs.as_mut_ptr(),
                    d_head,
                    start,
                );
            }
            first = false;
        }
        for (i, (row, sum)) in outputs.chunks_exact(d_head).zip(sum).enumerate() {
            *sum = 1.0 / *sum;
            // SAFETY: a row of this task's own head.
            let to = unsafe { out.slots(layout.at(example, q_start + i, head), d_head) };
            write_row(row, *sum, to);
        }
    }
}
