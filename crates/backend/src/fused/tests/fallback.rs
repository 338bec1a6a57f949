//! What the fused kernels leave to the primitives.

use super::{Device, Tensor, tensor, values};
use crate::fused::applies;
use crate::ops::{self, AttentionMask};
use burn::tensor::DType;

#[test]
fn fused_kernels_are_for_f32_on_flex() {
    assert!(applies(&tensor(4, 1, &Device::flex())));
    assert!(applies(&tensor(4, 1, &Device::flex().autodiff())));
    assert!(!applies(&tensor(4, 1, &Device::flex()).cast(DType::BF16)));
    let (_, ndarray) = crate::device::resolve(Some("ndarray")).unwrap();
    assert!(!applies(&tensor(4, 1, &ndarray)));
}

#[test]
fn other_types_take_the_primitives() {
    let device = Device::flex();
    let half = |len, seed| tensor(len, seed, &device).cast(DType::BF16);
    let single = |x: Tensor<2>| values(x.cast(DType::F32));
    let roughly = |got: Vec<f32>, expected: Vec<f32>| {
        assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.1), "{got:?} {expected:?}");
    };
    let (x, w) = (half(12, 1).reshape([3, 4]), half(20, 2).reshape([4, 5]));
    let (x32, w32) = (x.clone().cast(DType::F32), w.clone().cast(DType::F32));
    roughly(single(ops::linear(x, w, None)), single(ops::linear(x32, w32, None)));
    let heads = half(24, 3).reshape([1, 3, 2, 4]);
    let y = ops::attention(heads.clone(), heads.clone(), heads, &AttentionMask::Causal, None, 0.5);
    assert_eq!(y.dtype(), DType::BF16);
}

#[test]
#[should_panic(expected = "target 11 is outside of a vocabulary of 10")]
fn a_target_outside_of_the_vocabulary_is_named() {
    let device = Device::flex();
    let targets = Tensor::from_data([11], &device);
    ops::cross_entropy(
        tensor(4, 1, &device).reshape([1, 4]),
        tensor(40, 2, &device).reshape([10, 4]),
        targets,
        None,
    );
}
