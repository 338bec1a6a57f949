//! Distillation: its gradients, what it leaves alone, runs with a teacher.

use crate::gradients::{Gradients, check_slopes, gradients_by, norm};
use crate::runs::{check_same, go, split, training};
use crate::{batch, causal, constant, device, model, tiny, trainer, trainer_by, whole};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::Precision;
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_pretrain::{Distillation, DistillationConfig};
use firebrand_training::{Checkpoints, OptimizerConfig, Outcome, Trainer, TrainingConfig};
use firebrand_transformer::{Decoder, Model, ModelConfig, NamedTensor, Preset, named_tensors};
use std::path::Path;

/// Another width, other norms, positions and caps than the student's, and the same vocabulary.
fn teacher(device: &Device) -> Decoder {
    let config = ModelConfig { logit_soft_cap: 4.0, ..ModelConfig::preset(Preset::Gpt2, 11, 12, 1, 3, 16) };
    model(&config, device)
}

fn distillation(teacher: Decoder, weight: f64, temperature: f64, dropout: f64) -> Distillation {
    let config = DistillationConfig { teacher: "unused".into(), weight, temperature };
    Distillation::new(causal(dropout), teacher, &config)
}

/// Logits of every position in double precision, `[batch · seq][vocab]`, of a model without a graph.
fn logits(model: &Decoder, rows: &TokenBatch) -> Vec<Vec<f64>> {
    let (batch, seq) = (rows.rows, rows.len - 1);
    let ids: Vec<i32> = (0..batch).flat_map(|row| rows.row(row)[..seq].iter().map(|&id| id as i32)).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [batch, seq]), &model.device());
    let hidden = model.hidden(ids, &AttentionMask::Causal, None);
    let logits = model.logits(hidden.reshape([batch * seq, model.config().d_model]));
    let logits = logits.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    logits.chunks(model.config().vocab_size).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

fn log_probs(logits: &[f64], temperature: f64) -> Vec<f64> {
    let sum = logits.iter().map(|logit| (logit / temperature).exp()).sum::<f64>().ln();
    logits.iter().map(|logit| logit / temperature - sum).collect()
}

/// Cross-entropy and divergence as they are defined, in the mean over the positions.
fn definition(student: &[Vec<f64>], teacher: &[Vec<f64>], rows: &TokenBatch, temperature: f64) -> [f64; 2] {
    let targets: Vec<usize> =
        (0..rows.rows).flat_map(|row| rows.row(row)[1..].iter().map(|&id| id as usize)).collect();
    let nats: f64 = student.iter().zip(&targets).map(|(row, &target)| -log_probs(row, 1.0)[target]).sum();
    let divergence: f64 = student
        .iter()
        .zip(teacher)
        .map(|(student, teacher)| {
            let (q, p) = (log_probs(student, temperature), log_probs(teacher, temperature));
            p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>()
        })
        .sum();
    [nats, divergence].map(|sum| sum / targets.len() as f64)
}

#[test]
fn gradients_of_a_distilled_student_agree_with_finite_differences_of_the_definition() {
    let capped = ModelConfig { logit_soft_cap: 1.5, ..tiny(Preset::Gpt2) };
    for (config, name, weight, temperature) in [
        (tiny(Preset::Llama), "cpu", 0.7, 2.0),
        (tiny(Preset::Llama), "ndarray", 0.7, 2.0),
        (capped, "cpu", 1.0, 0.8),
    ] {
        let plain = device(name);
        let student = model(&config, &plain.clone().autodiff());
        let rows = batch(3, 7);
        let objective = distillation(teacher(&plain), weight, temperature, 0.0);
        let (gradients, terms) = gradients_by(&objective, &student, &rows, 1);
        let student = student.valid();
        let of_teacher = logits(&teacher(&plain), &rows);
        let terms_of =
            |student: &Decoder| definition(&logits(student, &rows), &of_teacher, &rows, temperature);
        let [nats, divergence] = terms_of(&student);
        let names: Vec<&str> = terms.iter().map(|&(name, ..)| name).collect();
        assert_eq!(names, ["cross_entropy", "distillation"]);
        assert!((terms[0].2 - nats).abs() < 1e-5 && (terms[1].2 - divergence).abs() < 1e-5, "{terms:?}");
        assert!(divergence > 0.1, "they are far apart: {divergence}");
        let loss = |student: &Decoder| {
            let [nats, divergence] = terms_of(student);
            (1.0 - weight) * nats + weight * temperature * temperature * divergence
        };
        assert!((terms[0].1 + terms[1].1 - loss(&student)).abs() < 1e-5);
        check_slopes(&student, &gradients, loss, name);
    }
}

