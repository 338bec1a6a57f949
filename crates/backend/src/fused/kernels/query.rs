//! Attention of single queries to keys and values that decoding keeps, block by block.
//!
//! A block holds some tokens of a layer, and sequences that begin alike share those of their beginning: a search that goes on with a
//! hypothesis twice copies at most the block at its end. Within a block the keys of a head lie with their tokens side by side,
//! so that the scores of a block are sums of vectors over tokens and nothing is added up across one.

use super::math::exp;
use super::memory::{Shared, as_written, for_each};
use super::reduce::{exponentials, maximum};
use super::vector::mul_add;
use std::sync::Arc;

/// Tokens in a block.
pub const SLOTS: usize = 32;
/// Keys whose scores are computed before their values are added.
const KEYS: usize = 256;
const _: () = assert!(KEYS.is_multiple_of(SLOTS) && SLOTS.is_multiple_of(4));

/// Keys and values of up to [`SLOTS`] tokens in a layer.
#[derive(Debug, Clone)]
pub struct KeyValueBlock {
    d_head: usize,
    /// Of each head its keys, `[d_head, SLOTS]`, and its values, `[SLOTS, d_head]`.
    numbers: Box<[f32]>,
}

impl KeyValueBlock {
    /// A block in which every number is zero.
    pub fn new(kv_heads: usize, d_head: usize) -> Self {
        Self { d_head, numbers: vec![0.0; 2 * kv_heads * d_head * SLOTS].into_boxed_slice() }
    }

    /// Writes the keys and values, `[n, …]` each with rows of `[kv_heads, d_head]`, of the tokens that stand at `first` and behind it.
    ///
    /// # Panics
    /// When there are more rows than room, or rows of another size.
    pub fn write(&mut self, first: usize, keys: Rows<'_>, values: Rows<'_>) {
        let (d, rows) = (self.d_head, keys.count);
        assert!(first + rows <= SLOTS && values.count == rows, "{rows} tokens at {first} of {SLOTS} slots");
        for (head, numbers) in self.numbers.chunks_exact_mut(2 * d * SLOTS).enumerate() {
            let (block_keys, block_values) = numbers.split_at_mut(d * SLOTS);
            for row in 0..rows {
                let (slot, key) = (first + row, &keys.row(row)[head * d..][..d]);
                for (slots, &key) in block_keys.chunks_exact_mut(SLOTS).zip(key) {
                    slots[slot] = key;
                }
                block_values[slot * d..][..d].copy_from_slice(&values.row(row)[head * d..][..d]);
            }
        }
    }

    /// Reads the first tokens: writes their keys and values, `[count, kv_heads · d_head]` each.
    fn read(&self, count: usize, keys: &mut [f32], values: &mut [f32]) {
        let d = self.d_head;
        let width = self.numbers.len() / (2 * SLOTS);
        for (head, numbers) in self.numbers.chunks_exact(2 * d * SLOTS).enumerate() {
            let (block_keys, block_values) = numbers.split_at(d * SLOTS);
            for slot in 0..count {
                let at = slot * width + head * d;
                for (key, slots) in keys[at..at + d].iter_mut().zip(block_keys.chunks_exact(SLOTS)) {
                    *key = slots[slot];
                }
                values[at..at + d].copy_from_slice(&block_values[slot * d..][..d]);
            }
        }
    }

    /// The keys, `[d_head, SLOTS]`, and values, `[SLOTS, d_head]`, of a head.
    fn head(&self, head: usize) -> (&[f32], &[f32]) {
        let len = 2 * self.d_head * SLOTS;
        self.numbers[head * len..][..len].split_at(self.d_head * SLOTS)
    }
}

/// Rows of numbers that begin at equal distances.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The first row begins here, and each further one `stride` behind the one before it.
    pub values: &'a [f32],
    /// Numbers from one row to the next.
    pub stride: usize,
    /// Rows.
    pub count: usize,
}

impl<'a> Rows<'a> {
    /// Row `row` and all behind it.
    fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..]
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn part(&self, rows: std::ops::Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.count, "{rows:?} of {} rows", self.count);
        Self { values: self.row(rows.start.min(self.count - 1)), stride: self.stride, count: rows.len() }
    }
}

/// What a query looks at: the first `count` tokens of the blocks.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// All of them full but the last.
    pub blocks: &'a [Arc<KeyValueBlock>],
    /// Tokens that are seen, at least one.
    pub count: usize,
}

