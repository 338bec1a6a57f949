//! The decoder on slices computes what the one on tensors computes, whatever is done to its cache.

use crate::{SEQ_LEN, VOCAB_SIZE, configs, device, difference, elmo, elmos, ids, model, uncached};
use firebrand_transformer::{
    CpuCache, CpuDecoder, Decoder, Model, ModelConfig, Preset, Wanted, WeightFormat,
};

/// How far the order of a sum may move a logit of about 1.
const ROUNDING: f32 = 1e-5;

/// Every config's decoder on tensors, and the same on slices.
fn pairs() -> impl Iterator<Item = (&'static str, Decoder, CpuDecoder)> {
    let decoders = configs().into_iter().map(|(name, config)| (name, model(&config, &device("cpu"))));
    decoders.chain(halves()).map(|(name, decoder)| {
        let on_slices = CpuDecoder::new(&decoder, WeightFormat::F32).expect("it is on the CPU");
        (name, decoder, on_slices)
    })
}

/// The halves of models with LSTM layers.
fn halves() -> impl Iterator<Item = (&'static str, Decoder)> {
    elmos().into_iter().flat_map(|(name, config)| {
        let model = elmo(&config, &device("cpu"));
        [(name, model.forward()), (name, model.backward())]
    })
}

fn feed(model: &CpuDecoder, cache: &mut CpuCache, rows: &[&[u32]]) -> Vec<Vec<Vec<f32>>> {
    let logits = model.step(cache, rows, Wanted::All);
    let mut logits = logits.chunks(VOCAB_SIZE).map(<[f32]>::to_vec);
    rows.iter().map(|row| logits.by_ref().take(row.len()).collect()).collect()
}

#[track_caller]
fn check(actual: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    let difference = difference(actual, expected);
    assert!(difference <= ROUNDING, "{what}: logits differ by {difference:e}");
}

#[test]
fn logits_equal_those_of_tensors_however_ids_are_fed() {
    for (name, decoder, model) in pairs() {
        let ids = ids(1, SEQ_LEN);
        let expected = uncached(&decoder, &ids);
        for chunk in [1, 2, 5, SEQ_LEN] {
            let mut cache = model.start(1);
            let logits: Vec<Vec<f32>> =
                ids.chunks(chunk).flat_map(|ids| feed(&model, &mut cache, &[ids]).remove(0)).collect();
            assert_eq!(cache.len(0), SEQ_LEN);
            check(&logits, &expected, &format!("{name}, {chunk} at once"));
        }
        let last = model.step(&mut model.start(3), &[&ids, &[], &ids[..4]], Wanted::Last);
        let rows: Vec<Vec<f32>> = last.chunks(VOCAB_SIZE).map(<[f32]>::to_vec).collect();
        check(&rows, &[expected[SEQ_LEN - 1].clone(), expected[3].clone()], name);
    }
}

#[test]
fn a_batch_of_rows_of_different_lengths_equals_single_rows() {
    for (name, decoder, model) in pairs() {
        let steps = [[5, 2, 0, SEQ_LEN - 2], [1, 1, 3, 1], [2, 4, 1, 1], [1, 0, 2, 0], [3, 5, 6, 0]];
        let rows: Vec<Vec<u32>> = (0..4).map(|row| ids(row, SEQ_LEN)).collect();
        let (mut cache, mut fed, mut logits) = (model.start(4), [0; 4], vec![Vec::new(); 4]);
        for step in steps {
            let new: Vec<&[u32]> = (0..4).map(|row| &rows[row][fed[row]..fed[row] + step[row]]).collect();
            for (row, new) in feed(&model, &mut cache, &new).into_iter().enumerate() {
                logits[row].extend(new);
                fed[row] += step[row];
            }
        }
        for row in 0..4 {
            assert_eq!(cache.len(row), SEQ_LEN, "every row is full in the end");
            check(&logits[row], &uncached(&decoder, &rows[row]), &format!("{name}, row {row}"));
        }
    }
}

