//! The forward pass: causality, and a cache that changes nothing.

use crate::{SEQ_LEN, VOCAB_SIZE, configs, device, difference, ids, logits_of, model, models, uncached};
use firebrand_transformer::{Cache, Decoder, Model};

/// How far the order of a sum may move a logit of about 1.
const ROUNDING: f32 = 1e-5;

/// Feeds each row its ids and returns, for each row, the logits of what was fed.
fn feed(model: &Decoder, cache: &mut Cache, rows: &[&[u32]]) -> Vec<Vec<Vec<f32>>> {
    let hidden = model.step(rows, cache);
    let [n_rows, longest, d_model] = hidden.dims();
    let logits = logits_of(model, hidden.reshape([n_rows * longest, d_model]));
    rows.iter().zip(logits.chunks(longest)).map(|(row, logits)| logits[..row.len()].to_vec()).collect()
}

/// Feeds one row and returns its logits.
fn feed_one(model: &Decoder, cache: &mut Cache, row: &[u32]) -> Vec<Vec<f32>> {
    feed(model, cache, &[row]).remove(0)
}

fn check(actual: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    let difference = difference(actual, expected);
    assert!(difference <= ROUNDING, "{what}: logits differ by {difference:e}");
}

#[test]
fn future_tokens_do_not_change_past_logits() {
    for (name, model) in models() {
        let before = ids(0, SEQ_LEN);
        let expected = uncached(&model, &before);
        for changed in 0..SEQ_LEN {
            let mut after = before.clone();
            after[changed] = (after[changed] + 5) % VOCAB_SIZE as u32;
            let logits = uncached(&model, &after);
            let past = difference(&logits[..changed], &expected[..changed]);
            assert!(past <= 1e-6, "{name}: token {changed} changed logits before it by {past:e}");
            let present = difference(&logits[changed..=changed], &expected[changed..=changed]);
            assert!(present > 1e-2, "{name}: token {changed} has no effect on its own logits");
            let next = difference(&logits[changed + 1..], &expected[changed + 1..]);
            assert!(changed + 1 == SEQ_LEN || next > 1e-4, "{name}: nothing looks back at token {changed}");
        }
    }
}

#[test]
fn the_order_of_tokens_matters() {
    for (name, model) in models() {
        // Without positions too: the second layer sees what the first made of each token's own past.
        let last = |ids: &[u32]| uncached(&model, ids).split_off(ids.len() - 1);
        let difference = difference(&last(&[3, 9, 4, 1]), &last(&[9, 3, 4, 1]));
        assert!(difference > 1e-4, "{name}: {difference:e}");
    }
}

#[test]
fn cached_logits_equal_uncached_ones() {
    for (name, model) in models() {
        let ids = ids(1, SEQ_LEN);
        let expected = uncached(&model, &ids);
        for chunk in [1, 2, 5, SEQ_LEN] {
            let mut cache = Cache::new(model.config().n_layers, 1);
            let logits: Vec<Vec<f32>> =
                ids.chunks(chunk).flat_map(|ids| feed_one(&model, &mut cache, ids)).collect();
            assert_eq!(cache.len(0), SEQ_LEN);
            check(&logits, &expected, &format!("{name}, {chunk} at once"));
        }
    }
}

#[test]
fn a_batch_of_rows_of_different_lengths_equals_single_rows() {
    for (name, model) in models() {
        // How many ids each row gets at each step; row 2 begins late, row 3 waits when it is full.
        let steps = [[5, 2, 0, SEQ_LEN - 2], [1, 1, 3, 1], [2, 4, 1, 1], [1, 0, 2, 0], [3, 5, 6, 0]];
        let rows: Vec<Vec<u32>> = (0..4).map(|row| ids(row, SEQ_LEN)).collect();
        let mut cache = Cache::new(model.config().n_layers, 4);
        let mut fed = [0; 4];
        let mut logits = vec![Vec::new(); 4];
        for step in steps {
            let new: Vec<&[u32]> = (0..4).map(|row| &rows[row][fed[row]..fed[row] + step[row]]).collect();
            for (row, new) in feed(&model, &mut cache, &new).into_iter().enumerate() {
                logits[row].extend(new);
                fed[row] += step[row];
            }
        }
        for row in 0..4 {
            assert_eq!(cache.len(row), SEQ_LEN, "every row is full in the end");
            check(&logits[row], &uncached(&model, &rows[row]), &format!("{name}, row {row}"));
        }
    }
}

