//! BERT's and ELECTRA's folders: theirs read here, ours read there.

use crate::encoder::{encoder, encoders, row, vectors};
use crate::hugging_face::{golden, peer};
use crate::{device, difference, ids};
use firebrand_backend::ops::AttentionMask;
use firebrand_transformer::hugging_face::{Architecture, load, load_any, save};
use firebrand_transformer::{
    AnyModel, Encoder, Model, NamedTensor, named_tensors, read_tensors, write_tensors,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// What the model's heads say, as `make_encoders.py` writes it.
fn said(model: &Encoder, ids: &[u32], types: &[u32]) -> Value {
    let device = model.device();
    let hidden = model.hidden(row(ids, &device), Some(row(types, &device)), &AttentionMask::Full, None);
    let flat = hidden.clone().reshape([ids.len(), model.config().d_model]);
    let mut said = json!({"ids": ids, "types": types, "hidden": vectors(hidden.clone())});
    if let Some(logits) = model.masked_logits(flat.clone()) {
        said["logits"] = json!(vectors(logits.unsqueeze()));
    }
    if let Some(logits) = model.replaced_logits(flat) {
        said["logits"] = json!(vectors(logits.reshape([1, ids.len(), 1])));
    }
    if let Some(logits) = model.next_sentence_logits(hidden) {
        said["next_sentence"] = json!(vectors(logits.unsqueeze())[0]);
    }
    said
}

/// The largest difference of any number.
fn distance(a: &Value, b: &Value) -> f64 {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            (a.as_f64().expect("a number") - b.as_f64().expect("a number")).abs()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).map(|(a, b)| distance(a, b)).fold(0.0, f64::max)
        }
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            a.iter().map(|(key, value)| distance(value, &b[key])).fold(0.0, f64::max)
        }
        _ => panic!("{a} and {b} are not of one form"),
    }
}

#[test]
fn folders_of_transformers_give_the_states_and_logits_of_transformers() {
    for (name, class) in [
        ("bert", "BertForMaskedLM"),
        ("bert-pretraining", "BertForPreTraining"),
        ("electra", "ElectraForPreTraining"),
    ] {
        let model: Encoder = load(&golden(name), &device("cpu")).expect("a supported folder");
        assert_eq!(Architecture::of(model.config()).class(), class);
        let text = std::fs::read_to_string(golden(name).join("logits.json")).expect("committed");
        let expected: Value = serde_json::from_str(&text).expect("json");
        let list = |key: &str| serde_json::from_value::<Vec<u32>>(expected[key].clone()).expect("ids");
        let distance = distance(&said(&model, &list("ids"), &list("types")), &expected);
        assert!(distance <= 1e-4, "{name}: {distance:e}");
    }
}

