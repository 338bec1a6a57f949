//! Cross-entropy over a vocabulary, in chunks of rows: the logits of all rows are never there at once.

use super::gemm::{Product, Start, View};
use super::math::tanh;
use super::memory::{Shared, for_each_mut, written};
use super::reduce::{exponentials, maximum};
use super::vector::mul_add;
use crate::draw::draw;
use crate::precision::Precision;

/// Logits in a chunk, about: 8 MiB.
const CHUNK: usize = 1 << 21;

/// Rows in a task.
const ROWS: usize = 16;

/// Rows in a chunk. Fewer than 256 would make narrow products, which are slow.
pub(super) fn rows_of(vocab: usize) -> usize {
    (CHUNK / vocab.max(1)).clamp(256, 2048)
}

/// What the backward pass needs to compute the probabilities of row `i` again: `e^(logit − max) · inv_sum`.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    max: Vec<f32>,
    inv_sum: Vec<f32>,
}

/// What the rows cost, and what was drawn from them.
#[derive(Debug)]
pub(crate) struct Forward {
    /// The nats of each row, `−log P(target)`.
    pub(crate) nats: Vec<f32>,
    pub(crate) statistics: Statistics,
    /// For each row an id; none where nothing is drawn.
    pub(crate) drawn: Vec<u32>,
}

/// The operands. `hidden` is `[n, d]`, `head` `[vocab, d]`, `targets` `[n]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Problem<'a> {
    pub(crate) hidden: &'a [f32],
    pub(crate) head: &'a [f32],
    pub(crate) targets: &'a [usize],
    /// For each row a number in [0, 1) by which an id is drawn; none where nothing is.
    pub(crate) uniform: &'a [f64],
    pub(crate) d: usize,
    pub(crate) vocab: usize,
    /// Logits are `cap · tanh(logits / cap)`.
    pub(crate) soft_cap: Option<f32>,
    pub(crate) precision: Precision,
}

impl<'a> Problem<'a> {
    fn check(&self) {
        let Self { hidden, head, targets, d, vocab, .. } = *self;
        assert!(
            hidden.len() == targets.len() * d && head.len() == vocab * d,
            "hidden is [n, d], head [vocab, d]"
        );
        assert!(self.uniform.is_empty() || self.uniform.len() == targets.len(), "a number for each row");
        if let Some(target) = targets.iter().find(|&&target| target >= vocab) {
            panic!("target {target} is outside of a vocabulary of {vocab}");
        }
    }

    /// The rows from `start` on, and how many they are.
    fn chunk(&self, start: usize) -> (View<'a>, usize) {
        let rows = rows_of(self.vocab).min(self.targets.len() - start);
        (View::rows(&self.hidden[start * self.d..], self.d), rows)
    }

    fn head(&self) -> View<'a> {
        View::rows(self.head, self.d)
    }

    fn buffer(&self) -> Vec<f32> {
        vec![0.0; rows_of(self.vocab).min(self.targets.len()) * self.vocab]
    }
}

/// Caps the logits of one row and turns them into `e^(logit − max)`: returns the target's capped logit, the maximum
/// and the sum.
#[inline(always)]
fn row_body<const FMA: bool>(logits: &mut [f32], target: usize, soft_cap: Option<f32>) -> [f32; 3] {
    if let Some(cap) = soft_cap {
        for logit in logits.iter_mut() {
            *logit = cap * tanh::<FMA>(*logit / cap);
        }
    }
    let (chosen, max) = (logits[target], maximum(logits));
    [chosen, max, exponentials::<FMA>(logits, max)]
}

/// Turns the logits of one row into their gradient: the probabilities, less one at the target, times `grad`.
#[inline(always)]
fn row_backward_body<const FMA: bool>(
    logits: &mut [f32],
    target: usize,
    soft_cap: Option<f32>,
    max: f32,
    inv_sum: f32,
    grad: f32,
) {
    use super::math::exp;
    match soft_cap {
        None => {
            for logit in logits.iter_mut() {
                *logit = exp::<FMA>(*logit - max) * inv_sum * grad;
            }
            logits[target] -= grad;
        }
        Some(cap) => {
            let slope = |tanh: f32| mul_add::<FMA>(-tanh, tanh, 1.0);
            let target_slope = slope(tanh::<FMA>(logits[target] / cap));
            for logit in logits.iter_mut() {
                let tanh = tanh::<FMA>(*logit / cap);
                *logit = exp::<FMA>(mul_add::<FMA>(cap, tanh, -max)) * inv_sum * grad * slope(tanh);
            }
            logits[target] -= grad * target_slope;
        }
    }
}