#[test]
fn a_row_that_was_cut_back_is_as_if_never_fed_more() {
    for (name, _, model) in pairs() {
        let (a, b) = (ids(0, 8), ids(1, 3));
        let mut cache = model.start(2);
        feed(&model, &mut cache, &[&a, &b]);
        cache.truncate(0, 3);
        cache.truncate(1, 0);
        assert_eq!((cache.len(0), cache.len(1), cache.is_empty(1)), (3, 0, true));
        let mut never = model.start(2);
        feed(&model, &mut never, &[&a[..3], &[]]);
        let next: [&[u32]; 2] = [&[4, 5], &[6]];
        // To the last bit, where what came before was computed alike.
        let [cut, never] = [&mut cache, &mut never].map(|cache| feed(&model, cache, &next).concat());
        check(&cut, &never, name);
    }
}

#[test]
fn forks_and_reordered_rows_keep_what_they_were_fed() {
    for (name, decoder, model) in pairs() {
        let prompts = [ids(0, 4), ids(1, 2), ids(2, 3)];
        let mut cache = model.start(3);
        feed(&model, &mut cache, &[&prompts[0], &prompts[1], &prompts[2]]);
        let mut fork = cache.fork(&[2, 0, 0]);
        cache.reorder(&[2, 0, 0]);
        for cache in [&mut fork, &mut cache] {
            let logits = feed(&model, cache, &[&[1], &[5, 6], &[7]]);
            for (row, (prompt, new)) in [(2, vec![1]), (0, vec![5, 6]), (0, vec![7])].into_iter().enumerate()
            {
                let whole = [prompts[prompt].as_slice(), &new].concat();
                let expected = &uncached(&decoder, &whole)[prompts[prompt].len()..];
                check(&logits[row], expected, &format!("{name}, row {row}"));
            }
        }
    }
}

#[test]
fn long_prompts_in_parts_equal_single_tokens_for_every_format() {
    let config =
        ModelConfig { n_kv_heads: 2, ..ModelConfig::preset(Preset::Llama, VOCAB_SIZE, 48, 2, 4, 700) };
    let decoder = model(&config, &device("cpu"));
    let ids = ids(1, 600);
    let expected = uncached(&decoder, &ids);
    for format in WeightFormat::ALL {
        let model = CpuDecoder::new(&decoder, format).expect("it is on the CPU");
        let at_once = feed(&model, &mut model.start(1), &[&ids]).remove(0);
        let mut cache = model.start(1);
        let singly: Vec<Vec<f32>> =
            ids.iter().flat_map(|&id| feed(&model, &mut cache, &[&[id]]).remove(0)).collect();
        let difference_of_ways = difference(&at_once, &singly);
        assert!(difference_of_ways <= 1e-4, "{format:?}: {difference_of_ways:e}");
        let rounding = difference(&at_once, &expected);
        let (least, most) = match format {
            WeightFormat::F32 => (0.0, 1e-4),
            // These weights are far larger than trained ones, and so are their errors.
            _ => (1e-4, 1.0),
        };
        assert!((least..=most).contains(&rounding), "{format:?}: {rounding:e}");
    }
}

#[test]
fn long_prompts_give_the_same_bits_alone_and_in_a_batch() {
    let config = ModelConfig::preset(Preset::Llama, VOCAB_SIZE, 48, 2, 4, 1300);
    let model =
        CpuDecoder::new(&model(&config, &device("cpu")), WeightFormat::F32).expect("it is on the CPU");
    // Together more than goes through the layers at once; a row of one token; rows whose last part is one token, or whole.
    let rows: Vec<Vec<u32>> =
        [500, 100, 1, 513, 512, 40, 1200].iter().zip(0..).map(|(&len, row)| ids(row, len)).collect();
    let fed: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let together = feed(&model, &mut model.start(rows.len()), &fed);
    for (row, together) in fed.iter().zip(together) {
        let alone = feed(&model, &mut model.start(1), &[row]).remove(0);
        let bits = |logits: &[Vec<f32>]| logits.concat().into_iter().map(f32::to_bits).collect::<Vec<u32>>();
        let other = bits(&alone).iter().zip(bits(&together)).filter(|&(&a, b)| a != b).count();
        assert_eq!(other, 0, "a row of {} tokens differs in {other} logits", row.len());
    }
}

