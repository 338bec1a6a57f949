//! Gradients: those of finite differences, whatever a step is cut into.

use crate::{TASKS, batch, bodies, device, model, objective};
use burn::module::Module;
use burn::tensor::Device;
use firebrand_finetune::{Example, Target};
use firebrand_training::{Alone, BatchKey, Objective, gradients_of_step};
use firebrand_transformer::{ModelKind, TaskKind, named_tensors, with_tensors};
use std::collections::BTreeMap;

const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: true };

type Gradients = BTreeMap<String, Vec<f64>>;

pub(crate) fn gradients<O>(objective: &O, model: &O::Model, rows: &O::Rows, pieces: usize) -> (Gradients, f64)
where
    O: Objective<Model: Module>,
{
    let device = on(model);
    let (gradients, terms) = gradients_of_step(objective, model, rows, pieces, KEY, &device, &mut Alone);
    let on_host = |(name, tensor): (&str, &burn::tensor::Tensor<1>)| {
        let values = tensor.clone().into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
        (name.to_string(), values.into_iter().map(f64::from).collect())
    };
    (gradients.iter().map(on_host).collect(), terms.iter().map(|term| term.1).sum())
}

/// The loss without a graph.
pub(crate) fn loss<O: Objective>(objective: &O, model: &O::Model, rows: &O::Rows) -> f64 {
    let batch = objective.prepare(rows, KEY, &on(model));
    let counts = objective.counts(&batch);
    let terms = objective.loss(model, batch).into_iter().zip(counts);
    terms
        .map(|(term, count)| term.weight * f64::from(term.nats.into_scalar::<f32>()) / count.max(1) as f64)
        .sum()
}

/// Where a model's weights are.
fn on<M: Module>(model: &M) -> Device {
    model.devices().swap_remove(0)
}

pub(crate) fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Tensors that a head has no use for: what only predicts tokens, or writes.
fn is_idle(name: &str, kind: ModelKind, next_tokens: bool) -> bool {
    let of_body = name.starts_with("body.");
    match kind {
        ModelKind::Decoder => name.ends_with("Decoder.head") && !next_tokens,
        ModelKind::EncoderDecoder => {
            of_body && (name.contains(".decoder.") || name.ends_with("Decoder.head"))
        }
        // Of a mix of all layers even the last norm of LSTMs has a share; queries start from a vector of their own.
        ModelKind::Permutation => name.ends_with("Permutation.query") || name.ends_with("Permutation.head"),
        ModelKind::Bidirectional => name.ends_with("Bidirectional.head"),
        ModelKind::Encoder => false,
    }
}

fn check(task: TaskKind, device_name: &str) {
    for (name, body) in bodies() {
        let objective = objective(task, &body, 0.0);
        let next_tokens = objective.options.lm_weight > 0.0;
        let model = model(&body, task, &device(device_name).autodiff());
        let rows = batch(task, 5);
        let on = format!("{name} on {device_name}, {}", task.name());
        check_slopes(&objective, &model, &rows, |tensor| !is_idle(tensor, body.kind, next_tokens), &on);
    }
}

/// Along the gradient of each of these tensors the loss rises as fast as the gradient is long.
pub(crate) fn check_slopes<O: Objective>(
    objective: &O,
    model: &O::Model,
    rows: &O::Rows,
    is_checked: impl Fn(&str) -> bool,
    on: &str,
) {
    let (gradients, _) = gradients(objective, model, rows, 1);
    let model = model.valid();
    let tensors = named_tensors(&model);
    for (index, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| is_checked(&tensor.name)) {
        let on = format!("{} of {on}", tensor.name);
        let gradient = gradients.get(&tensor.name).unwrap_or_else(|| panic!("{on} has no gradient"));
        let length = norm(gradient);
        assert!(length > 0.0, "{on} has a gradient of zeros");
        let loss_at = |step: f64| {
            let mut tensors = tensors.clone();
            for (value, gradient) in tensors[index].values.iter_mut().zip(gradient) {
                *value = (f64::from(*value) + step * gradient / length) as f32;
            }
            loss(objective, &with_tensors(model.clone(), tensors).expect("they are its own"), rows)
        };
        let h = 1e-2;
        let slope = (8.0 * (loss_at(h) - loss_at(-h)) - (loss_at(2.0 * h) - loss_at(-2.0 * h))) / (12.0 * h);
        assert!(
            (slope - length).abs() <= 0.02 * length + 2e-4,
            "{on}: a gradient of {length:.6}, but the loss rises by {slope:.6}"
        );
    }
}