impl Seen<'_> {
    /// The keys and values of what is seen, `[count, kv_heads · d_head]` each, into buffers that take that size.
    pub(crate) fn gather(&self, width: usize, keys: &mut Vec<f32>, values: &mut Vec<f32>) {
        keys.resize(self.count * width, 0.0);
        values.resize(self.count * width, 0.0);
        let parts = keys.chunks_mut(SLOTS * width).zip(values.chunks_mut(SLOTS * width));
        for (block, (keys, values)) in self.blocks.iter().zip(parts) {
            block.read(keys.len() / width, keys, values);
        }
    }
}

/// The sizes of heads, and the factor on scores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadSizes {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) d_head: usize,
    pub(crate) scale: f32,
}

/// The scores of a block's keys, `[d_head, SLOTS]`, against a query.
#[inline(always)]
fn block_scores<const FMA: bool>(q: &[f32], keys: &[f32], scale: f32, scores: &mut [f32]) {
    // Two sums a slot, so that a multiplication need not wait for the one before it.
    let mut sums = [[0.0_f32; SLOTS]; 2];
    let mut pairs = q.chunks_exact(2);
    let mut rows = keys.chunks_exact(2 * SLOTS);
    for (q, rows) in (&mut pairs).zip(&mut rows) {
        for (k, sums) in sums.iter_mut().enumerate() {
            for (sum, &key) in sums.iter_mut().zip(&rows[k * SLOTS..][..SLOTS]) {
                *sum = mul_add::<FMA>(q[k], key, *sum);
            }
        }
    }
    if let [q] = *pairs.remainder() {
        sums[0].iter_mut().zip(rows.remainder()).for_each(|(sum, &key)| *sum = mul_add::<FMA>(q, key, *sum));
    }
    let [even, odd] = sums;
    for (score, (a, b)) in scores.iter_mut().zip(even.iter().zip(&odd)) {
        *score = (a + b) * scale;
    }
}

/// Adds values, `[n, d]`, times their weights, `[n]`, to `out`, `[d]`.
#[inline(always)]
fn add_values<const FMA: bool>(weights: &[f32], values: &[f32], out: &mut [f32]) {
    let d = out.len();
    let (fours, rest) = weights.split_at(weights.len() / 4 * 4);
    for (weights, values) in fours.chunks_exact(4).zip(values.chunks_exact(4 * d)) {
        let v: [&[f32]; 4] = std::array::from_fn(|k| &values[k * d..][..d]);
        for (j, out) in out.iter_mut().enumerate() {
            let mut total = *out;
            for k in 0..4 {
                total = mul_add::<FMA>(weights[k], v[k][j], total);
            }
            *out = total;
        }
    }
    for (&weight, values) in rest.iter().zip(values[fours.len() * d..].chunks_exact(d)) {
        out.iter_mut().zip(values).for_each(|(out, &v)| *out = mul_add::<FMA>(weight, v, *out));
    }
}

/// One query of one head against what it sees.
#[inline(always)]
fn query_body<const FMA: bool>(q: &[f32], seen: Seen<'_>, kv_head: usize, scale: f32, out: &mut [f32]) {
    let mut scores = [0.0; KEYS];
    let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0);
    out.fill(0.0);
    let blocks = &seen.blocks[..seen.count.div_ceil(SLOTS)];
    for (part, blocks) in blocks.chunks(KEYS / SLOTS).enumerate() {
        let start = part * KEYS;
        for (block, scores) in blocks.iter().zip(scores.chunks_exact_mut(SLOTS)) {
            block_scores::<FMA>(q, block.head(kv_head).0, scale, scores);
        }
        let scores = &mut scores[..KEYS.min(seen.count - start)];
        let largest = maximum(scores).max(max);
        let correction = exp::<FMA>(max - largest);
        sum = mul_add::<FMA>(sum, correction, exponentials::<FMA>(scores, largest));
        max = largest;
        if start > 0 {
            out.iter_mut().for_each(|out| *out *= correction);
        }
        for (block, weights) in blocks.iter().zip(scores.chunks(SLOTS)) {
            add_values::<FMA>(weights, block.head(kv_head).1, out);
        }
    }
    let inverse = 1.0 / sum;
    out.iter_mut().for_each(|out| *out *= inverse);
}

