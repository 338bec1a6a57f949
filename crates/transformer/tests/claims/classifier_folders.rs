//! Models with heads in folders of Hugging Face transformers: the same logits there and here.

use crate::device;
use crate::hugging_face::{golden, peer};
use burn::tensor::Tensor;
use firebrand_transformer::hugging_face::{load_any, load_classifier, load_head, save_classifier};
use firebrand_transformer::{
    Body, Classifier, HeadConfig, ModelConfig, ModelKind, NamedTensor, Padded, Pooling, Preset, Sequence,
    TaskKind, named_tensors, with_tensors,
};
use serde_json::{Value, json};
use std::process::Command;

/// What the head says of each row, in the form of `make_classifiers.py`.
fn said(model: &Classifier, rows: &[Vec<u32>], seconds: Option<&[usize]>) -> Value {
    let sequences = rows.iter().enumerate().map(|(i, ids)| {
        let second = seconds.map(|seconds| seconds[i]).filter(|&second| second < ids.len());
        Sequence { ids, second }
    });
    let padded = Padded::new(sequences, &model.device());
    let outputs: Tensor<2> = model.forward(&padded, None);
    let width = outputs.dims()[1];
    let values: Vec<f32> = outputs.into_data().convert::<f32>().try_into_vec().expect("f32");
    let vectors: Vec<&[f32]> = values.chunks(width).collect();
    let logits = match model.head_config().pooling {
        Pooling::Each => {
            let of_rows = vectors.chunks(padded.longest()).zip(rows);
            json!(of_rows.map(|(vectors, ids)| &vectors[..ids.len()]).collect::<Vec<_>>())
        }
        _ => json!(vectors),
    };
    let types = seconds.map(|seconds| {
        let of = |(ids, &second): (&Vec<u32>, &usize)| {
            (0..ids.len()).map(|i| u8::from(i >= second)).collect::<Vec<u8>>()
        };
        rows.iter().zip(seconds).map(of).collect::<Vec<_>>()
    });
    json!({"rows": rows, "types": types, "logits": logits})
}

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(inner) => inner.iter().flat_map(flat).collect(),
        number => vec![number.as_f64().expect("a number")],
    }
}

#[test]
fn heads_of_transformers_say_the_same_here() {
    let cases = [
        ("classifier-llama", TaskKind::Classification, 3),
        ("classifier-gpt2", TaskKind::MultiLabel, 3),
        ("classifier-bert", TaskKind::Regression, 1),
        ("classifier-bert-tokens", TaskKind::Tagging, 3),
    ];
    for (name, task, outputs) in cases {
        let model = load_classifier(&golden(name), &device("cpu")).expect("a supported folder");
        assert_eq!((model.head_config().task, model.head_config().outputs), (task, outputs), "{name}");
        if outputs == 3 {
            assert_eq!(model.head_config().labels, ["no", "yes", "maybe"], "{name}");
        }
        let text = std::fs::read_to_string(golden(name).join("logits.json")).expect("committed");
        let expected: Value = serde_json::from_str(&text).expect("json");
        let rows: Vec<Vec<u32>> = serde_json::from_value(expected["rows"].clone()).expect("ids");
        let seconds: Option<Vec<usize>> = expected["types"].as_array().map(|types| {
            types.iter().map(|row| flat(row).iter().filter(|&&kind| kind == 0.0).count()).collect()
        });
        let (actual, expected) =
            (flat(&said(&model, &rows, seconds.as_deref())["logits"]), flat(&expected["logits"]));
        assert_eq!(actual.len(), expected.len(), "{name}");
        let distance = actual.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(distance <= 1e-4, "{name}: {distance:e}");
        // What reads is a model like any other.
        load_any(&golden(name), &device("cpu")).expect("a body");
    }
}

