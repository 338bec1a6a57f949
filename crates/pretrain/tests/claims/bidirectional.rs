//! What ELMo's objective promises: two losses that know nothing of each other.

use crate::{batch, constant, device, elmo, far_from_first, noise, tiny};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_pretrain::BidirectionalLm;
use firebrand_training::{BatchKey, Objective, OptimizerConfig, Trainer, TrainingConfig};
use firebrand_transformer::{Bidirectional, Decoder, Model, ModelConfig, ModelKind, Preset, Spellings};
use std::path::Path;

const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: false };

fn configs() -> [ModelConfig; 4] {
    let transformer = |preset| ModelConfig { kind: ModelKind::Bidirectional, ..tiny(preset) };
    [transformer(Preset::Llama), transformer(Preset::Gpt2), elmo(false), elmo(true)]
}

fn model(config: &ModelConfig) -> Bidirectional {
    far_from_first(Bidirectional::new(config, 7, &device("cpu")).expect("the config is a model's"))
}

/// The loss in nats of each direction.
fn losses(model: &Bidirectional, rows: &TokenBatch) -> [f64; 2] {
    let objective = BidirectionalLm { dropout: 0.0, end_of_text: None };
    let batch = objective.prepare(rows, KEY, &device("cpu"));
    let counts = objective.counts(&batch);
    let terms = objective.loss(model, batch);
    assert_eq!(
        terms.iter().map(|term| (term.name, term.weight)).collect::<Vec<_>>(),
        [("forward", 0.5), ("backward", 0.5)]
    );
    let losses = terms.into_iter().zip(counts);
    let losses: Vec<f64> =
        losses.map(|(term, count)| f64::from(term.nats.into_scalar::<f32>()) / count as f64).collect();
    losses.try_into().expect("two terms")
}

/// `−log P` of each id but the first, given those before it.
fn nats(decoder: &Decoder, ids: &[u32]) -> Vec<f64> {
    let seq = ids.len() - 1;
    let tensor = |ids: &[u32]| {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Tensor::<1, Int>::from_data(TensorData::new(ids, [seq]), &device("cpu"))
    };
    let hidden = decoder.hidden(tensor(&ids[..seq]).reshape([1, seq]), &AttentionMask::Causal, None);
    let nats = decoder.nats(hidden.reshape([seq, decoder.config().d_model]), tensor(&ids[1..]));
    nats.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32").into_iter().map(f64::from).collect()
}

fn reversed(rows: &TokenBatch) -> TokenBatch {
    let ids = (0..rows.rows).flat_map(|row| rows.row(row).iter().rev().copied().collect::<Vec<u32>>());
    TokenBatch { ids: ids.collect(), ..*rows }
}

#[test]
fn each_loss_is_that_of_a_model_of_one_direction() {
    for config in configs() {
        let (model, rows) = (model(&config), batch(3, 9));
        let [forward, backward] = losses(&model, &rows);
        let mean = |decoder: &Decoder, rows: &TokenBatch| {
            (0..3).flat_map(|row| nats(decoder, rows.row(row))).sum::<f64>() / (3.0 * 8.0)
        };
        let expected = [mean(&model.forward(), &rows), mean(&model.backward(), &reversed(&rows))];
        assert!((forward - expected[0]).abs() < 1e-5 && (backward - expected[1]).abs() < 1e-5);
        assert!((forward - backward).abs() > 1e-3, "two directions, two losses");
    }
}

#[test]
fn reversing_texts_and_exchanging_the_stacks_swaps_the_losses() {
    for config in configs() {
        let (model, rows) = (model(&config), batch(3, 9));
        let [forward, backward] = losses(&model, &rows);
        assert_eq!(losses(&model.reversed(), &reversed(&rows)), [backward, forward]);
    }
}

/// Predictions of token `i`, forwards and backwards, where both exist.
fn predictions(model: &Bidirectional, ids: &[u32]) -> [Vec<f64>; 2] {
    let forward = nats(&model.forward(), ids);
    let from_end: Vec<u32> = ids.iter().rev().copied().collect();
    let mut backward = nats(&model.backward(), &from_end);
    backward.reverse();
    // Forwards the first, backwards the last is not predicted.
    [[vec![f64::NAN], forward].concat(), [backward, vec![f64::NAN]].concat()]
}

#[test]
fn each_direction_is_blind_to_the_other_side() {
    for config in configs() {
        let model = model(&config);
        let ids = noise(9, 4);
        let [forward, backward] = predictions(&model, &ids);
        for j in 0..ids.len() {
            let mut changed = ids.clone();
            changed[j] = (changed[j] + 1) % crate::VOCAB_SIZE as u32;
            let [other_forward, other_backward] = predictions(&model, &changed);
            for i in (0..ids.len()).filter(|&i| i != j) {
                let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
                assert_eq!(
                    same(forward[i], other_forward[i]),
                    i < j || i == 0,
                    "forwards, {j} changed, {i} looked at"
                );
                let last = ids.len() - 1;
                assert_eq!(
                    same(backward[i], other_backward[i]),
                    i > j || i == last,
                    "backwards, {j} changed, {i} looked at"
                );
            }
        }
    }
}

