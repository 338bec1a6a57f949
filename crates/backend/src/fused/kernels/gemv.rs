//! Few rows times a matrix, as decoding needs it: each weight is read from memory once for all rows.
//!
//! A product of one row does one multiplication for each weight it reads, so memory is what limits it. Weights lie in panels
//! of some columns, which are read from their beginning to their end while the sums of all rows stay in registers. They
//! may be narrower than the sums: [`Packed`].

mod narrow;

pub(crate) use narrow::{PANEL, Packed};

use super::gemm::Panels;
use super::memory::{Shared, for_each};
use super::vector::mul_add;

/// As many rows as the kernels here are for; with more the general product wins.
pub(crate) const FEW: usize = 8;
/// The fewest weights worth a task.
const LEAST_WEIGHTS: usize = 1 << 15;
/// The widest panels of f32.
const WIDEST: usize = 32;

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

/// `R` inputs times the weights of a panel, `[count, W]`. The sums are an array of its own, and so stay in registers.
#[inline(always)]
fn panel_sums<const FMA: bool, const W: usize, const R: usize>(
    x: Inputs<'_>,
    weights: &[f32],
) -> [[f32; W]; R] {
    let rows: [&[f32]; R] = std::array::from_fn(|row| x.row(row));
    let mut sums = [[0.0; W]; R];
    for (i, weights) in weights.chunks_exact(W).take(x.count).enumerate() {
        for row in 0..R {
            let x = rows[row][i];
            for j in 0..W {
                sums[row][j] = mul_add::<FMA>(x, weights[j], sums[row][j]);
            }
        }
    }
    sums
}

/// `sums`, `[rows, W]`, is the inputs times the weights of a panel.
#[inline(always)]
fn panel_body<const FMA: bool, const W: usize>(x: Inputs<'_>, weights: &[f32], sums: &mut [f32]) {
    macro_rules! with_rows {
        ($($rows:literal)*) => {
            match x.rows {
                $($rows => sums.copy_from_slice(panel_sums::<FMA, W, $rows>(x, weights).as_flattened()),)*
                rows => unreachable!("{rows} rows are not few"),
            }
        };
    }
    with_rows!(1 2 3 4 5 6 7 8);
}

#[inline(always)]
fn panel_32_body<const FMA: bool>(x: Inputs<'_>, weights: &[f32], sums: &mut [f32]) {
    panel_body::<FMA, 32>(x, weights, sums);
}

#[inline(always)]
fn panel_16_body<const FMA: bool>(x: Inputs<'_>, weights: &[f32], sums: &mut [f32]) {
    panel_body::<FMA, 16>(x, weights, sums);
}

vectorized!(fn panel_32(x: Inputs<'_>, weights: &[f32], sums: &mut [f32]) = panel_32_body);
vectorized!(fn panel_16(x: Inputs<'_>, weights: &[f32], sums: &mut [f32]) = panel_16_body);

/// What a product becomes in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The output.
    Set,
    /// Something added to what is there.
    Add,
}

/// `y = x w + bias`, or `y += …`: `x` is `[rows, d_in]`, `w` `[d_in, d_out]`, `y` `[rows, d_out]`, with at most [`FEW`] rows.
///
/// The bits are those of the general product: what a row becomes does not depend on how many there are.
pub(crate) fn few(
    x: &[f32],
    weights: &Panels,
    rows: usize,
    bias: Option<&[f32]>,
    y: &mut [f32],
    write: Write,
) {
    let ([d_in, d_out], width, depth) = (weights.shape(), weights.width(), weights.depth());
    assert!(rows <= FEW && x.len() == rows * d_in, "inputs are a few rows of {d_in}");
    assert!(
        y.len() == rows * d_out && bias.is_none_or(|bias| bias.len() == d_out),
        "the output is [rows, d_out]"
    );
    if rows * d_in * d_out == 0 {
        return y.chunks_exact_mut(d_out.max(1)).for_each(|y| finish(&vec![0.0; y.len()], bias, y, write));
    }
    let inputs = Inputs { values: x, stride: d_in, rows, count: d_in };
    let panels = d_out.div_ceil(width);
    let panels_a_task = LEAST_WEIGHTS.div_ceil(d_in * width);
    let out = Shared::of(y);
    for_each(panels.div_ceil(panels_a_task), rows * d_in * d_out, |task| {
        let mut sums = [0.0; WIDEST * FEW];
        let sums = &mut sums[..rows * width];
        for number in task * panels_a_task..panels.min((task + 1) * panels_a_task) {
            let (panel, first) = (weights.panel(number), number * width);
            let outputs = width.min(d_out - first);
            for start in (0..d_in).step_by(depth) {
                let part = inputs.part(start, depth.min(d_in - start));
                let kernel = if width == WIDEST { panel_32 } else { panel_16 };
                kernel(part, &panel[start * width..], sums);
                for (row, sums) in sums.chunks_exact(width).enumerate() {
                    #[allow(unsafe_code, reason = "tasks write disjoint columns of one output")]
                    // SAFETY: columns of `y` that are this task's alone, and `y` holds numbers.
                    let y = unsafe { super::memory::as_written(out.slots(row * d_out + first, outputs)) };
                    match start {
                        0 => finish(sums, bias.map(|bias| &bias[first..]), y, write),
                        _ => finish(sums, None, y, Write::Add),
                    }
                }
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
