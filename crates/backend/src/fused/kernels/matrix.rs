//! Matrix products through the `gemm` crate, split into tiles that depend on the shapes alone.

use rayon::prelude::*;

use super::memory::{Shared, for_each, written};

/// A matrix lying in a slice: element `(i, j)` is at `i · row_stride + j · col_stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// Rows of `row_stride` numbers after each other, of which the first ones count.
    pub(crate) fn rows(values: &'a [f32], row_stride: usize) -> Self {
        Self { values, row_stride, col_stride: 1 }
    }

    /// Elements a fixed distance apart in both directions.
    pub(crate) fn strided(values: &'a [f32], row_stride: usize, col_stride: usize) -> Self {
        Self { values, row_stride, col_stride }
    }

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self { row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        rows == 0
            || cols == 0
            || (rows - 1) * self.row_stride + (cols - 1) * self.col_stride < self.values.len()
    }
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
enum Start<'a> {
    /// Nothing: the output is written without being read.
    Zero,
    /// This row, `[n]`, in every row.
    Row(&'a [f32]),
    /// What the output holds.
    Output,
}

/// `c = scale · a b`, or `c += scale · a b`, on this thread: `a` is `[m, k]`, `b` `[k, n]`, `c` `[m, n]` with rows
/// `c_stride` apart.
///
/// # Safety
/// The `m` rows of `n` numbers at `c` must be valid for writing, nothing else may access them meanwhile, and with
/// `accumulate` they must have been written before.
#[allow(unsafe_code, reason = "the gemm crate takes pointers")]
#[allow(clippy::too_many_arguments, reason = "a matrix product has that many")]
pub(crate) unsafe fn multiply_into(
    [m, n, k]: [usize; 3],
    a: View<'_>,
    b: View<'_>,
    c: *mut f32,
    c_stride: usize,
    scale: f32,
    accumulate: bool,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "operands of a [{m}, {k}] by [{k}, {n}] product are too short");
    // SAFETY: `a` and `b` hold the elements read (just checked; strides come from slices, so they fit isize), `c` is
    // valid by this function's contract, and is read only where the contract says that it was written.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            c_stride as isize,
            accumulate,
            a.values.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `a b`, plus a row if `start` has one: `a` is `[m, k]`, `b` `[k, n]`; returns `[m, n]`.
pub(crate) fn product(shape: [usize; 3], a: View<'_>, b: View<'_>, row: Option<&[f32]>) -> Vec<f32> {
    let start = row.map_or(Start::Zero, Start::Row);
    #[allow(unsafe_code, reason = "the output is not cleared before it is written")]
    // SAFETY: the tiles cover all of the output, and `start` does not read it.
    unsafe {
        written(shape[0] * shape[1], |c| tiles(shape, a, b, Shared::new(c), start))
    }
}

/// `c = a b`: `a` is `[m, k]`, `b` `[k, n]`, `c` `[m, n]`.
pub(crate) fn assign(shape: [usize; 3], a: View<'_>, b: View<'_>, c: &mut [f32]) {
    into(shape, a, b, c, Start::Zero);
}

/// `c += a b`: `a` is `[m, k]`, `b` `[k, n]`, `c` `[m, n]`.
pub(crate) fn accumulate(shape: [usize; 3], a: View<'_>, b: View<'_>, c: &mut [f32]) {
    into(shape, a, b, c, Start::Output);
}

fn into(shape: [usize; 3], a: View<'_>, b: View<'_>, c: &mut [f32], start: Start<'_>) {
    assert_eq!(c.len(), shape[0] * shape[1], "the output is [m, n]");
    #[allow(unsafe_code, reason = "tiles write disjoint parts of one output")]
    // SAFETY: `c` is `[m, n]`, borrowed exclusively, and holds numbers.
    unsafe {
        tiles(shape, a, b, Shared::of(c), start);
    }
}

