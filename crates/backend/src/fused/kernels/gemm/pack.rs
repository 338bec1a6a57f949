//! Operands laid out as the microkernels read them: lines side by side, one packed step after the other.

use burn::tensor::bf16;

use crate::fused::kernels::number::{Number, to_bf16};

/// The first of the numbers that are packed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    F32(*const f32),
    Bf16(*const bf16),
}

/// Lines of numbers: rows of a left operand, or columns of a right one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<S = Start> {
    /// Number 0 of line 0.
    pub(super) start: S,
    /// From a line to the next, and from a number of a line to the next.
    pub(super) line_stride: usize,
    pub(super) step_stride: usize,
    /// How many numbers in each.
    pub(super) len: usize,
}

/// Which lines make up the panels: the first line and the number of them, for each panel.
pub(super) trait Panels: Iterator<Item = (usize, usize)> + Clone {}
impl<P: Iterator<Item = (usize, usize)> + Clone> Panels for P {}

impl<S> Lines<S> {
    fn starting_at<T>(self, start: T) -> Lines<T> {
        let Self { line_stride, step_stride, len, .. } = self;
        Lines { start, line_stride, step_stride, len }
    }

    /// Whether lines, or the numbers of a line, lie side by side.
    fn is_straight(&self) -> bool {
        self.line_stride == 1 || self.step_stride == 1
    }
}

impl<T: Number> Lines<*const T> {
    /// # Safety
    /// Number `step` of line `line` must be one.
    #[inline(always)]
    #[allow(unsafe_code, reason = "strided operands are reached by address")]
    unsafe fn get(&self, line: usize, step: usize) -> f32 {
        // SAFETY: this function's contract.
        unsafe { *self.start.add(line * self.line_stride + step * self.step_stride) }.widen()
    }
}

/// Packs number by number, from any layout.
///
/// # Safety
/// As of [`Kernel::pack`](super::tile::Kernel::pack).
#[allow(unsafe_code, reason = "strided operands are reached by address")]
pub(super) unsafe fn portable<const W: usize, const BF16: bool>(
    lines: Lines,
    panels: impl Panels,
    packed: *mut u32,
) {
    // SAFETY: this function's contract.
    unsafe {
        match lines.start {
            Start::F32(start) => portable_of::<W, BF16, f32>(lines.starting_at(start), panels, packed),
            Start::Bf16(start) => portable_of::<W, BF16, bf16>(lines.starting_at(start), panels, packed),
        }
    }
}

