//! Linear maps, with what comes before them (a norm, an activation) and after them (a residual) in the same step.
//!
//! Kept is the input alone: the norm or activation is computed again in the backward pass, which costs a few per cent of
//! the product and saves the largest tensors of a layer. Before products of bf16 the rows of a norm are kept normalized,
//! in bf16, instead: half as large, and nothing else keeps the residual stream.

use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Shape, Tensor, bf16};

use super::kernels::gemm::{Product, Start, View};
use super::kernels::memory::{Shared, written};
use super::kernels::number::{Buffer, Number, Numbers};
use super::kernels::reduce::column_sums;
use super::kernels::{activation, norm};
use super::operation::{Input, Operation, apply};
use super::tensor::{
    contiguous, dims, from_buffer, from_vec, matrix, numbers, readable_matrix, shape, slice,
};
use crate::ops::{Activation, Before, Map, NormKind};
use crate::precision::{self, Precision};

/// What a projection puts out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// f32.
    Wide,
    /// What products of the precision round their operands to.
    Narrow,
}

/// `x` is `[…, d]`, f32 or bf16; returns `[…, Σ d_out]`, the outputs of all maps side by side, plus the residual.
pub(crate) fn project<const D: usize>(
    x: Tensor<D>,
    before: Before,
    maps: Vec<Map>,
    residual: Option<Tensor<D>>,
    output: Output,
) -> Tensor<D> {
    // A norm computes in f32 what it computes from.
    let x =
        if matches!(before, Before::Norm(_)) && x.dtype() == DType::BF16 { x.cast(DType::F32) } else { x };
    let biases = maps.iter().filter(|map| map.bias.is_some()).count();
    assert!(biases == 0 || biases == maps.len(), "either all maps have a bias or none");
    let prologue = match &before {
        Before::Nothing => Prologue::Nothing,
        Before::Norm(norm) => Prologue::Norm {
            eps: norm.eps as f32,
            centred: norm.kind == NormKind::Layer,
            biased: norm.bias.is_some(),
        },
        Before::Activation(activation) => Prologue::Activation(*activation),
    };
    let projection = Projection {
        prologue,
        maps: maps.len(),
        biased: biases > 0,
        residual: residual.is_some(),
        output,
        precision: precision::current(),
    };
    let mut inputs = vec![Input::from(x)];
    if let Before::Norm(norm) = before {
        inputs.push(norm.gain.into());
        inputs.extend(norm.bias.map(Input::from));
    }
    let (weights, biases): (Vec<_>, Vec<_>) = maps.into_iter().map(|map| (map.weight, map.bias)).unzip();
    inputs.extend(weights.into_iter().map(Input::from));
    inputs.extend(biases.into_iter().flatten().map(Input::from));
    inputs.extend(residual.map(Input::from));
    /// Burn's graph wants the number of inputs at compile time.
    macro_rules! apply_any {
        ($($n:literal)*) => {
            match inputs.len() {
                $($n => apply::<_, $n, D>(to_array(inputs), projection),)*
                n => unreachable!("a projection of {n} inputs"),
            }
        };
    }
    apply_any!(2 3 4 5 6 7 8 9 10 11)
}

fn to_array<T, const N: usize>(items: Vec<T>) -> [T; N] {
    items.try_into().unwrap_or_else(|items: Vec<T>| unreachable!("{} items, not {N}", items.len()))
}

/// What is done to the input first.
#[derive(Debug, Clone, Copy)]
enum Prologue {
    Nothing,
    Norm { eps: f32, centred: bool, biased: bool },
    Activation(Activation),
}

/// Inputs: `x`, the norm's gain and bias, the weights, the biases, the residual; those that there are.
#[derive(Debug, Clone)]
struct Projection {
    prologue: Prologue,
    maps: usize,
    biased: bool,
    residual: bool,
    output: Output,
    precision: Precision,
}

/// The places of a projection's inputs.
struct Places {
    norm_bias: Option<usize>,
    weights: usize,
    biases: Option<usize>,
    residual: Option<usize>,
}

impl Projection {
    fn places(&self) -> Places {
        let (norm, norm_bias) = match self.prologue {
            Prologue::Norm { biased, .. } => (1 + usize::from(biased), biased.then_some(2)),
            _ => (0, None),
        };
        let weights = 1 + norm;
        let biases = self.biased.then_some(weights + self.maps);
        let residual = weights + self.maps * (1 + usize::from(self.biased));
        Places { norm_bias, weights, biases, residual: self.residual.then_some(residual) }
    }

