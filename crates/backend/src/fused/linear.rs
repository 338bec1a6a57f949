//! Linear layers: products on the layouts that are there, nothing transposed or cleared first.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::gemv::{self, Write};
use super::kernels::matrix::{View, column_sums, product};
use super::operation::{Operation, apply_2, apply_3};
use super::tensor::{contiguous, dims, from_vec, matrix, readable_matrix, shape, slice};

/// `x` is `[…, d_in]`, `weight` `[d_in, d_out]`, `bias` `[d_out]`; returns `[…, d_out]`.
pub(crate) fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let (d_in, [rows, d_out]) = (x.dims()[D - 1], weight.dims());
    assert_eq!(d_in, rows, "a weight of [{rows}, {d_out}] does not take {d_in} numbers");
    match bias {
        None => apply_2(x, weight, Linear),
        Some(bias) => {
            assert_eq!(bias.dims()[0], d_out, "a bias has as many numbers as the weight has columns");
            apply_3(x, weight, bias, Linear)
        }
    }
}

#[derive(Debug, Clone)]
struct Linear;

/// The input and the weight.
type Saved = [FlexTensor; 2];

fn forward(x: FlexTensor, weight: FlexTensor, bias: Option<FlexTensor>) -> (FlexTensor, Saved) {
    let (x, weight) = (contiguous(x), readable_matrix(weight));
    let bias = bias.map(contiguous);
    let [d_in, d_out] = dims(&weight);
    let rows = shape(&x).num_elements() / d_in.max(1);
    let bias = bias.as_ref().map(slice);
    let y = few_rows([rows, d_out, d_in], &x, &weight, bias)
        .unwrap_or_else(|| product([rows, d_out, d_in], View::rows(slice(&x), d_in), matrix(&weight), bias));
    let mut y_shape = shape(&x);
    let last = y_shape.num_dims() - 1;
    y_shape[last] = d_out;
    (from_vec(y, y_shape), [x, weight])
}

/// The product of a few rows, as in decoding, which reads each weight once; `None` if there are more, or the weight lies
/// otherwise than row after row or column after column.
fn few_rows(
    [rows, d_out, d_in]: [usize; 3],
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: Option<&[f32]>,
) -> Option<Vec<f32>> {
    if rows > gemv::FEW {
        return None;
    }
    let shape = [rows, d_in, d_out];
    let transposed = weight.clone().transpose(0, 1);
    let mut y = vec![0.0; rows * d_out];
    if weight.is_contiguous() {
        gemv::columns(slice(x), slice(weight), shape, bias, &mut y, Write::Set, &mut Vec::new());
    } else if transposed.is_contiguous() {
        gemv::dots(slice(x), slice(&transposed), shape, bias, &mut y, Write::Set);
    } else {
        return None;
    }
    Some(y)
}

fn backward([x, weight]: &Saved, grad: &FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
    let [d_in, d_out] = dims(weight);
    let rows = shape(x).num_elements() / d_in.max(1);
    let grad = View::rows(slice(grad), d_out);
    let d_x = wanted[0].then(|| product([rows, d_in, d_out], grad, matrix(weight).transposed(), None));
    let x_view = View::rows(slice(x), d_in);
    let d_weight = wanted[1].then(|| product([d_in, d_out, rows], x_view.transposed(), grad, None));
    [d_x.map(|d_x| from_vec(d_x, shape(x))), d_weight.map(|d_weight| from_vec(d_weight, shape(weight)))]
}

impl Operation<2> for Linear {
    type Saved = Saved;

    fn forward(&self, [x, weight]: [FlexTensor; 2]) -> (FlexTensor, Saved) {
        forward(x, weight, None)
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        backward(&saved, &contiguous(grad), wanted)
    }
}

impl Operation<3> for Linear {
    type Saved = Saved;

    fn forward(&self, [x, weight, bias]: [FlexTensor; 3]) -> (FlexTensor, Saved) {
        forward(x, weight, Some(bias))
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let grad = contiguous(grad);
        let [_, d_out] = dims(&saved[1]);
        let d_bias = wanted[2].then(|| from_vec(column_sums(slice(&grad), d_out), [d_out].into()));
        let [d_x, d_weight] = backward(&saved, &grad, [wanted[0], wanted[1]]);
        [d_x, d_weight, d_bias]
    }
}