/// The product tile by tile, in parallel.
///
/// # Safety
/// `c` must hold `[m, n]` numbers that nothing else accesses, and with [`Start::Output`] they must have been written.
#[allow(unsafe_code, reason = "tiles write disjoint parts of one output")]
unsafe fn tiles([m, n, k]: [usize; 3], a: View<'_>, b: View<'_>, c: Shared, start: Start<'_>) {
    assert!(a.holds(m, k) && b.holds(k, n), "operands of a [{m}, {k}] by [{k}, {n}] product are too short");
    let (tile_m, tile_n) = tile_of(m, n, k);
    let across = n.div_ceil(tile_n);
    for_each(m.div_ceil(tile_m) * across, m * n * k, |tile| {
        let (i, j) = (tile / across * tile_m, tile % across * tile_n);
        let (rows, cols) = (tile_m.min(m - i), tile_n.min(n - j));
        // With nothing to sum over the operands may be empty.
        let (a_start, b_start) = if k == 0 { (0, 0) } else { (i * a.row_stride, j * b.col_stride) };
        let a = View { values: &a.values[a_start..], ..a };
        let b = View { values: &b.values[b_start..], ..b };
        if let Start::Row(row) = start {
            for i in i..i + rows {
                // SAFETY: inside the output, and this tile's alone.
                let slots = unsafe { c.slots(i * n + j, cols) };
                for (slot, &value) in slots.iter_mut().zip(&row[j..j + cols]) {
                    slot.write(value);
                }
            }
        }
        // SAFETY: the tile lies in the output and is this task's alone; it is accumulated into only if it was just
        // written or, by this function's contract, before.
        unsafe {
            multiply_into([rows, cols, k], a, b, c.at(i * n + j), n, 1.0, !matches!(start, Start::Zero))
        }
    });
}

/// The size of a tile of an `[m, k]` by `[k, n]` product.
///
/// Large enough that packing operands costs little, small enough that many threads share a large product evenly.
/// Multiples of 48 columns fill the microkernels of AVX2 (16) and AVX-512 (48).
fn tile_of(m: usize, n: usize, k: usize) -> (usize, usize) {
    const TASKS: usize = 16;
    const LEAST_WORK: usize = 1 << 20;
    let (mut tile_m, mut tile_n) = (256, 768);
    loop {
        let tasks = m.div_ceil(tile_m) * n.div_ceil(tile_n);
        let work = tile_m.min(m) * tile_n.min(n) * k;
        if tasks >= TASKS || work < 2 * LEAST_WORK {
            return (tile_m, tile_n);
        }
        // Halve the side that is longer within the matrix.
        if tile_n.min(n) >= 2 * tile_m.min(m) && tile_n > 48 {
            tile_n = (tile_n / 2).next_multiple_of(48);
        } else if tile_m > 24 {
            tile_m = (tile_m / 2).next_multiple_of(8);
        } else {
            return (tile_m, tile_n);
        }
    }
}

/// Adds the rows of `x`, `[rows, d]`, in order; returns `[d]`.
pub(crate) fn column_sums(x: &[f32], d: usize) -> Vec<f32> {
    const COLUMNS: usize = 256;
    let mut sums = vec![0.0; d];
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, sums)| {
        for row in x.chunks_exact(d) {
            for (sum, x) in sums.iter_mut().zip(&row[chunk * COLUMNS..]) {
                *sum += x;
            }
        }
    });
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    #[test]
    fn tiles_give_the_product_for_every_layout() {
        for [m, n, k] in
            [[1, 1, 1], [1, 100, 33], [7, 5, 3], [300, 801, 17], [530, 97, 130], [3, 4, 0], [65, 1, 9]]
        {
            let (a, b, row) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
            let (mut at, mut bt) = (vec![0.0; m * k], vec![0.0; k * n]);
            for l in 0..k {
                for i in 0..m {
                    at[l * m + i] = a[i * k + l];
                }
                for j in 0..n {
                    bt[j * k + l] = b[l * n + j];
                }
            }
            let expected =
                |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum::<f32>() + row[j];
            for (a, b) in [
                (View::rows(&a, k), View::rows(&b, n)),
                (View::rows(&at, m).transposed(), View::rows(&b, n)),
                (View::rows(&a, k), View::rows(&bt, k).transposed()),
            ] {
                let c = product([m, n, k], a, b, Some(&row));
                let mut sum: Vec<f32> = (0..m).flat_map(|_| row.iter().copied()).collect();
                accumulate([m, n, k], a, b, &mut sum);
                let plain = product([m, n, k], a, b, None);
                for i in 0..m {
                    for j in 0..n {
                        let expected = expected(i, j);
                        assert!((c[i * n + j] - expected).abs() < 1e-4);
                        assert!((sum[i * n + j] - expected).abs() < 1e-4);
                        assert!((plain[i * n + j] + row[j] - expected).abs() < 1e-4);
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn operands_that_are_too_short_are_refused() {
        product([2, 2, 3], View::rows(&[0.0; 5], 3), View::rows(&[0.0; 6], 2), None);
    }
}
