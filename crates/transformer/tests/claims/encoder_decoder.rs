//! What an encoder–decoder promises: who sees what, with a cache and without, here and in transformers.

use crate::hugging_face::{copy, golden, python, set};
use crate::{VOCAB_SIZE, device, difference, far_from_first, ids};
use burn::tensor::{Int, Tensor, TensorData};
use firebrand_transformer::hugging_face::{Architecture, Conventions, load, save};
use firebrand_transformer::{
    EncoderDecoder, MlpKind, Model, ModelConfig, ModelKind, PositionKind, Preset, named_tensors,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Every option that such a model has, in company that differs.
fn configs() -> Vec<(&'static str, ModelConfig)> {
    let case = |name, preset, change: fn(&mut ModelConfig)| {
        let mut config = ModelConfig::preset(preset, VOCAB_SIZE, 16, 2, 4, 12);
        config.kind = ModelKind::EncoderDecoder;
        // Few, so that distances meet all of them.
        (config.relative_buckets, config.relative_max_distance) = (8, 9);
        change(&mut config);
        (name, config)
    };
    vec![
        case("t5", Preset::T5, |c| c.n_decoder_layers = Some(3)),
        case("t5 1.1", Preset::T5, |c| {
            (c.mlp, c.tied_head, c.scaled_head) = (MlpKind::Geglu, false, false);
        }),
        case("t5 1.1 with wide heads", Preset::T5, |c| {
            (c.mlp, c.tied_head, c.scaled_head, c.d_head) = (MlpKind::Geglu, false, false, Some(6));
        }),
        case("llama, grouped queries", Preset::Llama, |c| c.n_kv_heads = 2),
        case("llama, wide heads, grouped queries, biases", Preset::Llama, |c| {
            (c.d_head, c.n_kv_heads, c.bias) = (Some(6), 2, true);
        }),
        case("gpt2, fewer layers in the decoder", Preset::Gpt2, |c| c.n_decoder_layers = Some(1)),
        case("llama, relative bias, normalized queries, soft cap", Preset::Llama, |c| {
            (c.position, c.qk_norm, c.logit_soft_cap) = (PositionKind::RelativeBias, true, 2.0);
        }),
    ]
}

fn model(config: &ModelConfig, device_name: &str) -> EncoderDecoder {
    let model = EncoderDecoder::new(config, 7, &device(device_name)).expect("the config is a model's");
    far_from_first(model)
}

fn models() -> Vec<(String, EncoderDecoder)> {
    let on = |name: &'static str| {
        configs().into_iter().map(move |(case, config)| (format!("{case} on {name}"), model(&config, name)))
    };
    on("cpu").chain(on("ndarray")).collect()
}

/// `[rows, longest]`, with `pad` behind the shorter rows.
fn tensor(model: &EncoderDecoder, rows: &[Vec<u32>], pad: u32) -> Tensor<2, Int> {
    let seq = rows.iter().map(Vec::len).max().unwrap_or(0);
    let padded = |row: &Vec<u32>| -> Vec<i32> {
        (0..seq).map(|i| row.get(i).copied().unwrap_or(pad) as i32).collect()
    };
    let ids: Vec<i32> = rows.iter().flat_map(padded).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), seq]), &model.device())
}

/// The logits after each id of each row of `written`, for the texts `read`.
fn logits(model: &EncoderDecoder, read: &[Vec<u32>], written: &[Vec<u32>], pad: u32) -> Vec<Vec<Vec<f32>>> {
    let lens = |rows: &[Vec<u32>]| rows.iter().map(Vec::len).collect::<Vec<usize>>();
    let encoded = model.encode(tensor(model, read, pad), &lens(read), None);
    let hidden = model.hidden(&encoded, tensor(model, written, pad), &lens(written), None);
    let [rows, seq, d_model] = hidden.dims();
    let all = vectors(model, model.logits(hidden.reshape([rows * seq, d_model])));
    written.iter().zip(all.chunks(seq)).map(|(row, logits)| logits[..row.len()].to_vec()).collect()
}

