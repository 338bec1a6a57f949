//! What a forward pass without gradients needs, on plain slices: for decoding on the CPU, a token at a time.
//!
//! A token of a small model takes less time than burn takes to create its tensors. Here the caller owns every buffer and
//! nothing is allocated once they have grown. The functions are those of [`ops`](crate::ops) with the same results up to
//! rounding; results do not depend on the number of threads.
//!
//! [`Matrix`] is a weight, perhaps in less than 32 bits: decoding reads each weight once a token, so what they take in
//! memory decides its speed.

use burn::tensor::{Tensor, TensorData};

use crate::fused::kernels::attention::{Heads, Mask, Problem, forward as attend_in_blocks};
use crate::fused::kernels::gemm::{Panels, Product, Start, View};
pub use crate::fused::kernels::gemv::Write;
use crate::fused::kernels::gemv::{self, PANEL, Packed};
use crate::fused::kernels::query;
pub use crate::fused::kernels::query::{KeyValueBlock, Rows, SLOTS, Seen};
use crate::fused::kernels::rope::HeadLayout;
use crate::fused::kernels::token;
pub use crate::fused::weights::Vector;
use crate::fused::weights::either_way;
pub use crate::ops::Activation;
use crate::precision::Precision;

/// How weights are stored. Sums are f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightFormat {
    /// 32 bits, as trained.
    #[default]
    F32,
    /// The upper 16 bits of them, rounded to nearest.
    Bf16,
    /// 8-bit integers, with an f32 scale for each output and 64 inputs: 8.5 bits a weight.
    Int8,
}

impl WeightFormat {
    /// All, the widest first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

/// Buffers that products use as they like.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    wide: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// A weight, `[d_in, d_out]`.
#[derive(Debug, Clone)]
pub struct Matrix {
    d_in: usize,
    d_out: usize,
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    Wide(Panels),
    Narrow(Packed),
}

impl Matrix {
    /// The weight `[d_in, d_out]`, which may be a transposed view, copied as products read it. `None` when the tensor is not f32
    /// on the CPU's device, or tracked for gradients.
    pub fn new(weight: Tensor<2>, format: WeightFormat) -> Option<Self> {
        let shape @ [d_in, d_out] = weight.dims();
        let (by_rows, vector) = either_way(weight)?;
        let values = vector.values();
        let at = |i: usize, j: usize| if by_rows { values[j * d_in + i] } else { values[i * d_out + j] };
        let weights = match format {
            WeightFormat::F32 if by_rows => {
                Weights::Wide(Panels::new(shape, View::rows(values, d_in).transposed()))
            }
            WeightFormat::F32 => Weights::Wide(Panels::new(shape, View::rows(values, d_out))),
            WeightFormat::Bf16 => Weights::Narrow(Packed::bf16(shape, at)),
            WeightFormat::Int8 => Weights::Narrow(Packed::int8(shape, at)),
        };
        Some(Self { d_in, d_out, weights })
    }

    /// Weights of the same input side by side, as one: what comes out is that of each, one after the other.
    pub fn joined(weights: Vec<Tensor<2>>, format: WeightFormat) -> Option<Self> {
        Self::new(Tensor::cat(weights, 1), format)
    }

    /// Numbers that go in and come out.
    pub fn shape(&self) -> [usize; 2] {
        [self.d_in, self.d_out]
    }

    /// Bytes that are read for a product, scales included.
    pub fn bytes(&self) -> usize {
        match &self.weights {
            Weights::Wide(panels) => panels.bytes(),
            Weights::Narrow(packed) => packed.bytes(),
        }
    }

