//! One optimizer step's gradients, whatever its examples are cut into.

use crate::data::Rows;
use crate::gradients::{Exchange, NamedGradients};
use crate::objective::{BatchKey, Objective, Term};
use burn::tensor::{Device, Tensor};

/// What one step saw.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step, from 1.
    pub step: u64,
    /// The loss the step minimized.
    pub loss: f64,
    /// Each term by name, in nats a target.
    pub terms: Vec<(&'static str, f64)>,
    /// The global gradient norm before clipping.
    pub grad_norm: f64,
    /// The learning rate used.
    pub lr: f64,
    /// Tokens fed.
    pub tokens: u64,
}

/// The gradients of a whole step, and its loss by term as (name, weighted, nats a target).
///
/// The step's examples are cut into `pieces`; every piece's terms are divided by the counts of the whole step, so that
/// the sum of the pieces' gradients is the gradient of the step.
pub fn gradients_of_step<O: Objective>(
    objective: &O,
    model: &O::Model,
    rows: &O::Rows,
    pieces: usize,
    key: BatchKey,
    device: &Device,
    exchange: &mut dyn Exchange,
) -> (NamedGradients, Vec<(&'static str, f64, f64)>) {
    let all = rows.count();
    let per_piece = all.div_ceil(pieces);
    let batches: Vec<O::Batch> = (0..all)
        .step_by(per_piece)
        .map(|first| {
            let piece = rows.part(first..(first + per_piece).min(all));
            let key = BatchKey { first_example: key.first_example + first, ..key };
            objective.prepare(&piece, key, device)
        })
        .collect();
    let mut counts: Vec<u64> = Vec::new();
    for batch in &batches {
        let more = objective.counts(batch);
        counts.resize(more.len(), 0);
        counts.iter_mut().zip(more).for_each(|(sum, count)| *sum += count);
    }
    exchange.counts(&mut counts);

    let mut gradients = NamedGradients::default();
    let mut sums: Vec<(&'static str, f64, f64)> = Vec::new();
    for batch in batches {
        let terms = objective.loss(model, batch);
        let mut loss: Option<Tensor<1>> = None;
        for (index, (term, &count)) in terms.into_iter().zip(&counts).enumerate() {
            let Term { name, weight, nats } = term;
            let divisor = count.max(1) as f64;
            let value = f64::from(nats.clone().inner().into_scalar::<f32>()) / divisor;
            match sums.get_mut(index) {
                Some(sum) => (sum.1, sum.2) = (sum.1 + weight * value, sum.2 + value),
                None => sums.push((name, weight * value, value)),
            }
            let scaled = nats * (weight / divisor);
            loss = Some(match loss {
                Some(loss) => loss + scaled,
                None => scaled,
            });
        }
        if let Some(loss) = loss {
            gradients.add(model, &mut loss.backward());
        }
    }
    exchange.gradients(&mut gradients);
    (gradients, sums)
}