#[test]
fn truncated_rows_go_on_as_if_never_fed_more() {
    for (name, model) in models() {
        let mut cache = Cache::new(model.config().n_layers, 3);
        let first: Vec<Vec<u32>> = (0..3).map(|row| ids(row, 8)).collect();
        feed(&model, &mut cache, &[&first[0], &first[1][..3], &first[2]]);
        feed(&model, &mut cache, &[&[], &first[1][3..5], &[]]);
        // A hole in the middle, one at the end, nothing left.
        let kept = [2, 4, 0];
        let mut now: Vec<Vec<u32>> = Vec::new();
        for (row, len) in kept.into_iter().enumerate() {
            cache.truncate(row, len);
            assert_eq!((cache.len(row), cache.is_empty(row)), (len, len == 0));
            now.push(first[row][..len].to_vec());
        }
        for (row, new) in [vec![4, 5, 6], vec![7], vec![8, 9]].into_iter().enumerate() {
            now[row].extend(new);
        }
        let new: Vec<&[u32]> = (0..3).map(|row| &now[row][kept[row]..]).collect();
        let logits = feed(&model, &mut cache, &new);
        for row in 0..3 {
            check(&logits[row], &uncached(&model, &now[row])[kept[row]..], &format!("{name}, row {row}"));
        }
    }
}

#[test]
fn reordered_rows_keep_what_they_were_fed() {
    for (name, model) in models() {
        let prompts = [ids(0, 4), ids(1, 2), ids(2, 3)];
        let mut cache = Cache::new(model.config().n_layers, 3);
        feed(&model, &mut cache, &[&prompts[0], &prompts[1], &prompts[2]]);
        // Row 0 twice, row 1 gone; then fewer rows.
        for order in [vec![2, 0, 0], vec![1, 0]] {
            cache.reorder(&order);
        }
        let logits = feed(&model, &mut cache, &[&[5, 6], &[1]]);
        for (row, (prompt, new)) in
            [(&prompts[0], vec![5, 6]), (&prompts[2], vec![1])].into_iter().enumerate()
        {
            let whole = [prompt.as_slice(), &new].concat();
            check(&logits[row], &uncached(&model, &whole)[prompt.len()..], &format!("{name}, row {row}"));
        }
    }
}

#[test]
fn nats_are_minus_the_log_softmax_of_the_logits() {
    use burn::tensor::{Int, Tensor, TensorData};
    for (name, model) in models() {
        let mut cache = Cache::new(model.config().n_layers, 1);
        let hidden = model.step(&[&ids(0, 6)], &mut cache).reshape([6, model.config().d_model]);
        let targets: Vec<i32> = vec![0, 16, 3, 3, 9, 1];
        let expected =
            logits_of(&model, hidden.clone()).into_iter().zip(&targets).map(|(logits, &target)| {
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                vec![(sum.ln() - f64::from(logits[target as usize])) as f32]
            });
        let expected: Vec<Vec<f32>> = expected.collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [6]), &model.device());
        let nats =
            model.nats(hidden, targets).into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
        check(&[nats], &[expected.concat()], &name);
    }
}

#[test]
fn soft_capped_logits_stay_below_the_cap() {
    let (_, mut config) = configs().remove(0);
    let plain = uncached(&model(&config, &device("cpu")), &ids(0, 6));
    config.logit_soft_cap = 0.5;
    let capped = uncached(&model(&config, &device("cpu")), &ids(0, 6));
    let expected: Vec<Vec<f32>> =
        plain.iter().map(|row| row.iter().map(|x| (x / 0.5).tanh() * 0.5).collect()).collect();
    check(&capped, &expected, "0.5 · tanh(logits / 0.5)");
    assert!(plain.iter().flatten().any(|x| x.abs() > 0.5), "the cap is needed here");
}