#[test]
fn transformers_says_the_same_of_exported_encoders() {
    let python = match peer() {
        Ok((python, _)) => python,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let script = golden("make_encoders.py");
    let names = [
        "bert",
        "bert with next sentences, gelu-tanh",
        "bert without biases",
        "electra",
        "electra with a narrower generator",
    ];
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut folders = Vec::new();
    for (name, config) in encoders().into_iter().filter(|(name, _)| names.contains(name)) {
        let folder = dir.path().join(name);
        let model = encoder(&config, &device("cpu"));
        save(&folder, &model, Some(0)).expect("written");
        let said = said(&model, &ids(2, 11), &[0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]).to_string();
        std::fs::write(folder.join("firebrand.json"), said).expect("written");
        folders.push(folder);
    }
    let output =
        Command::new(&python).arg(&script).arg("--compare").args(&folders).output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.matches(" logits: max_abs_diff=").count() == names.len(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn an_exported_encoder_comes_back_exactly() {
    for (name, config) in encoders() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let model = encoder(&config, &device("cpu"));
        save(dir.path(), &model, Some(3)).expect("written");
        let AnyModel::Encoder(again) = load_any(dir.path(), &device("cpu")).expect("read") else {
            panic!("{name} is another model now")
        };
        assert_eq!(again.config(), &config, "{name}");
        assert_eq!(named_tensors(&*again), named_tensors(&model), "{name}");
    }
}

/// Takes our own description out of `config.json`.
fn forget(dir: &Path) {
    let path = dir.join("config.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("json");
    json.as_object_mut().expect("an object").remove("firebrand");
    std::fs::write(&path, json.to_string()).expect("written");
}

#[test]
fn an_exported_bert_comes_back_without_our_own_description() {
    let mut seen = 0;
    for (name, config) in encoders() {
        if !Architecture::of(&config).is_in_transformers() {
            continue;
        }
        seen += 1;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let model = encoder(&config, &device("cpu"));
        save(dir.path(), &model, None).expect("written");
        forget(dir.path());
        let again: Encoder = load(dir.path(), &device("cpu")).expect("read");
        let states = |model: &Encoder| {
            vectors(model.hidden(row(&ids(0, 9), &model.device()), None, &AttentionMask::Full, None))
        };
        let difference = difference(&states(&again), &states(&model));
        assert!(difference <= 1e-6, "{name}: {difference:e}");
    }
    assert_eq!(seen, 6);
}

#[test]
fn an_architecture_of_transformers_is_named_only_where_it_computes_the_same_as_an_encoder() {
    for (name, config) in encoders() {
        let expected = match name {
            "bert" | "bert without biases" => "BertForMaskedLM",
            "bert with next sentences, gelu-tanh" => "BertForPreTraining",
            "bert without heads" => "BertModel",
            "electra" | "electra with a narrower generator" => "ElectraForPreTraining",
            _ => "FirebrandForMaskedLM",
        };
        assert_eq!(Architecture::of(&config).class(), expected, "{name}");
    }
}

/// A copy of a golden folder with other tensors and other keys.
fn changed(
    name: &str,
    tensors: impl FnOnce(&mut Vec<NamedTensor>),
    keys: &[(&str, Value)],
) -> Result<Encoder, String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut all = read_tensors(&golden(name).join("model.safetensors")).expect("read");
    tensors(&mut all);
    write_tensors(&dir.path().join("model.safetensors"), &all).expect("written");
    let text = std::fs::read_to_string(golden(name).join("config.json")).expect("read");
    let mut json: Value = serde_json::from_str(&text).expect("json");
    keys.iter().for_each(|(key, value)| json[*key] = value.clone());
    std::fs::write(dir.path().join("config.json"), json.to_string()).expect("written");
    load(dir.path(), &device("cpu")).map_err(|error| error.to_string())
}

#[test]
fn names_of_the_first_bert_and_tensors_that_repeat_others_are_understood() {
    let old = changed(
        "bert-pretraining",
        |tensors| {
            for tensor in tensors.iter_mut() {
                tensor.name = tensor
                    .name
                    .replace("LayerNorm.weight", "LayerNorm.gamma")
                    .replace("LayerNorm.bias", "LayerNorm.beta");
            }
            let extra = |name: &str| NamedTensor { name: name.into(), shape: vec![1], values: vec![1.0] };
            tensors.push(extra("bert.embeddings.position_ids"));
            tensors.push(extra("cls.predictions.decoder.bias"));
        },
        &[],
    );
    let now: Encoder = load(&golden("bert-pretraining"), &device("cpu")).expect("read");
    assert_eq!(named_tensors(&old.expect("read")), named_tensors(&now));
    // What the class has no head for is left out.
    let masked = changed("bert-pretraining", |_| {}, &[("architectures", json!(["BertForMaskedLM"]))]);
    assert!(!masked.expect("read").config().heads.next_sentence);
    let bare = changed(
        "bert",
        |tensors| {
            for tensor in tensors.iter_mut() {
                tensor.name = tensor.name.trim_start_matches("bert.").to_string();
            }
        },
        &[("architectures", json!(["BertModel"]))],
    );
    assert!(!bare.expect("read").config().heads.masked);
}

#[test]
fn what_is_not_supported_of_bert_is_named() {
    for (key, value, named) in [
        ("architectures", json!(["BertForQuestionAnswering"]), "BertForQuestionAnswering"),
        ("hidden_act", json!("relu"), "hidden_act `relu`"),
        ("is_decoder", json!(true), "is_decoder"),
        ("position_embedding_type", json!("relative_key"), "relative_key"),
        ("tie_word_embeddings", json!(false), "tie_word_embeddings"),
        ("hidden_size", json!("wide"), "`hidden_size`"),
    ] {
        let message = changed("bert", |_| {}, &[(key, value)]).expect_err("not supported");
        assert!(message.contains(named) && message.contains("config.json"), "{message}");
    }
    let message = changed("electra", |_| {}, &[("embedding_size", json!(8))]).expect_err("not supported");
    assert!(message.contains("embedding_size"), "{message}");
    let message = changed("bert", |tensors| tensors.truncate(3), &[]).expect_err("damaged");
    assert!(message.contains("is missing"), "{message}");
}
