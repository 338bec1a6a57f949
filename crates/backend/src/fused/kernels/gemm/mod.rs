//! Matrix products of our own: packed panels, a microkernel for each instruction set, f32 or bf16 operands.
//!
//! After Goto & van de Geijn (2008): blocks of `b` are packed for the innermost cache loops, blocks of `a` for the
//! second-level cache, and [`tile`] computes a few rows and columns at a time in registers. Operands may lie anyhow
//! (packing straightens them), outputs start from nothing, a row, another matrix or what they hold.
//!
//! Each number of the output is summed in one order, which depends on the length of the sum alone. So the bits do not
//! depend on the number of threads or on how the output is cut.

mod pack;
mod panels;
mod tile;

use std::cell::RefCell;

use super::memory::{Shared, for_each, written};
use super::number::{Number, Numbers, Place};
#[cfg(target_arch = "x86_64")]
use super::vector::{has_avx2, has_avx512};
use crate::precision::Precision;
pub(crate) use panels::Panels;
use tile::{Kernel, Portable, Target};

/// A matrix lying in a slice: element `(i, j)` is at `i · row_stride + j · col_stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    values: Numbers<'a>,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> View<'a> {
    /// Rows of `row_stride` numbers after each other, of which the first ones count.
    pub(crate) fn rows(values: impl Into<Numbers<'a>>, row_stride: usize) -> Self {
        Self { values: values.into(), row_stride, col_stride: 1 }
    }

    /// Elements a fixed distance apart in both directions.
    pub(crate) fn strided(values: impl Into<Numbers<'a>>, row_stride: usize, col_stride: usize) -> Self {
        Self { values: values.into(), row_stride, col_stride }
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

    /// The address of element `(i, j)`, which is only valid if there is such an element.
    fn at(&self, i: usize, j: usize) -> pack::Start {
        let offset = i * self.row_stride + j * self.col_stride;
        match self.values {
            Numbers::F32(values) => pack::Start::F32(values.as_ptr().wrapping_add(offset)),
            Numbers::Bf16(values) => pack::Start::Bf16(values.as_ptr().wrapping_add(offset)),
        }
    }
}

/// What the output of a product starts from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Nothing: the output is written without being read.
    Zero,
    /// What the output holds, which is f32.
    Output,
    /// A matrix whose rows are so far apart.
    Matrix(&'a [f32], usize),
}

/// A right operand.
#[derive(Debug, Clone, Copy)]
enum Right<'a> {
    View(View<'a>),
    Packed(&'a Panels),
}

/// `scale · a b`, plus a row, plus what the output starts from: `a` is `[m, k]`, `b` `[k, n]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product<'a> {
    /// `[m, n, k]`
    shape: [usize; 3],
    a: View<'a>,
    b: Right<'a>,
    scale: f32,
    row: Option<&'a [f32]>,
    precision: Precision,
}

impl<'a> Product<'a> {
    /// `a b`; `shape` is `[m, n, k]`.
    pub(crate) fn new([m, n, k]: [usize; 3], a: View<'a>, b: View<'a>, precision: Precision) -> Self {
        assert!(
            a.holds(m, k) && b.holds(k, n),
            "operands of a [{m}, {k}] by [{k}, {n}] product are too short"
        );
        Self { shape: [m, n, k], a, b: Right::View(b), scale: 1.0, row: None, precision }
    }

    /// `a b` with `m` rows of `a`, in f32.
    pub(crate) fn with_packed(m: usize, a: View<'a>, b: &'a Panels) -> Self {
        let [k, n] = b.shape();
        assert!(a.holds(m, k), "the operand of a [{m}, {k}] by [{k}, {n}] product is too short");
        Self { shape: [m, n, k], a, b: Right::Packed(b), scale: 1.0, row: None, precision: Precision::F32 }
    }

    /// Multiplied by `scale`.
    pub(crate) fn scaled(self, scale: f32) -> Self {
        Self { scale, ..self }
    }

    /// With `row`, `[n]`, added to every row.
    pub(crate) fn plus_row(self, row: Option<&'a [f32]>) -> Self {
        assert!(
            row.is_none_or(|row| row.len() == self.shape[1]),
            "a bias has as many numbers as there are columns"
        );
        Self { row, ..self }
    }

    /// The product as `[m, n]`, computed in parallel.
    pub(crate) fn to_vec(self, start: Start<'_>) -> Vec<f32> {
        let [m, n, _] = self.shape;
        assert!(!matches!(start, Start::Output), "a new output holds nothing");
        #[allow(unsafe_code, reason = "the output is not cleared before it is written")]
        // SAFETY: the product writes all of the output, and `start` does not read it.
        unsafe {
            written(m * n, |c| self.write(Shared::new(c), n, start))
        }
    }

