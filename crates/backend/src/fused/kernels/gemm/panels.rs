//! A right operand that is packed once, for products that come again.

use super::tile::Kernel;
use super::{CacheLine, DEPTH, Scratch, View, pack_b, tile};
use crate::fused::kernels::memory::for_each_mut;
#[cfg(target_arch = "x86_64")]
use crate::fused::kernels::vector::{has_avx2, has_avx512};

/// A matrix `[k, n]` of f32 in panels of as many columns as the processor's kernel takes at once, `[panel][k][width]`. The last one
/// is filled up with zeros.
#[derive(Debug, Clone)]
pub(crate) struct Panels {
    shape: [usize; 2],
    width: usize,
    words: Scratch,
}

impl Panels {
    /// Packs `b`, `[k, n]`.
    pub(crate) fn new([k, n]: [usize; 2], b: View<'_>) -> Self {
        assert!(b.holds(k, n), "the operand of a product is [{k}, {n}]");
        #[allow(unsafe_code, reason = "kernels are compiled for instruction sets that must be there")]
        // SAFETY: kernels are chosen by what the processor has.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if has_avx512() {
                return Self::packed::<tile::Avx512>([k, n], b);
            } else if has_avx2() {
                return Self::packed::<tile::Avx2>([k, n], b);
            }
            Self::packed::<tile::Portable<false>>([k, n], b)
        }
    }

    /// # Safety
    /// The processor must have the kernel's instructions.
    #[allow(unsafe_code, reason = "packs by address")]
    unsafe fn packed<K: Kernel>([k, n]: [usize; 2], b: View<'_>) -> Self {
        let lines_a_panel = k * K::COLS / 16;
        let mut lines = vec![CacheLine::default(); n.div_ceil(K::COLS) * lines_a_panel];
        let mut panels: Vec<_> =
            lines.chunks_exact_mut(lines_a_panel.max(1)).zip((0..n).step_by(K::COLS)).collect();
        for_each_mut(&mut panels, k * n, |(lines, j)| {
            // SAFETY: this function's contract; the columns are in `b`, and the lines are a panel.
            unsafe { pack_b::<K>(b, lines.as_mut_ptr().cast(), [0, *j], [k, K::COLS.min(n - *j)]) };
        });
        Self { shape: [k, n], width: K::COLS, words: Scratch { lines } }
    }

    /// `[k, n]`
    pub(crate) fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Columns of a panel: 16 or 32.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Bytes of it.
    pub(crate) fn bytes(&self) -> usize {
        self.words.lines.len() * size_of::<CacheLine>()
    }

    /// Words of a panel.
    pub(super) fn stride(&self) -> usize {
        self.shape[0] * self.width
    }

    /// Where row `k0` of the panel that begins with column `j` is.
    pub(super) fn at(&self, k0: usize, j: usize) -> *const u32 {
        debug_assert!(j.is_multiple_of(self.width), "products are cut between panels");
        self.words.words().wrapping_add(j / self.width * self.stride() + k0 * self.width)
    }

    /// The panel with this number, `[k, width]`.
    pub(crate) fn panel(&self, number: usize) -> &[f32] {
        assert!(number < self.shape[1].div_ceil(self.width), "a panel of {} columns", self.shape[1]);
        #[allow(unsafe_code, reason = "packed words are f32s here")]
        // SAFETY: there are so many words from there on, all of them written, as f32 or zeros.
        unsafe {
            std::slice::from_raw_parts(self.at(0, number * self.width).cast(), self.stride())
        }
    }

    /// The rows of which products add up the columns' parts one after the other: all of `k` in equal pieces. Whoever sums in the same
    /// order gets the same bits.
    pub(crate) fn depth(&self) -> usize {
        let k = self.shape[0];
        k.div_ceil(k.div_ceil(DEPTH).max(1)).max(1)
    }
}
