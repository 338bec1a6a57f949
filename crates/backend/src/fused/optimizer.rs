//! The optimizer's update, sums of squares and sums of gradients, in place.

use burn::backend::Flex;
use burn::tensor::Tensor;

use super::kernels::optimizer::{self as kernel, Factors, Update};
use super::tensor::{constant, from_vec, into_vec, slice};
use crate::ops::{AdamwStep, AdamwTensors};

/// One AdamW update of all tensors, in place where nothing else holds them.
pub(crate) fn adamw(updates: Vec<(AdamwTensors, AdamwStep)>) -> Vec<AdamwTensors> {
    let mut gradients = Vec::with_capacity(updates.len());
    let mut values = Vec::with_capacity(updates.len());
    for (AdamwTensors { value, gradient, m, v }, step) in updates {
        gradients.push(constant(gradient));
        values.push(([value, m, v].map(|x| into_vec(constant(x))), Factors::from(&step)));
    }
    kernel::adamw(values.iter_mut().zip(&gradients).map(|(([params, m, v], factors), gradient)| Update {
        params,
        grads: slice(gradient),
        m,
        v,
        factors: *factors,
    }));
    let updated = values.into_iter().zip(gradients).map(|(([value, m, v], _), gradient)| AdamwTensors {
        value: tensor(value),
        gradient: Tensor::from_primitive::<Flex>(gradient),
        m: tensor(m),
        v: tensor(v),
    });
    updated.collect()
}

/// The sum of squares of each, in double precision.
pub(crate) fn sums_of_squares(tensors: Vec<Tensor<1>>) -> Vec<f64> {
    let tensors: Vec<_> = tensors.into_iter().map(constant).collect();
    kernel::sums_of_squares(&tensors.iter().map(slice).collect::<Vec<_>>())
}

/// `sum + more`, in the place of `sum` if nothing else holds it.
pub(crate) fn add(sum: Tensor<1>, more: Tensor<1>) -> Tensor<1> {
    let mut values = into_vec(constant(sum));
    kernel::add(&mut values, slice(&constant(more)));
    tensor(values)
}

fn tensor(values: Vec<f32>) -> Tensor<1> {
    let shape = [values.len()].into();
    Tensor::from_primitive::<Flex>(from_vec(values, shape))
}
