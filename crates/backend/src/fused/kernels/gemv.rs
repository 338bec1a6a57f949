//! Few rows times a matrix, as decoding needs it: each weight is read from memory once for all rows.
//!
//! A product of one row does one multiplication for each weight it reads, so memory is what limits it and the general
//! product's packing is lost work. Here weights are read in the order in which they lie and added to sums that stay in the
//! nearest cache. They may be narrower than the sums: [`Packed`].

mod narrow;

pub(crate) use narrow::{PANEL, Packed};

use super::memory::{Shared, for_each};
use super::reduce::sum_over;
use super::vector::mul_add;

/// As many rows as the kernels here are for; with more the general product wins.
pub(crate) const FEW: usize = 8;
/// The fewest weights worth a task.
const LEAST_WEIGHTS: usize = 1 << 15;

/// A number that is stored as less than an f32.
pub(super) trait Weight: Copy {
    fn widen(self) -> f32;
}

/// The upper half of an f32's bits.
impl Weight for u16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }
}

impl Weight for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
}

/// Some inputs of some rows: input `i` of row `r` is `values[r · stride + i]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) count: usize,
}

impl<'a> Inputs<'a> {
    #[inline(always)]
    fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..][..self.count]
    }

    /// `count` inputs from `first` on.
    #[inline(always)]
    fn part(&self, first: usize, count: usize) -> Self {
        Self { values: &self.values[first..], count, ..*self }
    }
}

/// `sums`, `[rows, width]`, is the inputs times `weights`, `[count, width]`.
///
/// One input after the other: a single stream of memory is what processors fetch ahead best. Reading two to eight of
/// them side by side saves work on the sums, and was slower by a quarter to a half.
#[inline(always)]
fn columns_body<const FMA: bool>(x: Inputs<'_>, weights: &[f32], sums: &mut [f32], width: usize) {
    sums.fill(0.0);
    for (i, weights) in weights.chunks_exact(width).take(x.count).enumerate() {
        for (row, sums) in sums.chunks_exact_mut(width).enumerate() {
            let x = x.values[row * x.stride + i];
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum = mul_add::<FMA>(x, weight, *sum);
            }
        }
    }
}

/// `y[row · stride + j]` is row `row` of `x` times row `j` of `weights`, `[outputs, count]`.
#[inline(always)]
fn dots_body<const FMA: bool>(x: Inputs<'_>, weights: &[f32], y: &mut [f32], stride: usize) {
    for (j, weights) in weights.chunks_exact(x.count).enumerate() {
        for row in 0..x.rows {
            y[row * stride + j] = sum_over(x.row(row), weights, mul_add::<FMA>);
        }
    }
}

