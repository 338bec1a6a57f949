//! Microkernels: one tile of a product, held in registers while the operands stream by.
//!
//! A tile is a sum of outer products: each step takes one packed column of `a` (a number a row, broadcast) and one
//! packed row of `b` (a few vectors). How many rows and columns a tile has is what the registers hold.

use burn::tensor::bf16;

use super::pack;
use crate::fused::kernels::number::{Number, Place};

/// Where a tile goes: `c = scale · a b`, plus a row, plus a matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// The first number of the tile, and from one row of it to the next.
    pub(super) c: Place,
    pub(super) stride: usize,
    pub(super) scale: f32,
    /// Added to each row; null for nothing.
    pub(super) row: *const f32,
    /// Added number by number (often `c` itself); null for nothing.
    pub(super) addend: *const f32,
    pub(super) addend_stride: usize,
}

impl Target {
    /// The part of the target that starts at row `i` and column `j`.
    pub(super) fn at(self, i: usize, j: usize) -> Self {
        let shifted =
            |start: *const f32, by: usize| if start.is_null() { start } else { start.wrapping_add(by) };
        Self {
            c: self.c.at(i * self.stride + j),
            row: shifted(self.row, j),
            addend: shifted(self.addend, i * self.addend_stride + j),
            ..self
        }
    }
}

/// One way to compute tiles: an instruction set and a type of operands.
#[allow(unsafe_code, reason = "packed operands and rows of a larger matrix are reached by address")]
pub(super) trait Kernel {
    /// The most rows of a tile, and the distance of two packed columns of `a`.
    const ROWS: usize;
    const A_STRIDE: usize;
    /// Columns of a tile.
    const COLS: usize;
    /// Numbers along the sum that a packed operand holds in four bytes: one f32, or two bf16.
    const PER_WORD: usize;

    /// Packs lines (rows of `a`, or columns of `b`) side by side in panels: word `step` of line `i` of a panel goes to
    /// `[step · W + i]` of the panel's words, which follow those of the panel before. A last half word is filled up with
    /// zeros.
    ///
    /// # Safety
    /// The panels' lines must be readable, `packed` must hold `W` words a step for each panel, and the processor must
    /// have the instructions.
    unsafe fn pack<const W: usize>(lines: pack::Lines, panels: impl pack::Panels, packed: *mut u32);

    /// Computes one tile of `rows` rows, at most [`Kernel::ROWS`], of which the first `cols` columns are written.
    ///
    /// # Safety
    /// `a` and `b` must hold `steps` packed steps, the target's rows must be the caller's to write, its addends
    /// readable, and the processor must have the instructions.
    unsafe fn tile(rows: usize, steps: usize, a: *const u32, b: *const u32, cols: usize, target: Target);
}