#[test]
fn states_of_a_layer_join_both_directions_and_layer_0_is_the_embedding_twice() {
    for config in configs() {
        let model = model(&config);
        let ids = noise(8, 4);
        let tensor = |ids: &[u32]| {
            let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
            Tensor::<2, Int>::from_data(TensorData::new(ids, [1, 8]), &device("cpu"))
        };
        let vectors = |states: &Tensor<3>| {
            states.clone().into_data().convert::<f32>().try_into_vec::<f32>().expect("f32")
        };
        let d = config.d_model;
        let states: Vec<Vec<f32>> = model.layer_states(tensor(&ids)).iter().map(vectors).collect();
        assert_eq!(states.len(), config.n_layers + 1);
        assert!(states[0].chunks(2 * d).all(|both| both[..d] == both[d..]));
        let from_end: Vec<u32> = ids.iter().rev().copied().collect();
        let forward = vectors(&model.forward().hidden(tensor(&ids), &AttentionMask::Causal, None));
        let backward = vectors(&model.backward().hidden(tensor(&from_end), &AttentionMask::Causal, None));
        for (position, both) in states[config.n_layers].chunks(2 * d).enumerate() {
            assert_eq!(both[..d], forward[position * d..][..d]);
            assert_eq!(both[d..], backward[(7 - position) * d..][..d]);
        }
    }
}

#[test]
fn a_bidirectional_model_learns_to_beat_the_frequencies_of_tokens() {
    // A text in which each token says which one comes next and which came before.
    let rows = |step: u64| {
        let row = |row: u64| (0..9).map(move |i| ((step * 4 + row + i) * 3 % 7) as u32);
        TokenBatch { ids: (0..4).flat_map(row).collect(), rows: 4, len: 9 }
    };
    let unigram_entropy = 7f64.ln();
    for config in configs() {
        let device = device("cpu").autodiff();
        let training = TrainingConfig { steps: 200, batch_size: 4, seq_len: 8, ..TrainingConfig::default() };
        let optimizer = OptimizerConfig { lr: 1e-2, ..OptimizerConfig::default() };
        let model = Bidirectional::new(&config, 7, &device).expect("the config is a model's");
        let objective = BidirectionalLm { dropout: 0.0, end_of_text: None };
        let dir = Path::new("unused");
        let mut trainer =
            Trainer::new(objective, model, training, optimizer, constant(), 3, &device, dir).expect("a run");
        let loss =
            (0..200).map(|step| trainer.step(&rows(step)).expect("finite").loss).last().expect("a step");
        assert!(loss < 0.5 * unigram_entropy, "{:?}: {loss} of {unigram_entropy}", config.layers);
    }
}

#[test]
fn halves_for_some_ids_are_those_for_all() {
    let model = model(&elmo(true));
    let ids = noise(9, 4);
    let from_end: Vec<u32> = ids.iter().rev().copied().collect();
    let [forward, backward] = model.halves(&ids);
    let close = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close(nats(&forward, &ids), nats(&model.forward(), &ids)));
    assert!(close(nats(&backward, &from_end), nats(&model.backward(), &from_end)));
}

#[test]
fn tokens_of_the_same_bytes_have_the_same_embedding_and_special_ones_their_own() {
    let config = ModelConfig {
        spellings: Some(Spellings::new([
            b"cab".as_slice(),
            b"ab",
            b"cab",
            b"",
            b"",
            b"abcdefgh",
            b"abcdxyz",
            b"abcx",
            b"b",
            b"c",
            b"d",
        ])),
        ..elmo(true)
    };
    let model = model(&config);
    let ids = (0..config.vocab_size as i32).collect();
    let ids = TensorData::new::<i32, _>(ids, [1, config.vocab_size]);
    let states = model.layer_states(Tensor::<2, Int>::from_data(ids, &device("cpu"))).remove(0);
    let values = states.into_data().try_into_vec::<f32>().expect("f32");
    let rows: Vec<&[f32]> = values.chunks(2 * config.d_model).collect();
    assert_eq!(rows[0], rows[2]);
    // Of six places the first and the last are marks.
    assert_eq!(rows[5], rows[6]);
    for (a, b) in [(0, 1), (3, 4), (1, 3), (5, 7), (8, 9)] {
        assert_ne!(rows[a], rows[b], "tokens {a} and {b}");
    }
}
