//! Attention against primitives.

use super::{Tensor, TensorData, agree};
use crate::ops::{self, AttentionMask, Heads, primitive};
use burn::tensor::{Bool, Device};

type Attention = fn(Tensor<4>, Tensor<4>, Tensor<4>, &AttentionMask, Option<Tensor<4>>, f64) -> Tensor<4>;

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
                None,
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

#[test]
fn documents_and_prefixes_agree_with_primitives() {
    // Documents that begin in the middle of blocks of queries and of keys; one that is a single token.
    for sizes in [[2, 9, 9, 2, 1, 4], [2, 300, 300, 2, 2, 5]] {
        let [batch, t, ..] = sizes;
        let starts = |example: usize| -> Vec<usize> {
            let begins = [0, 1, 5 + example, 70, 270];
            (0..t).map(|i| *begins.iter().rfind(|&&begin| begin <= i).unwrap()).collect()
        };
        check(sizes, |_| AttentionMask::Documents((0..batch).map(starts).collect()));
        check(sizes, |_| AttentionMask::Prefix([3, t].into()));
        check(sizes, |_| AttentionMask::Prefix([0, t / 2].into()));
    }
    // The last queries of more positions.
    check([2, 3, 9, 2, 1, 4], |_| AttentionMask::Prefix([8, 2].into()));
    check([1, 3, 9, 2, 1, 4], |_| AttentionMask::Documents([vec![0, 0, 0, 3, 3, 3, 3, 7, 8]].into()));
}

#[test]
fn a_bias_agrees_with_primitives() {
    let (batch, s, t, heads, d_head) = (2, 70, 300, 4, 6);
    for [bias_batch, bias_heads] in [[1, 4], [2, 4], [1, 1], [2, 1]] {
        for mask in [AttentionMask::Full, AttentionMask::Causal] {
            let with = |f: Attention| {
                let mask = &mask;
                move |[q, k, v, bias]: [Tensor<1>; 4]| {
                    let (k, v) = (k.reshape([batch, t, 2, d_head]), v.reshape([batch, t, 2, d_head]));
                    let bias = bias.reshape([bias_batch, bias_heads, s, t]) * 2.0;
                    f(q.reshape([batch, s, heads, d_head]), k, v, mask, Some(bias), 0.3)
                }
            };
            let kv = batch * t * 2 * d_head;
            let lens = [batch * s * heads * d_head, kv, kv, bias_batch * bias_heads * s * t];
            agree(lens, with(ops::attention), with(primitive::attention));
        }
    }
}

#[test]
fn self_attention_agrees_with_primitives() {
    type SelfAttention =
        fn(Tensor<3>, Heads, Option<&(Tensor<3>, Tensor<3>)>, &AttentionMask, f64) -> Tensor<3>;
    for (heads, kv_heads, seq) in [(3, 3, 5), (4, 2, 70), (2, 1, 260)] {
        for rotated in [false, true] {
            let with = |f: SelfAttention| {
                move |[qkv]: [Tensor<1>; 1]| {
                    let angles = super::tensor(seq * 3, 7, &qkv.device()).reshape([1, seq, 3]) * 3.0;
                    let rotary = rotated.then(|| (angles.clone().cos(), angles.sin()));
                    let qkv = qkv.reshape([2, seq, (heads + 2 * kv_heads) * 6]) * 2.0;
                    let heads = Heads { heads, kv_heads, d_head: 6 };
                    f(qkv, heads, rotary.as_ref(), &AttentionMask::Causal, 0.3)
                }
            };
            let len = 2 * seq * (heads + 2 * kv_heads) * 6;
            agree([len], with(ops::self_attention), with(primitive::self_attention));
        }
    }
}