vectorized!(fn columns_block(x: Inputs<'_>, weights: &[f32], sums: &mut [f32], width: usize) = columns_body);
vectorized!(fn dots_block(x: Inputs<'_>, weights: &[f32], y: &mut [f32], stride: usize) = dots_body);

/// What a product becomes in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The output.
    Set,
    /// Something added to what is there.
    Add,
}

/// `y = x w + bias`, or `y += …`: `x` is `[rows, d_in]`, `w` `[d_in, d_out]`, `y` `[rows, d_out]`. `scratch` is used as it
/// likes.
pub(crate) fn columns(
    x: &[f32],
    weights: &[f32],
    [rows, d_in, d_out]: [usize; 3],
    bias: Option<&[f32]>,
    y: &mut [f32],
    write: Write,
    scratch: &mut Vec<f32>,
) {
    assert!(
        x.len() == rows * d_in && weights.len() == d_in * d_out,
        "operands are [rows, d_in], [d_in, d_out]"
    );
    assert!(
        y.len() == rows * d_out && bias.is_none_or(|bias| bias.len() == d_out),
        "the output is [rows, d_out]"
    );
    if rows * d_out == 0 {
        return;
    }
    // Parts of the inputs, so that each task reads one stretch of memory; their number depends on the shape alone.
    let parts = (d_in * d_out / LEAST_WEIGHTS).clamp(1, 16);
    let part_len = d_in.div_ceil(parts).max(1);
    let parts = d_in.div_ceil(part_len).max(1);
    scratch.resize((parts * rows * d_out).max(scratch.len()), 0.0);
    let inputs = Inputs { values: x, stride: d_in, rows, count: d_in };
    let sums = Shared::of(scratch);
    for_each(parts, rows * d_in * d_out, |part| {
        let first = (part * part_len).min(d_in);
        let count = part_len.min(d_in - first);
        #[allow(unsafe_code, reason = "tasks write disjoint parts of one buffer")]
        // SAFETY: this part's sums lie in `scratch` and are this task's alone; all of them were written before.
        let sums = unsafe { super::memory::as_written(sums.slots(part * rows * d_out, rows * d_out)) };
        columns_block(inputs.part(first, count), &weights[first * d_out..], sums, d_out);
    });
    let (first, others) = scratch[..parts * rows * d_out].split_at_mut(rows * d_out);
    for part in others.chunks_exact(rows * d_out) {
        for (sum, &part) in first.iter_mut().zip(part) {
            *sum += part;
        }
    }
    for (sums, y) in first.chunks_exact(d_out).zip(y.chunks_exact_mut(d_out)) {
        finish(sums, bias, y, write);
    }
}

/// `y = x wᵀ + bias`: `x` is `[rows, d_in]`, `w` `[d_out, d_in]`, `y` `[rows, d_out]`.
pub(crate) fn dots(
    x: &[f32],
    weights: &[f32],
    [rows, d_in, d_out]: [usize; 3],
    bias: Option<&[f32]>,
    y: &mut [f32],
    write: Write,
) {
    assert!(
        x.len() == rows * d_in && weights.len() == d_in * d_out,
        "operands are [rows, d_in], [d_out, d_in]"
    );
    assert!(
        y.len() == rows * d_out && bias.is_none_or(|bias| bias.len() == d_out),
        "the output is [rows, d_out]"
    );
    if rows * d_out == 0 {
        return;
    }
    const OUTPUTS: usize = 64;
    let inputs = Inputs { values: x, stride: d_in, rows, count: d_in };
    let out = Shared::of(y);
    for_each(d_out.div_ceil(OUTPUTS), rows * d_in * d_out, |block| {
        let first = block * OUTPUTS;
        let outputs = OUTPUTS.min(d_out - first);
        let mut results = [0.0; OUTPUTS * FEW];
        for group in 0..rows.div_ceil(FEW) {
            let row = group * FEW;
            let rows = FEW.min(rows - row);
            let inputs = Inputs { values: &inputs.values[row * d_in..], rows, ..inputs };
            if d_in > 0 {
                dots_block(inputs, &weights[first * d_in..][..outputs * d_in], &mut results, OUTPUTS);
            }
            for (i, results) in results.chunks_exact(OUTPUTS).take(rows).enumerate() {
                #[allow(unsafe_code, reason = "tasks write disjoint columns of one output")]
                // SAFETY: columns of `y` that are this block's alone, and `y` holds numbers.
                let y = unsafe { super::memory::as_written(out.slots((row + i) * d_out + first, outputs)) };
                finish(&results[..outputs], bias.map(|bias| &bias[first..]), y, write);
            }
        }
    });
}

/// Writes sums, and a bias if there is one, to their place.
pub(crate) fn finish(sums: &[f32], bias: Option<&[f32]>, y: &mut [f32], write: Write) {
    match (write, bias) {
        (Write::Set, None) => y.copy_from_slice(&sums[..y.len()]),
        (Write::Add, None) => y.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum),
        (Write::Set, Some(bias)) => y.iter_mut().zip(sums).zip(bias).for_each(|((y, sum), b)| *y = sum + b),
        (Write::Add, Some(bias)) => y.iter_mut().zip(sums).zip(bias).for_each(|((y, sum), b)| *y += sum + b),
    }
}

#[cfg(test)]
mod tests;