    /// Writes the product to `c`, `[m, n]`, in parallel.
    pub(crate) fn into_slice(self, c: &mut [f32], start: Start<'_>) {
        let [m, n, _] = self.shape;
        assert_eq!(c.len(), m * n, "the output is [m, n]");
        #[allow(unsafe_code, reason = "tiles write disjoint parts of one output")]
        // SAFETY: `c` is `[m, n]`, borrowed exclusively, and holds numbers.
        unsafe {
            self.write(Shared::of(c), n, start);
        }
    }

    /// Writes the product to `c`, `[m, n]` with rows `stride` apart, in parallel. A bf16 output is rounded once, from the
    /// sum in f32.
    ///
    /// # Safety
    /// The `m` rows of `n` numbers at `c` must be valid for writing, nothing else may access them meanwhile, and with
    /// [`Start::Output`] they must have been written before.
    #[allow(unsafe_code, reason = "tiles write disjoint parts of one output")]
    pub(crate) unsafe fn write<T: Number>(self, c: Shared<T>, stride: usize, start: Start<'_>) {
        let [m, n, k] = self.shape;
        let target = self.target(T::place(c.at(0)), stride, start);
        let target = Sendable(target);
        let (rows, cols) = match self.b {
            Right::View(_) => cut([m, n], rayon::current_num_threads()),
            Right::Packed(_) => cut_packed([m, n], rayon::current_num_threads()),
        };
        let across = n.div_ceil(cols);
        for_each(m.div_ceil(rows) * across, m * n * k, |part| {
            let (i, j) = (part / across * rows, part % across * cols);
            let size = [rows.min(m - i), cols.min(n - j)];
            // SAFETY: the parts are disjoint and lie in the output, which this function's contract gives to it.
            unsafe { self.part([i, j], size, target.get().at(i, j)) }
        });
    }

    /// Writes the product to `c` as [`write`](Self::write) does, on this thread.
    ///
    /// # Safety
    /// As of [`write`](Self::write).
    #[allow(unsafe_code, reason = "outputs are rows of a larger matrix")]
    pub(crate) unsafe fn write_here(self, c: *mut f32, stride: usize, start: Start<'_>) {
        let [m, n, _] = self.shape;
        // SAFETY: this function's contract.
        unsafe { self.part([0, 0], [m, n], self.target(Place::F32(c), stride, start)) }
    }

    fn target(&self, c: Place, stride: usize, start: Start<'_>) -> Target {
        let [m, n, _] = self.shape;
        let (addend, addend_stride) = match start {
            Start::Zero => (std::ptr::null(), 0),
            Start::Output => match c {
                Place::F32(c) => (c.cast_const(), stride),
                Place::Bf16(_) => panic!("sums are f32: nothing is added to a bf16 output"),
            },
            Start::Matrix(values, row_stride) => {
                assert!(View::rows(values, row_stride).holds(m, n), "a matrix to add to is [m, n]");
                (values.as_ptr(), row_stride)
            }
        };
        let row = self.row.map_or(std::ptr::null(), <[f32]>::as_ptr);
        Target { c, stride, scale: self.scale, row, addend, addend_stride }
    }

