//! What the prefix language model promises: who sees whom, and what is predicted.

use crate::statistics::check_frequencies;
use crate::{VOCAB_SIZE, batch, device, noise, tiny};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_backend::ops::AttentionMask;
use firebrand_corpus::batches::TokenBatch;
use firebrand_pretrain::{PrefixBatch, PrefixLm};
use firebrand_training::{BatchKey, Objective};
use firebrand_transformer::{Decoder, Model, ModelConfig, Preset};

const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: true };

fn objective() -> PrefixLm {
    PrefixLm { dropout: 0.0, end_of_text: Some(0) }
}

fn model(preset: Preset) -> Decoder {
    crate::model(&ModelConfig { prefix_attention: true, ..tiny(preset) }, &device("cpu"))
}

fn prepared(rows: &TokenBatch, key: BatchKey) -> PrefixBatch {
    objective().prepare(rows, key, &device("cpu"))
}

/// `−log P` of each id but the first of a row of which the first `prefix` see each other.
fn nats(model: &Decoder, ids: &[u32], prefix: usize) -> Vec<f32> {
    let seq = ids.len() - 1;
    let tensor = |ids: &[u32]| {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Tensor::<1, Int>::from_data(TensorData::new(ids, [seq]), &device("cpu"))
    };
    let mask = AttentionMask::Prefix(vec![prefix].into());
    let hidden = model.hidden(tensor(&ids[..seq]).reshape([1, seq]), &mask, None);
    let nats = model.nats(hidden.reshape([seq, model.config().d_model]), tensor(&ids[1..]));
    nats.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32")
}

#[test]
fn the_loss_is_that_of_what_comes_behind_the_prefix() {
    for preset in [Preset::Llama, Preset::Gpt2] {
        let (model, rows) = (model(preset), batch(5, 9));
        let batch = prepared(&rows, KEY);
        let prefixes = batch.prefixes().to_vec();
        let expected: f64 = prefixes
            .iter()
            .enumerate()
            .flat_map(|(row, &prefix)| nats(&model, rows.row(row), prefix)[prefix - 1..].to_vec())
            .map(f64::from)
            .sum();
        let count: usize = prefixes.iter().map(|prefix| 9 - prefix).sum();
        assert_eq!(objective().counts(&batch), [count as u64]);
        let loss = f64::from(objective().loss(&model, batch).remove(0).nats.into_scalar::<f32>());
        assert!((loss / expected - 1.0).abs() < 1e-5, "{loss} and {expected}");
        assert_eq!(objective().text_nats(&[("loss", loss, count as u64)]), None);
    }
}

/// What the model says at every position that it has read.
fn states(model: &Decoder, ids: &[u32], prefix: usize) -> Vec<Vec<f32>> {
    let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(numbers, [1, ids.len()]), &device("cpu"));
    let hidden = model.hidden(ids, &AttentionMask::Prefix(vec![prefix].into()), None);
    let values = hidden.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    values.chunks(model.config().d_model).map(<[f32]>::to_vec).collect()
}

#[test]
fn inside_the_prefix_everything_sees_everything_and_behind_it_only_what_is_before() {
    for preset in [Preset::Llama, Preset::Gpt2] {
        let (model, ids) = (model(preset), noise(8, 4));
        for prefix in 1..=8 {
            let before = states(&model, &ids, prefix);
            for changed in 0..8 {
                let mut other = ids.clone();
                other[changed] = (other[changed] + 1) % VOCAB_SIZE as u32;
                let after = states(&model, &other, prefix);
                for position in 0..8 {
                    let sees = changed <= position || (changed < prefix && position < prefix);
                    assert_eq!(
                        before[position] != after[position],
                        sees,
                        "prefix {prefix}: {changed} changed, {position} looked at"
                    );
                }
            }
        }
    }
}

#[test]
fn prefixes_are_as_likely_to_be_of_any_length_and_belong_to_the_example() {
    let mut counts = [0; 8];
    for step in 0..500 {
        for &prefix in prepared(&batch(8, 9), BatchKey { step, ..KEY }).prefixes() {
            counts[prefix - 1] += 1;
        }
    }
    check_frequencies(&counts, &[1.0 / 8.0; 8]);
    let all = batch(6, 9);
    let whole = prepared(&all, KEY);
    for row in 0..6 {
        let alone = TokenBatch { ids: all.row(row).to_vec(), rows: 1, len: 9 };
        let alone = prepared(&alone, BatchKey { first_example: row, ..KEY });
        assert_eq!(alone.prefixes(), [whole.prefixes()[row]]);
    }
    let evaluated = |step| prepared(&all, BatchKey { step, training: false, ..KEY }).prefixes().to_vec();
    assert_eq!(evaluated(0), evaluated(9), "evaluations compare");
    assert_ne!(prepared(&all, BatchKey { step: 9, ..KEY }).prefixes(), whole.prefixes());
}