vectorized!(fn row(logits: &mut [f32], target: usize, soft_cap: Option<f32>) -> [f32; 3] = row_body);
vectorized!(
    fn row_backward(
        logits: &mut [f32],
        target: usize,
        soft_cap: Option<f32>,
        max: f32,
        inv_sum: f32,
        grad: f32,
    ) = row_backward_body
);

/// The nats of each row, and what is drawn from it.
pub(crate) fn forward(problem: Problem<'_>) -> Forward {
    forward_chunks(problem, None)
}

/// The gradients of a sum of nats: of `hidden`, `[n, d]`, and `head`, `[vocab, d]`.
pub(crate) type SumGradients = [Vec<f32>; 2];

/// As [`forward`], and the gradients of the nats' sum from the same logits. Without a soft cap.
///
/// The logits are half of the work of a backward pass that has to compute them again. A gradient other than of a sum is
/// left to [`backward`].
pub(crate) fn forward_with_gradients(problem: Problem<'_>) -> (Forward, SumGradients) {
    assert!(problem.soft_cap.is_none(), "capped logits have slopes of their own");
    let Problem { targets, d, vocab, precision, .. } = problem;
    let mut d_head = vec![0.0; vocab * d];
    #[allow(unsafe_code, reason = "the gradient is not cleared before it is written")]
    // SAFETY: the chunks cover all rows.
    unsafe {
        let mut forward = None;
        let d_hidden = written(targets.len() * d, |d_hidden| {
            let d_hidden = Shared::new(d_hidden);
            let mut accumulate = |start: usize, d_logits: &[f32]| {
                let (hidden, rows) = problem.chunk(start);
                let d_logits = View::rows(d_logits, vocab);
                Product::new([rows, d, vocab], d_logits, problem.head(), precision).write(
                    d_hidden.from(start * d),
                    d,
                    Start::Zero,
                );
                Product::new([vocab, d, rows], d_logits.transposed(), hidden, precision)
                    .into_slice(&mut d_head, Start::Output);
            };
            forward = Some(forward_chunks(problem, Some(&mut accumulate)));
        });
        (forward.expect("computed above"), [d_hidden, d_head])
    }
}

/// Takes the first row of a chunk, and the gradient of its nats' sum to its logits.
type WithGradient<'a> = &'a mut dyn FnMut(usize, &[f32]);

/// Computes the nats chunk by chunk. `with_gradient`, if it is there, is called for each.
fn forward_chunks(problem: Problem<'_>, with_gradient: Option<WithGradient<'_>>) -> Forward {
    problem.check();
    let Problem { targets, uniform, d, vocab, soft_cap, precision, .. } = problem;
    let n = targets.len();
    let mut nats = vec![0.0; n];
    let mut statistics = Statistics { max: vec![0.0; n], inv_sum: vec![0.0; n] };
    let mut drawn = vec![0; n];
    let mut logits = problem.buffer();
    let mut with_gradient = with_gradient;
    for start in (0..n).step_by(rows_of(vocab)) {
        let (hidden, rows) = problem.chunk(start);
        let chunk = start..start + rows;
        let logits = &mut logits[..rows * vocab];
        Product::new([rows, vocab, d], hidden, problem.head().transposed(), precision)
            .into_slice(logits, Start::Zero);
        let differentiated = with_gradient.is_some();
        let outputs = nats[chunk.clone()]
            .chunks_mut(ROWS)
            .zip(statistics.max[chunk.clone()].chunks_mut(ROWS))
            .zip(statistics.inv_sum[chunk.clone()].chunks_mut(ROWS))
            .zip(drawn[chunk.clone()].chunks_mut(ROWS))
            .enumerate();
        let inputs = logits.chunks_mut(ROWS * vocab).zip(targets[chunk].chunks(ROWS));
        let mut tasks: Vec<_> = inputs.zip(outputs).collect();
        for_each_mut(
            &mut tasks,
            rows * vocab * 16,
            |((logits, targets), (task, (((nats, max), inv_sum), drawn)))| {
                for (i, (logits, &target)) in logits.chunks_mut(vocab).zip(*targets).enumerate() {
                    let [chosen, largest, sum] = row(logits, target, soft_cap);
                    if let Some(&uniform) = uniform.get(start + *task * ROWS + i) {
                        drawn[i] = draw(logits, uniform);
                    }
                    nats[i] = sum.ln() + (largest - chosen);
                    max[i] = largest;
                    inv_sum[i] = 1.0 / sum;
                    if differentiated {
                        logits.iter_mut().for_each(|weight| *weight *= inv_sum[i]);
                        logits[target] -= 1.0;
                    }
                }
            },
        );
        if let Some(with_gradient) = &mut with_gradient {
            with_gradient(start, logits);
        }
    }
    drawn.truncate(uniform.len());
    Forward { nats, statistics, drawn }
}