#[test]
fn gradients_of_classes_agree_with_finite_differences() {
    check(TaskKind::Classification, "cpu");
    check(TaskKind::Classification, "ndarray");
}

#[test]
fn gradients_of_labels_agree_with_finite_differences() {
    check(TaskKind::MultiLabel, "cpu");
}

#[test]
fn gradients_of_numbers_agree_with_finite_differences() {
    check(TaskKind::Regression, "cpu");
}

#[test]
fn a_step_does_not_depend_on_how_it_is_cut() {
    for task in TASKS {
        for (name, body) in bodies() {
            let model = model(&body, task, &device("cpu").autodiff());
            let rows = batch(task, 6);
            for dropout in [0.0, 0.2] {
                let objective = objective(task, &body, dropout);
                let (whole, whole_loss) = gradients(&objective, &model, &rows, 1);
                for pieces in [2, 3, 6] {
                    let (cut, loss) = gradients(&objective, &model, &rows, pieces);
                    assert!((loss / whole_loss - 1.0).abs() < 1e-5, "{name}: {loss} and {whole_loss}");
                    for (tensor, whole) in &whole {
                        let difference: Vec<f64> =
                            whole.iter().zip(&cut[tensor]).map(|(a, b)| a - b).collect();
                        let (difference, norm) = (norm(&difference), norm(whole));
                        assert!(
                            difference <= 1e-5 * norm + 1e-6,
                            "{tensor} of {name} in {pieces} pieces: {difference:e} of {norm:e}"
                        );
                    }
                }
            }
        }
    }
}

/// `log(e^a / Σ e^b)` in double precision.
fn log_prob(outputs: &[f32], class: usize) -> f64 {
    let sum: f64 = outputs.iter().map(|&output| f64::from(output).exp()).sum();
    f64::from(outputs[class]) - sum.ln()
}

#[test]
fn losses_are_those_computed_by_hand() {
    let device = device("cpu");
    for task in TASKS {
        let (_, body) = bodies().swap_remove(3);
        let (objective, model) = (objective(task, &body, 0.0), model(&body, task, &device));
        let rows = batch(task, 5);
        let sequences: Vec<_> = rows.0.iter().map(Example::sequence).collect();
        let outputs = firebrand_finetune::predict(&model, &sequences, 2);
        let by_hand: f64 = outputs
            .iter()
            .zip(&rows.0)
            .map(|(outputs, example)| match &example.target {
                Target::Class(class) => {
                    let smoothed: f64 = (0..3).map(|other| log_prob(outputs, other)).sum::<f64>() / 3.0;
                    -objective.class_weights[*class] * (0.9 * log_prob(outputs, *class) + 0.1 * smoothed)
                }
                Target::Labels(labels) => (0..3)
                    .map(|label| {
                        let x = f64::from(outputs[label]);
                        let sign = if labels.contains(&label) { -1.0 } else { 1.0 };
                        (1.0 + (sign * x).exp()).ln()
                    })
                    .sum(),
                Target::Number(number) => (f64::from(outputs[0]) - number).powi(2),
                Target::Tags(_) => unreachable!("no task of whole texts"),
            })
            .sum();
        let loss = loss(&objective, &model, &rows);
        assert!((loss - by_hand / 5.0).abs() < 1e-5 * by_hand, "{}: {loss} and {by_hand}", task.name());
    }
}