    /// Puts normalized rows in the place of `x` where those are what is kept.
    fn normalize(&self, inputs: &mut [FlexTensor], d_in: usize) -> Option<norm::Statistics> {
        let (Prologue::Norm { eps, centred, .. }, Precision::Bf16) = (self.prologue, self.precision) else {
            return None;
        };
        let (rows, statistics) = norm::normalize::<bf16>(slice(&inputs[0]), d_in, eps, centred);
        inputs[0] = from_vec(rows, shape(&inputs[0]));
        Some(statistics)
    }

    /// The numbers that are multiplied, `[rows, d_in]`, if they are not the input's; and what the norm's gradient needs.
    fn multiplied(&self, inputs: &[FlexTensor], d_in: usize) -> (Option<Buffer>, Option<norm::Statistics>) {
        match self.prologue {
            Prologue::Nothing => (None, None),
            Prologue::Norm { eps, centred, .. } => {
                let gain = slice(&inputs[1]);
                let bias = self.places().norm_bias.map(|place| slice(&inputs[place]));
                match numbers(&inputs[0]) {
                    Numbers::F32(x) => {
                        let (y, statistics) = norm::forward(x, gain, bias, eps, centred);
                        (Some(Buffer::F32(y)), Some(statistics))
                    }
                    Numbers::Bf16(rows) => (Some(Buffer::Bf16(norm::affine(rows, gain, bias))), None),
                }
            }
            Prologue::Activation(activation) => {
                let y = with_slice!(numbers(&inputs[0]), |x| {
                    Number::buffer(activation::forward(activation, x, d_in))
                });
                (Some(y), None)
            }
        }
    }

    /// The maps of `h`, `[rows, d_in]`, side by side.
    fn outputs<T: Number>(
        &self,
        inputs: &[FlexTensor],
        h: Numbers<'_>,
        residual: Option<&FlexTensor>,
        shape: Shape,
    ) -> FlexTensor {
        let places = self.places();
        let width = shape[shape.num_dims() - 1];
        let rows = shape.num_elements().checked_div(width).unwrap_or(0);
        #[allow(unsafe_code, reason = "the output is not cleared before it is written")]
        // SAFETY: the maps write disjoint columns, all of the output, and nothing reads it.
        let y = unsafe {
            written(rows * width, |y| {
                let y = Shared::<T>::new(y);
                let mut column = 0;
                for j in 0..self.maps {
                    let weight = &inputs[places.weights + j];
                    let [d_in, d_out] = dims(weight);
                    let bias = places.biases.map(|place| slice(&inputs[place + j]));
                    let start = match residual {
                        Some(residual) if rows > 0 => Start::Matrix(&slice(residual)[column..], width),
                        _ => Start::Zero,
                    };
                    Product::new([rows, d_out, d_in], View::rows(h, d_in), matrix(weight), self.precision)
                        .plus_row(bias)
                        .write(y.from(column), width, start);
                    column += d_out;
                }
            })
        };
        from_vec(y, shape)
    }

