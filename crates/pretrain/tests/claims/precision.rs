//! Training with bf16 products beside training with f32 ones.

use crate::{batch, device, model, tiny, trainer};
use firebrand_backend::Precision;
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{OptimizerConfig, TrainingConfig};
use firebrand_transformer::{NamedTensor, Preset, named_tensors};
use std::path::Path;

const STEPS: usize = 200;

/// The first loss, the mean loss of the last ten steps, and the weights after them.
fn train(preset: Preset, precision: Precision) -> ([f64; 2], Vec<NamedTensor>) {
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
    let last = losses[STEPS - 10..].iter().sum::<f64>() / 10.0;
    ([losses[0], last], named_tensors(trainer.model()))
}

#[test]
fn bf16_products_learn_what_f32_ones_do_and_repeat_themselves() {
    if let Err(error) = Precision::Bf16.check(&device("cpu")) {
        eprintln!("skipped: {error}");
        return;
    }
    for preset in [Preset::Llama, Preset::Gpt2] {
        let ([first, exact], exact_weights) = train(preset, Precision::F32);
        let ([_, rounded], weights) = train(preset, Precision::Bf16);
        let (_, again) = train(preset, Precision::Bf16);
        // A hundredth of what was learned.
        assert!((rounded - exact).abs() <= 0.01 * (first - exact), "{rounded} and {exact} from {first}");
        let values = |tensors: &[NamedTensor]| -> Vec<u32> {
            tensors.iter().flat_map(|tensor| tensor.values.iter().map(|x| x.to_bits())).collect()
        };
        assert!(values(&weights) == values(&again), "the same bits each time");
        assert!(values(&weights) != values(&exact_weights), "bf16 was in effect");
    }
}
