//! Whole steps: models learn, updates are what the papers say, and a run that diverges is stopped.

use crate::{VOCAB_SIZE, batch, causal, device, model, noise, tiny, trainer};
use firebrand_corpus::batches::TokenBatch;
use firebrand_training::{
    Alone, BatchKey, OptimizerConfig, OptimizerKind, TrainingConfig, gradients_of_step,
};
use firebrand_transformer::{Decoder, Model, ModelConfig, Preset, named_tensors};
use std::collections::BTreeMap;
use std::path::Path;

fn one_piece(steps: u64) -> TrainingConfig {
    TrainingConfig { steps, batch_size: 4, seq_len: 8, ..TrainingConfig::default() }
}

/// Four rows that begin differently, so that every token follows from those before it. None begins with the same token
/// twice: attention over equal tokens cannot count them, whatever their rotation.
fn learnable() -> TokenBatch {
    let rows = [
        [0, 4, 8, 1, 5, 9, 2, 6, 10],
        [1, 0, 2, 4, 3, 5, 7, 6, 8],
        [2, 9, 7, 5, 3, 1, 10, 8, 6],
        [3, 6, 6, 3, 9, 9, 0, 0, 1],
    ];
    TokenBatch { ids: rows.concat(), rows: 4, len: 9 }
}

/// The losses of `steps` steps on `rows`.
fn losses(model: Decoder, optimizer: OptimizerConfig, rows: &TokenBatch, steps: u64) -> Vec<f64> {
    let device = model.device();
    let mut trainer = trainer(model, 0.0, one_piece(steps), optimizer, &device, Path::new("unused"));
    (0..steps).map(|_| trainer.step(rows).expect("it stays finite").loss).collect()
}

#[test]
fn a_tiny_batch_overfits_to_a_loss_below_a_hundredth() {
    for preset in [Preset::Llama, Preset::Gpt2] {
        let config = ModelConfig::preset(preset, VOCAB_SIZE, 32, 2, 4, 8);
        let model = Decoder::new(&config, 1, &device("cpu").autodiff()).expect("a model");
        let optimizer = OptimizerConfig { lr: 1e-2, weight_decay: 0.0, ..OptimizerConfig::default() };
        let losses = losses(model, optimizer, &learnable(), 150);
        let (first, last) = (losses[0], losses[149]);
        assert!(
            (first - (VOCAB_SIZE as f64).ln()).abs() < 0.1,
            "an untrained {} knows nothing: {first}",
            preset.name()
        );
        assert!(last < 0.01, "{}: {last}", preset.name());
    }
}

#[test]
fn muon_learns() {
    let config = ModelConfig::preset(Preset::Llama, VOCAB_SIZE, 32, 2, 4, 8);
    let model = Decoder::new(&config, 1, &device("cpu").autodiff()).expect("a model");
    let optimizer = OptimizerConfig { kind: OptimizerKind::Muon, lr: 1e-2, ..OptimizerConfig::default() };
    let losses = losses(model, optimizer, &learnable(), 60);
    assert!(losses[59] < 0.3 * losses[0], "{} after {}", losses[59], losses[0]);
}

#[test]
fn a_run_that_diverges_is_stopped_with_the_step_and_the_model_unharmed() {
    let device = device("cpu").autodiff();
    let optimizer = OptimizerConfig { lr: 1e25, ..OptimizerConfig::default() };
    let mut trainer = trainer(
        model(&tiny(Preset::Llama), &device),
        0.0,
        one_piece(50),
        optimizer,
        &device,
        Path::new("unused"),
    );
    let rows = batch(4, 9);
    for step in 1..=50 {
        let before = (trainer.progress(), named_tensors(trainer.model()));
        match trainer.step(&rows) {
            Ok(report) => assert!(report.loss.is_finite() && report.grad_norm.is_finite()),
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains(&format!("at step {step} (lr 1.000e25)")), "{message}");
                assert!(message.contains("--set optimizer.lr="), "{message}");
                assert!(before == (trainer.progress(), named_tensors(trainer.model())), "it is as it was");
                return;
            }
        }
    }
    panic!("a learning rate of 1e25 must diverge within 50 steps");
}

/// AdamW as Loshchilov & Hutter write it, on one number, in f64.
#[derive(Clone, Copy, Default)]
struct Scalar {
    m: f64,
    v: f64,
}