    /// The part of `size` that starts at `from`, with the best kernel this processor has.
    ///
    /// # Safety
    /// The part must lie in the product; `target` is that of the part, its rows the caller's to write, its addends
    /// readable.
    #[allow(unsafe_code, reason = "kernels are compiled for instruction sets that must be there")]
    unsafe fn part(&self, from: [usize; 2], size: [usize; 2], target: Target) {
        // SAFETY: this function's contract; kernels are chosen by what the processor has.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            match self.precision {
                Precision::Bf16 if has_bf16() => return self.run::<tile::Avx512Bf16>(from, size, target),
                Precision::F32 if has_avx512() => return self.run::<tile::Avx512>(from, size, target),
                Precision::F32 if has_avx2() => return self.run::<tile::Avx2>(from, size, target),
                _ => {}
            }
            match self.precision {
                Precision::F32 => self.run::<Portable<false>>(from, size, target),
                Precision::Bf16 => self.run::<Portable<true>>(from, size, target),
            }
        }
    }

    /// # Safety
    /// As of [`part`](Self::part), and the processor must have the kernel's instructions.
    #[allow(unsafe_code, reason = "kernels read packed operands by address")]
    unsafe fn run<K: Kernel>(&self, [i0, j0]: [usize; 2], [m, n]: [usize; 2], target: Target) {
        let k = self.shape[2];
        // The sum in equal pieces; at least one, so that an empty sum writes the output too. What is added up in the output
        // must be f32, so that a bf16 output has its sum in one.
        let pieces = match target.c {
            Place::F32(_) => k.div_ceil(DEPTH * K::PER_WORD).max(1),
            Place::Bf16(_) => 1,
        };
        let depth = k.div_ceil(pieces).next_multiple_of(K::PER_WORD);
        SCRATCH.with_borrow_mut(|[packed_a, packed_b]| {
            for j in (0..n).step_by(COLS_AT_ONCE) {
                let cols = COLS_AT_ONCE.min(n - j);
                for piece in 0..pieces {
                    let k0 = piece * depth;
                    let len = depth.min(k.saturating_sub(k0));
                    let steps = len.div_ceil(K::PER_WORD);
                    let mut target = target.at(0, j);
                    if let (1.., Place::F32(c)) = (piece, target.c) {
                        (target.row, target.addend, target.addend_stride) =
                            (std::ptr::null(), c.cast_const(), target.stride);
                    }
                    let (b, panel_stride) = match self.b {
                        Right::View(b) => {
                            packed_b.reserve(cols.div_ceil(K::COLS) * steps * K::COLS);
                            // SAFETY: lines and steps inside the operand; panels follow each other in scratch that holds them.
                            unsafe { pack_b::<K>(b, packed_b.words_mut(), [k0, j0 + j], [len, cols]) };
                            (packed_b.words(), steps * K::COLS)
                        }
                        Right::Packed(panels) => (panels.at(k0, j0 + j), panels.stride()),
                    };
                    let rows_at_once = K::ROWS * ROW_PANELS;
                    for i in (0..m).step_by(rows_at_once) {
                        let rows = rows_at_once.min(m - i);
                        // SAFETY: as above, and the tiles lie in the output.
                        unsafe {
                            self.pack_a::<K>(packed_a, [i0 + i, k0], [rows, len]);
                            tiles::<K>(
                                packed_a.words(),
                                (b, panel_stride),
                                steps,
                                [rows, cols],
                                target.at(i, 0),
                            );
                        }
                    }
                }
            }
        });
    }

    /// Packs rows of `a` in panels of at most [`Kernel::ROWS`], as equal as can be.
    ///
    /// # Safety
    /// The block must lie in `a`, and the processor must have the kernel's instructions.
    #[allow(unsafe_code, reason = "packs operands by address")]
    unsafe fn pack_a<K: Kernel>(&self, packed: &mut Scratch, [i, k0]: [usize; 2], [rows, len]: [usize; 2]) {
        let steps = len.div_ceil(K::PER_WORD);
        packed.reserve(rows.div_ceil(K::ROWS) * steps * K::A_STRIDE);
        let (line_stride, step_stride) = (self.a.row_stride, self.a.col_stride);
        let lines = pack::Lines { start: self.a.at(i, k0), line_stride, step_stride, len };
        let (panels, to) = (panels(rows, K::ROWS), packed.words_mut());
        // SAFETY: this function's contract, and the scratch was just made large enough.
        unsafe {
            match K::A_STRIDE {
                16 => K::pack::<16>(lines, panels, to),
                8 => K::pack::<8>(lines, panels, to),
                _ => K::pack::<4>(lines, panels, to),
            }
        }
    }
}

/// Packs columns of `b` in panels of [`Kernel::COLS`].
///
/// # Safety
/// The block must lie in `b`, `to` must have room for its panels, and the processor must have the kernel's instructions.
#[allow(unsafe_code, reason = "packs operands by address")]
unsafe fn pack_b<K: Kernel>(b: View<'_>, to: *mut u32, [k0, j]: [usize; 2], [len, cols]: [usize; 2]) {
    let (line_stride, step_stride) = (b.col_stride, b.row_stride);
    let lines = pack::Lines { start: b.at(k0, j), line_stride, step_stride, len };
    let panels = (0..cols).step_by(K::COLS).map(|first| (first, K::COLS.min(cols - first)));
    // SAFETY: this function's contract.
    unsafe {
        match K::COLS {
            32 => K::pack::<32>(lines, panels, to),
            _ => K::pack::<16>(lines, panels, to),
        }
    }
}

/// All tiles of packed blocks of `rows` by `cols`; panels of `b` are `panel_stride` words apart.
///
/// # Safety
/// The operands must be packed for `K`, whose instructions the processor must have; the target as of [`Kernel::tile`].
#[allow(unsafe_code, reason = "kernels read packed operands by address")]
unsafe fn tiles<K: Kernel>(
    a: *const u32,
    (b, panel_stride): (*const u32, usize),
    steps: usize,
    [rows, cols]: [usize; 2],
    target: Target,
) {
    for (col_panel, j) in (0..cols).step_by(K::COLS).enumerate() {
        let b = b.wrapping_add(col_panel * panel_stride);
        for (row_panel, (i, height)) in panels(rows, K::ROWS).enumerate() {
            let a = a.wrapping_add(row_panel * steps * K::A_STRIDE);
            // SAFETY: this function's contract.
            unsafe { K::tile(height, steps, a, b, K::COLS.min(cols - j), target.at(i, j)) };
        }
    }
}

