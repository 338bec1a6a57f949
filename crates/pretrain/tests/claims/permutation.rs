//! What XLNet's objective promises: any order, and predictions that see what is earlier in it, and never themselves.

use crate::statistics::check_frequencies;
use crate::{VOCAB_SIZE, batch, device, far_from_first, noise, tiny};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_corpus::batches::TokenBatch;
use firebrand_pretrain::{PermutationBatch, PermutationConfig, PermutationLm};
use firebrand_training::{BatchKey, Objective};
use firebrand_transformer::{FactorizationOrder, Model, ModelConfig, ModelKind, Permutation, Preset};

const KEY: BatchKey = BatchKey { seed: 3, step: 4, first_example: 0, training: true };

fn objective(predict: usize) -> PermutationLm {
    PermutationLm { predict, dropout: 0.0, end_of_text: Some(0) }
}

fn prepared(rows: &TokenBatch, key: BatchKey) -> PermutationBatch {
    objective(6).prepare(rows, key, &device("cpu"))
}

fn model(preset: Preset, device_name: &str) -> Permutation {
    let config = ModelConfig { kind: ModelKind::Permutation, ..tiny(preset) };
    far_from_first(Permutation::new(&config, 7, &device(device_name)).expect("the config is a model's"))
}

/// The logits of each token that `order` predicts.
fn logits(model: &Permutation, ids: &[u32], order: &FactorizationOrder) -> Vec<Vec<f32>> {
    let numbers: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(numbers, [1, ids.len()]), &model.device());
    let states = model.predictions(ids, std::slice::from_ref(order), None);
    let [_, count, d_model] = states.dims();
    let logits = model.decoder().logits(states.reshape([count, d_model]));
    let logits = logits.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    logits.chunks(VOCAB_SIZE).map(<[f32]>::to_vec).collect()
}

#[test]
fn a_prediction_is_influenced_by_exactly_what_is_earlier_in_the_order_and_never_by_itself() {
    for (preset, name) in [(Preset::Llama, "cpu"), (Preset::Gpt2, "cpu"), (Preset::Llama, "ndarray")] {
        let (model, ids) = (model(preset, name), noise(8, 4));
        for step in 0..4 {
            let mut order = prepared(&batch(1, 9), BatchKey { step, ..KEY }).orders()[0].clone();
            order.predicted = (0..8).filter(|&position| order.ranks[position] > 0).collect();
            let before = logits(&model, &ids, &order);
            for changed in 0..8 {
                let mut other = ids.clone();
                other[changed] = (other[changed] + 1) % VOCAB_SIZE as u32;
                let after = logits(&model, &other, &order);
                for (&position, (before, after)) in order.predicted.iter().zip(before.iter().zip(&after)) {
                    let sees = order.ranks[changed] < order.ranks[position];
                    assert_eq!(before != after, sees, "{order:?}: {changed} changed, {position} looked at");
                }
            }
        }
    }
}

#[test]
fn a_prediction_knows_where_it_stands() {
    for preset in [Preset::Llama, Preset::Gpt2] {
        let model = model(preset, "cpu");
        // Two tokens from the same two others.
        let order = FactorizationOrder { ranks: vec![0, 1, 2, 2], predicted: vec![2, 3] };
        let logits = logits(&model, &[3, 5, 1, 2], &order);
        assert_ne!(logits[0], logits[1]);
    }
}

#[test]
fn what_is_predicted_together_is_predicted_as_if_alone() {
    let model = model(Preset::Llama, "cpu");
    let order = FactorizationOrder { ranks: vec![3, 0, 2, 4, 1], predicted: vec![0, 2, 3] };
    let ids = [4, 8, 1, 6, 2];
    let together = logits(&model, &ids, &order);
    for (place, &position) in order.predicted.iter().enumerate() {
        let alone = FactorizationOrder { predicted: vec![position], ..order.clone() };
        let alone = logits(&model, &ids, &alone).remove(0);
        let difference = alone.iter().zip(&together[place]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "{position}: {difference}");
    }
}