vectorized!(
    fn query_block(q: &[f32], seen: Seen<'_>, kv_head: usize, scale: f32, out: &mut [f32]) = query_body
);

/// Attention of single queries: row `i` of `q`, `[rows, heads · d_head]`, looks at what `seen(i)` names. Writes `out`, shaped as
/// `q`.
#[allow(unsafe_code, reason = "tasks write disjoint heads")]
pub(crate) fn attend<'a>(
    q: &[f32],
    sizes: HeadSizes,
    work: usize,
    seen: impl Fn(usize) -> Seen<'a> + Send + Sync,
    out: &mut [f32],
) {
    let HeadSizes { heads, kv_heads, d_head, scale } = sizes;
    let width = heads * d_head;
    assert!(q.len() == out.len() && q.len().is_multiple_of(width), "queries and output are [rows, {width}]");
    let group = heads / kv_heads;
    let shared = Shared::of(out);
    for_each(q.len() / width * kv_heads, work, |index| {
        let (row, kv_head) = (index / kv_heads, index % kv_heads);
        let seen = seen(row);
        assert!(
            (1..=seen.blocks.len() * SLOTS).contains(&seen.count)
                && seen.blocks.iter().all(|block| block.numbers.len() == 2 * kv_heads * d_head * SLOTS),
            "{} tokens in {} blocks",
            seen.count,
            seen.blocks.len()
        );
        for head in kv_head * group..(kv_head + 1) * group {
            let at = row * width + head * d_head;
            // SAFETY: this head of this row is this task's alone.
            let out = unsafe { as_written(shared.slots(at, d_head)) };
            query_block(&q[at..at + d_head], seen, kv_head, scale, out);
        }
    });
}

#[cfg(test)]
pub(crate) fn blocks_of(
    keys: &[f32],
    values: &[f32],
    kv_heads: usize,
    d_head: usize,
) -> Vec<Arc<KeyValueBlock>> {
    let width = kv_heads * d_head;
    let rows = |values: &'_ [f32]| values.len() / width;
    let block = |(keys, values): (&[f32], &[f32])| {
        let mut block = KeyValueBlock::new(kv_heads, d_head);
        let [keys, values] = [keys, values].map(|values| Rows { values, stride: width, count: rows(values) });
        block.write(0, keys, values);
        Arc::new(block)
    };
    keys.chunks(SLOTS * width).zip(values.chunks(SLOTS * width)).map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    #[test]
    fn single_queries_attend_as_the_definition_says() {
        for d in [18, 7] {
            let sizes = HeadSizes { heads: 4, kv_heads: 2, d_head: d, scale: 0.3 };
            for count in [1, 3, 32, 255, 256, 700] {
                let (q, k, v) = (numbers(8 * d, 1), numbers(count * 2 * d, 2), numbers(count * 2 * d, 3));
                let blocks = blocks_of(&k, &v, 2, d);
                let mut out = vec![7.0; 8 * d];
                // The second query sees a third of the keys.
                let seen = |row: usize| {
                    let count = if row == 0 { count } else { count.div_ceil(3) };
                    Seen { blocks: &blocks, count }
                };
                attend(&q, sizes, usize::MAX, seen, &mut out);
                for row in 0..2 {
                    let count = seen(row).count;
                    for head in 0..4 {
                        let q = &q[(row * 4 + head) * d..][..d];
                        let of = |slot: usize, j: usize| slot * 2 * d + head / 2 * d + j;
                        let score =
                            |slot| 0.3 * (0..d).map(|j| f64::from(q[j] * k[of(slot, j)])).sum::<f64>();
                        let weights: Vec<f64> = (0..count).map(|slot| score(slot).exp()).collect();
                        let sum: f64 = weights.iter().sum();
                        for j in 0..d {
                            let expected: f64 =
                                (0..count).map(|slot| weights[slot] / sum * f64::from(v[of(slot, j)])).sum();
                            let got = f64::from(out[(row * 4 + head) * d + j]);
                            assert!((got - expected).abs() < 1e-5, "{got} {expected}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_written_to_blocks_is_read_from_them() {
        let (k, v) = (numbers(70 * 10, 1), numbers(70 * 10, 2));
        let blocks = blocks_of(&k, &v, 2, 5);
        let (mut keys, mut values) = (Vec::new(), vec![1.0; 3]);
        Seen { blocks: &blocks, count: 66 }.gather(10, &mut keys, &mut values);
        assert_eq!((keys, values), (k[..660].to_vec(), v[..660].to_vec()));
    }

    #[test]
    fn the_vector_kernel_equals_its_scalar_twin() {
        let (q, k, v) = (numbers(18, 1), numbers(300 * 18, 2), numbers(300 * 18, 3));
        let blocks = blocks_of(&k, &v, 1, 18);
        let seen = Seen { blocks: &blocks, count: 300 };
        let (mut y, mut twin) = (vec![0.0; 18], vec![0.0; 18]);
        query_block(&q, seen, 0, 0.3, &mut y);
        query_body::<false>(&q, seen, 0, 0.3, &mut twin);
        assert!(
            y.iter().zip(&twin).all(|(a, b)| (a - b).abs() <= 5e-6 * b.abs().max(1.0)),
            "{y:?}\n{twin:?}"
        );
    }
}