/// Tensors take all tokens through a layer before the next one, slices as they are fed: the kernel of a step is the same, and so
/// are its sums.
#[test]
fn lstm_layers_have_the_bits_of_those_on_tensors() {
    for (name, decoder) in halves() {
        let model = CpuDecoder::new(&decoder, WeightFormat::F32).expect("it is on the CPU");
        let ids = ids(4, SEQ_LEN);
        let expected = uncached(&decoder, &ids);
        let mut cache = model.start(1);
        let mut fed: Vec<Vec<f32>> = feed(&model, &mut cache, &[&ids[..5]]).remove(0);
        fed.extend(ids[5..].iter().flat_map(|&id| feed(&model, &mut cache, &[&[id]]).remove(0)));
        assert!(fed == expected, "{name}: logits differ by {:e}", difference(&fed, &expected));
    }
}

#[test]
fn narrow_formats_take_less_memory() {
    let decoders = configs().into_iter().map(|(name, config)| (name, model(&config, &device("cpu"))));
    for (name, decoder) in decoders.chain(halves()) {
        let config = decoder.config();
        let [f32, bf16, int8] =
            WeightFormat::ALL.map(|format| CpuDecoder::new(&decoder, format).expect("it is on the CPU"));
        assert!(f32.weight_bytes() >= 4 * config.n_params(), "{name}: {}", config.n_params());
        // Padding to whole panels outweighs the rest in models as small as these.
        assert!(bf16.matrix_bytes() > int8.matrix_bytes(), "{name}");
    }
}

#[test]
fn a_decoder_elsewhere_is_refused() {
    let (_, config) = configs().remove(0);
    for device in [device("ndarray"), device("cpu").autodiff()] {
        let error =
            CpuDecoder::new(&model(&config, &device), WeightFormat::Int8).expect_err("not on the CPU");
        assert!(error.to_string().contains("--device cpu"), "{error}");
    }
}

#[test]
fn lower_layers_are_a_model_that_leaves_early() {
    for (name, mut decoder, model) in pairs() {
        assert!(decoder.config().n_layers > 1, "{name}");
        let ids = ids(3, 9);
        let lower = model.lower_layers(1);
        assert_eq!(lower.config().n_layers, 1);
        decoder = decoder.lower_layers(1);
        check(&feed(&lower, &mut lower.start(1), &[&ids])[0], &uncached(&decoder, &ids), name);
        let all = model.lower_layers(99);
        check(
            &feed(&all, &mut all.start(1), &[&ids])[0],
            &feed(&model, &mut model.start(1), &[&ids])[0],
            name,
        );
    }
}

/// So speculation keeps exactly what decoding a token at a time would give, whatever is near to what.
#[test]
fn the_bits_of_a_token_do_not_depend_on_what_is_fed_with_it() {
    for (name, _, model) in pairs() {
        let (all, others) = (ids(5, SEQ_LEN), ids(6, SEQ_LEN));
        let (prompt, rest) = all.split_at(3);
        let one_at_a_time = {
            let mut cache = model.start(1);
            model.step(&mut cache, &[prompt], Wanted::Last);
            rest.iter().flat_map(|id| model.step(&mut cache, &[&[*id]], Wanted::All)).collect::<Vec<f32>>()
        };
        for chunk in [2, 3, 8, 15] {
            let mut cache = model.start(1);
            model.step(&mut cache, &[prompt], Wanted::Last);
            let chunks = rest.chunks(chunk);
            let together: Vec<f32> =
                chunks.flat_map(|ids| model.step(&mut cache, &[ids], Wanted::All)).collect();
            assert!(together == one_at_a_time, "{name}, {chunk} at once");
            // And in a batch of which the other rows are something else.
            let mut cache = model.start(20);
            let mut rows = vec![&others[..2]; 20];
            rows[7] = prompt;
            model.step(&mut cache, &rows, Wanted::Last);
            let mut in_a_batch = Vec::new();
            for ids in rest.chunks(chunk) {
                let mut rows: Vec<&[u32]> = (0..20).map(|row| &others[..row % 2]).collect();
                rows[7] = ids;
                let logits = feed(&model, &mut cache, &rows).remove(7);
                in_a_batch.extend(logits.concat());
                (0..20).filter(|row| *row != 7).for_each(|row| cache.truncate(row, 2));
            }
            assert!(in_a_batch == one_at_a_time, "{name}, {chunk} at once in a batch");
        }
    }
}