    /// `y = x w + bias`, or `y += x w + bias`: `x` is `[rows, d_in]`, `bias` `[d_out]`, `y` `[rows, d_out]`.
    ///
    /// # Panics
    /// When the slices have other sizes.
    pub fn apply(
        &self,
        x: &[f32],
        bias: Option<&Vector>,
        y: &mut [f32],
        write: Write,
        scratch: &mut Scratch,
    ) {
        let d_in = self.d_in;
        let (rows, bias) = (x.len() / d_in, bias.map(Vector::values));
        let few = rows <= gemv::FEW;
        match &self.weights {
            Weights::Wide(panels) if few => gemv::few(x, panels, rows, bias, y, write),
            Weights::Wide(panels) => {
                let start = if write == Write::Add { Start::Output } else { Start::Zero };
                Product::with_packed(rows, View::rows(x, d_in), panels).plus_row(bias).into_slice(y, start);
            }
            Weights::Narrow(packed) if few => packed.apply(x, rows, bias, y, write),
            Weights::Narrow(packed) => widened(x, packed, bias, y, write, &mut scratch.wide),
        }
    }
}

/// What `weight`, `[d_in, d_out]`, is once it is stored as `format`: the numbers that products multiply by, and the bytes that they are
/// stored in. `None` as for [`Matrix::new`].
pub fn rounded(weight: Tensor<2>, format: WeightFormat) -> Option<(Tensor<2>, usize)> {
    let Matrix { d_in, d_out, weights } = Matrix::new(weight.clone(), format)?;
    let packed = match weights {
        Weights::Wide(panels) => return Some((weight, panels.bytes())),
        Weights::Narrow(packed) => packed,
    };
    let panels = d_out.div_ceil(PANEL);
    let mut wide = vec![0.0; d_in * panels * PANEL];
    packed.widen(0, panels, &mut wide);
    let values = wide.chunks_exact(panels * PANEL).flat_map(|row| row[..d_out].iter().copied()).collect();
    let values = TensorData::new::<f32, _>(values, [d_in, d_out]);
    Some((Tensor::from_data(values, &weight.device()), packed.bytes()))
}

/// The general product with blocks of the weights as f32.
fn widened(x: &[f32], w: &Packed, bias: Option<&[f32]>, y: &mut [f32], write: Write, wide: &mut Vec<f32>) {
    const PANELS: usize = 16;
    let (d_in, d_out) = (w.d_in, w.d_out);
    let rows = x.len() / d_in;
    assert_eq!(y.len(), rows * d_out, "the output is [rows, d_out]");
    let panels = d_out.div_ceil(PANEL);
    for first in (0..panels).step_by(PANELS) {
        let panels = PANELS.min(panels - first);
        let (width, start) = (panels * PANEL, first * PANEL);
        wide.resize(wide.len().max(d_in * width), 0.0);
        let wide = &mut wide[..d_in * width];
        w.widen(first, panels, wide);
        let wide = View::rows(&*wide, width);
        let product =
            Product::new([rows, width, d_in], View::rows(x, d_in), wide, Precision::F32).to_vec(Start::Zero);
        let end = (start + width).min(d_out);
        for (y, product) in y.chunks_exact_mut(d_out).zip(product.chunks_exact(width)) {
            gemv::finish(product, bias.map(|bias| &bias[start..]), &mut y[start..end], write);
        }
    }
}

/// RMS norm of the rows of `x`, `[rows, d]`, into `y` of the same shape: see [`ops::norm`](crate::ops::norm).
///
/// # Panics
/// When the slices have other sizes.
pub fn rms_norm(x: &[f32], gain: &Vector, eps: f64, y: &mut [f32]) {
    token::norm(x, gain.values(), None, false, eps as f32, y);
}

/// Layer norm of the rows of `x`, `[rows, d]`, into `y` of the same shape: see
/// [`ops::norm`](crate::ops::norm).
///
/// # Panics
/// When the slices have other sizes.
pub fn layer_norm(x: &[f32], gain: &Vector, bias: Option<&Vector>, eps: f64, y: &mut [f32]) {
    token::norm(x, gain.values(), bias.map(Vector::values), true, eps as f32, y);
}

/// Replaces every number by its activation.
pub fn activate(activation: Activation, x: &mut [f32]) {
    token::activate(activation, x);
}

/// `y = f(gate) · up`, `[rows, width]`, for an activation that has a gate: `gate_up` is `[rows, 2 · width]`, each row the gates first.
///
/// # Panics
/// When the slices do not fit each other.
pub fn gated(activation: Activation, gate_up: &[f32], width: usize, y: &mut [f32]) {
    token::gated(activation, gate_up, width, y);
}

/// Rotates the heads of each row of `x`, `[rows, width]`, by the row's angles, whose cosines and sines are
/// `[rows, d_head / 2]`: see [`ops::rope`](crate::ops::rope).
///
/// # Panics
/// When the slices do not fit each other.
pub fn rope(x: &mut [f32], width: usize, cos: &[f32], sin: &[f32]) {
    token::rotate(x, width, cos, sin);
}

/// The sizes of attention, in heads and numbers.
#[derive(Debug, Clone, Copy)]
pub struct HeadSizes {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; they divide the query heads.
    pub kv_heads: usize,
    /// Numbers in a head.
    pub d_head: usize,
}

impl HeadSizes {
    fn scale(self) -> f32 {
        (1.0 / (self.d_head as f64).sqrt()) as f32
    }
}

/// Attention of queries that each see something else: row `i` of `q`, `[rows, heads · d_head]`, sees `seen(i)`. Writes
/// `out`, shaped as `q`.
///
/// # Panics
/// When the slices do not fit each other, or a query sees nothing.
pub fn attend<'a>(
    q: &[f32],
    sizes: HeadSizes,
    seen: impl Fn(usize) -> Seen<'a> + Send + Sync,
    out: &mut [f32],
) {
    let HeadSizes { heads, kv_heads, d_head } = sizes;
    let rows = q.len() / (heads * d_head);
    let work = (0..rows).map(|row| 2 * seen(row).count * heads * d_head).sum();
    let sizes = query::HeadSizes { heads, kv_heads, d_head, scale: sizes.scale() };
    query::attend(q, sizes, work, seen, out);
}

