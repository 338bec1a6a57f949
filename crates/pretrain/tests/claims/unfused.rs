//! Training by fused operations against training by burn's primitives, which the device `ndarray` computes with.

use crate::{batch, causal, device, model, tiny, trainer};
use burn::tensor::{Device, Tensor};
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{Alone, BatchKey, OptimizerConfig, TrainingConfig, gradients_of_step};
use firebrand_transformer::{
    Decoder, MlpKind, Model, ModelConfig, NamedTensor, Preset, named_tensors, with_tensors,
};
use std::path::Path;

const STEPS: usize = 200;

/// Losses of all steps, each on another batch, and the weights after them.
fn train(config: &ModelConfig, device: &Device) -> (Vec<f64>, Vec<NamedTensor>) {
    let device = device.clone().autodiff();
    let training =
        TrainingConfig { steps: STEPS as u64, batch_size: 4, seq_len: 8, ..TrainingConfig::default() };
    let model = model(config, &device);
    let mut trainer = trainer(model, 0.1, training, OptimizerConfig::default(), &device, Path::new("unused"));
    let all = batch(4 * STEPS, 9);
    let losses = all.ids.chunks(4 * 9).map(|ids| {
        let rows = TokenBatch { ids: ids.to_vec(), rows: 4, len: 9 };
        trainer.step(&rows).expect("it stays finite").loss
    });
    (losses.collect(), named_tensors(trainer.model()))
}

/// The gradients at these weights, by name.
fn gradients(config: &ModelConfig, weights: &[NamedTensor], device: &Device) -> Vec<(String, Vec<f32>)> {
    let device = device.clone().autodiff();
    let model = Decoder::new(config, 0, &device).expect("the config is a model's");
    let model = with_tensors(model, weights.to_vec()).expect("they are its own");
    let key = BatchKey { seed: 3, step: 4, first_example: 0, training: true };
    let (gradients, _) = gradients_of_step(&causal(0.1), &model, &batch(4, 9), 1, key, &device, &mut Alone);
    let on_host = |tensor: &Tensor<1>| tensor.clone().into_data().try_into_vec::<f32>().expect("f32");
    gradients.iter().map(|(name, tensor)| (name.to_string(), on_host(tensor))).collect()
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn two_hundred_steps_by_fused_operations_are_those_by_primitives() {
    let grouped = ModelConfig { n_kv_heads: 2, qk_norm: true, logit_soft_cap: 3.0, ..tiny(Preset::Llama) };
    let relu2 = ModelConfig { mlp: MlpKind::Relu2, ..tiny(Preset::Gpt2) };
    for config in [tiny(Preset::Llama), tiny(Preset::Gpt2), grouped, relu2] {
        let (cpu, ndarray) = (device("cpu"), device("ndarray"));
        let ((fused, weights), (primitive, _)) = (train(&config, &cpu), train(&config, &ndarray));
        for (step, (fused, primitive)) in fused.iter().zip(&primitive).enumerate() {
            assert!((fused / primitive - 1.0).abs() <= 1e-3, "step {}: {fused}, {primitive}", step + 1);
        }
        let start = named_tensors(&model(&config, &cpu));
        for weights in [start, weights] {
            let (fused, primitive) =
                (gradients(&config, &weights, &cpu), gradients(&config, &weights, &ndarray));
            let total = primitive.iter().map(|(_, values)| norm(values.iter().copied()).powi(2)).sum::<f64>();
            for ((name, fused), (_, primitive)) in fused.iter().zip(&primitive) {
                let difference = norm(fused.iter().zip(primitive).map(|(a, b)| a - b));
                // A gradient that is zero by symmetry (a bias on keys) has nothing to be relative to.
                let scale = norm(primitive.iter().copied()).max(1e-2 * total.sqrt());
                assert!(difference <= 1e-4 * scale, "{name}: {difference:e} of {scale:e}");
            }
        }
    }
}
