//! The loss on data that is not trained on.

use crate::TrainingError;
use crate::data::Rows;
use crate::objective::{BatchKey, Figure, Objective};

/// Loss over held-out data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The weighted sum of the terms, each in nats a target.
    pub loss: f64,
    /// Each term: name, sum of nats, targets.
    pub terms: Vec<(&'static str, f64, u64)>,
    /// What the text costs, in nats, if the objective says what that is.
    pub text_nats: Option<f64>,
    /// What else it comes to.
    pub figures: Vec<Figure>,
}

impl Evaluation {
    /// The value of a figure, if there is one of this name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }
}

/// Evaluates `model` (without autodiff: `model.valid()`) on all of `batches`.
///
/// # Errors
/// When the data cannot be read.
pub fn evaluate<O: Objective>(
    objective: &O,
    model: &O::Model,
    batches: impl Iterator<Item = Result<O::Rows, TrainingError>>,
    seed: u64,
    device: &burn::tensor::Device,
) -> Result<Evaluation, TrainingError> {
    let mut terms: Vec<(&'static str, f64, u64)> = Vec::new();
    let mut weights: Vec<f64> = Vec::new();
    let mut answers = O::Answers::default();
    let mut first_example = 0;
    for rows in batches {
        let rows = rows?;
        let key = BatchKey { seed, step: 0, first_example, training: false };
        first_example += rows.count();
        let batch = objective.prepare(&rows, key, device);
        let counts = objective.counts(&batch);
        for (index, (term, count)) in
            objective.judge(model, batch, &mut answers).into_iter().zip(counts).enumerate()
        {
            let nats = f64::from(term.nats.into_scalar::<f32>());
            match terms.get_mut(index) {
                Some(sum) => (sum.1, sum.2) = (sum.1 + nats, sum.2 + count),
                None => {
                    terms.push((term.name, nats, count));
                    weights.push(term.weight);
                }
            }
        }
    }
    let loss = terms
        .iter()
        .zip(&weights)
        .map(|((_, nats, count), weight)| weight * nats / (*count).max(1) as f64)
        .sum();
    let text_nats = objective.text_nats(&terms);
    Ok(Evaluation { loss, terms, text_nats, figures: objective.figures(&answers) })
}
