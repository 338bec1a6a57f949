//! The divergence of a student's distribution over a vocabulary from a teacher's, in chunks of rows as cross-entropy.

use super::cross_entropy::rows_of;
use super::gemm::{Product, Start, View};
use super::math::{exp, tanh};
use super::memory::for_each_mut;
use super::reduce::{exponentials, maximum, sum_over};
use super::vector::mul_add;
use crate::precision::Precision;

/// Rows in a task.
const ROWS: usize = 16;

/// What logits are made of. `hidden` is `[n, d]`, `head` `[vocab, d]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) hidden: &'a [f32],
    pub(crate) head: &'a [f32],
    pub(crate) d: usize,
    /// Logits are `cap · tanh(logits / cap)`.
    pub(crate) soft_cap: Option<f32>,
}

impl<'a> Side<'a> {
    fn check(&self, n: usize, vocab: usize) {
        let Self { hidden, head, d, .. } = *self;
        assert!(hidden.len() == n * d && head.len() == vocab * d, "hidden is [n, d], head [vocab, d]");
    }

    fn hidden(&self, start: usize) -> View<'a> {
        View::rows(&self.hidden[start * self.d..], self.d)
    }

    /// The logits, not yet capped, of the rows from `start` on, as many as there is room for.
    fn logits(&self, start: usize, vocab: usize, precision: Precision, into: &mut [f32]) {
        let head = View::rows(self.head, self.d).transposed();
        Product::new([into.len() / vocab, vocab, self.d], self.hidden(start), head, precision)
            .into_slice(into, Start::Zero);
    }
}

/// The operands: `n` positions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem<'a> {
    pub(crate) student: Side<'a>,
    pub(crate) teacher: Side<'a>,
    pub(crate) n: usize,
    pub(crate) vocab: usize,
    /// Both sides' logits are divided by it.
    pub(crate) temperature: f32,
    pub(crate) precision: Precision,
}

/// Caps the logits of one row and divides them by the temperature.
#[inline(always)]
fn soften<const FMA: bool>(logits: &mut [f32], soft_cap: Option<f32>, inverse_temperature: f32) {
    match soft_cap {
        Some(cap) => {
            for logit in logits.iter_mut() {
                *logit = cap * tanh::<FMA>(*logit / cap) * inverse_temperature;
            }
        }
        None if inverse_temperature == 1.0 => {}
        None => logits.iter_mut().for_each(|logit| *logit *= inverse_temperature),
    }
}

/// The divergence of one row of logits. If `differentiated`, the student's become the gradient of it.
///
/// What is done for the one side is done for the other, operation by operation: a student that equals its teacher has a
/// divergence and a gradient of exactly 0.
#[inline(always)]
fn row_body<const FMA: bool>(
    student: &mut [f32],
    teacher: &mut [f32],
    soft_caps: [Option<f32>; 2],
    inverse_temperature: f32,
    differentiated: bool,
) -> f32 {
    soften::<FMA>(student, soft_caps[0], inverse_temperature);
    soften::<FMA>(teacher, soft_caps[1], inverse_temperature);
    let (student_max, teacher_max) = (maximum(student), maximum(teacher));
    let apart =
        sum_over(teacher, student, |t, s, sum| mul_add::<FMA>(exp::<FMA>(t - teacher_max), t - s, sum));
    let student_sum = sum_over(student, student, |s, _, sum| sum + exp::<FMA>(s - student_max));
    let teacher_sum = exponentials::<FMA>(teacher, teacher_max);
    if differentiated {
        let (of_student, of_teacher) = (1.0 / student_sum, 1.0 / teacher_sum);
        // With a cap the slope is 1 − tanh²; what stands here is cap · tanh / temperature.
        let to_tanh = soft_caps[0].map_or(0.0, |cap| 1.0 / (cap * inverse_temperature));
        for (s, &t) in student.iter_mut().zip(teacher.iter()) {
            let tanh = *s * to_tanh;
            let slope = mul_add::<FMA>(-tanh, tanh, 1.0) * inverse_temperature;
            *s = (exp::<FMA>(*s - student_max) * of_student - t * of_teacher) * slope;
        }
    }
    apart / teacher_sum + ((student_max + student_sum.ln()) - (teacher_max + teacher_sum.ln()))
}

vectorized!(
    fn row(
        student: &mut [f32],
        teacher: &mut [f32],
        soft_caps: [Option<f32>; 2],
        inverse_temperature: f32,
        differentiated: bool,
    ) -> f32 = row_body
);

