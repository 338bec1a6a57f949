//! An LSTM with projection over whole sequences, which begin with states of zero. Kept are the gates, the cell states and the
//! outputs; nothing is computed twice but a hyperbolic tangent.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::lstm::{self as kernel, Kept, Problem};
use super::operation::{Operation, apply};
use super::tensor::{contiguous, dims, from_vec, into_vec, shape, slice};
use crate::precision::{self, Precision};

/// `gates` is `[batch, seq, 4 · cell]`, what the inputs add to the gates; `recurrent` `[width, 4 · cell]`, `projection`
/// `[cell, width]`. Returns `[batch, seq, width]`.
pub(crate) fn lstm(gates: Tensor<3>, recurrent: Tensor<2>, projection: Tensor<2>, clip: f32) -> Tensor<3> {
    let ([_, _, wide], [cell, width]) = (gates.dims(), projection.dims());
    assert_eq!(wide, 4 * cell, "four gates for each number of a cell");
    assert_eq!(recurrent.dims(), [width, wide], "recurrent weights are [width, 4 · cell]");
    let operation = Lstm { clip, precision: precision::current() };
    apply([gates.into(), recurrent.into(), projection.into()], operation)
}

#[derive(Debug, Clone)]
struct Lstm {
    clip: f32,
    /// Of the sums over all steps.
    precision: Precision,
}

#[derive(Debug, Clone)]
struct Saved {
    gates: FlexTensor,
    cells: FlexTensor,
    outputs: FlexTensor,
    recurrent: FlexTensor,
    projection: FlexTensor,
}

impl Lstm {
    fn problem<'a>(
        &self,
        gates: [usize; 3],
        recurrent: &'a FlexTensor,
        projection: &'a FlexTensor,
    ) -> Problem<'a> {
        let ([batch, seq, _], [cell, width]) = (gates, dims(projection));
        let (recurrent, projection) = (slice(recurrent), slice(projection));
        Problem { batch, seq, cell, width, recurrent, projection, clip: self.clip }
    }
}

impl Operation<3> for Lstm {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; 3], _tracked: bool) -> (FlexTensor, Saved) {
        let [gates, recurrent, projection] = inputs.map(contiguous);
        let (gates_shape, size) = (shape(&gates), dims(&gates));
        let mut gates = into_vec::<f32>(gates);
        let problem = self.problem(size, &recurrent, &projection);
        let ([batch, seq, _], Problem { cell, width, .. }) = (size, problem);
        let (outputs, cells) = kernel::forward(problem, &mut gates);
        let gates = from_vec(gates, gates_shape);
        let cells = from_vec(cells, [batch, seq, cell].into());
        let outputs = from_vec(outputs, [batch, seq, width].into());
        (outputs.clone(), Saved { gates, cells, outputs, recurrent, projection })
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Saved { gates, cells, outputs, recurrent, projection } = saved;
        let (gates_shape, size) = (shape(&gates), dims(&gates));
        let kept = Kept { gates: into_vec(gates), cells: slice(&cells), outputs: slice(&outputs) };
        let problem = self.problem(size, &recurrent, &projection);
        let weights = [wanted[1], wanted[2]];
        let gradients = kernel::backward(problem, kept, into_vec(grad), weights, self.precision);
        [
            wanted[0].then(|| from_vec(gradients.gates, gates_shape)),
            gradients.recurrent.map(|values| from_vec(values, shape(&recurrent))),
            gradients.projection.map(|values| from_vec(values, shape(&projection))),
        ]
    }
}