/// The gradients of `hidden` and `head`, those that are wanted, from that of each row's nats.
pub(crate) fn backward(
    problem: Problem<'_>,
    statistics: &Statistics,
    grad: &[f32],
    wanted: [bool; 2],
) -> [Option<Vec<f32>>; 2] {
    let Problem { targets, d, vocab, soft_cap, precision, .. } = problem;
    let n = targets.len();
    assert_eq!(grad.len(), n, "one gradient a row");
    let mut d_hidden = wanted[0].then(|| vec![0.0; n * d]);
    let mut d_head = wanted[1].then(|| vec![0.0; vocab * d]);
    let mut logits = problem.buffer();
    for start in (0..n).step_by(rows_of(vocab)) {
        let (hidden, rows) = problem.chunk(start);
        let chunk = start..start + rows;
        let logits = &mut logits[..rows * vocab];
        Product::new([rows, vocab, d], hidden, problem.head().transposed(), precision)
            .into_slice(logits, Start::Zero);
        let inputs = targets[chunk.clone()]
            .chunks(ROWS)
            .zip(statistics.max[chunk.clone()].chunks(ROWS))
            .zip(statistics.inv_sum[chunk.clone()].chunks(ROWS))
            .zip(grad[chunk].chunks(ROWS));
        let mut tasks: Vec<_> = logits.chunks_mut(ROWS * vocab).zip(inputs).collect();
        for_each_mut(&mut tasks, rows * vocab * 16, |(logits, (((targets, max), inv_sum), grad))| {
            for (i, logits) in logits.chunks_mut(vocab).enumerate() {
                row_backward(logits, targets[i], soft_cap, max[i], inv_sum[i], grad[i]);
            }
        });
        let d_logits = View::rows(&*logits, vocab);
        if let Some(d_hidden) = &mut d_hidden {
            Product::new([rows, d, vocab], d_logits, problem.head(), precision)
                .into_slice(&mut d_hidden[start * d..(start + rows) * d], Start::Zero);
        }
        if let Some(d_head) = &mut d_head {
            Product::new([vocab, d, rows], d_logits.transposed(), hidden, precision)
                .into_slice(d_head, Start::Output);
        }
    }
    [d_hidden, d_head]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_kernels_equal_their_scalar_twins() {
        let logits: Vec<f32> = (0..83).map(|i| ((i * 31) % 23) as f32 * 0.4 - 4.0).collect();
        for soft_cap in [None, Some(3.0)] {
            let (mut a, mut b) = (logits.clone(), logits.clone());
            let (got, twin) = (row(&mut a, 7, soft_cap), row_body::<false>(&mut b, 7, soft_cap));
            assert!(got.iter().zip(&twin).all(|(a, b)| (a - b).abs() <= 2e-6 * b.abs()), "{got:?} {twin:?}");
            let (mut a, mut b) = (logits.clone(), logits.clone());
            row_backward(&mut a, 7, soft_cap, got[1], 1.0 / got[2], 0.7);
            row_backward_body::<false>(&mut b, 7, soft_cap, got[1], 1.0 / got[2], 0.7);
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-6), "{a:?}\n{b:?}");
            // A softmax's gradients add up to nothing.
            assert!(soft_cap.is_some() || a.iter().sum::<f32>().abs() < 1e-6);
        }
    }

    #[test]
    #[should_panic(expected = "target 9 is outside of a vocabulary of 9")]
    fn a_target_outside_of_the_vocabulary_is_named() {
        let (hidden, head) = ([0.0; 2], [0.0; 18]);
        forward(Problem {
            hidden: &hidden,
            head: &head,
            targets: &[9],
            uniform: &[],
            d: 2,
            vocab: 9,
            soft_cap: None,
            precision: Precision::F32,
        });
    }
}
