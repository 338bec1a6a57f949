//! Weights stored in less than 32 bits: bf16, or 8-bit integers with a scale for each output and group of inputs.
//!
//! They lie in panels of [`PANEL`] outputs, `[panel][input][PANEL]`: a panel is read from its beginning to its end, and
//! its sums fit in registers. The last panel is filled up with zeros.

use super::{FEW, Inputs, Weight, Write, finish};
use crate::fused::kernels::memory::{Shared, as_written, for_each};
use crate::fused::kernels::number::to_bf16;
use crate::fused::kernels::vector::mul_add;
use rayon::prelude::*;

/// Outputs in a panel.
pub(crate) const PANEL: usize = 64;
/// Inputs that share a scale, for each output.
pub(crate) const GROUP: usize = 64;

/// The kinds of narrow weights, in panels.
#[derive(Debug, Clone)]
pub(crate) enum Narrow {
    /// The upper halves of f32s, rounded to nearest.
    Bf16(Vec<u16>),
    /// `[panel][input][PANEL]` integers from −127 to 127, and `[panel][group][PANEL]` scales.
    Int8(Vec<i8>, Vec<f32>),
}

/// A narrow matrix, `[d_in, d_out]`.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub(crate) d_in: usize,
    pub(crate) d_out: usize,
    pub(crate) weights: Narrow,
}

impl Packed {
    /// As bf16; `weight(i, j)` is the weight from input `i` to output `j`.
    pub(crate) fn bf16([d_in, d_out]: [usize; 2], weight: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let mut weights = vec![0; d_out.div_ceil(PANEL) * d_in * PANEL];
        weights.par_chunks_mut((d_in * PANEL).max(1)).enumerate().for_each(|(panel, weights)| {
            for (i, row) in weights.chunks_exact_mut(PANEL).enumerate() {
                for (j, to) in (panel * PANEL..d_out).zip(row) {
                    *to = to_bf16(weight(i, j));
                }
            }
        });
        Self { d_in, d_out, weights: Narrow::Bf16(weights) }
    }

    /// As 8-bit integers: in each group the largest magnitude becomes 127.
    pub(crate) fn int8([d_in, d_out]: [usize; 2], weight: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        let (panels, groups) = (d_out.div_ceil(PANEL), d_in.div_ceil(GROUP));
        let (mut weights, mut scales) = (vec![0; panels * d_in * PANEL], vec![0.0; panels * groups * PANEL]);
        let of_panels = weights.par_chunks_mut((d_in * PANEL).max(1));
        let of_panels = of_panels.zip(scales.par_chunks_mut((groups * PANEL).max(1))).enumerate();
        of_panels.for_each(|(panel, (weights, scales))| {
            let groups = weights.chunks_mut(GROUP * PANEL).zip(scales.chunks_exact_mut(PANEL)).enumerate();
            for (group, (weights, scales)) in groups {
                for i in 0..weights.len() / PANEL {
                    for (j, scale) in (panel * PANEL..d_out).zip(&mut *scales) {
                        *scale = weight(group * GROUP + i, j).abs().max(*scale);
                    }
                }
                scales.iter_mut().for_each(|scale| *scale /= 127.0);
                for (i, row) in weights.chunks_exact_mut(PANEL).enumerate() {
                    for ((j, to), &scale) in (panel * PANEL..d_out).zip(row).zip(&*scales) {
                        let steps = if scale > 0.0 { weight(group * GROUP + i, j) / scale } else { 0.0 };
                        *to = steps.round().clamp(-127.0, 127.0) as i8;
                    }
                }
            }
        });
        Self { d_in, d_out, weights: Narrow::Int8(weights, scales) }
    }

    /// Bytes that the weights and their scales take.
    pub(crate) fn bytes(&self) -> usize {
        match &self.weights {
            Narrow::Bf16(weights) => 2 * weights.len(),
            Narrow::Int8(weights, scales) => weights.len() + 4 * scales.len(),
        }
    }

    fn groups(&self) -> usize {
        self.d_in.div_ceil(GROUP)
    }

    /// `y = x w + bias`, or `y += …`: `x` is `[rows, d_in]`, `y` `[rows, d_out]`.
    pub(crate) fn apply(&self, x: &[f32], rows: usize, bias: Option<&[f32]>, y: &mut [f32], write: Write) {
        let (d_in, d_out) = (self.d_in, self.d_out);
        assert!(
            x.len() == rows * d_in && y.len() == rows * d_out,
            "operands are [rows, d_in], [rows, d_out]"
        );
        assert!(bias.is_none_or(|bias| bias.len() == d_out), "a bias has a number for each output");
        let out = Shared::of(y);
        for_each(d_out.div_ceil(PANEL), rows * d_in * d_out, |panel| {
            let first = panel * PANEL;
            let outputs = PANEL.min(d_out - first);
            let mut sums = [0.0; PANEL * FEW];
            for group in 0..rows.div_ceil(FEW) {
                let row = group * FEW;
                let rows = FEW.min(rows - row);
                let inputs = Inputs { values: &x[row * d_in..], stride: d_in, rows, count: d_in };
                let sums = &mut sums[..rows * PANEL];
                match &self.weights {
                    Narrow::Bf16(weights) => bf16_panel(inputs, &weights[panel * d_in * PANEL..], sums),
                    Narrow::Int8(weights, scales) => int8_panel(
                        inputs,
                        &weights[panel * d_in * PANEL..],
                        &scales[panel * self.groups() * PANEL..],
                        sums,
                    ),
                }
                for (i, sums) in sums.chunks_exact(PANEL).enumerate() {
                    #[allow(unsafe_code, reason = "tasks write disjoint columns of one output")]
                    // SAFETY: columns of `y` that are this panel's alone, and `y` holds numbers.
                    let y = unsafe { as_written(out.slots((row + i) * d_out + first, outputs)) };
                    finish(sums, bias.map(|bias| &bias[first..]), y, write);
                }
            }
        });
    }

