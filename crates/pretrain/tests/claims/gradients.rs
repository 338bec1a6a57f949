//! Gradients: against finite differences, and whatever a step is cut into.

use crate::{batch, causal, device, model, tiny};
use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{Alone, BatchKey, Objective, gradients_of_step};
use firebrand_transformer::{
    Decoder, MlpKind, Model, ModelConfig, NamedTensor, PositionKind, Preset, named_tensors, with_tensors,
};
use std::collections::BTreeMap;

pub(crate) const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: true };

pub(crate) type Gradients = BTreeMap<String, Vec<f64>>;

/// The gradients of one step as the trainer computes them, and its loss.
fn gradients(model: &Decoder, rows: &TokenBatch, pieces: usize, dropout: f64) -> (Gradients, f64) {
    let (gradients, terms) = gradients_by(&causal(dropout), model, rows, pieces);
    (gradients, terms[0].1)
}

/// The same for any objective, with the terms of its loss: name, weighted, nats a target.
pub(crate) fn gradients_by<O: Objective<Model = Decoder, Rows = TokenBatch>>(
    objective: &O,
    model: &Decoder,
    rows: &TokenBatch,
    pieces: usize,
) -> (Gradients, Vec<(&'static str, f64, f64)>) {
    let (gradients, terms) =
        gradients_of_step(objective, model, rows, pieces, KEY, &model.device(), &mut Alone);
    let on_host = |tensor: &Tensor<1>| {
        let values = tensor.clone().into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
        values.into_iter().map(f64::from).collect()
    };
    let gradients = gradients.iter().map(|(name, tensor)| (name.to_string(), on_host(tensor))).collect();
    (gradients, terms)
}

/// The mean loss in nats, summed in f64.
fn loss(model: &Decoder, rows: &TokenBatch) -> f64 {
    let (batch, seq) = (rows.rows, rows.len - 1);
    let ids = |from: usize| -> TensorData {
        let ids = (0..batch).flat_map(|row| rows.row(row)[from..from + seq].iter().map(|&id| id as i32));
        TensorData::new(ids.collect::<Vec<i32>>(), [batch * seq])
    };
    let inputs = Tensor::<1, Int>::from_data(ids(0), &model.device()).reshape([batch, seq]);
    let targets = Tensor::<1, Int>::from_data(ids(1), &model.device());
    let hidden = model.hidden(inputs, &AttentionMask::Causal, None);
    let nats = model.nats(hidden.reshape([batch * seq, model.config().d_model]), targets);
    let nats = nats.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    nats.iter().map(|&nats| f64::from(nats)).sum::<f64>() / (batch * seq) as f64
}

pub(crate) fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Unit vectors: along the gradient, one of its larger entries, and three that are arbitrary.
fn directions(gradient: &[f64]) -> Vec<Vec<f64>> {
    let n = gradient.len();
    let largest = (0..n).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).expect("not empty");
    let mut directions = vec![gradient.to_vec(), (0..n).map(|i| f64::from(u8::from(i == largest))).collect()];
    directions
        .extend((1..4).map(|k| (0..n).map(|i| ((i * i + k * i) as f64 * 0.7 + k as f64).sin()).collect()));
    for direction in &mut directions {
        let norm = norm(direction).max(1e-12);
        direction.iter_mut().for_each(|x| *x /= norm);
    }
    directions
}

/// `model` with `tensors[index]` moved by `step` along `direction`.
fn moved(model: &Decoder, tensors: &[NamedTensor], index: usize, direction: &[f64], step: f64) -> Decoder {
    let mut tensors = tensors.to_vec();
    for (value, direction) in tensors[index].values.iter_mut().zip(direction) {
        *value = (f64::from(*value) + step * direction) as f32;
    }
    with_tensors(model.clone(), tensors).expect("they are its own")
}

