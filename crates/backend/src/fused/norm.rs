//! RMS and layer norm. Kept are the input, the gain and one or two numbers a row.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::norm::{self as kernel, Statistics};
use super::operation::{Operation, apply_2, apply_3};
use super::tensor::{contiguous, from_vec, into_vec, shape, slice};

/// RMS norm over the last dimension.
pub(crate) fn rms_norm<const D: usize>(x: Tensor<D>, gain: Tensor<1>, eps: f64) -> Tensor<D> {
    apply_2(x, gain, Norm { eps: eps as f32, centred: false })
}

/// Layer norm over the last dimension.
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    gain: Tensor<1>,
    bias: Option<Tensor<1>>,
    eps: f64,
) -> Tensor<D> {
    let norm = Norm { eps: eps as f32, centred: true };
    match bias {
        None => apply_2(x, gain, norm),
        Some(bias) => apply_3(x, gain, bias, norm),
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

impl Norm {
    fn forward(&self, x: FlexTensor, gain: FlexTensor, bias: Option<FlexTensor>) -> (FlexTensor, Saved) {
        let (x, gain, bias) = (contiguous(x), contiguous(gain), bias.map(contiguous));
        let bias = bias.as_ref().map(slice);
        let (y, statistics) = kernel::forward(slice(&x), slice(&gain), bias, self.eps, self.centred);
        (from_vec(y, shape(&x)), Saved { x, gain, statistics })
    }
}

/// The gradients of the input, the gain and, if asked for, the bias.
fn backward(saved: &Saved, grad: FlexTensor, with_bias: bool) -> [FlexTensor; 3] {
    let Saved { x, gain, statistics } = saved;
    let mut grad = into_vec(grad);
    let parameters = kernel::backward(slice(x), slice(gain), statistics, &mut grad, with_bias);
    let bias_shape = [parameters.bias.len()].into();
    [from_vec(grad, shape(x)), from_vec(parameters.gain, shape(gain)), from_vec(parameters.bias, bias_shape)]
}

impl Operation<2> for Norm {
    type Saved = Saved;

    fn forward(&self, [x, gain]: [FlexTensor; 2]) -> (FlexTensor, Saved) {
        Norm::forward(self, x, gain, None)
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [d_x, d_gain, _] = backward(&saved, grad, false);
        [wanted[0].then_some(d_x), wanted[1].then_some(d_gain)]
    }
}

impl Operation<3> for Norm {
    type Saved = Saved;

    fn forward(&self, [x, gain, bias]: [FlexTensor; 3]) -> (FlexTensor, Saved) {
        Norm::forward(self, x, gain, Some(bias))
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [d_x, d_gain, d_bias] = backward(&saved, grad, wanted[2]);
        [wanted[0].then_some(d_x), wanted[1].then_some(d_gain), wanted[2].then_some(d_bias)]
    }
}