/// A classifier whose every part shows in what it says.
fn random(body: &ModelConfig, task: TaskKind) -> Classifier {
    let labels = if task == TaskKind::Regression { vec![] } else { vec!["a".into(), "b".into(), "c".into()] };
    let head = HeadConfig::for_body(body, task, labels);
    let body = Body::made(body, Some(3), &device("cpu")).expect("a model's config");
    let model = Classifier::new(body, head, 5).expect("they fit");
    let tensors = named_tensors(&model).into_iter().map(|tensor| {
        let change = |(i, value): (usize, f32)| match tensor.shape.len() {
            2 => value * 12.0,
            _ => value + 0.3 * (i as f32 * 1.7 + tensor.name.len() as f32).sin(),
        };
        NamedTensor {
            values: tensor.values.iter().copied().enumerate().map(change).collect(),
            ..tensor.clone()
        }
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("they are its own")
}

#[test]
fn transformers_says_the_same_of_exported_heads() {
    let python = match peer() {
        Ok((python, _)) => python,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let config = |preset, kind| ModelConfig { kind, ..ModelConfig::preset(preset, 32, 16, 2, 4, 16) };
    let llama = config(Preset::Llama, ModelKind::Decoder);
    let cases = [
        ("llama", llama.clone(), TaskKind::Classification),
        (
            "llama with a free head and biases",
            ModelConfig { tied_head: false, bias: true, ..llama.clone() },
            TaskKind::MultiLabel,
        ),
        ("llama of tokens", llama, TaskKind::Tagging),
        ("gpt2", config(Preset::Gpt2, ModelKind::Decoder), TaskKind::Regression),
        ("bert", config(Preset::Bert, ModelKind::Encoder), TaskKind::Classification),
        (
            "bert without biases",
            ModelConfig { bias: false, ..config(Preset::Bert, ModelKind::Encoder) },
            TaskKind::Regression,
        ),
        ("bert of tokens", config(Preset::Bert, ModelKind::Encoder), TaskKind::Tagging),
    ];
    let rows = vec![vec![5, 3, 9, 31, 2, 7], vec![4, 8, 1], vec![30]];
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut folders = Vec::new();
    for (name, config, task) in &cases {
        let folder = dir.path().join(name);
        let model = random(config, *task);
        save_classifier(&folder, &model, Some(0)).expect("written");
        let seconds = (config.kind == ModelKind::Encoder).then_some([3, 1, 1]);
        let said = said(&model, &rows, seconds.as_ref().map(|seconds| &seconds[..])).to_string();
        std::fs::write(folder.join("firebrand.json"), said).expect("written");
        folders.push(folder);
    }
    let output = Command::new(&python)
        .arg(golden("make_classifiers.py"))
        .arg("--compare")
        .args(&folders)
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.matches(" logits: max_abs_diff=").count() == cases.len(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn heads_that_are_not_supported_say_what_is() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text = std::fs::read_to_string(golden("classifier-llama").join("config.json")).expect("committed");
    let load = |keys: &[(&str, Value)]| {
        let mut json: Value = serde_json::from_str(&text).expect("json");
        keys.iter().for_each(|(key, value)| json[*key] = value.clone());
        std::fs::write(dir.path().join("config.json"), json.to_string()).expect("written");
        load_head(dir.path()).map_err(|error| error.to_string())
    };
    let error =
        load(&[("architectures", json!(["MistralForSequenceClassification"]))]).expect_err("another model");
    assert!(error.contains("`MistralForSequenceClassification` is not supported; Llama"), "{error}");
    let error = load(&[("problem_type", json!("regression"))]).expect_err("three numbers");
    assert!(error.contains("a regression of 3 numbers"), "{error}");
    let error = load(&[("firebrand_head", json!({"task": "poetry"}))]).expect_err("no task");
    assert!(error.contains("`firebrand_head` describes no head of this version"), "{error}");
    assert_eq!(load(&[("architectures", json!(["LlamaForCausalLM"]))]).expect("readable"), None);
}