#[test]
fn a_student_that_equals_its_teacher_has_nothing_to_learn_from_it() {
    for preset in [Preset::Llama, Preset::Gpt2] {
        for (name, allowed) in [("cpu", 0.0), ("ndarray", 1e-5)] {
            let plain = device(name);
            let student = model(&tiny(preset), &plain.clone().autodiff());
            let objective = distillation(model(&tiny(preset), &plain), 1.0, 2.0, 0.0);
            let (gradients, terms) = gradients_by(&objective, &student, &batch(3, 7), 1);
            assert!(terms[1].2.abs() <= allowed, "{name}: a divergence of {}", terms[1].2);
            let largest = gradients.values().map(|gradient| norm(gradient)).fold(0.0, f64::max);
            assert!(largest <= allowed, "{name}: a gradient of {largest:e}");
        }
    }
}

/// The norm of `a − b`, over that of `b`.
fn difference(a: &Gradients, b: &Gradients) -> f64 {
    let of = |name: &String| a[name].iter().zip(&b[name]).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let square = |x: f64| x * x;
    let apart = b.keys().map(|name| square(norm(&of(name)))).sum::<f64>();
    (apart / b.values().map(|gradient| square(norm(gradient))).sum::<f64>()).sqrt()
}

#[test]
fn the_weight_mixes_the_causal_gradient_with_the_teachers() {
    let plain = device("cpu");
    let student = model(&tiny(Preset::Llama), &plain.clone().autodiff());
    let rows = batch(4, 7);
    let by =
        |weight: f64| gradients_by(&distillation(teacher(&plain), weight, 1.5, 0.0), &student, &rows, 1).0;
    let text = gradients_by(&causal(0.0), &student, &rows, 1).0;
    let taught = by(1.0);
    assert!(difference(&taught, &text) > 0.1, "a teacher says something else than the text");
    assert!(difference(&by(1e-9), &text) < 1e-6, "next to no teacher");
    let mixed = text.iter().map(|(name, text)| {
        let mixed = text.iter().zip(&taught[name]).map(|(text, taught)| 0.7 * text + 0.3 * taught).collect();
        (name.clone(), mixed)
    });
    assert!(difference(&by(0.3), &mixed.collect()) < 1e-5);
}

#[test]
fn a_distilled_step_has_the_same_gradient_whatever_it_is_cut_into() {
    let plain = device("cpu");
    let student = model(&tiny(Preset::Llama), &plain.clone().autodiff());
    let (rows, objective) = (batch(8, 7), distillation(teacher(&plain), 0.5, 2.0, 0.3));
    let (whole, terms) = gradients_by(&objective, &student, &rows, 1);
    for pieces in [2, 3, 8] {
        let (cut, cut_terms) = gradients_by(&objective, &student, &rows, pieces);
        assert!(difference(&cut, &whole) < 1e-5, "{pieces} pieces");
        for (term, cut) in terms.iter().zip(&cut_terms) {
            assert!((cut.2 / term.2 - 1.0).abs() < 1e-6, "{pieces} pieces: {cut:?} and {term:?}");
        }
    }
    let checkpointed = gradients_by(&objective, &student.clone().with_checkpointing(true), &rows, 2).0;
    assert!(checkpointed == gradients_by(&objective, &student, &rows, 2).0, "to the last bit");
}

/// Weights after `steps` steps on the same few examples, and the divergence at each.
fn learn(objective: Distillation, steps: usize, precision: Precision) -> (Vec<NamedTensor>, Vec<f64>) {
    let device = device("cpu").autodiff();
    let training = TrainingConfig { batch_size: 4, seq_len: 8, precision, ..TrainingConfig::default() };
    let optimizer = OptimizerConfig { lr: 1e-2, ..OptimizerConfig::default() };
    let student = model(&tiny(Preset::Llama), &device);
    let mut trainer = trainer_by(objective, student, training, optimizer, &device, Path::new("unused"));
    let divergence = |_| trainer.step(&batch(4, 9)).expect("it stays finite").terms[1].1;
    let divergences = (0..steps).map(divergence).collect();
    (named_tensors(trainer.model()), divergences)
}

