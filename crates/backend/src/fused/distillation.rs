//! The divergence from a teacher's distribution. Where a backward pass may follow, its gradients are computed with the
//! logits, which are then not kept.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::kernels::distillation::{self as kernel, Problem, Side};
use super::kernels::reduce::scale;
use super::operation::{Operation, apply};
use super::tensor::{constant, contiguous, dims, from_vec, into_vec, shape, slice};
use crate::ops::Scores;
use crate::precision::{self, Precision};

/// Returns nats, `[1]`.
pub(crate) fn distillation(student: Scores, teacher: Scores, temperature: f64) -> Tensor<1> {
    let ([n, d], [vocab, d_head]) = (student.hidden.dims(), student.head.dims());
    assert_eq!(d_head, d, "the head is [vocab, d_model]");
    assert_eq!(teacher.hidden.dims()[0], n, "student and teacher see the same positions");
    assert_eq!(teacher.head.dims()[0], vocab, "student and teacher have one vocabulary");
    let operation = Distillation {
        teacher: [constant(teacher.hidden), constant(teacher.head)],
        soft_caps: [student.soft_cap, teacher.soft_cap].map(|cap| cap.map(|cap| cap as f32)),
        temperature: temperature as f32,
        precision: precision::current(),
    };
    apply([student.hidden.into(), student.head.into()], operation)
}

#[derive(Debug, Clone)]
struct Distillation {
    /// Hidden states and head.
    teacher: [FlexTensor; 2],
    /// The student's and the teacher's.
    soft_caps: [Option<f32>; 2],
    temperature: f32,
    precision: Precision,
}

fn side([hidden, head]: &[FlexTensor; 2], soft_cap: Option<f32>) -> Side<'_> {
    let [_, d] = dims(head);
    Side { hidden: slice(hidden), head: slice(head), d, soft_cap }
}

impl Operation<2> for Distillation {
    /// The gradients of the student's hidden states and head.
    type Saved = Option<[FlexTensor; 2]>;

    fn forward(&self, inputs: [FlexTensor; 2], tracked: bool) -> (FlexTensor, Self::Saved) {
        let student = inputs.map(contiguous);
        let ([n, _], [vocab, _]) = (dims(&student[0]), dims(&student[1]));
        let problem = Problem {
            student: side(&student, self.soft_caps[0]),
            teacher: side(&self.teacher, self.soft_caps[1]),
            n,
            vocab,
            temperature: self.temperature,
            precision: self.precision,
        };
        let (nats, gradients) = match tracked {
            true => {
                let (nats, [d_hidden, d_head]) = kernel::forward_with_gradients(problem);
                (nats, Some([from_vec(d_hidden, shape(&student[0])), from_vec(d_head, shape(&student[1]))]))
            }
            false => (kernel::forward(problem), None),
        };
        (from_vec(vec![nats], [1].into()), gradients)
    }

    fn backward(self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let factor = slice(&contiguous(grad))[0];
        let [d_hidden, d_head] = saved.expect("a backward pass was announced to the forward pass");
        let scaled = |gradient: FlexTensor, wanted: bool| {
            wanted.then(|| {
                let shape = shape(&gradient);
                let mut values = into_vec(gradient);
                scale(&mut values, factor);
                from_vec(values, shape)
            })
        };
        [scaled(d_hidden, wanted[0]), scaled(d_head, wanted[1])]
    }
}