fn vectors(model: &EncoderDecoder, logits: Tensor<2>) -> Vec<Vec<f32>> {
    let logits = logits.into_data().convert::<f32>().try_into_vec::<f32>().expect("f32");
    logits.chunks(model.config().vocab_size).map(<[f32]>::to_vec).collect()
}

fn one(model: &EncoderDecoder, read: &[u32], written: &[u32]) -> Vec<Vec<f32>> {
    logits(model, &[read.to_vec()], &[written.to_vec()], 0).remove(0)
}

#[test]
fn the_decoder_sees_what_it_has_written_and_all_that_the_encoder_reads() {
    for (name, model) in models() {
        let (read, written) = (ids(1, 9), ids(2, 7));
        let before = one(&model, &read, &written);
        for changed in 0..written.len() {
            let mut other = written.clone();
            other[changed] = (other[changed] + 1) % VOCAB_SIZE as u32;
            let after = one(&model, &read, &other);
            for i in 0..written.len() {
                assert_eq!(before[i] == after[i], i < changed, "{name}: {changed} changed, {i} looked at");
            }
        }
        for changed in 0..read.len() {
            let mut other = read.clone();
            other[changed] = (other[changed] + 1) % VOCAB_SIZE as u32;
            let after = one(&model, &other, &written);
            for i in 0..written.len() {
                assert_ne!(before[i], after[i], "{name}: {changed} of the text changed, {i} looked at");
            }
        }
    }
}

#[test]
fn padding_influences_nothing() {
    for (name, model) in models() {
        let read = [ids(0, 9), ids(1, 4), ids(2, 1)];
        let written = [ids(3, 2), ids(4, 7), ids(5, 5)];
        let together = logits(&model, &read, &written, 3);
        assert_eq!(together, logits(&model, &read, &written, 8), "{name}: other ids behind the rows");
        for ((read, written), together) in read.iter().zip(&written).zip(&together) {
            let difference = difference(&one(&model, read, written), together);
            assert!(difference <= 1e-5, "{name}: alone it differs by {difference:e}");
        }
    }
}

#[test]
fn a_cache_changes_no_logits_whatever_is_fed_at_once() {
    for (name, model) in models() {
        let read = ids(1, 9);
        let memory = model.remember(&read);
        let rows = [ids(2, 8), ids(3, 8), ids(4, 8)];
        // How many ids each row is given at a time.
        for feeds in [vec![[8, 8, 8]], vec![[3, 1, 2], [1, 4, 0], [4, 3, 6]], vec![[1, 1, 1]; 8]] {
            let mut cache = model.cache(3);
            let mut done = [0; 3];
            let mut found: [Vec<Vec<f32>>; 3] = Default::default();
            for feed in feeds {
                let ids: Vec<&[u32]> =
                    (0..3).map(|row| &rows[row][done[row]..done[row] + feed[row]]).collect();
                let hidden = model.step(&memory, &ids, &mut cache);
                let [n, longest, d_model] = hidden.dims();
                let all = vectors(&model, model.logits(hidden.reshape([n * longest, d_model])));
                for row in 0..3 {
                    found[row].extend(all[row * longest..][..feed[row]].to_vec());
                    done[row] += feed[row];
                }
            }
            for (row, found) in rows.iter().zip(&found) {
                let difference = difference(found, &one(&model, &read, row));
                assert!(difference <= 2e-5, "{name}: {difference:e}");
            }
        }
    }
}

#[test]
fn the_numbers_are_as_many_as_the_config_says() {
    for (name, config) in configs() {
        let tensors = named_tensors(&model(&config, "cpu"));
        let numbers: usize = tensors.iter().map(|tensor| tensor.values.len()).sum();
        assert_eq!(numbers, config.n_params(), "{name}");
        let matrices =
            tensors.iter().filter(|tensor| tensor.shape.len() == 2 && tensor.name.contains("layers."));
        let in_matrices: usize = matrices.map(|tensor| tensor.values.len()).sum();
        assert_eq!(in_matrices, config.layer_matrix_numbers(), "{name}");
    }
}

