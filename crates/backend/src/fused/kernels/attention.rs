//! Attention without the `[seq, seq]` matrix, after FlashAttention [Dao 2022]: blocks of queries meet blocks of keys,
//! the softmax is corrected as larger scores turn up, and the backward pass computes the scores again.

mod blocks;

use super::matrix::{View, multiply_into};
use super::memory::{Shared, as_written, block, for_each, written};
use super::rope::HeadLayout;
use blocks::{finish_rows, gradient_block, row_dots, softmax_block};

/// Queries in a block.
const QUERIES: usize = 64;
/// Keys in a block: with [`QUERIES`], scores of 64 KiB, which stay in the second-level cache.
const KEYS: usize = 256;

/// Queries, keys or values, wherever they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) layout: HeadLayout,
}

impl<'a> Heads<'a> {
    /// The rows of one head from position `start` on.
    fn rows(&self, batch: usize, start: usize, head: usize) -> View<'a> {
        View::rows(&self.values[self.layout.at(batch, start, head)..], self.layout.strides[1])
    }
}

/// Which keys a query sees.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mask<'a> {
    /// All.
    Full,
    /// Query `i` of `s` those up to `i + t − s` of `t`.
    Causal,
    /// Those where this, `[batch, s, t]`, is zero.
    Hidden(&'a [u8]),
}

impl<'a> Mask<'a> {
    /// How many keys, of `t`, the queries up to `end` (not included) of `s` can see together.
    fn reach(self, end: usize, s: usize, t: usize) -> usize {
        if let Mask::Causal = self { end + t - s } else { t }
    }

    /// The part of the mask for one block.
    fn window(self, batch: usize, q: (usize, usize), k: (usize, usize), s: usize, t: usize) -> Window<'a> {
        match self {
            Mask::Full => Window { edge: isize::MAX / 2, hidden: None, hidden_stride: 0 },
            Mask::Causal => {
                let edge = (q.0 + 1 + t - s) as isize - k.0 as isize;
                Window { edge, hidden: None, hidden_stride: 0 }
            }
            Mask::Hidden(hidden) => Window {
                edge: isize::MAX / 2,
                hidden: Some(&hidden[(batch * s + q.0) * t + k.0..]),
                hidden_stride: t,
            },
        }
    }
}

/// Which keys of a block the queries of a block see.
#[derive(Debug, Clone, Copy)]
struct Window<'a> {
    /// Query `r` of the block sees only keys before `edge + r` of the block.
    edge: isize,
    /// Where nonzero, a score counts as −1e30.
    hidden: Option<&'a [u8]>,
    hidden_stride: usize,
}

