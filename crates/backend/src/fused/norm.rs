//! RMS and layer norm. Kept are the input, the gain and one or two numbers a row.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::norm::{self as kernel, Rows, Statistics};
use super::operation::{Operation, apply};
use super::tensor::{contiguous, from_vec, into_vec, shape, slice};
use crate::ops::{self, NormKind};

/// A norm over the last dimension.
pub(crate) fn norm<const D: usize>(x: Tensor<D>, norm: ops::Norm) -> Tensor<D> {
    let operation = Norm { eps: norm.eps as f32, centred: norm.kind == NormKind::Layer };
    match norm.bias {
        None => apply([x.into(), norm.gain.into()], operation),
        Some(bias) => apply([x.into(), norm.gain.into(), bias.into()], operation),
    }
}

#[derive(Debug, Clone)]
struct Norm {
    eps: f32,
    /// Layer norm, which subtracts the mean.
    centred: bool,
}

#[derive(Debug, Clone)]
struct Saved {
    x: FlexTensor,
    gain: FlexTensor,
    statistics: Statistics,
}

/// Inputs: `x`, gain and perhaps bias.
impl<const N: usize> Operation<N> for Norm {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; N], _tracked: bool) -> (FlexTensor, Saved) {
        let mut inputs = inputs.into_iter().map(contiguous);
        let mut next = || inputs.next().expect("a norm has an input and a gain");
        let (x, gain) = (next(), next());
        let bias = inputs.next();
        let bias = bias.as_ref().map(slice);
        let (y, statistics) = kernel::forward(slice(&x), slice(&gain), bias, self.eps, self.centred);
        (from_vec(y, shape(&x)), Saved { x, gain, statistics })
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N] {
        let Saved { x, gain, statistics } = &saved;
        let mut grad = into_vec(grad);
        let with_bias = wanted.get(2).is_some_and(|&wanted| wanted);
        let rows = Rows::Before(slice(x), statistics);
        let parameters = kernel::backward(rows, slice(gain), &mut grad, with_bias);
        let mut gradients = [
            Some(from_vec(grad, shape(x))),
            Some(from_vec(parameters.gain, shape(gain))),
            with_bias.then(|| from_vec(parameters.bias, shape(gain))),
        ]
        .into_iter();
        wanted.map(|wanted| gradients.next().flatten().filter(|_| wanted))
    }
}