/// # Safety
/// As of [`portable`].
#[allow(unsafe_code, reason = "strided operands are reached by address")]
unsafe fn portable_of<const W: usize, const BF16: bool, T: Number>(
    lines: Lines<*const T>,
    panels: impl Panels,
    packed: *mut u32,
) {
    let steps = if BF16 { lines.len.div_ceil(2) } else { lines.len };
    for (panel, (first, count)) in panels.enumerate() {
        let packed = packed.wrapping_add(panel * steps * W);
        for step in 0..steps {
            for i in 0..count {
                // SAFETY: inside the lines, and inside `packed`, which holds `W` words a step.
                unsafe {
                    let line = first + i;
                    let word = if BF16 {
                        let half = |step: usize| {
                            if step < lines.len { u32::from(to_bf16(lines.get(line, step))) } else { 0 }
                        };
                        half(2 * step) | half(2 * step + 1) << 16
                    } else {
                        lines.get(line, step).to_bits()
                    };
                    packed.add(step * W + i).write(word);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{avx2, avx512, avx512_bf16};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions on strided operands, which are reached by address")]
mod x86 {
    use std::arch::x86_64::*;

    use burn::tensor::bf16;

    use super::{Lines, Panels, Start, portable};

    /// The lanes below `width` of a vector of 16.
    #[inline(always)]
    fn lanes(width: usize) -> __mmask16 {
        ((1_u32 << width.min(16)) - 1) as __mmask16
    }

    /// Exchanges rows and columns of 16 × 16 words.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn transposed_16(rows: [__m512i; 16]) -> [__m512i; 16] {
        let mut pairs = [_mm512_setzero_si512(); 16];
        for i in 0..8 {
            pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
        }
        let mut fours = [_mm512_setzero_si512(); 16];
        for i in 0..4 {
            for half in 0..2 {
                let (low, high) = (pairs[4 * i + half], pairs[4 * i + half + 2]);
                fours[4 * i + 2 * half] = _mm512_unpacklo_epi64(low, high);
                fours[4 * i + 2 * half + 1] = _mm512_unpackhi_epi64(low, high);
            }
        }
        // `fours[4 g + c]` holds, in each 128-bit part `p`, words `4 p + c` of rows `4 g ..= 4 g + 3`.
        let mut columns = [_mm512_setzero_si512(); 16];
        for c in 0..4 {
            let [a, b, d, e] = [fours[c], fours[4 + c], fours[8 + c], fours[12 + c]];
            let (even_low, odd_low) =
                (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
            let (even_high, odd_high) =
                (_mm512_shuffle_i32x4::<0x88>(d, e), _mm512_shuffle_i32x4::<0xdd>(d, e));
            columns[c] = _mm512_shuffle_i32x4::<0x88>(even_low, even_high);
            columns[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even_low, even_high);
            columns[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd_low, odd_high);
            columns[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd_low, odd_high);
        }
        columns
    }

    /// The AVX-512 packers, which differ in how they make words: `$across` of one step, from 16 lines side by side, and
    /// `$along` of one line, from so many numbers of 16 steps. The next numbers of the lines in `$across` are
    /// `step_stride` further, and count if the word is whole.
    macro_rules! avx512_pack {
        ($name:ident, $features:literal, $number:ty, $per_word:literal, $across:expr, $along:expr) => {
            /// # Safety
            /// As of [`Kernel::pack`](super::super::tile::Kernel::pack).
            #[target_feature(enable = $features)]
            unsafe fn $name<const W: usize>(
                lines: Lines<*const $number>,
                panels: impl Panels,
                packed: *mut u32,
            ) {
                let steps = lines.len.div_ceil($per_word);
                if lines.line_stride == 1 {
                    // Step by step over all panels: memory is read in order.
                    for step in 0..steps {
                        let start = lines.start.wrapping_add($per_word * step * lines.step_stride);
                        let whole = $per_word * (step + 1) <= lines.len;
                        for (panel, (first, count)) in panels.clone().enumerate() {
                            let packed = packed.wrapping_add((panel * steps + step) * W);
                            for i in (0..count).step_by(16) {
                                // SAFETY: masked lanes are not touched; the others are numbers of the lines, and `packed`
                                // holds `W` words a step.
                                unsafe {
                                    let start = start.wrapping_add(first + i);
                                    let words = $across(start, lines.step_stride, whole, lanes(count - i));
                                    _mm512_storeu_si512(packed.add(i).cast(), words);
                                }
                            }
                        }
                    }
                } else {
                    for (panel, (first, count)) in panels.enumerate() {
                        let packed = packed.wrapping_add(panel * steps * W);
                        for i in (0..count).step_by(16) {
                            for step in (0..steps).step_by(16) {
                                let left = lines.len - $per_word * step;
                                let mut rows = [_mm512_setzero_si512(); 16];
                                // SAFETY: masked lanes are not touched; the others are numbers of the lines.
                                unsafe {
                                    for (line, row) in rows[..(count - i).min(16)].iter_mut().enumerate() {
                                        let line = (first + i + line) * lines.line_stride;
                                        *row = $along(lines.start.add(line + $per_word * step), left);
                                    }
                                }
                                let columns = transposed_16(rows);
                                for (j, &column) in columns[..(steps - step).min(16)].iter().enumerate() {
                                    // SAFETY: `packed` holds `W` words a step.
                                    unsafe {
                                        _mm512_storeu_si512(packed.add((step + j) * W + i).cast(), column);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        };
    }

    avx512_pack!(
        avx512_words,
        "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma",
        f32,
        1,
        |start: *const f32, _, _, mask| _mm512_maskz_loadu_epi32(mask, start.cast()),
        |start: *const f32, left| _mm512_maskz_loadu_epi32(lanes(left), start.cast())
    );
    avx512_pack!(
        avx512_rounded,
        "avx512bf16,avx512f,avx512vl,avx512bw,avx512dq,avx2,fma",
        f32,
        2,
        |start: *const f32, stride, whole, mask| {
            let low = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, start));
            let mask = if whole { mask } else { 0 };
            let high = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, start.wrapping_add(stride)));
            pairs(
                std::mem::transmute::<__m256bh, __m256i>(low),
                std::mem::transmute::<__m256bh, __m256i>(high),
            )
        },
        |start: *const f32, left: usize| {
            let low = _mm512_maskz_loadu_ps(lanes(left), start);
            let high = _mm512_maskz_loadu_ps(lanes(left.saturating_sub(16)), start.wrapping_add(16));
            std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
        }
    );
    avx512_pack!(
        avx512_halves,
        "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma",
        bf16,
        2,
        |start: *const bf16, stride, whole, mask| {
            let low = _mm256_maskz_loadu_epi16(mask, start.cast());
            let mask = if whole { mask } else { 0 };
            pairs(low, _mm256_maskz_loadu_epi16(mask, start.wrapping_add(stride).cast()))
        },
        |start: *const bf16, left: usize| {
            let mask = ((1_u64 << left.min(32)) - 1) as __mmask32;
            _mm512_maskz_loadu_epi16(mask, start.cast())
        }
    );

    /// Words of which `low` are the lower halves.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn pairs(low: __m256i, high: __m256i) -> __m512i {
        let high = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(high));
        _mm512_or_si512(_mm512_cvtepu16_epi32(low), high)
    }

    /// f32 as they are.
    ///
    /// # Safety
    /// As of [`Kernel::pack`](super::super::tile::Kernel::pack).
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    pub(in super::super) unsafe fn avx512<const W: usize>(
        lines: Lines,
        panels: impl Panels,
        packed: *mut u32,
    ) {
        // SAFETY: this function's contract.
        unsafe {
            match lines.start {
                Start::F32(start) if lines.is_straight() => {
                    avx512_words::<W>(lines.starting_at(start), panels, packed);
                }
                _ => portable::<W, false>(lines, panels, packed),
            }
        }
    }

    /// Pairs of bf16.
    ///
    /// # Safety
    /// As of [`Kernel::pack`](super::super::tile::Kernel::pack).
    #[target_feature(enable = "avx512bf16,avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    pub(in super::super) unsafe fn avx512_bf16<const W: usize>(
        lines: Lines,
        panels: impl Panels,
        packed: *mut u32,
    ) {
        // SAFETY: this function's contract.
        unsafe {
            match lines.start {
                Start::F32(start) if lines.is_straight() => {
                    avx512_rounded::<W>(lines.starting_at(start), panels, packed);
                }
                Start::Bf16(start) if lines.is_straight() => {
                    avx512_halves::<W>(lines.starting_at(start), panels, packed);
                }
                _ => portable::<W, true>(lines, panels, packed),
            }
        }
    }

    /// The lanes below `width` of a vector of 8.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn lanes_8(width: usize) -> __m256i {
        let indices = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(width.min(8) as i32), indices)
    }

    /// Exchanges rows and columns of 8 × 8 numbers.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn transposed_8(rows: [__m256; 8]) -> [__m256; 8] {
        let mut pairs = rows;
        for i in 0..4 {
            pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
        let mut fours = pairs;
        for i in 0..2 {
            for half in 0..2 {
                let (low, high) = (pairs[4 * i + half], pairs[4 * i + half + 2]);
                fours[4 * i + 2 * half] = _mm256_shuffle_ps::<0x44>(low, high);
                fours[4 * i + 2 * half + 1] = _mm256_shuffle_ps::<0xee>(low, high);
            }
        }
        let mut columns = fours;
        for c in 0..4 {
            columns[c] = _mm256_permute2f128_ps::<0x20>(fours[c], fours[4 + c]);
            columns[4 + c] = _mm256_permute2f128_ps::<0x31>(fours[c], fours[4 + c]);
        }
        columns
    }

    /// # Safety
    /// As of [`Kernel::pack`](super::super::tile::Kernel::pack).
    #[target_feature(enable = "avx2,fma")]
    pub(in super::super) unsafe fn avx2<const W: usize>(lines: Lines, panels: impl Panels, packed: *mut u32) {
        let steps = lines.len;
        let Start::F32(start) = lines.start else {
            // SAFETY: this function's contract.
            return unsafe { portable::<W, false>(lines, panels, packed) };
        };
        if lines.line_stride == 1 {
            // Step by step over all panels: memory is read in order.
            for step in 0..steps {
                let start = start.wrapping_add(step * lines.step_stride);
                for (panel, (first, count)) in panels.clone().enumerate() {
                    let packed = packed.wrapping_add((panel * steps + step) * W);
                    for i in (0..count).step_by(8) {
                        // SAFETY: masked lanes are not touched; the others are numbers of the lines, and `packed` holds
                        // `W` words a step.
                        unsafe {
                            let words = _mm256_maskload_ps(start.add(first + i), lanes_8(count - i));
                            _mm256_storeu_ps(packed.add(i).cast(), words);
                        }
                    }
                }
            }
        } else if lines.step_stride == 1 {
            let whole = steps / 8 * 8;
            for (panel, (first, count)) in panels.enumerate() {
                let packed = packed.wrapping_add(panel * steps * W);
                for i in (0..count).step_by(8) {
                    for step in (0..whole).step_by(8) {
                        let mut rows = [_mm256_setzero_ps(); 8];
                        // SAFETY: eight numbers of each line.
                        unsafe {
                            for (line, row) in rows[..(count - i).min(8)].iter_mut().enumerate() {
                                let start = start.add((first + i + line) * lines.line_stride + step);
                                *row = _mm256_loadu_ps(start);
                            }
                        }
                        for (j, column) in transposed_8(rows).into_iter().enumerate() {
                            // SAFETY: `packed` holds `W` words a step.
                            unsafe { _mm256_storeu_ps(packed.add((step + j) * W + i).cast(), column) };
                        }
                    }
                }
                let start = Start::F32(start.wrapping_add(first * lines.line_stride + whole));
                let rest = Lines { start, len: steps - whole, ..lines };
                // SAFETY: what is left of this panel's lines, and of its words.
                unsafe {
                    portable::<W, false>(rest, std::iter::once((0, count)), packed.add(whole * W));
                }
            }
        } else {
            // SAFETY: this function's contract.
            unsafe { portable::<W, false>(lines, panels, packed) }
        }
    }
}
