//! Operands laid out as the microkernels read them: lines side by side, one packed step after the other.

/// Lines of numbers: rows of a left operand, or columns of a right one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    /// Number 0 of line 0.
    pub(super) start: *const f32,
    /// From a line to the next, and from a number of a line to the next.
    pub(super) line_stride: usize,
    pub(super) step_stride: usize,
    /// How many numbers in each.
    pub(super) len: usize,
}

/// Which lines make up the panels: the first line and the number of them, for each panel.
pub(super) trait Panels: Iterator<Item = (usize, usize)> + Clone {}
impl<P: Iterator<Item = (usize, usize)> + Clone> Panels for P {}

impl Lines {
    /// # Safety
    /// Number `step` of line `line` must be one.
    #[inline(always)]
    #[allow(unsafe_code, reason = "strided operands are reached by address")]
    unsafe fn get(&self, line: usize, step: usize) -> f32 {
        // SAFETY: this function's contract.
        unsafe { *self.start.add(line * self.line_stride + step * self.step_stride) }
    }
}

/// The bf16 nearest to `x`, ties to even, in the low half; a number that is none stays none.
#[inline(always)]
pub(super) fn to_bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() { (bits >> 16) | 0x40 } else { (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 }
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
    let steps = if BF16 { lines.len.div_ceil(2) } else { lines.len };
    for (panel, (first, count)) in panels.enumerate() {
        let packed = packed.wrapping_add(panel * steps * W);
        for step in 0..steps {
            for i in 0..count {
                // SAFETY: inside the lines, and inside `packed`, which holds `W` words a step.
                unsafe {
                    let line = first + i;
                    let word = if BF16 {
                        let low = to_bf16(lines.get(line, 2 * step));
                        let high =
                            if 2 * step + 1 < lines.len { to_bf16(lines.get(line, 2 * step + 1)) } else { 0 };
                        low | high << 16
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

    use super::{Lines, Panels, portable};

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

    /// # Safety
    /// As of [`Kernel::pack`](super::super::tile::Kernel::pack).
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    pub(in super::super) unsafe fn avx512<const W: usize>(
        lines: Lines,
        panels: impl Panels,
        packed: *mut u32,
    ) {
        let steps = lines.len;
        if lines.line_stride == 1 {
            // Step by step over all panels: memory is read in order.
            for step in 0..steps {
                let start = lines.start.wrapping_add(step * lines.step_stride);
                for (panel, (first, count)) in panels.clone().enumerate() {
                    let packed = packed.wrapping_add((panel * steps + step) * W);
                    for i in (0..count).step_by(16) {
                        // SAFETY: masked lanes are not touched; the others are numbers of the lines, and `packed` holds
                        // `W` words a step.
                        unsafe {
                            let words =
                                _mm512_maskz_loadu_epi32(lanes(count - i), start.add(first + i).cast());
                            _mm512_storeu_si512(packed.add(i).cast(), words);
                        }
                    }
                }
            }
        } else if lines.step_stride == 1 {
            for (panel, (first, count)) in panels.enumerate() {
                let packed = packed.wrapping_add(panel * steps * W);
                for i in (0..count).step_by(16) {
                    for step in (0..steps).step_by(16) {
                        let mask = lanes(steps - step);
                        let mut rows = [_mm512_setzero_si512(); 16];
                        // SAFETY: masked lanes are not touched; the others are numbers of the lines.
                        unsafe {
                            for (line, row) in rows[..(count - i).min(16)].iter_mut().enumerate() {
                                let start = lines.start.add((first + i + line) * lines.line_stride + step);
                                *row = _mm512_maskz_loadu_epi32(mask, start.cast());
                            }
                        }
                        let columns = transposed_16(rows);
                        for (j, &column) in columns[..(steps - step).min(16)].iter().enumerate() {
                            // SAFETY: `packed` holds `W` words a step.
                            unsafe { _mm512_storeu_si512(packed.add((step + j) * W + i).cast(), column) };
                        }
                    }
                }
            }
        } else {
            // SAFETY: this function's contract.
            unsafe { portable::<W, false>(lines, panels, packed) }
        }
    }

    /// # Safety
    /// As of [`Kernel::pack`](super::super::tile::Kernel::pack).
    #[target_feature(enable = "avx512bf16,avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    pub(in super::super) unsafe fn avx512_bf16<const W: usize>(
        lines: Lines,
        panels: impl Panels,
        packed: *mut u32,
    ) {
        let steps = lines.len.div_ceil(2);
        if lines.line_stride == 1 {
            // Step by step over all panels: memory is read in order.
            for step in 0..steps {
                let start = lines.start.wrapping_add(2 * step * lines.step_stride);
                let paired = 2 * step + 1 < lines.len;
                for (panel, (first, count)) in panels.clone().enumerate() {
                    let packed = packed.wrapping_add((panel * steps + step) * W);
                    for i in (0..count).step_by(16) {
                        let mask = lanes(count - i);
                        // SAFETY: masked lanes are not touched; the others are numbers of the lines, and `packed` holds
                        // `W` words a step.
                        unsafe {
                            let start = start.wrapping_add(first + i);
                            let low = _mm512_maskz_loadu_ps(mask, start);
                            let high = start.wrapping_add(lines.step_stride);
                            let high = _mm512_maskz_loadu_ps(if paired { mask } else { 0 }, high);
                            let low = _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(
                                _mm512_cvtneps_pbh(low),
                            ));
                            let high = _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(
                                _mm512_cvtneps_pbh(high),
                            ));
                            let words = _mm512_or_si512(low, _mm512_slli_epi32::<16>(high));
                            _mm512_storeu_si512(packed.add(i).cast(), words);
                        }
                    }
                }
            }
        } else if lines.step_stride == 1 {
            for (panel, (first, count)) in panels.enumerate() {
                let packed = packed.wrapping_add(panel * steps * W);
                for i in (0..count).step_by(16) {
                    for step in (0..steps).step_by(16) {
                        let left = lines.len - 2 * step;
                        let (low_mask, high_mask) = (lanes(left), lanes(left.saturating_sub(16)));
                        let mut rows = [_mm512_setzero_si512(); 16];
                        // SAFETY: masked lanes are not touched; the others are numbers of the lines.
                        unsafe {
                            for (line, row) in rows[..(count - i).min(16)].iter_mut().enumerate() {
                                let start =
                                    lines.start.add((first + i + line) * lines.line_stride + 2 * step);
                                let low = _mm512_maskz_loadu_ps(low_mask, start);
                                let high = _mm512_maskz_loadu_ps(high_mask, start.wrapping_add(16));
                                *row =
                                    std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                            }
                        }
                        let columns = transposed_16(rows);
                        for (j, &column) in columns[..(steps - step).min(16)].iter().enumerate() {
                            // SAFETY: `packed` holds `W` words a step.
                            unsafe { _mm512_storeu_si512(packed.add((step + j) * W + i).cast(), column) };
                        }
                    }
                }
            }
        } else {
            // SAFETY: this function's contract.
            unsafe { portable::<W, true>(lines, panels, packed) }
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
        if lines.line_stride == 1 {
            // Step by step over all panels: memory is read in order.
            for step in 0..steps {
                let start = lines.start.wrapping_add(step * lines.step_stride);
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
                                let start = lines.start.add((first + i + line) * lines.line_stride + step);
                                *row = _mm256_loadu_ps(start);
                            }
                        }
                        for (j, column) in transposed_8(rows).into_iter().enumerate() {
                            // SAFETY: `packed` holds `W` words a step.
                            unsafe { _mm256_storeu_ps(packed.add((step + j) * W + i).cast(), column) };
                        }
                    }
                }
                let start = lines.start.wrapping_add(first * lines.line_stride + whole);
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