/// Compares the gradients with the slopes of `loss`, of whose graph `model` has none.
#[track_caller]
pub(crate) fn check_slopes(model: &Decoder, gradients: &Gradients, loss: impl Fn(&Decoder) -> f64, on: &str) {
    let tensors = named_tensors(model);
    for (index, tensor) in tensors.iter().enumerate() {
        let gradient = &gradients[&tensor.name];
        for direction in directions(gradient) {
            let loss_at = |step: f64| loss(&moved(model, &tensors, index, &direction, step));
            // Five points: the error of the formula is of fourth order, which leaves that of f32.
            let h = 1e-2;
            let slope =
                (8.0 * (loss_at(h) - loss_at(-h)) - (loss_at(2.0 * h) - loss_at(-2.0 * h))) / (12.0 * h);
            let expected = dot(gradient, &direction);
            let error = (slope - expected).abs();
            // What an arbitrary direction sees of a gradient is its norm over the root of its length.
            let scale = expected.abs().max(norm(gradient) / (gradient.len() as f64).sqrt());
            assert!(
                error <= 0.01 * scale + 3e-5,
                "{} on {on}: {expected:.6} along a direction, but the loss rises by {slope:.6}",
                tensor.name
            );
        }
    }
}

/// The CPU's fused operations differentiate by hand, burn's by themselves.
fn check(config: &ModelConfig) {
    for name in ["cpu", "ndarray"] {
        check_on(config, name);
    }
}

fn check_on(config: &ModelConfig, device_name: &str) {
    let model = model(config, &device(device_name).autodiff());
    let rows = batch(3, 7);
    let (gradients, loss_of_step) = gradients(&model, &rows, 1, 0.0);
    // Without a graph.
    let model = model.valid();
    let tensors = named_tensors(&model);
    assert!((loss(&model, &rows) - loss_of_step).abs() < 1e-5, "{loss_of_step}");
    let trained: Vec<&str> = gradients.keys().map(String::as_str).collect();
    let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(trained, names, "every tensor has a gradient");
    check_slopes(&model, &gradients, |model| loss(model, &rows), device_name);
}

#[test]
fn gradients_of_a_llama_agree_with_finite_differences() {
    check(&tiny(Preset::Llama));
}

#[test]
fn gradients_of_a_gpt2_with_its_tied_head_agree_with_finite_differences() {
    check(&tiny(Preset::Gpt2));
}

#[test]
fn gradients_of_grouped_normalized_queries_and_capped_logits_agree_with_finite_differences() {
    check(&ModelConfig {
        n_kv_heads: 2,
        qk_norm: true,
        logit_soft_cap: 1.5,
        mlp: MlpKind::Gelu,
        ..tiny(Preset::Llama)
    });
}

#[test]
fn gradients_of_the_remaining_options_agree_with_finite_differences() {
    check(&ModelConfig {
        // Layer norm over the two numbers of a narrower head is a step function: it has no slope to compare.
        n_heads: 2,
        n_kv_heads: 1,
        qk_norm: true,
        tied_head: true,
        mlp: MlpKind::Relu2,
        position: PositionKind::None,
        ..tiny(Preset::Gpt2)
    });
}

#[test]
fn a_tied_embedding_gets_the_gradient_of_both_its_uses() {
    let config = ModelConfig { tied_head: false, ..tiny(Preset::Gpt2) };
    let free = model(&config, &device("cpu").autodiff());
    let mut tensors = named_tensors(&free);
    let embedding = tensors[0].values.clone();
    tensors
        .iter_mut()
        .filter(|tensor| tensor.name == "head")
        .for_each(|head| head.values = embedding.clone());
    let free = with_tensors(free, tensors.clone()).expect("its own");
    tensors.retain(|tensor| tensor.name != "head");
    let tied = Decoder::new(&tiny(Preset::Gpt2), 0, &device("cpu").autodiff()).expect("a model");
    let tied = with_tensors(tied, tensors).expect("its own");
    let rows = batch(3, 7);
    let ((free, _), (tied, _)) = (gradients(&free, &rows, 1, 0.0), gradients(&tied, &rows, 1, 0.0));
    let both: Vec<f64> = free["token_embedding"].iter().zip(&free["head"]).map(|(a, b)| a + b).collect();
    let difference: Vec<f64> = both.iter().zip(&tied["token_embedding"]).map(|(a, b)| a - b).collect();
    assert!(norm(&difference) <= 1e-5 * norm(&both), "{:e}", norm(&difference));
    assert!(norm(&free["head"]) > 0.0 && norm(&free["token_embedding"]) > 0.0);
}