impl Scalar {
    fn update(&mut self, value: f64, gradient: f64, t: i32, decay: f64, config: &OptimizerConfig) -> f64 {
        self.m = config.beta1 * self.m + (1.0 - config.beta1) * gradient;
        self.v = config.beta2 * self.v + (1.0 - config.beta2) * gradient * gradient;
        let m = self.m / (1.0 - config.beta1.powi(t));
        let v = self.v / (1.0 - config.beta2.powi(t));
        value - config.lr * (m / (v.sqrt() + config.eps) + decay * value)
    }
}

#[test]
fn updates_are_adamw_on_gradients_clipped_by_their_global_norm_with_decay_on_matrices_only() {
    let device = device("cpu").autodiff();
    let optimizer =
        OptimizerConfig { lr: 0.01, beta1: 0.8, beta2: 0.9, weight_decay: 0.5, ..OptimizerConfig::default() };
    let limit = 0.5;
    let training = TrainingConfig { grad_clip_norm: limit, ..one_piece(6) };
    let config = ModelConfig { bias: true, qk_norm: true, ..tiny(Preset::Gpt2) };
    let unused = Path::new("unused");
    let mut trainer = trainer(model(&config, &device), 0.0, training, optimizer.clone(), &device, unused);
    let mut moments: BTreeMap<String, Vec<Scalar>> = BTreeMap::new();
    let mut clipped = 0;
    for step in 0..6 {
        let rows = TokenBatch { ids: noise(4 * 9, step), rows: 4, len: 9 };
        let before = named_tensors(trainer.model());
        let key = BatchKey { seed: 3, step, first_example: 0, training: true };
        let (gradients, _) =
            gradients_of_step(&causal(0.0), trainer.model(), &rows, 1, key, &device, &mut Alone);
        let gradients: BTreeMap<String, Vec<f32>> = gradients
            .iter()
            .map(|(name, tensor)| (name.into(), tensor.clone().into_data().try_into_vec().expect("f32")))
            .collect();
        let squares: f64 = gradients.values().flatten().map(|&x| f64::from(x).powi(2)).sum();
        let norm = squares.sqrt();
        let scale = (limit / norm).min(1.0);
        clipped += u32::from(scale < 1.0);

        let report = trainer.step(&rows).expect("finite");
        assert!((report.grad_norm / norm - 1.0).abs() < 1e-5, "the norm before clipping is reported");
        for (old, new) in before.iter().zip(named_tensors(trainer.model())) {
            let decay = if old.shape.len() == 2 { optimizer.weight_decay } else { 0.0 };
            let state =
                moments.entry(old.name.clone()).or_insert_with(|| vec![Scalar::default(); old.values.len()]);
            for (i, state) in state.iter_mut().enumerate() {
                let (value, gradient) =
                    (f64::from(old.values[i]), f64::from(gradients[&old.name][i]) * scale);
                let expected = state.update(value, gradient, step as i32 + 1, decay, &optimizer);
                let error = (f64::from(new.values[i]) - expected).abs();
                assert!(
                    error < 1e-6,
                    "{}[{i}] at step {step}: {} and not {expected}",
                    old.name,
                    new.values[i]
                );
            }
        }
    }
    assert_eq!(clipped, 6, "the limit is low enough to be tested");
}

#[test]
fn a_gradient_below_the_limit_is_not_clipped() {
    let device = device("cpu").autodiff();
    let after_one_step = |limit: f64| {
        let training = TrainingConfig { grad_clip_norm: limit, ..one_piece(1) };
        let model = model(&tiny(Preset::Gpt2), &device);
        let mut trainer =
            trainer(model, 0.0, training, OptimizerConfig::default(), &device, Path::new("unused"));
        trainer.step(&batch(4, 9)).expect("finite");
        named_tensors(trainer.model())
    };
    assert_eq!(after_one_step(0.0), after_one_step(1e6));
}

#[test]
fn every_tensor_still_trains_after_many_steps() {
    let device = device("cpu").autodiff();
    let config = ModelConfig { qk_norm: true, bias: true, ..tiny(Preset::Llama) };
    let training = one_piece(10);
    let unused = Path::new("unused");
    let mut trainer =
        trainer(model(&config, &device), 0.0, training, OptimizerConfig::default(), &device, unused);
    let rows = batch(4, 9);
    for _ in 0..5 {
        let before = named_tensors(trainer.model());
        trainer.step(&rows).expect("finite");
        for (old, new) in before.iter().zip(named_tensors(trainer.model())) {
            assert_ne!(old.values, new.values, "{} no longer changes", old.name);
        }
    }
}
