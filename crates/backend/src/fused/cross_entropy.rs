//! Cross-entropy over the vocabulary. Kept are the operands and two numbers a row; the logits are computed again.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Int, Tensor};

use super::kernels::cross_entropy::{self as kernel, Problem, Statistics};
use super::operation::{Operation, apply_2};
use super::tensor::{contiguous, dims, from_vec, shape, slice};

/// `hidden` is `[n, d_model]`, `head` `[vocab, d_model]`, `targets` `[n]`; returns nats, `[n]`.
pub(crate) fn cross_entropy(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    soft_cap: Option<f64>,
) -> Tensor<1> {
    let [n, d] = hidden.dims();
    assert_eq!(targets.dims()[0], n, "one target a position");
    assert_eq!(head.dims()[1], d, "the head is [vocab, d_model]");
    let targets = targets.into_data();
    // A negative target becomes a huge one, which the kernel refuses by name.
    let targets = targets.iter::<i64>().map(|target| usize::try_from(target).unwrap_or(usize::MAX)).collect();
    apply_2(hidden, head, CrossEntropy { targets, soft_cap: soft_cap.map(|cap| cap as f32) })
}

#[derive(Debug, Clone)]
struct CrossEntropy {
    targets: Arc<[usize]>,
    soft_cap: Option<f32>,
}

#[derive(Debug, Clone)]
struct Saved {
    hidden: FlexTensor,
    head: FlexTensor,
    statistics: Statistics,
}

impl CrossEntropy {
    fn problem<'a>(&'a self, hidden: &'a FlexTensor, head: &'a FlexTensor) -> Problem<'a> {
        let [vocab, d] = dims(head);
        let soft_cap = self.soft_cap;
        Problem { hidden: slice(hidden), head: slice(head), targets: &self.targets, d, vocab, soft_cap }
    }
}

impl Operation<2> for CrossEntropy {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, Saved) {
        let [hidden, head] = inputs.map(contiguous);
        let (nats, statistics) = kernel::forward(self.problem(&hidden, &head));
        let nats = from_vec(nats, [self.targets.len()].into());
        (nats, Saved { hidden, head, statistics })
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let Saved { hidden, head, statistics } = &saved;
        let grad = contiguous(grad);
        let [d_hidden, d_head] =
            kernel::backward(self.problem(hidden, head), statistics, slice(&grad), wanted);
        [d_hidden.map(|grad| from_vec(grad, shape(hidden))), d_head.map(|grad| from_vec(grad, shape(head)))]
    }
}