/// The sum over all rows of `KL(teacher ‖ student)`, in nats.
pub(crate) fn forward(problem: Problem<'_>) -> f32 {
    forward_chunks(problem, None)
}

/// As [`forward`], and its gradients: of the student's `hidden`, `[n, d]`, and `head`, `[vocab, d]`.
pub(crate) fn forward_with_gradients(problem: Problem<'_>) -> (f32, [Vec<f32>; 2]) {
    let Problem { student, n, vocab, precision, .. } = problem;
    let d = student.d;
    let (mut d_hidden, mut d_head) = (vec![0.0; n * d], vec![0.0; vocab * d]);
    let mut accumulate = |start: usize, d_logits: &[f32]| {
        let rows = d_logits.len() / vocab;
        let d_logits = View::rows(d_logits, vocab);
        Product::new([rows, d, vocab], d_logits, View::rows(student.head, d), precision)
            .into_slice(&mut d_hidden[start * d..(start + rows) * d], Start::Zero);
        Product::new([vocab, d, rows], d_logits.transposed(), student.hidden(start), precision)
            .into_slice(&mut d_head, Start::Output);
    };
    let nats = forward_chunks(problem, Some(&mut accumulate));
    (nats, [d_hidden, d_head])
}

/// Takes the first row of a chunk, and the gradient of its nats' sum to the student's logits.
type WithGradient<'a> = &'a mut dyn FnMut(usize, &[f32]);

fn forward_chunks(problem: Problem<'_>, mut with_gradient: Option<WithGradient<'_>>) -> f32 {
    let Problem { student, teacher, n, vocab, temperature, precision } = problem;
    student.check(n, vocab);
    teacher.check(n, vocab);
    let (differentiated, inverse) = (with_gradient.is_some(), 1.0 / temperature);
    let soft_caps = [student.soft_cap, teacher.soft_cap];
    let at_once = rows_of(vocab).min(n);
    let (mut of_student, mut of_teacher) = (vec![0.0; at_once * vocab], vec![0.0; at_once * vocab]);
    let mut nats = vec![0.0_f32; n];
    for start in (0..n).step_by(at_once.max(1)) {
        let rows = at_once.min(n - start);
        let (of_student, of_teacher) = (&mut of_student[..rows * vocab], &mut of_teacher[..rows * vocab]);
        student.logits(start, vocab, precision, of_student);
        teacher.logits(start, vocab, precision, of_teacher);
        let both = of_student.chunks_mut(ROWS * vocab).zip(of_teacher.chunks_mut(ROWS * vocab));
        let mut tasks: Vec<_> = both.zip(nats[start..start + rows].chunks_mut(ROWS)).collect();
        for_each_mut(&mut tasks, rows * vocab * 48, |((student, teacher), nats)| {
            let rows = student.chunks_mut(vocab).zip(teacher.chunks_mut(vocab));
            for (nats, (student, teacher)) in nats.iter_mut().zip(rows) {
                *nats = row(student, teacher, soft_caps, inverse, differentiated);
            }
        });
        if let Some(with_gradient) = &mut with_gradient {
            with_gradient(start, of_student);
        }
    }
    nats.iter().map(|&nats| f64::from(nats)).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(seed: usize) -> Vec<f32> {
        (0..83).map(|i| ((i * (31 + seed)) % 23) as f32 * 0.4 - 4.0).collect()
    }

    #[test]
    fn vector_kernels_equal_their_scalar_twins() {
        for soft_caps in [[None, None], [Some(3.0), None], [Some(5.0), Some(2.0)]] {
            let (mut a, mut b) = (logits(0), logits(0));
            let got = row(&mut a, &mut logits(2), soft_caps, 0.5, true);
            let twin = row_body::<false>(&mut b, &mut logits(2), soft_caps, 0.5, true);
            assert!((got - twin).abs() <= 1e-5 * twin && twin > 0.01, "{got} {twin}");
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-6), "{a:?}\n{b:?}");
        }
    }

    #[test]
    fn a_student_that_equals_its_teacher_is_exactly_at_rest() {
        for (soft_caps, inverse) in [([None; 2], 1.0), ([Some(3.0); 2], 1.0), ([None; 2], 0.3)] {
            let mut student = logits(0);
            assert_eq!(row(&mut student, &mut logits(0), soft_caps, inverse, true), 0.0);
            assert!(student.iter().all(|&gradient| gradient == 0.0), "{student:?}");
        }
    }
}
