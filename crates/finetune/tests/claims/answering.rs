//! Learning answers: what the loss is, whom gradients reach, and that a run which was stopped goes on to the same bits.

use crate::gradients::{check_slopes, gradients, loss, norm};
use crate::runs::training;
use crate::{device, tiny};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use firebrand_backend::ops::AttentionMask;
use firebrand_finetune::{Answering, BestBy, Cloze, ExampleData, Examples, MethodConfig, MethodKind};
use firebrand_training::{
    Checkpoints, Event, OptimizerConfig, Outcome, ScheduleConfig, ScheduleKind, Trainer, read_metrics,
};
use firebrand_transformer::{
    AnyModel, Beginning, Body, Decoder, LayerGroups, Model, ModelConfig, ModelKind, NamedTensor, Preset,
    Prompted, TrainedPrompt, hugging_face, named_tensors, read_tensors, with_tensors,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

fn configs() -> Vec<(&'static str, ModelConfig)> {
    let llama = tiny(Preset::Llama, ModelKind::Decoder);
    let mut bert = tiny(Preset::Bert, ModelKind::Encoder);
    bert.heads.masked = true;
    vec![
        ("llama", ModelConfig { n_kv_heads: 2, ..llama.clone() }),
        ("gpt2", tiny(Preset::Gpt2, ModelKind::Decoder)),
        ("qk-norm", ModelConfig { qk_norm: true, ..llama }),
        ("bert", bert),
    ]
}

/// Larger weights, and no gain or bias at its neutral value.
fn far_from_first<M: Module>(model: M) -> M {
    let tensors = named_tensors(&model).into_iter().map(|tensor| {
        let matrix = tensor.shape.len() == 2;
        let change = |(i, value): (usize, f32)| match matrix {
            true => value * 8.0 + 0.05 * (i as f32 * 1.3).sin(),
            false => value + 0.3 * (i as f32 * 1.7 + tensor.name.len() as f32).sin(),
        };
        let values = tensor.values.iter().copied().enumerate().map(change).collect();
        NamedTensor { values, ..tensor }
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("they are its own")
}

/// A model as a method trains it.
fn model(config: &ModelConfig, kind: MethodKind, device: &Device) -> Prompted {
    let body = far_from_first(Body::made(config, Some(7), device).expect("the config is a model's"));
    let beginning = Beginning::Ids(vec![0, 3, 7]);
    let prompt = match kind {
        MethodKind::SoftPrompt => Some(TrainedPrompt::soft(&body, &beginning, 1).expect("a prompt")),
        MethodKind::Prefix => Some(TrainedPrompt::prefix(&body, &beginning, 4, 1).expect("a prefix")),
        _ => None,
    };
    let prompted = Prompted::new(body, prompt).expect("they go together");
    // The MLP of a prefix no longer puts out zeros.
    let tensors =
        named_tensors(&prompted).into_iter().map(|tensor| match tensor.name.contains("mlp.output") {
            true => {
                let values = (0..tensor.values.len()).map(|i| 0.2 * (i as f32 * 1.9).sin()).collect();
                NamedTensor { values, ..tensor }
            }
            false => tensor,
        });
    let tensors = tensors.collect();
    with_tensors(prompted, tensors).expect("they are its own")
}

/// Three answers of two labels, of one token and of two, in texts of different lengths.
fn examples(count: usize) -> Vec<Cloze> {
    let example = |i: usize| {
        let text: Vec<u32> = (0..2 + i % 3).map(|at| ((i * 7 + at * 3 + 1) % 11) as u32).collect();
        let last = text.len();
        let read = [&[0], &text[..]].concat();
        let texts = vec![read.clone(), [&read[..], &[6]].concat()];
        let answers = vec![(0, vec![(last, 5)]), (1, vec![(last, 6), (last + 1, 2)]), (0, vec![(last, 9)])];
        let label = i * 5 / 3 % 2;
        Cloze { texts, answers, label, right: 1 - label }
    };
    (0..count).map(example).collect()
}

fn objective(dropout: f64, lm_weight: f64, base: &Path) -> Answering {
    Answering {
        labels: vec![vec![(0, 0.0), (2, 0.7)], vec![(1, -0.4)]],
        dropout,
        lm_weight,
        best_by: BestBy::Accuracy,
        base: base.to_path_buf(),
        end_of_text: Some(0),
    }
}

fn any_objective() -> Answering {
    objective(0.0, 0.0, Path::new("."))
}

#[test]
fn the_loss_is_what_the_logits_say_by_hand() {
    let (_, config) = configs().swap_remove(0);
    let device = device("cpu");
    let body = far_from_first(Decoder::new(&config, 7, &device).expect("a model"));
    let log_p = |ids: &[u32], at: usize, id: u32| {
        let row: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let row = Tensor::from_data(burn::tensor::TensorData::new(row, [1, ids.len()]), &device);
        let states = body.hidden(row, &AttentionMask::Causal, None).reshape([ids.len(), config.d_model]);
        let logits: Vec<f32> = body.logits(states).into_data().try_into_vec().expect("f32");
        let logits = &logits[at * config.vocab_size..][..config.vocab_size];
        f64::from(logits[id as usize]) - logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln()
    };
    let rows = Examples(examples(5));
    let (mut answers, mut language, mut tokens) = (0.0, 0.0, 0.0);
    for Cloze { texts, label, right, .. } in &rows.0 {
        let last = texts[0].len() - 1;
        let a = log_p(&texts[0], last, 5);
        let b = log_p(&texts[1], last, 6) + log_p(&texts[1], last + 1, 2);
        let c = log_p(&texts[0], last, 9);
        let scores = [a.max(c + 0.7), b - 0.4];
        answers -= scores[*label] - scores.iter().map(|score| score.exp()).sum::<f64>().ln();
        let text = &texts[*right];
        language -= (1..text.len()).map(|at| log_p(text, at - 1, text[at])).sum::<f64>();
        tokens += (text.len() - 1) as f64;
    }
    let model = Prompted::new(Body::Decoder(body.clone()), None).expect("a decoder");
    let found = loss(&any_objective(), &model, &rows);
    assert!((found - answers / 5.0).abs() < 1e-5, "{found} and {}", answers / 5.0);
    let with_language = loss(&objective(0.0, 0.3, Path::new(".")), &model, &rows);
    let expected = answers / 5.0 + 0.3 * language / tokens;
    assert!((with_language - expected).abs() < 1e-5, "{with_language} and {expected}");
}

#[test]
fn gradients_of_prompts_agree_with_finite_differences() {
    for (name, config) in configs() {
        for (kind, device_name) in [
            (MethodKind::SoftPrompt, "cpu"),
            (MethodKind::SoftPrompt, "ndarray"),
            (MethodKind::Prefix, "cpu"),
            (MethodKind::Prefix, "ndarray"),
        ] {
            if kind == MethodKind::Prefix && config.kind == ModelKind::Encoder {
                continue;
            }
            let (objective, rows) = (any_objective(), Examples(examples(4)));
            let model = model(&config, kind, &device(device_name).autodiff());
            let on = format!("{name} on {device_name}");
            check_slopes(&objective, &model, &rows, |tensor| tensor.starts_with("prompt."), &on);
        }
    }
}

#[test]
fn a_step_on_answers_does_not_depend_on_how_it_is_cut() {
    for (name, config) in configs() {
        let lm_weight = if config.kind == ModelKind::Decoder { 0.5 } else { 0.0 };
        let objective = objective(0.2, lm_weight, Path::new("."));
        let (model, rows) =
            (model(&config, MethodKind::Pet, &device("cpu").autodiff()), Examples(examples(6)));
        let (whole, _) = gradients(&objective, &model, &rows, 1);
        for pieces in [2, 3, 6] {
            for (tensor, cut) in gradients(&objective, &model, &rows, pieces).0 {
                let difference: Vec<f64> = whole[&tensor].iter().zip(&cut).map(|(a, b)| a - b).collect();
                let (difference, norm) = (norm(&difference), norm(&cut));
                assert!(difference <= 1e-5 * norm + 1e-6, "{tensor} of {name}: {difference:e} of {norm:e}");
            }
        }
    }
}

fn trainer(config: &ModelConfig, kind: MethodKind, dir: &Path, base: &Path) -> Trainer<Answering> {
    let device = device("cpu").autodiff();
    let model = model(config, kind, &device);
    let optimizer = OptimizerConfig { lr: 3e-2, ..OptimizerConfig::default() };
    let schedule =
        ScheduleConfig { kind: ScheduleKind::Constant, warmup_steps: 0, ..ScheduleConfig::default() };
    let method = MethodConfig { kind, ..MethodConfig::default() };
    let rates = method.rates(&LayerGroups::of(&model), 1);
    let objective = objective(0.1, 0.0, base);
    Trainer::new(objective, model, training(8), optimizer, schedule, 3, &device, dir)
        .expect("the configs make sense")
        .with_rates(rates)
}

fn go(trainer: &mut Trainer<Answering>, stop_at: Option<u64>) -> Outcome {
    let examples = examples(30);
    let (train, held_out) = examples.split_at(20);
    let data = ExampleData { train, held_out, seed: 3, group_by_length: true };
    let stop = AtomicBool::new(false);
    let outcome = trainer.run(&data, &stop, &mut |event| match event {
        Event::Step(report) if Some(report.step) == stop_at => stop.store(true, Ordering::Relaxed),
        _ => {}
    });
    outcome.expect("nothing goes wrong")
}

/// The folder of the model that prompts are for.
fn write_base(config: &ModelConfig, dir: &Path) {
    match far_from_first(Body::made(config, Some(7), &device("cpu")).expect("a model")) {
        Body::Decoder(model) => hugging_face::save(dir, &model, Some(0)).expect("written"),
        Body::Encoder(model) => hugging_face::save(dir, &model, Some(0)).expect("written"),
        other => panic!("{other:?} has no prompts"),
    }
}

#[test]
fn a_run_of_answers_that_was_stopped_goes_on_to_the_same_bits() {
    for (name, config) in configs() {
        for kind in [MethodKind::Pet, MethodKind::SoftPrompt, MethodKind::Prefix] {
            if kind == MethodKind::Prefix && config.kind == ModelKind::Encoder {
                continue;
            }
            let [expected, dir, base] = [0; 3].map(|_| tempfile::tempdir().expect("a temporary folder"));
            write_base(&config, base.path());
            let new = |dir: &Path| trainer(&config, kind, dir, base.path());
            assert_ne!(go(&mut new(expected.path()), None), Outcome::Interrupted);
            assert_eq!(go(&mut new(dir.path()), Some(5)), Outcome::Interrupted);
            let (latest, _) = Checkpoints::new(dir.path()).load_latest().expect("readable");
            let mut resumed = new(dir.path()).resume(latest.expect("saved")).expect("it is of this model");
            assert_ne!(go(&mut resumed, None), Outcome::Interrupted);
            let written =
                if kind == MethodKind::Pet { "model.safetensors" } else { "adapter_model.safetensors" };
            for file in ["checkpoints/step-00000008/model.safetensors", written] {
                let [a, b] =
                    [&dir, &expected].map(|dir| std::fs::read(dir.path().join(file)).expect("written"));
                assert!(a == b, "{file} of {name} by {} differs", kind.name());
            }
            let lines = read_metrics(&dir.path().join("metrics.jsonl")).expect("readable");
            assert!(lines.iter().any(|line| line.contains_key("val_accuracy")), "{lines:?}");
        }
    }
}

#[test]
fn a_trained_prompt_leaves_every_weight_of_the_model_as_it_was_and_is_stored_alone() {
    for (name, config) in configs() {
        for kind in [MethodKind::SoftPrompt, MethodKind::Prefix] {
            if kind == MethodKind::Prefix && config.kind == ModelKind::Encoder {
                continue;
            }
            let on = format!("{name} by {}", kind.name());
            let [dir, base] = [0; 2].map(|_| tempfile::tempdir().expect("a temporary folder"));
            write_base(&config, base.path());
            let mut trainer = trainer(&config, kind, dir.path(), base.path());
            let before = named_tensors(trainer.model());
            go(&mut trainer, None);
            let after = read_tensors(&dir.path().join("checkpoints/step-00000008/model.safetensors"));
            let after: BTreeMap<String, Vec<f32>> =
                after.expect("readable").into_iter().map(|tensor| (tensor.name, tensor.values)).collect();
            for NamedTensor { name, values, .. } in before {
                // An MLP adds to the keys and values that a prefix began with.
                let moves = name.starts_with("prompt.") && name != "prompt.Prefix.keys_values";
                assert_eq!(after[&name] != values, moves, "{name} of {on}");
            }
            let optimizer = read_tensors(&dir.path().join("checkpoints/step-00000008/optimizer.safetensors"));
            let states: Vec<String> =
                optimizer.expect("readable").into_iter().map(|tensor| tensor.name).collect();
            assert!(states.iter().all(|state| state.contains("prompt.")), "{on}: {states:?}");
            let stored = read_tensors(&dir.path().join("adapter_model.safetensors")).expect("readable");
            assert_eq!(stored.len(), 1, "{on}");
            // What is stored says what was trained, without an MLP.
            let any = hugging_face::load_any(base.path(), &device("cpu")).expect("the base");
            let prompt = hugging_face::load_prompt(dir.path(), &any).expect("a prompt");
            assert!(hugging_face::holds_prompt(dir.path()).expect("readable"));
            let body = match any {
                AnyModel::Decoder(model) => Body::Decoder(*model),
                AnyModel::Encoder(model) => Body::Encoder(*model),
                other => panic!("{other:?} has no prompts"),
            };
            let read = Prompted::new(body, Some(prompt)).expect("they go together");
            let (trained, rows) = (trainer.model().valid(), examples(7));
            let objective = any_objective();
            let [a, b] = [&trained, &read].map(|model| objective.answers(model, &rows, 3).concat());
            let difference = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference < 1e-5, "{on}: {difference:e}");
        }
    }
}
