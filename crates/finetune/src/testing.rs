//! What tests of objectives share.

use burn::tensor::Device;
use firebrand_backend::device;
use firebrand_transformer::{Model, NamedTensor, named_tensors, with_tensors};

pub(crate) fn device(name: &str) -> Device {
    device::resolve(Some(name)).expect("the cpu and ndarray are always there").1
}

/// A model with larger weights, and no gain or bias at its neutral value: what an untrained model would hide is seen.
pub(crate) fn far_from_first<M: Model>(model: M) -> M {
    let tensors = named_tensors(&model).into_iter().map(|tensor| {
        let matrix = tensor.shape.len() == 2;
        let change = |(i, value): (usize, f32)| {
            if matrix {
                value * 12.0
            } else {
                value + 0.3 * (i as f32 * 1.7 + tensor.name.len() as f32).sin()
            }
        };
        let values = tensor.values.iter().copied().enumerate().map(change).collect();
        NamedTensor { values, ..tensor }
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("they are its own")
}
