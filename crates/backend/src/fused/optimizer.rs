//! The optimizer's update and the sum of squares, in place.

use burn::backend::Flex;
use burn::tensor::Tensor;

use super::kernels::optimizer::{self as kernel, Factors};
use super::tensor::{constant, from_vec, into_vec, slice};
use crate::ops::AdamwStep;

/// One AdamW update of `value`, `m` and `v`, each `[numbers]`, in place where nothing else holds them.
pub(crate) fn adamw(
    value: Tensor<1>,
    gradient: Tensor<1>,
    m: Tensor<1>,
    v: Tensor<1>,
    step: &AdamwStep,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let gradient = constant(gradient);
    let [mut value, mut m, mut v] = [value, m, v].map(|x| into_vec(constant(x)));
    kernel::adamw(&mut value, slice(&gradient), &mut m, &mut v, Factors::from(step));
    let [value, m, v] = [value, m, v].map(|values| {
        let shape = [values.len()].into();
        Tensor::from_primitive::<Flex>(from_vec(values, shape))
    });
    (value, m, v)
}

/// The sum of squares of `x` in double precision.
pub(crate) fn sum_of_squares(x: Tensor<1>) -> f64 {
    kernel::sum_of_squares(slice(&constant(x)))
}