#[test]
fn from_left_to_right_the_probabilities_of_all_texts_sum_to_one() {
    let model = model(Preset::Llama, "cpu");
    let order = FactorizationOrder::left_to_right(3);
    let mut sum = 0.0;
    for (b, c) in (0..VOCAB_SIZE).flat_map(|b| (0..VOCAB_SIZE).map(move |c| (b, c))) {
        let logits = logits(&model, &[4, b as u32, c as u32], &order);
        let p = |logits: &[f32], id: usize| {
            let exp = |logit: f32| f64::from(logit).exp();
            exp(logits[id]) / logits.iter().map(|&logit| exp(logit)).sum::<f64>()
        };
        sum += p(&logits[0], b) * p(&logits[1], c);
    }
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}

#[test]
fn the_last_sixth_of_an_order_is_predicted() {
    for (seq, predict, expected) in
        [(6, 6, 1), (12, 6, 2), (13, 6, 2), (2, 6, 1), (9, 6, 2), (15, 6, 2), (2, 2, 1), (3, 2, 2)]
    {
        let rows = batch(4, seq + 1);
        let prepared = objective(predict).prepare(&rows, KEY, &device("cpu"));
        for order in prepared.orders() {
            let mut ranks = order.ranks.clone();
            ranks.sort_unstable();
            assert_eq!(ranks, (0..seq).collect::<Vec<_>>(), "each position once");
            let predicted: Vec<usize> =
                order.predicted.iter().map(|&position| order.ranks[position]).collect();
            assert_eq!(
                predicted,
                (seq - expected..seq).collect::<Vec<_>>(),
                "{seq} tokens, one in {predict}"
            );
        }
        assert_eq!(objective(predict).counts(&prepared), [4 * expected as u64]);
    }
    for (config, seq_len) in [(PermutationConfig { predict: 1 }, 8), (PermutationConfig::default(), 1)] {
        assert!(config.validate(seq_len).is_err());
    }
}

#[test]
fn all_orders_are_as_likely_and_belong_to_the_example() {
    let mut counts = [0; 24];
    for step in 0..400 {
        for order in prepared(&batch(6, 5), BatchKey { step, ..KEY }).orders() {
            // The number of the order: how many of the later ranks are lower, at each place.
            let lower = |i: usize| order.ranks[i + 1..].iter().filter(|&&rank| rank < order.ranks[i]).count();
            counts[lower(0) * 6 + lower(1) * 2 + lower(2)] += 1;
        }
    }
    check_frequencies(&counts, &[1.0 / 24.0; 24]);
    let all = batch(5, 9);
    let whole = prepared(&all, KEY);
    for row in 0..5 {
        let alone = TokenBatch { ids: all.row(row).to_vec(), rows: 1, len: 9 };
        let alone = prepared(&alone, BatchKey { first_example: row, ..KEY });
        assert_eq!(alone.orders(), &whole.orders()[row..=row]);
    }
    let evaluated = |step| prepared(&all, BatchKey { step, training: false, ..KEY }).orders().to_vec();
    assert_eq!(evaluated(0), evaluated(9), "evaluations compare");
    assert_ne!(prepared(&all, BatchKey { step: 9, ..KEY }).orders(), whole.orders());
}

#[test]
fn the_last_id_of_a_row_has_no_part_in_it() {
    let model = model(Preset::Llama, "cpu");
    let rows = batch(1, 9);
    let loss = |rows: &TokenBatch| {
        objective(6).loss(&model, prepared(rows, KEY)).remove(0).nats.into_scalar::<f32>()
    };
    let mut other = rows.clone();
    other.ids[8] = (other.ids[8] + 1) % VOCAB_SIZE as u32;
    assert_eq!(loss(&rows), loss(&other));
    assert_eq!(objective(6).text_nats(&[("loss", 1.0, 1)]), None);
}