#[test]
fn a_student_comes_near_its_teacher_which_stays_as_it_is() {
    let teacher = teacher(&device("cpu"));
    let before = named_tensors(&teacher);
    let (_, divergences) = learn(distillation(teacher.clone(), 1.0, 1.0, 0.0), 150, Precision::F32);
    let (first, last) = (divergences[0], divergences[149]);
    assert!(last < 0.1 * first, "from {first} to {last}");
    assert!(named_tensors(&teacher) == before);
}

#[test]
fn a_student_learns_the_same_in_bf16() {
    if let Err(error) = Precision::Bf16.check(&device("cpu")) {
        eprintln!("skipped: {error}");
        return;
    }
    let learned = |precision| learn(distillation(teacher(&device("cpu")), 0.5, 2.0, 0.0), 60, precision);
    let ((exact_weights, exact), (weights, rounded)) = (learned(Precision::F32), learned(Precision::Bf16));
    assert!(weights != exact_weights, "bf16 was in effect");
    let mean = |divergences: &[f64]| divergences.iter().sum::<f64>() / divergences.len() as f64;
    let (exact, rounded) = (mean(&exact), mean(&rounded));
    assert!((rounded / exact - 1.0).abs() <= 2e-2, "{rounded} and {exact}");
}

#[test]
fn held_out_loss_is_the_causal_one() {
    let device = device("cpu").autodiff();
    let held_out = split(61, 2);
    let optimizer = OptimizerConfig::default();
    let student = model(&tiny(Preset::Llama), &device);
    let plain = trainer(student.clone(), 0.1, training(), optimizer.clone(), &device, Path::new("unused"));
    let objective = distillation(teacher(&device.clone().without_autodiff()), 0.5, 2.0, 0.1);
    let distilled = trainer_by(objective, student, training(), optimizer, &device, Path::new("unused"));
    let evaluation = whole(&distilled, &held_out, 0).expect("readable");
    assert_eq!(evaluation, whole(&plain, &held_out, 0).expect("readable"));
    assert_eq!(evaluation.terms.len(), 1);
}

/// A run at its start.
fn new_run(dir: &Path) -> Trainer<Distillation> {
    let device = device("cpu").autodiff();
    let objective = distillation(teacher(&device.clone().without_autodiff()), 0.6, 2.0, 0.1);
    let optimizer = OptimizerConfig { lr: 1e-2, ..OptimizerConfig::default() };
    Trainer::new(
        objective,
        model(&tiny(Preset::Llama), &device),
        training(),
        optimizer,
        constant(),
        3,
        &device,
        dir,
    )
    .expect("the configs make sense")
}

#[test]
fn a_distilled_run_that_was_interrupted_and_resumed_equals_one_that_was_not() {
    let [whole, halved] = [(), ()].map(|()| tempfile::tempdir().expect("a temporary folder"));
    go(&mut new_run(whole.path()), None);
    assert_eq!(go(&mut new_run(halved.path()), Some(6)).0, Outcome::Interrupted);
    let (latest, _) = Checkpoints::new(halved.path()).load_latest().expect("readable");
    let resumed = new_run(halved.path()).resume(latest.expect("saved"));
    go(&mut resumed.expect("it is of this model"), None);
    check_same(halved.path(), whole.path());
    let lines = firebrand_training::read_metrics(&whole.path().join("metrics.jsonl")).expect("readable");
    for line in &lines {
        let value = |key: &str| line[key].as_f64().expect("a number");
        let loss = 0.4 * value("train_cross_entropy") + 0.6 * 4.0 * value("train_distillation");
        assert!((value("train_loss") - loss).abs() < 1e-9, "{line:?}");
    }
}

#[test]
fn impossible_numbers_of_a_distillation_are_named() {
    let error = |weight: f64, temperature: f64| {
        let config = DistillationConfig { teacher: "unused".into(), weight, temperature };
        config.validate().expect_err("impossible").to_string()
    };
    for weight in [0.0, -0.5, 1.5, f64::NAN] {
        assert!(error(weight, 1.0).contains(&format!("distillation.weight {weight} is not in (0, 1]")));
    }
    for temperature in [0.0, -1.0, 1e-3, 1e3, f64::NAN, f64::INFINITY] {
        let error = error(0.5, temperature);
        assert!(error.contains(&format!("distillation.temperature {temperature} is not from")), "{error}");
    }
}
