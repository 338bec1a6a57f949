//! Products of bf16: near those of f32, and kept to in the backward pass.

use super::{Int, Tensor, TensorData, run};
use crate::ops::{self, Activation, AttentionMask, Before, Heads, Map};
use crate::precision::{Precision, scope};

/// Outputs and gradients in bf16 differ from those in f32, by no more than rounding to 8 bits can make them.
#[track_caller]
fn check<const N: usize, const D: usize>(
    what: &str,
    lens: [usize; N],
    f: impl Fn([Tensor<1>; N]) -> Tensor<D>,
) {
    let (exact, exact_gradients) = run(lens, [true; N], &f);
    // The graph is walked back outside of the scope.
    let (rounded, gradients) = run(lens, [true; N], &|inputs| scope(Precision::Bf16, || f(inputs)));
    let gradients = gradients.into_iter().flatten().zip(exact_gradients.into_iter().flatten());
    for (i, (rounded, exact)) in std::iter::once((rounded, exact)).chain(gradients).enumerate() {
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
        let difference = norm(&mut rounded.iter().zip(&exact).map(|(a, b)| a - b));
        let size = norm(&mut exact.iter().copied());
        assert!(difference <= 1e-2 * size, "{what}, {i}: {difference} of {size}");
        // The gradient of a residual goes through no product.
        assert!(difference > 0.0 || i == 3, "{what}, {i}: nothing was rounded");
    }
}

#[test]
fn bf16_is_near_f32_forward_and_backward() {
    check("projection", [70 * 33, 33 * 50, 70 * 50], |[x, w, residual]| {
        let map = Map { weight: w.reshape([33, 50]), bias: None };
        let before = Before::Activation(Activation::Gelu);
        ops::project(x.reshape([70, 33]), before, vec![map], Some(residual.reshape([70, 50])))
    });
    check("attention", [2 * 70 * 4 * 16], |[qkv]| {
        let heads = Heads { heads: 2, kv_heads: 1, d_head: 16 };
        ops::self_attention(qkv.reshape([2, 70, 64]) * 2.0, heads, None, &AttentionMask::Causal, 0.25)
    });
    check("cross-entropy", [70 * 33, 40 * 33], |[hidden, head]| {
        let targets: Vec<i32> = (0..70).map(|i| i * 7 % 40).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [70]), &hidden.device());
        ops::cross_entropy(hidden.reshape([70, 33]), head.reshape([40, 33]), targets, None)
    });
}