#[test]
fn parts_of_encoder_decoders_are_refused_in_decoders_by_name() {
    for (change, named) in [
        ((|c| c.position = PositionKind::RelativeBias) as fn(&mut ModelConfig), "position relative-bias"),
        (|c| c.unscaled_attention = true, "unscaled_attention"),
        (|c| c.scaled_head = true, "scaled_head"),
        (|c| c.n_decoder_layers = Some(1), "n_decoder_layers"),
        (|c| (c.kind, c.n_decoder_layers) = (ModelKind::EncoderDecoder, Some(0)), "n_decoder_layers"),
    ] {
        let mut config = ModelConfig::preset(Preset::Llama, VOCAB_SIZE, 16, 2, 4, 12);
        change(&mut config);
        let error = config.validate().expect_err("no such model").to_string();
        assert!(error.contains(named), "{error}");
    }
    let mut config = ModelConfig::preset(Preset::T5, VOCAB_SIZE, 16, 2, 4, 12);
    config.relative_buckets = 6;
    assert!(config.validate().expect_err("no such table").to_string().contains("relative_buckets 6"));
    (config.relative_buckets, config.relative_max_distance) = (32, 16);
    assert!(config.validate().expect_err("no ranges").to_string().contains("relative_max_distance 16"));
}

#[test]
fn a_t5_folder_gives_the_logits_of_transformers() {
    for name in ["t5", "t5-gated", "t5-wide-heads"] {
        let model: EncoderDecoder = load(&golden(name), &device("cpu")).expect("a supported folder");
        let text = std::fs::read_to_string(golden(name).join("logits.json")).expect("committed");
        let expected: Value = serde_json::from_str(&text).expect("json");
        let ids = |key: &str| -> Vec<u32> { serde_json::from_value(expected[key].clone()).expect("ids") };
        let expected: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).expect("logits");
        let difference = difference(&one(&model, &ids("ids"), &ids("decoder_ids")), &expected);
        assert!(difference <= 1e-4, "{name}: {difference:e}");
        let config = model.config();
        let gated = name != "t5";
        assert_eq!(config.d_head, (name == "t5-wide-heads").then_some(6));
        assert_eq!(
            (config.mlp == MlpKind::Geglu, config.tied_head, config.scaled_head),
            (gated, !gated, !gated)
        );
        assert_eq!((config.decoder_layers(), config.decoder_start), (if gated { 2 } else { 3 }, Some(0)));
    }
}

#[test]
fn what_is_exported_comes_back_with_our_own_description_and_without() {
    for (name, config) in configs() {
        let model = model(&config, "cpu");
        let dir = tempfile::tempdir().expect("a temporary folder");
        save(dir.path(), &model, Some(3)).expect("written");
        let again: EncoderDecoder = load(dir.path(), &device("cpu")).expect("read");
        assert_eq!(again.config(), &config, "{name}");
        assert_eq!(named_tensors(&again), named_tensors(&model), "{name}");
        let is_t5 = name.starts_with("t5");
        assert_eq!(Architecture::of(&config).is_in_transformers(), is_t5, "{name}");
        if is_t5 {
            let path = dir.path().join("config.json");
            let mut json: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("json");
            json.as_object_mut().expect("an object").remove("firebrand");
            std::fs::write(&path, json.to_string()).expect("written");
            let again: EncoderDecoder = load(dir.path(), &device("cpu")).expect("read");
            assert_eq!(named_tensors(&again), named_tensors(&model), "{name}");
            let expected = ModelConfig { decoder_start: Some(3), ..config };
            assert_eq!(again.config(), &expected, "{name}");
        }
    }
}

