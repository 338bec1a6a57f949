//! The same model on every device.

use crate::{batch, device, model, tiny, trainer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{OptimizerConfig, TrainingConfig};
use firebrand_transformer::{ModelConfig, Preset};
use std::path::Path;

/// A GPU, or software that stands in for one; `None`, said aloud, where no adapter answers.
fn gpu() -> Option<Device> {
    match firebrand_backend::device::resolve(Some("wgpu")) {
        Ok((_, device)) => Some(device),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn logits(config: &ModelConfig, device: &Device) -> Vec<f32> {
    let model = model(config, device);
    let ids: Vec<i32> = batch(2, 8).ids.into_iter().map(|id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [2, 8]), device);
    let hidden = model.hidden(ids, &AttentionMask::Causal, None).reshape([16, config.d_model]);
    model.logits(hidden).into_data().convert::<f32>().try_into_vec().expect("f32")
}

fn check_logits(config: &ModelConfig, other: &Device) {
    let (expected, actual) = (logits(config, &device("cpu")), logits(config, other));
    let largest = expected.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let difference = expected.iter().zip(&actual).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(difference <= 1e-3 * largest, "logits of up to {largest} differ by {difference}");
}

/// The losses of 20 steps, each on another batch.
fn losses(config: &ModelConfig, dropout: f64, device: &Device) -> Vec<f64> {
    let device = device.clone().autodiff();
    let optimizer = OptimizerConfig { lr: 5e-3, ..OptimizerConfig::default() };
    let training = TrainingConfig { steps: 20, batch_size: 2, seq_len: 8, ..TrainingConfig::default() };
    let mut trainer =
        trainer(model(config, &device), dropout, training, optimizer, &device, Path::new("unused"));
    let all = batch(2 * 20, 9);
    let steps = all.ids.chunks(2 * 9).map(|ids| {
        let rows = TokenBatch { ids: ids.to_vec(), rows: 2, len: 9 };
        trainer.step(&rows).expect("finite").loss
    });
    steps.collect()
}

fn check_losses(config: &ModelConfig, dropout: f64, other: &Device) {
    let (expected, actual) = (losses(config, dropout, &device("cpu")), losses(config, dropout, other));
    for (step, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        assert!((actual / expected - 1.0).abs() <= 0.01, "step {}: {expected} and {actual}", step + 1);
    }
}

/// Grouped queries, normalized; a soft cap.
fn all_options() -> ModelConfig {
    ModelConfig { n_kv_heads: 2, qk_norm: true, logit_soft_cap: 3.0, ..tiny(Preset::Llama) }
}

#[test]
fn ndarray_computes_the_logits_of_the_cpu() {
    for config in [tiny(Preset::Llama), tiny(Preset::Gpt2), all_options()] {
        check_logits(&config, &device("ndarray"));
    }
}

#[test]
fn twenty_steps_on_ndarray_give_the_losses_of_the_cpu() {
    for config in [tiny(Preset::Llama), tiny(Preset::Gpt2), all_options()] {
        check_losses(&config, 0.1, &device("ndarray"));
    }
}

/// One test, so that the device is set up once, and one layer without dropout: every other kernel is another compilation.
#[test]
fn a_gpu_gives_the_logits_and_the_losses_of_the_cpu() {
    if let Some(gpu) = gpu() {
        let config = ModelConfig { n_layers: 1, ..tiny(Preset::Llama) };
        check_logits(&config, &gpu);
        check_losses(&config, 0.0, &gpu);
    }
}
