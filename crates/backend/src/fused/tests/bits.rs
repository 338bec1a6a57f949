//! The same bits for any number of threads.

use super::{Tensor, TensorData, run, tensor};
use crate::fused;
use crate::ops::{self, Activation, AttentionMask, Before, Heads, Map, Norm, NormKind, Scores};

/// Outputs and gradients as bits, computed on a pool of `threads`.
fn bits<const N: usize, const D: usize>(
    threads: usize,
    lens: [usize; N],
    f: &(impl Fn([Tensor<1>; N]) -> Tensor<D> + Sync),
) -> Vec<u32> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (output, gradients) = pool.install(|| run(lens, [true; N], f));
    let gradients = gradients.into_iter().flat_map(Option::unwrap);
    output.into_iter().chain(gradients).map(f32::to_bits).collect()
}

#[track_caller]
fn same<const N: usize, const D: usize>(lens: [usize; N], f: impl Fn([Tensor<1>; N]) -> Tensor<D> + Sync) {
    let one = bits(1, lens, &f);
    for threads in [1, 2, 5] {
        assert!(bits(threads, lens, &f) == one, "{threads} threads");
    }
}

#[test]
fn threads_do_not_change_the_bits() {
    same([64 * 300, 300, 300], |[x, gain, bias]| {
        let norm = Norm { kind: NormKind::Layer, gain, bias: Some(bias), eps: 1e-5 };
        ops::norm(x.reshape([64, 300]), norm)
    });
    same([600 * 90, 90, 90 * 500, 500], |[x, gain, w, b]| {
        let before = Before::Norm(Norm { kind: NormKind::Rms, gain, bias: None, eps: 1e-5 });
        let map = Map { weight: w.reshape([90, 500]), bias: Some(b) };
        ops::project(x.reshape([600, 90]), before, vec![map], None)
    });
    same([600 * 180, 90 * 500, 600 * 500], |[x, w, residual]| {
        let before = Before::Activation(Activation::Swiglu);
        let map = Map { weight: w.reshape([90, 500]), bias: None };
        ops::project(x.reshape([600, 180]), before, vec![map], Some(residual.reshape([600, 500])))
    });
    same([2 * 150 * 64, 2 * 150 * 32, 2 * 150 * 32, 4 * 150 * 150], |[q, k, v, bias]| {
        let (k, v) = (k.reshape([2, 150, 2, 16]), v.reshape([2, 150, 2, 16]));
        let bias = Some(bias.reshape([1, 4, 150, 150]));
        ops::attention(q.reshape([2, 150, 4, 16]), k, v, &AttentionMask::Causal, bias, 0.25)
    });
    same([2 * 150 * 128], |[qkv]| {
        let heads = Heads { heads: 4, kv_heads: 2, d_head: 16 };
        ops::self_attention(qkv.reshape([2, 150, 128]), heads, None, &AttentionMask::Causal, 0.25)
    });
    same([11 * 20 * 160, 30 * 160, 40 * 30], |[gates, recurrent, projection]| {
        let gates = gates.reshape([11, 20, 160]);
        fused::lstm(gates, recurrent.reshape([30, 160]), projection.reshape([40, 30]), 0.5)
    });
    same([2500 * 40, 100 * 40], |[hidden, head]| {
        let targets: Vec<i32> = (0..2500).map(|i| i * 3 % 100).collect();
        let targets = Tensor::from_data(TensorData::new(targets, [2500]), &hidden.device());
        ops::cross_entropy(hidden.reshape([2500, 40]), head.reshape([100, 40]), targets, Some(20.0))
    });
    same([2500 * 40, 100 * 40], |[hidden, head]| {
        let teacher = |len, shape: [usize; 2]| tensor(len, 7, &hidden.device()).reshape(shape);
        let teacher =
            Scores { hidden: teacher(2500 * 30, [2500, 30]), head: teacher(3000, [100, 30]), soft_cap: None };
        let (hidden, head) = (hidden.reshape([2500, 40]), head.reshape([100, 40]));
        ops::distillation(Scores { hidden, head, soft_cap: None }, teacher, 1.5)
    });
}
