//! Training with bf16 products beside training with f32 ones.

use crate::{batch, device, model, tiny, trainer};
use firebrand_backend::Precision;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{OptimizerConfig, TrainingConfig};
use firebrand_transformer::{NamedTensor, Preset, named_tensors};
use std::path::Path;

const STEPS: usize = 100;

/// The mean loss of all steps, and the weights after them.
fn train(preset: Preset, precision: Precision) -> (f64, Vec<NamedTensor>) {
    let device = device("cpu").autodiff();
    let training = TrainingConfig {
        steps: STEPS as u64,
        batch_size: 4,
        seq_len: 8,
        precision,
        ..TrainingConfig::default()
    };
    let model = model(&tiny(preset), &device);
    let mut trainer = trainer(model, 0.0, training, OptimizerConfig::default(), &device, Path::new("unused"));
    // The same few examples again and again, so that there is something to learn.
    let rows = batch(4, 9);
    let losses: Vec<f64> = (0..STEPS)
        .map(|_| {
            let rows = TokenBatch { ids: rows.ids.clone(), rows: 4, len: 9 };
            trainer.step(&rows).expect("it stays finite").loss
        })
        .collect();
    (losses.iter().sum::<f64>() / STEPS as f64, named_tensors(trainer.model()))
}

#[test]
fn bf16_products_learn_what_f32_ones_do_and_repeat_themselves() {
    if let Err(error) = Precision::Bf16.check(&device("cpu")) {
        eprintln!("skipped: {error}");
        return;
    }
    for preset in [Preset::Llama, Preset::Gpt2] {
        let (exact, exact_weights) = train(preset, Precision::F32);
        let (rounded, weights) = train(preset, Precision::Bf16);
        let (_, again) = train(preset, Precision::Bf16);
        // An operand is rounded by up to 0.4 %, to one side as often as to the other.
        assert!((rounded / exact - 1.0).abs() <= 1e-3, "{rounded} and {exact}");
        eprintln!("mean loss in bf16 {rounded}, in f32 {exact}");
        let values = |tensors: &[NamedTensor]| -> Vec<u32> {
            tensors.iter().flat_map(|tensor| tensor.values.iter().map(|x| x.to_bits())).collect()
        };
        assert!(values(&weights) == values(&again), "the same bits each time");
        assert!(values(&weights) != values(&exact_weights), "bf16 was in effect");
    }
}