#[test]
fn a_step_has_the_same_gradient_whatever_it_is_cut_into() {
    for preset in [Preset::Llama, Preset::Gpt2] {
        let model = model(&tiny(preset), &device("cpu").autodiff());
        let rows = batch(8, 7);
        let (whole, whole_loss) = gradients(&model, &rows, 1, 0.3);
        // Three pieces are of unequal size.
        for pieces in [2, 3, 4, 8] {
            let (cut, loss) = gradients(&model, &rows, pieces, 0.3);
            assert!((loss / whole_loss - 1.0).abs() < 1e-6, "{pieces} pieces: {loss} and {whole_loss}");
            let total = whole.values().map(|x| norm(x).powi(2)).sum::<f64>().sqrt();
            for (name, gradient) in &whole {
                let difference: Vec<f64> = gradient.iter().zip(&cut[name]).map(|(a, b)| a - b).collect();
                // A gradient that is zero by symmetry (a bias on keys) has nothing to be relative to.
                let allowed = 1e-5 * norm(gradient).max(1e-2 * total);
                assert!(norm(&difference) <= allowed, "{name}, {pieces} pieces: {:e}", norm(&difference));
            }
        }
    }
}

#[test]
fn dropout_changes_the_gradient_with_the_step_and_the_seed() {
    let model = model(&tiny(Preset::Llama), &device("cpu").autodiff());
    let rows = batch(2, 7);
    let loss = |dropout: f64, key: BatchKey| {
        gradients_of_step(&causal(dropout), &model, &rows, 1, key, &model.device(), &mut Alone).1[0].1
    };
    let dropped = loss(0.3, KEY);
    assert_eq!(dropped, loss(0.3, KEY), "the same key, the same masks");
    assert_ne!(dropped, loss(0.3, BatchKey { step: 5, ..KEY }));
    assert_ne!(dropped, loss(0.3, BatchKey { seed: 4, ..KEY }));
    assert_ne!(dropped, loss(0.3, BatchKey { first_example: 2, ..KEY }));
    assert_ne!(dropped, loss(0.0, KEY));
}

/// The loss and all gradients as bits, with 0.3 dropout.
fn bits(model: &Decoder, pieces: usize) -> (u64, BTreeMap<String, Vec<u64>>) {
    let (gradients, loss) = gradients(model, &batch(4, 7), pieces, 0.3);
    let bits =
        gradients.into_iter().map(|(name, values)| (name, values.iter().map(|x| x.to_bits()).collect()));
    (loss.to_bits(), bits.collect())
}

#[test]
fn activation_checkpointing_changes_no_bit_of_the_loss_and_the_gradients() {
    let qk_norm = ModelConfig { n_kv_heads: 2, qk_norm: true, logit_soft_cap: 1.5, ..tiny(Preset::Llama) };
    for config in [tiny(Preset::Llama), tiny(Preset::Gpt2), qk_norm] {
        let plain = model(&config, &device("cpu").autodiff());
        for pieces in [1, 2, 3] {
            let expected = bits(&plain, pieces);
            let checkpointed = bits(&plain.clone().with_checkpointing(true), pieces);
            assert_eq!(expected, checkpointed, "{pieces} pieces");
        }
    }
}

#[test]
fn activation_checkpointing_trains_the_same_model_and_elsewhere_does_nothing() {
    for name in ["cpu", "ndarray"] {
        let device = device(name).autodiff();
        let weights = |checkpointing: bool| {
            let model = model(&tiny(Preset::Gpt2), &device).with_checkpointing(checkpointing);
            let training = firebrand_training::TrainingConfig {
                batch_size: 4,
                grad_accum_steps: 2,
                seq_len: 8,
                ..Default::default()
            };
            let mut trainer = crate::trainer(
                model,
                0.1,
                training,
                Default::default(),
                &device,
                std::path::Path::new("unused"),
            );
            for _ in 0..3 {
                trainer.step(&batch(4, 9)).expect("it stays finite");
            }
            named_tensors(trainer.model())
        };
        assert!(weights(false) == weights(true), "{name}");
    }
}