#[test]
fn what_of_t5_is_not_supported_is_named() {
    for (key, value, named) in [
        ("d_kv", json!(0), "d_head must be at least 1"),
        ("decoder_start_token_id", json!(32), "decoder_start 32 is outside of the vocabulary of 32"),
        ("feed_forward_proj", json!("gated-silu"), "feed_forward_proj `gated-silu`"),
        ("num_layers", json!("many"), "`num_layers`"),
    ] {
        let dir = copy("t5");
        set(key, value)(dir.path());
        std::fs::remove_file(dir.path().join("generation_config.json")).expect("it says the same");
        let error = load::<EncoderDecoder>(dir.path(), &device("cpu")).map(|_| ()).expect_err("no such T5");
        assert!(error.to_string().contains(named), "{error}");
    }
    let dir = copy("t5-gated");
    set("tie_word_embeddings", json!(true))(dir.path());
    let error = load::<EncoderDecoder>(dir.path(), &device("cpu")).map(|_| ()).expect_err("two heads");
    assert!(error.to_string().contains("tie_word_embeddings"), "{error}");
}

#[test]
fn what_begins_and_ends_texts_is_read_from_both_files() {
    let written = |dir: &Path, generation: Option<Value>| {
        let path = dir.join("generation_config.json");
        std::fs::remove_file(&path).ok();
        if let Some(json) = generation {
            std::fs::write(&path, json.to_string()).expect("written");
        }
        let model: EncoderDecoder = load(dir, &device("cpu")).expect("a supported folder");
        (Conventions::of(dir).expect("readable"), model.config().decoder_start)
    };
    let dir = copy("t5");
    // config.json: padding 0, end 1, start 0.
    let (found, start) = written(dir.path(), None);
    let expected = Conventions { ends: vec![1], pad: Some(0), decoder_start: Some(0), is_ours: false };
    assert_eq!((&found, start), (&expected, Some(0)));
    assert!(found.is_padding(0) && !found.is_padding(1));
    // generation_config.json is asked first; what it does not say, or says as -1, is taken from config.json.
    let json = json!({"eos_token_id": [4, 1], "decoder_start_token_id": 5, "pad_token_id": -1});
    let (found, start) = written(dir.path(), Some(json));
    let expected = Conventions { ends: vec![4, 1], pad: Some(0), decoder_start: Some(5), is_ours: false };
    assert_eq!((found, start), (expected, Some(5)));
    // T5 begins with its padding where nothing says otherwise.
    set("decoder_start_token_id", Value::Null)(dir.path());
    set("pad_token_id", json!(3))(dir.path());
    assert_eq!(written(dir.path(), None).1, Some(3));
    // What Firebrand wrote says it itself.
    let model = model(&configs()[0].1, "cpu");
    save(dir.path(), &model, Some(3)).expect("written");
    let found = Conventions::of(dir.path()).expect("readable");
    assert!(found.is_ours && found.ends == [3] && !found.is_padding(3), "{found:?}");
}

/// Prints the largest difference between the logits of a folder and of a file.
const PEER: &str = "
import json, sys, torch
from transformers import T5ForConditionalGeneration
model = T5ForConditionalGeneration.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
mine = json.load(open(sys.argv[2]))
with torch.no_grad():
    logits = model(input_ids=torch.tensor([mine['ids']]), decoder_input_ids=torch.tensor([mine['decoder_ids']])).logits[0]
print((torch.tensor(mine['logits']) - logits).abs().max().item())
";

#[test]
fn transformers_computes_the_same_logits_from_an_exported_t5() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    for (name, config) in configs().into_iter().filter(|(name, _)| name.starts_with("t5")) {
        let model = model(&config, "cpu");
        let dir = tempfile::tempdir().expect("a temporary folder");
        save(dir.path(), &model, Some(0)).expect("written");
        let (read, written) = (ids(1, 12), ids(2, 11));
        let mine = json!({"ids": read, "decoder_ids": written, "logits": one(&model, &read, &written)});
        let path = dir.path().join("mine.json");
        std::fs::write(&path, mine.to_string()).expect("written");
        let output = Command::new(&python)
            .args(["-c", PEER])
            .args([dir.path(), &path])
            .output()
            .expect("python starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let difference: f64 = said
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)));
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}
