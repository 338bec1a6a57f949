//! Sums and maxima of rows, in an order that is fixed and fit for vector instructions.

use super::math::exp;
use super::memory::{BLOCK, for_each_mut};
use super::number::Number;

/// How many numbers a running sum or maximum keeps side by side: two AVX2 registers, or one of AVX-512.
///
/// Floating-point sums cannot be reordered by the compiler, so every reduction states its own order: lane `i` takes
/// the elements `i, i + LANES, …`, and the lanes are added pairwise at the end.
const LANES: usize = 16;

/// The sum of the lanes, pairwise.
#[inline(always)]
fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The largest of the lanes.
#[inline(always)]
fn max_lanes(lanes: [f32; LANES]) -> f32 {
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// Folds `f(x, y, sum)` over two rows, lane by lane, and adds up the lanes.
#[inline(always)]
pub(super) fn sum_over<X: Number, Y: Number>(x: &[X], y: &[Y], f: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (mut xs, mut ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    for (x, y) in (&mut xs).zip(&mut ys) {
        for i in 0..LANES {
            lanes[i] = f(x[i].widen(), y[i].widen(), lanes[i]);
        }
    }
    for ((lane, &x), &y) in lanes.iter_mut().zip(xs.remainder()).zip(ys.remainder()) {
        *lane = f(x.widen(), y.widen(), *lane);
    }
    sum_lanes(lanes)
}

/// The largest of a row.
#[inline(always)]
pub(super) fn maximum(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = row.chunks_exact(LANES);
    for chunk in &mut chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = lane.max(x);
    }
    max_lanes(lanes)
}

/// Replaces each number by `e^(x − max)` and returns their sum.
#[inline(always)]
pub(super) fn exponentials<const FMA: bool>(row: &mut [f32], max: f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for i in 0..LANES {
            chunk[i] = exp::<FMA>(chunk[i] - max);
            lanes[i] += chunk[i];
        }
    }
    for (lane, x) in lanes.iter_mut().zip(chunks.into_remainder()) {
        *x = exp::<FMA>(*x - max);
        *lane += *x;
    }
    sum_lanes(lanes)
}

/// Adds the rows of `x` in order: `[rows, width]`, rows `stride` apart; returns `[width]`.
pub(crate) fn column_sums<T: Number>(x: &[T], stride: usize, width: usize) -> Vec<f32> {
    const COLUMNS: usize = 256;
    let mut sums = vec![0.0; width];
    let mut chunks: Vec<(usize, &mut [f32])> = sums.chunks_mut(COLUMNS).enumerate().collect();
    for_each_mut(&mut chunks, x.len(), |(chunk, sums)| {
        for row in x.chunks(stride.max(1)) {
            for (sum, x) in sums.iter_mut().zip(&row[*chunk * COLUMNS..]) {
                *sum += x.widen();
            }
        }
    });
    sums
}

/// Multiplies every number by `factor`.
pub(crate) fn scale(x: &mut [f32], factor: f32) {
    let numbers = x.len();
    let mut blocks: Vec<&mut [f32]> = x.chunks_mut(BLOCK).collect();
    for_each_mut(&mut blocks, numbers, |block| block.iter_mut().for_each(|x| *x *= factor));
}
