//! Rotary position embedding: pairs of a head's two halves rotated by an angle of the position.

use super::memory::{Shared, as_written, for_each};
use super::number::Number;
use super::vector::mul_add;

/// Where the heads of a `[batch, seq, heads, d_head]` tensor lie; a head's numbers follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLayout {
    /// `[batch, seq, heads, d_head]`
    pub(crate) shape: [usize; 4],
    /// From one example, position and head to the next.
    pub(crate) strides: [usize; 3],
}

impl HeadLayout {
    /// Where head `head` of position `seq` of example `batch` starts.
    pub(crate) fn at(&self, batch: usize, seq: usize, head: usize) -> usize {
        batch * self.strides[0] + seq * self.strides[1] + head * self.strides[2]
    }

    /// Everything one after another.
    pub(crate) fn contiguous(shape: [usize; 4]) -> Self {
        let [_, seq, heads, d_head] = shape;
        Self { shape, strides: [seq * heads * d_head, heads * d_head, d_head] }
    }

    /// Whether a buffer of `len` numbers holds all heads.
    pub(crate) fn fits(&self, len: usize) -> bool {
        let [batch, seq, heads, d_head] = self.shape;
        self.shape.contains(&0) || self.at(batch - 1, seq - 1, heads - 1) + d_head <= len
    }
}

/// All heads of one position, in place. `sign` is 1, or −1 to rotate back.
#[inline(always)]
fn position_body<const FMA: bool, T: Number>(
    x: &mut [T],
    heads: usize,
    head_stride: usize,
    cos: &[f32],
    sin: &[f32],
    sign: f32,
) {
    let half = cos.len();
    for head in 0..heads {
        let (x1, x2) = x[head * head_stride..][..2 * half].split_at_mut(half);
        for (((x1, x2), &cos), &sin) in x1.iter_mut().zip(x2).zip(cos).zip(sin) {
            let sin = sin * sign;
            let (a, b) = (x1.widen(), x2.widen());
            *x1 = T::narrow(mul_add::<FMA>(a, cos, -(b * sin)));
            *x2 = T::narrow(mul_add::<FMA>(b, cos, a * sin));
        }
    }
}

vectorized!(
    fn rotate_position<T: Number>(
        x: &mut [T],
        heads: usize,
        head_stride: usize,
        cos: &[f32],
        sin: &[f32],
        sign: f32,
    ) = position_body
);

/// Rotates every head of `x` in place; with `back`, the other way, which is the gradient.
///
/// `cos` and `sin` are `[batch or 1, seq, d_head / 2]`. Positions must not overlap.
pub(crate) fn rotate<T: Number>(x: &mut [T], layout: HeadLayout, cos: &[f32], sin: &[f32], back: bool) {
    let [batch, seq, heads, d_head] = layout.shape;
    let half = d_head / 2;
    let tables = if cos.len() == seq * half { 1 } else { batch };
    assert!(
        d_head % 2 == 0 && cos.len() == sin.len() && cos.len() == tables * seq * half,
        "tables fit the heads"
    );
    assert!(layout.fits(x.len()), "the layout lies in the buffer");
    let [_, position_stride, head_stride] = layout.strides;
    let span = heads.saturating_sub(1) * head_stride + d_head;
    assert!(span <= position_stride || seq <= 1, "positions do not overlap");
    let (sign, work) = (if back { -1.0 } else { 1.0 }, batch * seq * heads * d_head * 4);
    if work == 0 {
        return;
    }
    const POSITIONS: usize = 32;
    let x = Shared::of(x);
    for_each((batch * seq).div_ceil(POSITIONS), work, |index| {
        for position in index * POSITIONS..((index + 1) * POSITIONS).min(batch * seq) {
            let (example, time) = (position / seq, position % seq);
            let angle = (if tables == 1 { time } else { position }) * half;
            #[allow(unsafe_code, reason = "positions are disjoint parts of one buffer")]
            // SAFETY: this position's heads, which lie in the buffer and overlap with no other's.
            let x = unsafe { as_written(x.slots(layout.at(example, time, 0), span)) };
            let (cos, sin) = (&cos[angle..angle + half], &sin[angle..angle + half]);
            rotate_position(x, heads, head_stride, cos, sin, sign);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotating_there_and_back_changes_nothing_and_equals_the_scalar_twin() {
        let x: Vec<f32> = (0..120).map(|i| (i as f32 * 0.7).sin()).collect();
        let (cos, sin): (Vec<f32>, Vec<f32>) = (0..15).map(|i| ((i as f32).cos(), (i as f32).sin())).unzip();
        let layout = HeadLayout::contiguous([2, 3, 2, 10]);
        let mut y = x.clone();
        rotate(&mut y, layout, &cos, &sin, false);
        let mut twin = x[20..40].to_vec();
        position_body::<false, f32>(&mut twin, 2, 10, &cos[5..10], &sin[5..10], 1.0);
        assert!(y[20..40].iter().zip(&twin).all(|(a, b)| (a - b).abs() < 1e-6));
        rotate(&mut y, layout, &cos, &sin, true);
        assert!(y.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6));
        // Of wider positions, what is not a head stays as it is.
        let layout = HeadLayout { shape: [2, 3, 1, 10], strides: [60, 20, 10] };
        let mut y = x.clone();
        rotate(&mut y, layout, &cos, &sin, false);
        assert!(y.iter().zip(&x).enumerate().all(|(i, (a, b))| i % 20 < 10 || a == b));
    }
}