/// Calls `$tile::<R>` for the `R` in the list that equals `$rows`.
macro_rules! with_rows {
    ($rows:expr, [$($r:literal)*], $tile:ident, $args:tt) => {
        match $rows {
            $($r => $tile::<$r> $args,)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

/// Plain Rust: what the others are tested against, and what runs where there is nothing better.
pub(super) struct Portable<const BF16: bool>;

#[allow(unsafe_code, reason = "packed operands and rows of a larger matrix are reached by address")]
impl<const BF16: bool> Kernel for Portable<BF16> {
    const ROWS: usize = 4;
    const A_STRIDE: usize = 4;
    const COLS: usize = 16;
    const PER_WORD: usize = if BF16 { 2 } else { 1 };

    unsafe fn pack<const W: usize>(lines: pack::Lines, panels: impl pack::Panels, packed: *mut u32) {
        // SAFETY: this function's contract.
        unsafe { pack::portable::<W, BF16>(lines, panels, packed) }
    }

    unsafe fn tile(rows: usize, steps: usize, a: *const u32, b: *const u32, cols: usize, target: Target) {
        let mut sums = [[0.0_f32; 16]; 4];
        for step in 0..steps {
            // SAFETY: `a` and `b` hold `steps` steps.
            let (a, b) =
                unsafe { (&*a.add(step * 4).cast::<[u32; 4]>(), &*b.add(step * 16).cast::<[u32; 16]>()) };
            for (sums, &x) in sums.iter_mut().zip(a) {
                for (sum, &y) in sums.iter_mut().zip(b) {
                    *sum = if BF16 {
                        let [x, y] = [x, y].map(|word| [word << 16, word & 0xffff_0000].map(f32::from_bits));
                        *sum + x[0] * y[0] + x[1] * y[1]
                    } else {
                        *sum + f32::from_bits(x) * f32::from_bits(y)
                    };
                }
            }
        }
        for (i, sums) in sums[..rows].iter().enumerate() {
            // SAFETY: the tile's rows are the caller's to write and its addends readable.
            unsafe { write_row(&sums[..cols], target.at(i, 0)) };
        }
    }
}

/// Writes one row of a tile.
///
/// # Safety
/// As of [`Kernel::tile`], for one row of `sums.len()` columns.
#[allow(unsafe_code, reason = "rows of a larger matrix are reached by address")]
unsafe fn write_row(sums: &[f32], target: Target) {
    for (j, &sum) in sums.iter().enumerate() {
        let mut value = sum * target.scale;
        // SAFETY: this function's contract.
        unsafe {
            if !target.row.is_null() {
                value += *target.row.add(j);
            }
            if !target.addend.is_null() {
                value += *target.addend.add(j);
            }
            match target.c {
                Place::F32(c) => c.add(j).write(value),
                Place::Bf16(c) => c.add(j).write(bf16::narrow(value)),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, Avx512Bf16};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions on packed operands, which are reached by address")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::pack;
    use super::{Kernel, Place, Target, write_row};
    use crate::fused::kernels::number::to_bf16;

    /// AVX-512: 14 rows of two vectors use 28 of 32 registers.
    pub(in super::super) struct Avx512;
    /// AVX-512 with products of bf16 pairs.
    pub(in super::super) struct Avx512Bf16;
    /// AVX2 and FMA: 6 rows of two vectors use 12 of 16 registers.
    pub(in super::super) struct Avx2;

    /// The two AVX-512 kernels, which differ in one instruction.
    macro_rules! avx512_tile {
        ($name:ident, $features:literal, $broadcast:expr, $load:expr, $multiply_add:expr, $narrow:expr) => {
            /// # Safety
            /// As of [`Kernel::tile`].
            #[target_feature(enable = $features)]
            unsafe fn $name<const R: usize>(
                steps: usize,
                mut a: *const u32,
                mut b: *const u32,
                cols: usize,
                target: Target,
            ) {
                // The output's cache lines come while the sum is computed.
                for i in 0..R {
                    match target.c.at(i * target.stride) {
                        Place::F32(line) => {
                            _mm_prefetch::<_MM_HINT_ET0>(line.cast());
                            _mm_prefetch::<_MM_HINT_ET0>(line.wrapping_add(16).cast());
                        }
                        Place::Bf16(line) => _mm_prefetch::<_MM_HINT_ET0>(line.cast()),
                    }
                }
                let mut sums = [[_mm512_setzero_ps(); 2]; R];
                for _ in 0..steps {
                    // SAFETY: `a` and `b` hold `steps` steps of 16 and 32 words.
                    unsafe {
                        let (b0, b1) = ($load(b), $load(b.add(16)));
                        for (i, sums) in sums.iter_mut().enumerate() {
                            let x = $broadcast(a.add(i));
                            sums[0] = $multiply_add(x, b0, sums[0]);
                            sums[1] = $multiply_add(x, b1, sums[1]);
                        }
                        a = a.add(16);
                        b = b.add(32);
                    }
                }
                let scale = _mm512_set1_ps(target.scale);
                for half in 0..2 {
                    let width = cols.saturating_sub(16 * half).min(16);
                    let mask = ((1_u32 << width) - 1) as __mmask16;
                    let target = target.at(0, 16 * half);
                    // SAFETY: masked lanes are not touched; the others are the caller's to write, or readable addends.
                    unsafe {
                        let row = if target.row.is_null() {
                            _mm512_setzero_ps()
                        } else {
                            _mm512_maskz_loadu_ps(mask, target.row)
                        };
                        for (i, sums) in sums.iter().enumerate() {
                            let mut value = _mm512_fmadd_ps(sums[half], scale, row);
                            if !target.addend.is_null() {
                                let addend = target.addend.add(i * target.addend_stride);
                                value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, addend));
                            }
                            match target.c.at(i * target.stride) {
                                Place::F32(c) => _mm512_mask_storeu_ps(c, mask, value),
                                Place::Bf16(c) => _mm256_mask_storeu_epi16(c.cast(), mask, $narrow(value)),
                            }
                        }
                    }
                }
            }
        };
    }

    avx512_tile!(
        avx512_tile,
        "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma",
        |x: *const u32| _mm512_set1_ps(*x.cast()),
        |x: *const u32| _mm512_loadu_ps(x.cast()),
        |x, y, sum| _mm512_fmadd_ps(x, y, sum),
        |x: __m512| {
            let mut words = [0_u16; 16];
            let mut values = [0.0; 16];
            _mm512_storeu_ps(values.as_mut_ptr(), x);
            words.iter_mut().zip(values).for_each(|(word, x)| *word = to_bf16(x));
            _mm256_loadu_si256(words.as_ptr().cast())
        }
    );
    avx512_tile!(
        avx512_bf16_tile,
        "avx512bf16,avx512f,avx512vl,avx512bw,avx512dq,avx2,fma",
        |x: *const u32| _mm512_castsi512_bf16(_mm512_set1_epi32((*x).cast_signed())),
        |x: *const u32| _mm512_castsi512_bf16(_mm512_loadu_si512(x.cast())),
        |x, y, sum| _mm512_dpbf16_ps(sum, x, y),
        |x| std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x))
    );

    /// The bits as pairs of bf16.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn _mm512_castsi512_bf16(x: __m512i) -> __m512bh {
        // SAFETY: both are 64 bytes for which every pattern is valid.
        unsafe { std::mem::transmute(x) }
    }

    impl Kernel for Avx512 {
        const ROWS: usize = 14;
        const A_STRIDE: usize = 16;
        const COLS: usize = 32;
        const PER_WORD: usize = 1;

        unsafe fn pack<const W: usize>(lines: pack::Lines, panels: impl pack::Panels, packed: *mut u32) {
            // SAFETY: this function's contract.
            unsafe { pack::avx512::<W>(lines, panels, packed) }
        }

        unsafe fn tile(rows: usize, steps: usize, a: *const u32, b: *const u32, cols: usize, target: Target) {
            // SAFETY: this function's contract.
            unsafe {
                with_rows!(rows, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], avx512_tile, (steps, a, b, cols, target))
            }
        }
    }

    impl Kernel for Avx512Bf16 {
        const ROWS: usize = 14;
        const A_STRIDE: usize = 16;
        const COLS: usize = 32;
        const PER_WORD: usize = 2;

        unsafe fn pack<const W: usize>(lines: pack::Lines, panels: impl pack::Panels, packed: *mut u32) {
            // SAFETY: this function's contract.
            unsafe { pack::avx512_bf16::<W>(lines, panels, packed) }
        }

        unsafe fn tile(rows: usize, steps: usize, a: *const u32, b: *const u32, cols: usize, target: Target) {
            // SAFETY: this function's contract.
            unsafe {
                with_rows!(
                    rows,
                    [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
                    avx512_bf16_tile,
                    (steps, a, b, cols, target)
                )
            }
        }
    }

    /// # Safety
    /// As of [`Kernel::tile`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2_tile<const R: usize>(
        steps: usize,
        mut a: *const u32,
        mut b: *const u32,
        cols: usize,
        target: Target,
    ) {
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        for _ in 0..steps {
            // SAFETY: `a` and `b` hold `steps` steps of 8 and 16 words.
            unsafe {
                let (b0, b1) = (_mm256_loadu_ps(b.cast()), _mm256_loadu_ps(b.add(8).cast()));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let x = _mm256_broadcast_ss(&*a.add(i).cast());
                    sums[0] = _mm256_fmadd_ps(x, b0, sums[0]);
                    sums[1] = _mm256_fmadd_ps(x, b1, sums[1]);
                }
                a = a.add(8);
                b = b.add(16);
            }
        }
        let scale = _mm256_set1_ps(target.scale);
        for (i, sums) in sums.iter().enumerate() {
            let target = target.at(i, 0);
            if let (16, Place::F32(c)) = (cols, target.c) {
                // SAFETY: 16 columns of this row are the caller's to write, and its addends readable.
                unsafe {
                    for (half, &sum) in sums.iter().enumerate() {
                        let target = target.at(0, 8 * half);
                        let row = if target.row.is_null() {
                            _mm256_setzero_ps()
                        } else {
                            _mm256_loadu_ps(target.row)
                        };
                        let mut value = _mm256_fmadd_ps(sum, scale, row);
                        if !target.addend.is_null() {
                            value = _mm256_add_ps(value, _mm256_loadu_ps(target.addend));
                        }
                        _mm256_storeu_ps(c.add(8 * half), value);
                    }
                }
            } else {
                let mut values = [0.0; 16];
                // SAFETY: `values` holds 16 numbers; the row is the caller's to write.
                unsafe {
                    _mm256_storeu_ps(values.as_mut_ptr(), sums[0]);
                    _mm256_storeu_ps(values.as_mut_ptr().add(8), sums[1]);
                    write_row(&values[..cols], target);
                }
            }
        }
    }

    impl Kernel for Avx2 {
        const ROWS: usize = 6;
        const A_STRIDE: usize = 8;
        const COLS: usize = 16;
        const PER_WORD: usize = 1;

        unsafe fn pack<const W: usize>(lines: pack::Lines, panels: impl pack::Panels, packed: *mut u32) {
            // SAFETY: this function's contract.
            unsafe { pack::avx2::<W>(lines, panels, packed) }
        }

        unsafe fn tile(rows: usize, steps: usize, a: *const u32, b: *const u32, cols: usize, target: Target) {
            // SAFETY: this function's contract.
            unsafe { with_rows!(rows, [1 2 3 4 5 6], avx2_tile, (steps, a, b, cols, target)) }
        }
    }
}