/// Attention of the last positions of one sequence: the rows of `q`, `[rows, heads · d_head]`, are the last of what is seen, and each
/// sees what is up to its own. Their keys and values, which stand in the blocks too, are the rows of `keys` and `values`. Writes
/// `out`, shaped as `q`.
///
/// # Panics
/// When the slices do not fit each other.
pub fn attend_causally(
    q: &[f32],
    sizes: HeadSizes,
    seen: Seen<'_>,
    [keys, values]: [Rows<'_>; 2],
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    /// With fewer queries than this, blocks of them are not worth their trouble.
    const BLOCKS: usize = 16;
    let HeadSizes { heads, kv_heads, d_head } = sizes;
    let rows = q.len() / (heads * d_head);
    if rows < BLOCKS {
        return attend(q, sizes, |row| Seen { count: seen.count + row + 1 - rows, ..seen }, out);
    }
    let width = kv_heads * d_head;
    let [k, v] = if seen.count == rows {
        [keys, values]
    } else {
        let Scratch { keys, values, .. } = scratch;
        seen.gather(width, keys, values);
        [&*keys, &*values].map(|values| Rows { values, stride: width, count: seen.count })
    }
    .map(|Rows { values, stride, count }| {
        let shape = [1, count, kv_heads, d_head];
        Heads {
            values: values.into(),
            layout: HeadLayout { shape, strides: [count * stride, stride, d_head] },
        }
    });
    let q = Heads { values: q.into(), layout: HeadLayout::contiguous([1, rows, heads, d_head]) };
    let (scale, precision) = (sizes.scale(), Precision::F32);
    let (y, _) =
        attend_in_blocks::<f32>(&Problem { q, k, v, mask: Mask::Causal, bias: None, scale, precision });
    out.copy_from_slice(&y);
}

#[cfg(test)]
mod tests;
