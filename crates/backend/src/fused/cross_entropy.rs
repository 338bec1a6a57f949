//! Cross-entropy over the vocabulary. Where a backward pass may follow, the gradients of the nats' sum are computed with
//! the logits: losses are sums times a number. For any other gradient the logits are computed again.

use std::sync::{Arc, OnceLock};

use burn::backend::flex::FlexTensor;
use burn::tensor::{Int, Tensor};

use super::kernels::cross_entropy::{self as kernel, Forward, Problem, Statistics};
use super::kernels::reduce::scale;
use super::operation::{Operation, apply};
use super::tensor::{contiguous, dims, from_vec, into_vec, shape, slice};
use crate::precision::{self, Precision};

/// `hidden` is `[n, d_model]`, `head` `[vocab, d_model]`, `targets` `[n]`; returns nats, `[n]`, and for each number of `uniform`, of which
/// there are `n` or none, an id that is drawn by it.
pub(crate) fn cross_entropy(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    soft_cap: Option<f64>,
    uniform: &[f64],
) -> (Tensor<1>, Vec<u32>) {
    let [n, d] = hidden.dims();
    assert_eq!(targets.dims()[0], n, "one target a position");
    assert_eq!(head.dims()[1], d, "the head is [vocab, d_model]");
    let targets = targets.into_data();
    // A negative target becomes a huge one, which the kernel refuses by name.
    let targets = targets.iter::<i64>().map(|target| usize::try_from(target).unwrap_or(usize::MAX)).collect();
    let (soft_cap, precision) = (soft_cap.map(|cap| cap as f32), precision::current());
    let drawing = Arc::new(Drawing { uniform: uniform.to_vec(), drawn: OnceLock::new() });
    let operation = CrossEntropy { targets, drawing: Arc::clone(&drawing), soft_cap, precision };
    let nats = apply([hidden.into(), head.into()], operation);
    (nats, drawing.drawn.get().cloned().unwrap_or_default())
}

#[derive(Debug, Clone)]
struct CrossEntropy {
    targets: Arc<[usize]>,
    drawing: Arc<Drawing>,
    soft_cap: Option<f32>,
    precision: Precision,
}

/// What is drawn by, and once the logits were there, what was drawn. Ids are no output that could be differentiated.
#[derive(Debug)]
struct Drawing {
    uniform: Vec<f64>,
    drawn: OnceLock<Vec<u32>>,
}

#[derive(Debug, Clone)]
struct Saved {
    hidden: FlexTensor,
    head: FlexTensor,
    statistics: Statistics,
    /// The gradients of the nats' sum.
    of_sum: Option<[FlexTensor; 2]>,
}

impl CrossEntropy {
    fn problem<'a>(&'a self, hidden: &'a FlexTensor, head: &'a FlexTensor) -> Problem<'a> {
        let [vocab, d] = dims(head);
        let Self { soft_cap, precision, .. } = *self;
        Problem {
            hidden: slice(hidden),
            head: slice(head),
            targets: &self.targets,
            uniform: &self.drawing.uniform,
            d,
            vocab,
            soft_cap,
            precision,
        }
    }
}

impl Operation<2> for CrossEntropy {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; 2], tracked: bool) -> (FlexTensor, Saved) {
        let [hidden, head] = inputs.map(contiguous);
        let problem = self.problem(&hidden, &head);
        let (forward, of_sum) = if tracked && self.soft_cap.is_none() {
            let (forward, [d_hidden, d_head]) = kernel::forward_with_gradients(problem);
            (forward, Some([from_vec(d_hidden, shape(&hidden)), from_vec(d_head, shape(&head))]))
        } else {
            (kernel::forward(problem), None)
        };
        let Forward { nats, statistics, drawn } = forward;
        self.drawing.drawn.get_or_init(|| drawn);
        let nats = from_vec(nats, [self.targets.len()].into());
        (nats, Saved { hidden, head, statistics, of_sum })
    }

    fn backward(self, saved: Saved, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let Saved { hidden, head, statistics, of_sum } = saved;
        let grad = contiguous(grad);
        let same =
            slice(&grad).first().copied().filter(|&first| slice(&grad).iter().all(|&grad| grad == first));
        let gradients = match (of_sum, same) {
            (Some(of_sum), Some(factor)) => of_sum.map(|gradient| {
                let mut values = into_vec(gradient);
                scale(&mut values, factor);
                Some(values)
            }),
            _ => kernel::backward(self.problem(&hidden, &head), &statistics, slice(&grad), wanted),
        };
        let [d_hidden, d_head] = gradients;
        let wanted_only = |gradient: Option<Vec<f32>>, wanted: bool, like: &FlexTensor| {
            gradient.filter(|_| wanted).map(|gradient| from_vec(gradient, shape(like)))
        };
        [wanted_only(d_hidden, wanted[0], &hidden), wanted_only(d_head, wanted[1], &head)]
    }
}