impl<'a> Window<'a> {
    /// The keys, of `width`, that query `row` sees, and which of those are hidden.
    #[inline(always)]
    fn of(&self, row: usize, width: usize) -> (usize, Option<&'a [u8]>) {
        let visible = (self.edge + row as isize).clamp(0, width as isize) as usize;
        (visible, self.hidden.map(|hidden| &hidden[row * self.hidden_stride..][..width]))
    }
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
    fn of(q: Heads<'_>, k: Heads<'_>, v: Heads<'_>, mask: Mask<'_>) -> Self {
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
        match mask {
            Mask::Causal => assert!(s <= t, "{s} queries are the last of {t} positions"),
            Mask::Hidden(hidden) => assert_eq!(hidden.len(), batch * s * t, "the mask is [batch, s, t]"),
            Mask::Full => {}
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
}

/// Attention: `q` is `[batch, s, heads, d_head]`, `k` and `v` `[batch, t, kv_heads, d_head]`; returns
/// `[batch, s, heads, d_head]`.
#[allow(unsafe_code, reason = "tasks write disjoint parts of one output")]
pub(crate) fn forward(
    q: Heads<'_>,
    k: Heads<'_>,
    v: Heads<'_>,
    mask: Mask<'_>,
    scale: f32,
) -> (Vec<f32>, Statistics) {
    let sizes = Sizes::of(q, k, v, mask);
    let Sizes { batch, s, heads, d_head, .. } = sizes;
    let rows = batch * heads * s;
    if sizes.is_empty() {
        let statistics = Statistics { max: vec![0.0; rows], inv_sum: vec![0.0; rows] };
        return (vec![0.0; rows * d_head], statistics);
    }
    let (mut max, mut inv_sum) = (vec![f32::NEG_INFINITY; rows], vec![0.0; rows]);
    let (shared_max, shared_sum) = (Shared::of(&mut max), Shared::of(&mut inv_sum));
    // SAFETY: each task writes its own head of its own example, for all positions.
    let out = unsafe {
        written(rows * d_head, |out| {
            let out = Shared::new(out);
            for_each(batch * heads, sizes.work() * 2, |index| {
                let (example, head) = (index / heads, index % heads);
                let max = as_written(shared_max.slots(index * s, s));
                let sum = as_written(shared_sum.slots(index * s, s));
                forward_head(sizes, q, k, v, mask, scale, (example, head), out, max, sum);
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
#[allow(clippy::too_many_arguments, reason = "three tensors, a mask and where to write")]
unsafe fn forward_head(
    sizes: Sizes,
    q: Heads<'_>,
    k: Heads<'_>,
    v: Heads<'_>,
    mask: Mask<'_>,
    scale: f32,
    (example, head): (usize, usize),
    out: Shared,
    max: &mut [f32],
    sum: &mut [f32],
) {
    let Sizes { s, t, heads, kv_heads, d_head, .. } = sizes;
    let kv_head = head / (heads / kv_heads);
    let layout = HeadLayout::contiguous([sizes.batch, s, heads, d_head]);
    let row_stride = heads * d_head;
    let mut scores = sizes.score_block();
    let mut corrections = [0.0; QUERIES];
    for q_block in 0..s.div_ceil(QUERIES) {
        let (q_start, q_len) = block(q_block, QUERIES, s);
        let out_offset = layout.at(example, q_start, head);
        let (max, sum) = (&mut max[q_start..q_start + q_len], &mut sum[q_start..q_start + q_len]);
        let reach = mask.reach(q_start + q_len, s, t);
        for k_block in 0..reach.div_ceil(KEYS) {
            let (k_start, k_len) = block(k_block, KEYS, reach);
            let scores = &mut scores[..q_len * k_len];
            let (queries, keys) =
                (q.rows(example, q_start, head), k.rows(example, k_start, kv_head).transposed());
            // SAFETY: `scores` is [q_len, k_len] and borrowed exclusively.
            unsafe {
                multiply_into([q_len, k_len, d_head], queries, keys, scores.as_mut_ptr(), k_len, scale, false)
            };
            let window = mask.window(example, (q_start, q_len), (k_start, k_len), s, t);
            softmax_block(scores, k_len, window, max, sum, &mut corrections[..q_len]);
            if k_block > 0 {
                // SAFETY: this head's rows, written by the first block of keys.
                unsafe { finish_rows(out.at(out_offset), row_stride, d_head, &corrections[..q_len]) };
            }
            let weights = View::rows(scores, k_len);
            let values = v.rows(example, k_start, kv_head);
            // SAFETY: this head's rows of `out`; accumulated into only after the first block of keys.
            unsafe {
                multiply_into(
                    [q_len, d_head, k_len],
                    weights,
                    values,
                    out.at(out_offset),
                    row_stride,
                    1.0,
                    k_block > 0,
                );
            }
        }
        for sum in sum.iter_mut() {
            *sum = 1.0 / *sum;
        }
        // SAFETY: this head's rows, written above.
        unsafe { finish_rows(out.at(out_offset), row_stride, d_head, sum) };
    }
}

/// What the backward pass of attention is given.
pub(crate) struct Saved<'a> {
    pub(crate) q: Heads<'a>,
    pub(crate) k: Heads<'a>,
    pub(crate) v: Heads<'a>,
    pub(crate) mask: Mask<'a>,
    pub(crate) scale: f32,
    /// `[batch, s, heads, d_head]`, contiguous.
    pub(crate) out: &'a [f32],
    pub(crate) statistics: &'a Statistics,
}

/// The gradients of `q`, `k` and `v` from that of the output, `[batch, s, heads, d_head]` and contiguous.
#[allow(unsafe_code, reason = "tasks write disjoint parts of the outputs")]
pub(crate) fn backward(saved: &Saved<'_>, grad: &[f32]) -> [Vec<f32>; 3] {
    let sizes = Sizes::of(saved.q, saved.k, saved.v, saved.mask);
    let Sizes { batch, s, t, heads, kv_heads, d_head } = sizes;
    let (q_len, kv_len) = (batch * s * heads * d_head, batch * t * kv_heads * d_head);
    assert!(grad.len() == q_len && saved.out.len() == q_len, "the gradient has the output's shape");
    if sizes.is_empty() {
        return [vec![0.0; q_len], vec![0.0; kv_len], vec![0.0; kv_len]];
    }
    let (mut dk, mut dv) = (Vec::new(), Vec::new());
    // SAFETY: each task writes its own key head of its own example in `dk` and `dv`, and the query heads that share it
    // in `dq`, for all positions.
    let dq = unsafe {
        written(q_len, |dq| {
            let dq = Shared::new(dq);
            dk = written(kv_len, |dk| {
                let dk = Shared::new(dk);
                dv = written(kv_len, |dv| {
                    let dv = Shared::new(dv);
                    for_each(batch * kv_heads, sizes.work() * 5, |index| {
                        backward_head(sizes, saved, grad, (index / kv_heads, index % kv_heads), [dq, dk, dv]);
                    });
                });
            });
        })
    };
    [dq, dk, dv]
}

/// One key head of one example, with the query heads that share it, in order.
///
/// # Safety
/// Nothing else may access these heads of this example in the gradients `[dq, dk, dv]`, contiguous buffers shaped as
/// `q`, `k` and `v`.
#[allow(unsafe_code, reason = "writes rows of single heads, which are strided")]
unsafe fn backward_head(
    sizes: Sizes,
    saved: &Saved<'_>,
    grad: &[f32],
    (example, kv_head): (usize, usize),
    [dq, dk, dv]: [Shared; 3],
) {
    let Sizes { batch, s, t, heads, kv_heads, d_head } = sizes;
    let Saved { q, k, v, mask, scale, out, statistics } = *saved;
    let q_layout = HeadLayout::contiguous([batch, s, heads, d_head]);
    let kv_layout = HeadLayout::contiguous([batch, t, kv_heads, d_head]);
    let (q_stride, kv_stride) = (heads * d_head, kv_heads * d_head);
    let grads = Heads { values: grad, layout: q_layout };
    let (mut weights, mut d_scores) = (sizes.score_block(), sizes.score_block());
    let mut delta = [0.0; QUERIES];
    let group = heads / kv_heads;
    // The last queries see all keys, so that what they write first the others can add to.
    let mut first = true;
    for head in kv_head * group..(kv_head + 1) * group {
        for q_block in (0..s.div_ceil(QUERIES)).rev() {
            let (q_start, q_len) = block(q_block, QUERIES, s);
            let row = (example * heads + head) * s + q_start;
            let (max, inv_sum) = (&statistics.max[row..row + q_len], &statistics.inv_sum[row..row + q_len]);
            let q_offset = q_layout.at(example, q_start, head);
            let queries = q.rows(example, q_start, head);
            let grads = grads.rows(example, q_start, head);
            let delta = &mut delta[..q_len];
            row_dots(&out[q_offset..], &grad[q_offset..], q_stride, d_head, delta);
            let reach = mask.reach(q_start + q_len, s, t);
            for k_block in 0..reach.div_ceil(KEYS) {
                let (k_start, k_len) = block(k_block, KEYS, reach);
                let kv_offset = kv_layout.at(example, k_start, kv_head);
                let (keys, values) = (k.rows(example, k_start, kv_head), v.rows(example, k_start, kv_head));
                let weights = &mut weights[..q_len * k_len];
                let d_scores = &mut d_scores[..q_len * k_len];
                let square = [q_len, k_len, d_head];
                // SAFETY: both are [q_len, k_len] and borrowed exclusively.
                unsafe {
                    multiply_into(
                        square,
                        queries,
                        keys.transposed(),
                        weights.as_mut_ptr(),
                        k_len,
                        scale,
                        false,
                    );
                    multiply_into(
                        square,
                        grads,
                        values.transposed(),
                        d_scores.as_mut_ptr(),
                        k_len,
                        1.0,
                        false,
                    );
                }
                let window = mask.window(example, (q_start, q_len), (k_start, k_len), s, t);
                gradient_block(weights, d_scores, k_len, window, max, inv_sum, delta, scale);
                let (weights, d_scores) = (View::rows(weights, k_len), View::rows(d_scores, k_len));
                let by_key = [k_len, d_head, q_len];
                let (dq, dk, dv) = (dq.at(q_offset), dk.at(kv_offset), dv.at(kv_offset));
                // SAFETY: rows of this task's own heads. Those of `dq` are accumulated into after the first block of
                // keys wrote them, those of `dk` and `dv` after the first block of queries, which reaches every key.
                unsafe {
                    multiply_into(by_key, weights.transposed(), grads, dv, kv_stride, 1.0, !first);
                    multiply_into(by_key, d_scores.transposed(), queries, dk, kv_stride, 1.0, !first);
                    multiply_into([q_len, d_head, k_len], d_scores, keys, dq, q_stride, 1.0, k_block > 0);
                }
            }
            first = false;
        }
    }
}