    /// The gradient of the numbers that are multiplied, `[rows, d_in]`, from those of the outputs, each with its width.
    fn through_maps<T: Number>(
        &self,
        inputs: &[FlexTensor],
        grads: &[(View<'_>, usize)],
        rows: usize,
    ) -> Vec<T> {
        let places = self.places();
        let [d_in, _] = dims(&inputs[places.weights]);
        if let ([_, _, ..], Numbers::Bf16(_)) = (grads, T::numbers(&[])) {
            // Several products are added up in f32.
            return self.through_maps::<f32>(inputs, grads, rows).into_iter().map(T::narrow).collect();
        }
        #[allow(unsafe_code, reason = "the gradient is not cleared before it is written")]
        // SAFETY: the first map writes all of `d_h`, and the others add to it.
        unsafe {
            written(rows * d_in, |d_h| {
                let d_h = Shared::<T>::new(d_h);
                for (j, &(d_y, d_out)) in grads.iter().enumerate() {
                    let weight = matrix(&inputs[places.weights + j]).transposed();
                    let start = if j == 0 { Start::Zero } else { Start::Output };
                    Product::new([rows, d_in, d_out], d_y, weight, self.precision).write(d_h, d_in, start);
                }
            })
        }
    }
}

/// What the backward pass needs.
#[derive(Debug, Clone)]
struct Saved {
    /// All but the residual; rows of a norm perhaps normalized.
    inputs: Vec<FlexTensor>,
    /// Of rows that are normalized.
    statistics: Option<norm::Statistics>,
}

impl<const N: usize> Operation<N> for Projection {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; N], _tracked: bool) -> (FlexTensor, Self::Saved) {
        let places = self.places();
        let weights = places.weights..places.weights + self.maps;
        let mut inputs: Vec<FlexTensor> = inputs
            .into_iter()
            .enumerate()
            .map(|(i, input)| if weights.contains(&i) { readable_matrix(input) } else { contiguous(input) })
            .collect();
        let residual = places.residual.and_then(|_| inputs.pop());
        let [d_in, _] = dims(&inputs[places.weights]);
        let width = inputs[weights].iter().map(|weight| dims::<2>(weight)[1]).sum();
        let mut y_shape = shape(&inputs[0]);
        let last = y_shape.num_dims() - 1;
        y_shape[last] = width;
        assert!(
            residual.as_ref().is_none_or(|residual| shape(residual) == y_shape),
            "a residual has the shape of what is added to it"
        );
        let statistics = self.normalize(&mut inputs, d_in);
        let (h, _) = self.multiplied(&inputs, d_in);
        let h = h.as_ref().map_or_else(|| numbers(&inputs[0]), Buffer::numbers);
        let y = match (self.output, self.precision) {
            (Output::Narrow, Precision::Bf16) => self.outputs::<bf16>(&inputs, h, residual.as_ref(), y_shape),
            _ => self.outputs::<f32>(&inputs, h, residual.as_ref(), y_shape),
        };
        (y, Saved { inputs, statistics })
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N] {
        let Saved { inputs, statistics: of_normalized } = saved;
        let places = self.places();
        let [d_in, _] = dims(&inputs[places.weights]);
        let grad = contiguous(grad);
        let d_y = numbers(&grad);
        let (multiplied, statistics) = self.multiplied(&inputs, d_in);
        let h = multiplied.as_ref().map_or_else(|| numbers(&inputs[0]), Buffer::numbers);
        let rows = h.len() / d_in.max(1);
        let width = shape(&grad)[shape(&grad).num_dims() - 1];
        let mut gradients = [const { None }; N];

        let mut column = 0;
        let mut columns = Vec::with_capacity(self.maps);
        for j in 0..self.maps {
            let [_, d_out] = dims(&inputs[places.weights + j]);
            let d_y = d_y.from(column);
            columns.push((View::rows(d_y, width), d_out));
            if wanted[places.weights + j] {
                let h = View::rows(h, d_in).transposed();
                let product = Product::new([d_in, d_out, rows], h, View::rows(d_y, width), self.precision);
                gradients[places.weights + j] =
                    Some(from_vec(product.to_vec(Start::Zero), [d_in, d_out].into()));
            }
            if let Some(place) = places.biases.map(|place| place + j).filter(|&place| wanted[place]) {
                let sums = with_slice!(d_y, |d_y| column_sums(d_y, width, d_out));
                gradients[place] = Some(from_vec(sums, [d_out].into()));
            }
            column += d_out;
        }
        drop(multiplied);

        if wanted[..places.weights].contains(&true) {
            let d_x = match (self.prologue, numbers(&inputs[0])) {
                (Prologue::Nothing, Numbers::F32(_)) => {
                    Buffer::F32(self.through_maps(&inputs, &columns, rows))
                }
                (Prologue::Nothing, Numbers::Bf16(_)) => {
                    Buffer::Bf16(self.through_maps(&inputs, &columns, rows))
                }
                (Prologue::Activation(activation), x) => with_slice!(x, |x| {
                    let d_h = self.through_maps(&inputs, &columns, rows);
                    Number::buffer(activation::backward(activation, x, d_in, d_h))
                }),
                (Prologue::Norm { .. }, x) => {
                    let mut d_h = self.through_maps(&inputs, &columns, rows);
                    let statistics =
                        of_normalized.or(statistics).expect("computed here or in the forward pass");
                    let rows = match x {
                        Numbers::F32(x) => norm::Rows::Before(x, &statistics),
                        Numbers::Bf16(rows) => norm::Rows::Normalized(rows, &statistics),
                    };
                    let with_bias = places.norm_bias.is_some_and(|place| wanted[place]);
                    let parameters = norm::backward(rows, slice(&inputs[1]), &mut d_h, with_bias);
                    gradients[1] = wanted[1].then(|| from_vec(parameters.gain, [d_in].into()));
                    if with_bias {
                        gradients[2] = Some(from_vec(parameters.bias, [d_in].into()));
                    }
                    Buffer::F32(d_h)
                }
            };
            gradients[0] = wanted[0].then(|| from_buffer(d_x, shape(&inputs[0])));
        }
        if let Some(place) = places.residual.filter(|&place| wanted[place]) {
            gradients[place] = Some(grad);
        }
        gradients
    }
}
