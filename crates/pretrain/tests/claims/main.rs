//! What training promises, on models small enough to train in a blink.

mod bidirectional;
mod devices;
mod distilling;
mod fill_in_the_middle;
mod gradients;
mod masked;
mod noising;
mod objectives;
mod optimizing;
mod permutation;
mod precision;
mod prefix;
mod replaced_token;
mod runs;
mod statistics;
mod unfused;

use burn::tensor::Device;
use firebrand_backend::device;
use firebrand_corpus::batches::{TokenBatch, WindowOrder};
use firebrand_corpus::shards::TokenSplit;
use firebrand_pretrain::Causal;
use firebrand_training::{
    Evaluation, Objective, OptimizerConfig, ScheduleConfig, ScheduleKind, Trainer, TrainingConfig,
    TrainingError, Windows, held_out_windows,
};
use firebrand_transformer::{
    Characters, Decoder, LayerKind, Model, ModelConfig, ModelKind, NamedTensor, PositionKind, Preset,
    Spellings, named_tensors, with_tensors,
};
use std::path::Path;

const VOCAB_SIZE: usize = 11;

fn device(name: &str) -> Device {
    device::resolve(Some(name)).expect("the cpu and ndarray are always there").1
}

/// Two layers of width 8.
fn tiny(preset: Preset) -> ModelConfig {
    ModelConfig { d_ff: 12, ..ModelConfig::preset(preset, VOCAB_SIZE, 8, 2, 4, 8) }
}

/// The same with the parts of ELMo: LSTM layers, and with `characters` embeddings computed from bytes.
fn elmo(characters: bool) -> ModelConfig {
    let bytes: Vec<Vec<u8>> = (0..VOCAB_SIZE).map(|id| b"abcabdcaab"[id..].to_vec()).collect();
    let sizes = Characters { d_byte: 3, filters: vec![[1, 4], [2, 5]], highway_layers: 2, max_bytes: 6 };
    ModelConfig {
        kind: ModelKind::Bidirectional,
        layers: LayerKind::Lstm,
        position: PositionKind::None,
        characters: characters.then_some(sizes),
        // The last token has none, as a special one.
        spellings: characters.then(|| Spellings::new(bytes.iter().map(Vec::as_slice))),
        ..tiny(Preset::Llama)
    }
}

/// A model far from its first weights.
fn model(config: &ModelConfig, device: &Device) -> Decoder {
    far_from_first(Decoder::new(config, 7, device).expect("the config is a model's"))
}

/// The same with larger weights, and no gain or bias at its neutral value.
fn far_from_first<M: Model>(model: M) -> M {
    // Those of LSTMs begin larger, and more would only hold their gates open or shut.
    let lstm = model.config().layers == LayerKind::Lstm;
    let tensors = named_tensors(&model).into_iter().map(|tensor| {
        let matrix = tensor.shape.len() == 2;
        let change = |(i, value): (usize, f32)| {
            if matrix {
                value * if lstm && tensor.name != "head" { 1.5 } else { 15.0 }
            } else {
                value + 0.3 * (i as f32 * 1.7 + tensor.name.len() as f32).sin()
            }
        };
        let values = tensor.values.iter().copied().enumerate().map(change).collect();
        NamedTensor { values, ..tensor }
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("they are its own")
}

/// Ids without a pattern that could be learned from a few.
fn noise(len: usize, salt: u64) -> Vec<u32> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % VOCAB_SIZE as u64) as u32
    };
    (0..len).map(|_| next()).collect()
}

/// `rows` windows of `len` ids.
fn batch(rows: usize, len: usize) -> TokenBatch {
    TokenBatch { ids: noise(rows * len, 5), rows, len }
}

fn causal(dropout: f64) -> Causal {
    Causal { dropout, end_of_text: Some(0) }
}

/// What a run trains on, in windows of 8.
fn windows<'a>(
    train: &'a TokenSplit,
    order: &'a WindowOrder,
    held_out: Option<&'a TokenSplit>,
) -> Windows<'a> {
    let held_out_bytes = held_out.map_or(0, |split| split.len() as u64);
    Windows { train, order, seq_len: 8, held_out, held_out_bytes }
}

/// The loss on the first `limit` tokens of `split` (0: on all), in windows of 8.
fn whole<O: Objective<Rows = TokenBatch>>(
    trainer: &Trainer<O>,
    split: &TokenSplit,
    limit: usize,
) -> Result<Evaluation, TrainingError> {
    trainer.evaluate(held_out_windows(split, 8, limit, trainer.rows_at_once()))
}

/// A constant learning rate, from the first step on.
fn constant() -> ScheduleConfig {
    ScheduleConfig { kind: ScheduleKind::Constant, warmup_steps: 0, ..ScheduleConfig::default() }
}

fn trainer(
    model: Decoder,
    dropout: f64,
    training: TrainingConfig,
    optimizer: OptimizerConfig,
    device: &Device,
    run_dir: &Path,
) -> Trainer<Causal> {
    trainer_by(causal(dropout), model, training, optimizer, device, run_dir)
}

fn trainer_by<O: Objective<Model = Decoder, Rows = TokenBatch>>(
    objective: O,
    model: Decoder,
    training: TrainingConfig,
    optimizer: OptimizerConfig,
    device: &Device,
    run_dir: &Path,
) -> Trainer<O> {
    Trainer::new(objective, model, training, optimizer, constant(), 3, device, run_dir)
        .expect("the configs make sense")
}
