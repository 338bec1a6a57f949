//! Rotary position embedding: pairs of a head's two halves rotated by an angle of the position.

use super::memory::{Shared, Slot, for_each, written};
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

/// One head. `sign` is 1, or −1 to rotate back.
#[inline(always)]
fn rotate_body<const FMA: bool>(x: &[f32], cos: &[f32], sin: &[f32], sign: f32, y: &mut [Slot]) {
    let half = cos.len();
    let ((x1, x2), (y1, y2)) = (x.split_at(half), y.split_at_mut(half));
    for (((((y1, y2), &x1), &x2), &cos), &sin) in y1.iter_mut().zip(y2).zip(x1).zip(x2).zip(cos).zip(sin) {
        let sin = sin * sign;
        y1.write(mul_add::<FMA>(x1, cos, -(x2 * sin)));
        y2.write(mul_add::<FMA>(x2, cos, x1 * sin));
    }
}

/// All heads of one position.
#[inline(always)]
fn position_body<const FMA: bool>(
    x: &[f32],
    head_stride: usize,
    cos: &[f32],
    sin: &[f32],
    sign: f32,
    y: &mut [Slot],
) {
    let d_head = 2 * cos.len();
    for (head, y) in y.chunks_exact_mut(d_head).enumerate() {
        rotate_body::<FMA>(&x[head * head_stride..][..d_head], cos, sin, sign, y);
    }
}

vectorized!(
    fn rotate_position(x: &[f32], head_stride: usize, cos: &[f32], sin: &[f32], sign: f32, y: &mut [Slot])
        = position_body
);

/// Rotates every head of `x`; with `back`, the other way, which is the gradient. Returns `[batch, seq, heads, d_head]`.
///
/// `cos` and `sin` are `[batch or 1, seq, d_head / 2]`.
pub(crate) fn rotate(x: &[f32], layout: HeadLayout, cos: &[f32], sin: &[f32], back: bool) -> Vec<f32> {
    let [batch, seq, heads, d_head] = layout.shape;
    let half = d_head / 2;
    let tables = if cos.len() == seq * half { 1 } else { batch };
    assert!(
        d_head % 2 == 0 && cos.len() == sin.len() && cos.len() == tables * seq * half,
        "tables fit the heads"
    );
    assert!(layout.fits(x.len()), "the layout lies in the buffer");
    let (sign, row) = (if back { -1.0 } else { 1.0 }, heads * d_head);
    if batch * seq * row == 0 {
        return Vec::new();
    }
    const POSITIONS: usize = 32;
    #[allow(unsafe_code, reason = "the output is not cleared before it is written")]
    // SAFETY: each task writes all heads of its own positions, and the tasks cover all positions.
    unsafe {
        written(batch * seq * row, |y| {
            let y = Shared::new(y);
            for_each((batch * seq).div_ceil(POSITIONS), batch * seq * row * 4, |index| {
                for position in index * POSITIONS..((index + 1) * POSITIONS).min(batch * seq) {
                    let (example, time) = (position / seq, position % seq);
                    let angle = (if tables == 1 { time } else { position }) * half;
                    rotate_position(
                        &x[layout.at(example, time, 0)..],
                        layout.strides[2],
                        &cos[angle..angle + half],
                        &sin[angle..angle + half],
                        sign,
                        y.slots(position * row, row),
                    );
                }
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::kernels::memory::as_written;

    #[test]
    fn rotating_there_and_back_changes_nothing_and_equals_the_scalar_twin() {
        let shape = [2, 3, 2, 10];
        let x: Vec<f32> = (0..120).map(|i| (i as f32 * 0.7).sin()).collect();
        let (cos, sin): (Vec<f32>, Vec<f32>) = (0..15).map(|i| ((i as f32).cos(), (i as f32).sin())).unzip();
        let layout = HeadLayout::contiguous(shape);
        let y = rotate(&x, layout, &cos, &sin, false);
        let back = rotate(&y, layout, &cos, &sin, true);
        assert!(back.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6));
        let mut twin = vec![Slot::new(0.0); 20];
        position_body::<false>(&x[20..40], 10, &cos[5..10], &sin[5..10], 1.0, &mut twin);
        #[allow(unsafe_code, reason = "reads slots that were created with a value")]
        // SAFETY: created with a value each.
        let twin = unsafe { as_written(&mut twin) };
        assert!(y[20..40].iter().zip(twin.iter()).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