    /// The weights of `panels` panels from `first` on as f32, `[d_in, panels · PANEL]`.
    pub(crate) fn widen(&self, first: usize, panels: usize, wide: &mut [f32]) {
        let (d_in, width) = (self.d_in, panels * PANEL);
        assert_eq!(wide.len(), d_in * width, "the output holds the panels");
        let wide = Shared::of(wide);
        for_each(panels, d_in * width * 4, |panel| {
            for i in 0..d_in {
                #[allow(unsafe_code, reason = "tasks write disjoint columns of one output")]
                // SAFETY: columns of `wide` that are this panel's alone, and `wide` holds numbers.
                let to = unsafe { as_written(wide.slots(i * width + panel * PANEL, PANEL)) };
                let from = ((first + panel) * d_in + i) * PANEL;
                match &self.weights {
                    Narrow::Bf16(weights) => widen_bf16(&weights[from..from + PANEL], to),
                    Narrow::Int8(weights, scales) => {
                        let scales =
                            &scales[((first + panel) * self.groups() + i / GROUP) * PANEL..][..PANEL];
                        widen_int8(&weights[from..from + PANEL], scales, to);
                    }
                }
            }
        });
    }
}

/// Inputs times the weights of a panel, `[inputs, PANEL]`. The sums are an array of its own, and so stay in registers.
#[inline(always)]
fn panel_sums<const FMA: bool, W: Weight>(x: &[f32], weights: &[W]) -> [f32; PANEL] {
    let mut sums = [0.0; PANEL];
    for (&x, weights) in x.iter().zip(weights.chunks_exact(PANEL)) {
        for j in 0..PANEL {
            sums[j] = mul_add::<FMA>(x, weights[j].widen(), sums[j]);
        }
    }
    sums
}

#[inline(always)]
pub(super) fn bf16_body<const FMA: bool>(x: Inputs<'_>, weights: &[u16], sums: &mut [f32]) {
    sums.fill(0.0);
    // In groups, so that further rows find the weights in the cache.
    for first in (0..x.count).step_by(GROUP) {
        let part = x.part(first, GROUP.min(x.count - first));
        for (row, sums) in sums.chunks_exact_mut(PANEL).enumerate() {
            let group_sums = panel_sums::<FMA, u16>(part.row(row), &weights[first * PANEL..]);
            for j in 0..PANEL {
                sums[j] += group_sums[j];
            }
        }
    }
}

#[inline(always)]
pub(super) fn int8_body<const FMA: bool>(x: Inputs<'_>, weights: &[i8], scales: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for first in (0..x.count).step_by(GROUP) {
        let part = x.part(first, GROUP.min(x.count - first));
        let scales = &scales[first / GROUP * PANEL..][..PANEL];
        for (row, sums) in sums.chunks_exact_mut(PANEL).enumerate() {
            let group_sums = panel_sums::<FMA, i8>(part.row(row), &weights[first * PANEL..]);
            for j in 0..PANEL {
                sums[j] = mul_add::<FMA>(group_sums[j], scales[j], sums[j]);
            }
        }
    }
}

#[inline(always)]
fn widen_bf16_body<const FMA: bool>(weights: &[u16], wide: &mut [f32]) {
    wide.iter_mut().zip(weights).for_each(|(wide, weight)| *wide = weight.widen());
}

#[inline(always)]
fn widen_int8_body<const FMA: bool>(weights: &[i8], scales: &[f32], wide: &mut [f32]) {
    for ((wide, weight), scale) in wide.iter_mut().zip(weights).zip(scales) {
        *wide = weight.widen() * scale;
    }
}

vectorized!(pub(super) fn bf16_panel(x: Inputs<'_>, weights: &[u16], sums: &mut [f32]) = bf16_body);
vectorized!(
    pub(super) fn int8_panel(x: Inputs<'_>, weights: &[i8], scales: &[f32], sums: &mut [f32]) = int8_body
);
vectorized!(fn widen_bf16(weights: &[u16], wide: &mut [f32]) = widen_bf16_body);
vectorized!(fn widen_int8(weights: &[i8], scales: &[f32], wide: &mut [f32]) = widen_int8_body);
