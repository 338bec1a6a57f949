//! Products of bf16: near those of f32, and kept to in the backward pass.

use burn::tensor::DType;

use super::{Device, Int, Tensor, TensorData, run, tensor};
use crate::ops::{self, Activation, AttentionMask, Before, Heads, Map, Norm, NormKind, Scores};
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
    check("distillation", [70 * 33, 40 * 33], |[hidden, head]| {
        let teacher = |len, shape: [usize; 2]| tensor(len, 7, &hidden.device()).reshape(shape) * 2.0;
        let teacher = Scores { hidden: teacher(700, [70, 10]), head: teacher(400, [40, 10]), soft_cap: None };
        let (hidden, head) = (hidden.reshape([70, 33]), head.reshape([40, 33]));
        ops::distillation(Scores { hidden, head, soft_cap: None }, teacher, 1.0)
    });
}

/// How far outputs and gradients are from those in f32, with all of them in f32 but the operands of products, and with
/// what lies between operations in bf16. The latter may be little more (1.46 times is the most that was seen).
#[track_caller]
fn check_narrow<const N: usize, const D: usize>(
    what: &str,
    lens: [usize; N],
    f: impl Fn([Tensor<1>; N], Projection<D>) -> Tensor<D>,
) {
    let wide: Projection<D> = |x, before, maps| ops::project(x, before, maps, None);
    let all = |projection, precision| {
        let f = |inputs| scope(precision, || f(inputs, projection));
        let (output, gradients) = run(lens, [true; N], &f);
        std::iter::once(output).chain(gradients.into_iter().flatten()).collect::<Vec<_>>()
    };
    let exact = all(wide, Precision::F32);
    let (rounded, stored) = (all(wide, Precision::Bf16), all(ops::project_narrow, Precision::Bf16));
    for (i, exact) in exact.iter().enumerate() {
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
        let away = |from: &[f32]| norm(&mut from.iter().zip(exact).map(|(a, b)| a - b));
        let (rounded, stored) = (away(&rounded[i]), away(&stored[i]));
        assert!(stored <= 1.6 * rounded, "{what}, {i}: {stored} and {rounded}");
    }
}

/// [`ops::project_narrow`], or the same in f32.
type Projection<const D: usize> = fn(Tensor<D>, Before, Vec<Map>) -> Tensor<D>;

/// A layer's two halves.
#[test]
fn what_is_stored_in_bf16_costs_little_over_rounding_operands() {
    let (batch, seq, d, heads) = (2, 70, 32, Heads { heads: 4, kv_heads: 2, d_head: 8 });
    let rows = |x: Tensor<1>| x.reshape([batch, seq, d]);
    let map = |weight: Tensor<1>, bias: Tensor<1>| {
        let [width] = bias.dims();
        Map { weight: weight.reshape([d, width]) * 0.3, bias: Some(bias) }
    };
    let kv = heads.kv_heads * heads.d_head;
    let lens = [batch * seq * d, d, d, d * d, d, d * kv, kv, d * kv, kv, d * d];
    let angles = |x: &Tensor<1>, seed| tensor(seq * 4, seed, &x.device()).reshape([1, seq, 4]);
    check_narrow("attention", lens, |[x, gain, norm_bias, q, q_bias, k, k_bias, v, v_bias, out], project| {
        let norm = Norm { kind: NormKind::Layer, gain: gain + 1.5, bias: Some(norm_bias), eps: 1e-5 };
        let (cos, sin) = (angles(&x, 7), angles(&x, 8));
        let x = rows(x);
        let maps = vec![map(q, q_bias), map(k, k_bias), map(v, v_bias)];
        let qkv = project(x.clone(), Before::Norm(norm), maps);
        let y = ops::self_attention(qkv, heads, Some(&(cos, sin)), &AttentionMask::Causal, 0.35);
        ops::project(y, Before::Nothing, vec![Map { weight: out.reshape([d, d]), bias: None }], Some(x))
    });
    let ff = 40;
    for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu2, Activation::Swiglu] {
        let what = format!("feed-forward, {activation:?}");
        check_narrow(
            &what,
            [batch * seq * d, d, d * ff, ff, ff * d],
            |[x, gain, up, bias, down], project| {
                let norm = Norm { kind: NormKind::Rms, gain: gain + 1.5, bias: None, eps: 1e-5 };
                let (x, map) = (rows(x), map(up, bias));
                let maps = vec![map; activation.inputs()];
                let up = project(x.clone(), Before::Norm(norm), maps);
                let down = Map { weight: down.reshape([ff, d]), bias: None };
                ops::project(up, Before::Activation(activation), vec![down], Some(x))
            },
        );
    }
    // What no layer of ours does: several maps of one in bf16, and a norm of it.
    let lens = [70 * 33, 33 * 33, 33 * 20, 33 * 7, 33];
    check_narrow("maps of a map", lens, |[x, first, second, third, gain], project| {
        let map = |weight: Tensor<1>, width| Map { weight: weight.reshape([33, width]), bias: None };
        let y = project(x.reshape([70, 33]), Before::Nothing, vec![map(first, 33)]);
        let maps = vec![map(second, 20), map(third.clone(), 7)];
        let two = ops::project(y.clone(), Before::Nothing, maps, None);
        let norm = Norm { kind: NormKind::Rms, gain: gain + 1.5, bias: None, eps: 1e-5 };
        Tensor::cat(vec![two, ops::project(y, Before::Norm(norm), vec![map(third, 7)], None)], 1)
    });
}

#[test]
fn narrow_is_bf16_where_the_precision_is() {
    let device = Device::flex();
    let project = || {
        let map = Map { weight: tensor(12, 1, &device).reshape([3, 4]), bias: None };
        ops::project_narrow(tensor(6, 2, &device).reshape([2, 3]), Before::Nothing, vec![map])
    };
    assert_eq!(project().dtype(), DType::F32);
    scope(Precision::Bf16, || {
        assert_eq!(project().dtype(), DType::BF16);
        assert_eq!(ops::wide(project()).dtype(), DType::F32);
    });
}