/// Words of the sum in a block. A panel of `b` is then larger than the first-level cache and comes from the second, which
/// keeps up; shorter sums write the output more often (BENCHMARKS.md).
const DEPTH: usize = 512;
/// Row panels in a block of `a`, which stays in the second-level cache.
const ROW_PANELS: usize = 8;
/// Columns of `b` packed at once: two megabytes.
const COLS_AT_ONCE: usize = 1024;

/// The first row and the height of each of the panels of `rows`: at most `most` high and nearly equal.
fn panels(rows: usize, most: usize) -> impl pack::Panels {
    let count = rows.div_ceil(most);
    let (height, taller) = (rows.checked_div(count).unwrap_or(0), rows.checked_rem(count).unwrap_or(0));
    (0..count).map(move |panel| (panel * height + panel.min(taller), height + usize::from(panel < taller)))
}

/// How an output is cut for so many threads: rows and columns of a part. No result depends on it.
///
/// A part a thread, squarish: each packs its operands, and those packed twice cost more than what a thread that is held up
/// could give away.
fn cut([m, n]: [usize; 2], threads: usize) -> (usize, usize) {
    /// Rows and columns that parts are multiples of.
    const UNIT: (usize, usize) = (14, 32);
    /// Packing a number takes about as long as this many multiplications.
    const PACKING: usize = 12;
    let parts = threads.max(1);
    let (tall, wide) = (m.div_ceil(UNIT.0), n.div_ceil(UNIT.1));
    let size = |down: usize| {
        let down = down.min(tall.max(1));
        let across = parts.div_ceil(down).min(wide.max(1));
        (tall.div_ceil(down).max(1) * UNIT.0, wide.div_ceil(across).max(1) * UNIT.1)
    };
    let time = |&(rows, cols): &(usize, usize)| {
        let rounds = (m.div_ceil(rows) * n.div_ceil(cols)).div_ceil(threads.max(1));
        let (rows, cols) = (rows.min(m), cols.min(n));
        rounds * (rows * cols + PACKING * (rows + cols))
    };
    (1..=parts).map(size).min_by_key(time).unwrap_or((UNIT.0, UNIT.1))
}

/// As [`cut`], where `b` is packed already. Few rows are all done with the same panels, which come from memory once; many are
/// divided, so that each is packed once. A part is several tasks of the same size, so that a thread that is held up can give some away.
fn cut_packed([m, n]: [usize; 2], threads: usize) -> (usize, usize) {
    const UNIT: (usize, usize) = (14, 32);
    const MANY_ROWS: usize = 128;
    if m >= MANY_ROWS {
        let parts = (m / MANY_ROWS).next_multiple_of(threads);
        return (m.div_ceil(parts).next_multiple_of(UNIT.0), n.max(1));
    }
    (m.max(1), n.div_ceil(threads).next_multiple_of(UNIT.1).max(1))
}

/// Whether products of bf16 are instructions here.
pub(crate) fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return has_avx512() && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A target that is handed to several threads.
#[derive(Clone, Copy)]
struct Sendable(Target);

impl Sendable {
    fn get(&self) -> Target {
        self.0
    }
}

#[allow(unsafe_code, reason = "tasks write disjoint parts of one output that no slice can express")]
// SAFETY: bare addresses; whoever dereferences them promises that no two tasks touch the same element.
unsafe impl Sync for Sendable {}

/// Packed words, such as the operands of one thread, kept from product to product.
#[derive(Debug, Clone, Default)]
struct Scratch {
    lines: Vec<CacheLine>,
}

#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
#[allow(dead_code, reason = "read by address, as packed words")]
struct CacheLine([u32; 16]);

impl Scratch {
    fn reserve(&mut self, words: usize) {
        if self.lines.len() * 16 < words {
            self.lines.resize(words.div_ceil(16), CacheLine::default());
        }
    }

    fn words(&self) -> *const u32 {
        self.lines.as_ptr().cast()
    }

    fn words_mut(&mut self) -> *mut u32 {
        self.lines.as_mut_ptr().cast()
    }
}

thread_local! {
    static SCRATCH: RefCell<[Scratch; 2]> = RefCell::default();
}

#[cfg(test)]
mod tests;
