//! Attention against primitives.

use super::{Tensor, TensorData, agree};
use crate::ops::{self, AttentionMask, primitive};
use burn::tensor::{Bool, Device};

type Attention = fn(Tensor<4>, Tensor<4>, Tensor<4>, &AttentionMask, f64) -> Tensor<4>;

/// `[batch, s, t, heads, kv_heads, d_head]`
type Sizes = [usize; 6];

#[track_caller]
fn check(sizes: Sizes, mask: impl Fn(&Device) -> AttentionMask) {
    let [batch, s, t, heads, kv_heads, d_head] = sizes;
    let with = |f: Attention| {
        let mask = &mask;
        move |[q, k, v]: [Tensor<1>; 3]| {
            let mask = mask(&q.device());
            // Keys come strided, as a view of [batch, kv_heads, t, d_head].
            let k = k.reshape([batch, kv_heads, t, d_head]).swap_dims(1, 2);
            f(
                q.reshape([batch, s, heads, d_head]) * 2.0,
                k,
                v.reshape([batch, t, kv_heads, d_head]),
                &mask,
                0.3,
            )
        }
    };
    let kv = batch * t * kv_heads * d_head;
    agree([batch * s * heads * d_head, kv, kv], with(ops::attention), with(primitive::attention));
}

#[test]
fn causal_and_full_agree_with_primitives() {
    for sizes in [[2, 5, 5, 3, 3, 7], [1, 70, 70, 2, 2, 16], [2, 9, 9, 4, 2, 6], [1, 130, 300, 4, 1, 5]] {
        check(sizes, |_| AttentionMask::Causal);
        check(sizes, |_| AttentionMask::Full);
    }
    // Fewer keys than queries, as between decoder and encoder.
    check([2, 67, 3, 2, 1, 4], |_| AttentionMask::Full);
}

#[test]
fn cached_keys_agree_with_primitives() {
    check([2, 1, 300, 4, 2, 8], |_| AttentionMask::Causal);
    check([1, 1, 1, 2, 2, 8], |_| AttentionMask::Causal);
    check([1, 66, 280, 2, 2, 8], |_| AttentionMask::Causal);
}

#[test]
fn hidden_keys_agree_with_primitives() {
    for (batch, s, t) in [(2, 5, 9), (1, 70, 270)] {
        check([batch, s, t, 4, 2, 6], |device| {
            // Row 3 sees nothing at all; row 4 sees nothing of the first block of keys.
            let hidden = (0..batch * s * t).map(|i| match i / t % s {
                3 => true,
                4 => i % t < t - 2,
                _ => i * 7919 % 3 == 0,
            });
            let hidden = TensorData::new(hidden.collect::<Vec<bool>>(), [batch, s, t]);
            AttentionMask::Hidden(Tensor::<3, Bool>::from_data(hidden, device))
        });
    }
}

#[test]
fn a_mask_shared_by_the_batch_agrees_with_primitives() {
    check([3, 6, 6, 2, 2, 4], |device| {
        let hidden = TensorData::new((0..36).map(|i| i % 5 == 1).collect::<Vec<bool>>(), [1, 6, 6]);
        AttentionMask::Hidden(Tensor::<3, Bool>::from_data(hidden, device).expand([3, 6, 6]))
    });
}
