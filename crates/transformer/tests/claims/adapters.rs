//! Folders of adapters: PEFT's read here, ours read there.

use crate::encoder::{encoder, encoders, row, vectors};
use crate::hugging_face::{golden, python};
use crate::{SEQ_LEN, VOCAB_SIZE, configs, device, difference, far_from_first, ids, model, uncached};
use burn::module::Module;
use firebrand_backend::ops::AttentionMask;
use firebrand_transformer::hugging_face::{
    AdapterFolder, Architecture, SaveAdapters, load, load_any, load_classifier, load_config, save,
    save_merged,
};
use firebrand_transformer::lora::{LoraConfig, merged, with_adapters};
use firebrand_transformer::{
    AnyModel, Bidirectional, Body, Classifier, Encoder, EncoderDecoder, HeadConfig, Model, ModelConfig,
    ModelKind, NamedTensor, Padded, Permutation, Preset, Sequence, TaskKind, named_tensors, with_tensors,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The logits of whatever model a folder holds.
fn logits(dir: &Path, ids: &[u32]) -> Vec<Vec<f32>> {
    match load_any(dir, &device("cpu")).expect("a folder of adapters") {
        AnyModel::Decoder(model) => uncached(&model, ids),
        AnyModel::Encoder(model) => masked_logits(&model, ids),
        other => panic!("{other:?}"),
    }
}

fn masked_logits(model: &Encoder, ids: &[u32]) -> Vec<Vec<f32>> {
    let hidden = model.hidden(row(ids, &model.device()), None, &AttentionMask::Full, None);
    let hidden = hidden.reshape([ids.len(), model.config().d_model]);
    vectors(model.masked_logits(hidden).expect("a head").unsqueeze())
}

#[test]
fn folders_of_peft_give_the_logits_of_peft() {
    for name in ["adapter-gpt2", "adapter-llama", "adapter-bert"] {
        let text = std::fs::read_to_string(golden(name).join("logits.json")).expect("committed");
        let expected: Value = serde_json::from_str(&text).expect("json");
        let list: Vec<u32> = serde_json::from_value(expected["ids"].clone()).expect("ids");
        let expected: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).expect("logits");
        let difference = difference(&logits(&golden(name), &list), &expected);
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

/// `model` with adapters of which nothing is zero.
fn adapted<M: Module>(model: M, lora: &LoraConfig) -> M {
    let model = with_adapters(model, lora, 1).expect("it has such maps");
    let tensors = named_tensors(&model).into_iter().map(|tensor| match tensor.name.ends_with(".lora.b") {
        true => {
            let values = (0..tensor.values.len()).map(|i| 0.2 * (i as f32 * 1.3 + 0.5).sin()).collect();
            NamedTensor { values, ..tensor }
        }
        false => tensor,
    });
    let tensors = tensors.collect();
    with_tensors(model, tensors).expect("its own")
}

/// The base in `base`, and beside it its adapters and the free head.
fn write<M: Model>(dir: &Path, base: &M, model: &M, lora: &LoraConfig) {
    save(&dir.join("base"), base, None).expect("written");
    let folder = AdapterFolder { base: &dir.join("base"), lora };
    model.save_adapters(&dir.join("adapters"), None, folder).expect("written");
}

fn loras() -> [LoraConfig; 2] {
    let some =
        LoraConfig { rank: 2, alpha: 3.0, targets: vec!["value".into(), "query".into(), "down".into()] };
    [LoraConfig { rank: 3, ..LoraConfig::default() }, some]
}

#[test]
fn adapters_that_were_written_are_read_as_the_model_with_them() {
    for (name, config) in configs() {
        for lora in loras() {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let base = model(&config, &device("cpu"));
            let adapted = adapted(base.clone(), &lora);
            write(dir.path(), &base, &adapted, &lora);
            let expected = uncached(&adapted, &ids(0, 9));
            let unmerged = difference(&uncached(&merged(adapted), &ids(0, 9)), &expected);
            assert!(unmerged == 0.0, "{name}: merging changes logits by {unmerged:e}");
            let read = difference(&logits(&dir.path().join("adapters"), &ids(0, 9)), &expected);
            assert!(read <= 1e-5, "{name}: {read:e}");
            assert!(
                save_merged(&dir.path().join("adapters"), &dir.path().join("whole"), &device("cpu"))
                    .expect("written")
            );
            std::fs::remove_dir_all(dir.path().join("base")).expect("removed");
            let whole = logits(&dir.path().join("whole"), &ids(0, 9));
            assert_eq!(difference(&whole, &expected), read, "{name}: the same numbers, without the base");
            assert!(
                !save_merged(&dir.path().join("whole"), dir.path(), &device("cpu")).expect("read"),
                "no adapters"
            );
            let without = difference(&uncached(&base, &ids(0, 9)), &expected);
            assert!(without > 1e-2, "{name}: the adapters do something");
        }
    }
}

#[test]
fn an_encoder_s_adapters_come_back() {
    for (name, config) in encoders() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
        let base = encoder(&config, &device("cpu"));
        let adapted = adapted(base.clone(), &lora);
        write(dir.path(), &base, &adapted, &lora);
        let read: Encoder = load(&dir.path().join("adapters"), &device("cpu")).expect("read");
        for (a, b) in named_tensors(&merged(adapted)).iter().zip(&named_tensors(&read)) {
            assert_eq!(a.name, b.name, "{name}");
            let close = a.values.iter().zip(&b.values).all(|(a, b)| (a - b).abs() <= 1e-6);
            assert!(close, "{name}: {}", a.name);
        }
    }
}

/// A classifier on a body of each kind, with the folder that its body comes from in `dir/base`.
fn classifiers(dir: &Path) -> Vec<(&'static str, PathBuf, Classifier)> {
    let llama = ModelConfig::preset(Preset::Llama, VOCAB_SIZE, 16, 2, 4, SEQ_LEN);
    let of = |kind| ModelConfig { kind, ..llama.clone() };
    let t5 = ModelConfig::preset(Preset::T5, VOCAB_SIZE, 16, 2, 4, SEQ_LEN);
    let cpu = device("cpu");
    let mut bases: Vec<(&str, AnyModel)> = configs()
        .into_iter()
        .map(|(name, config)| (name, AnyModel::Decoder(Box::new(model(&config, &cpu)))))
        .collect();
    bases.extend(
        encoders()
            .into_iter()
            .map(|(name, config)| (name, AnyModel::Encoder(Box::new(encoder(&config, &cpu))))),
    );
    let bidirectional = Bidirectional::new(&of(ModelKind::Bidirectional), 7, &cpu).expect("a model");
    bases.push(("bidirectional", AnyModel::Bidirectional(Box::new(far_from_first(bidirectional)))));
    let permutation = Permutation::new(&of(ModelKind::Permutation), 7, &cpu).expect("a model");
    bases.push(("permutation", AnyModel::Permutation(Box::new(far_from_first(permutation)))));
    let t5 = ModelConfig { kind: ModelKind::EncoderDecoder, ..t5 };
    let t5 = EncoderDecoder::new(&t5, 7, &cpu).expect("a model");
    bases.push(("t5", AnyModel::EncoderDecoder(Box::new(far_from_first(t5)))));
    let labels = || ["bad", "good", "so"].map(String::from).to_vec();
    let numbered = bases.into_iter().enumerate();
    numbered
        .map(|(index, (name, base))| {
            let folder = dir.join(format!("base-{index}"));
            match &base {
                AnyModel::Decoder(model) => save(&folder, &**model, None),
                AnyModel::Encoder(model) => save(&folder, &**model, None),
                AnyModel::Bidirectional(model) => save(&folder, &**model, None),
                AnyModel::Permutation(model) => save(&folder, &**model, None),
                AnyModel::EncoderDecoder(model) => save(&folder, &**model, None),
            }
            .expect("written");
            let head = HeadConfig::for_body(base.config(), TaskKind::Classification, labels());
            (name, folder, Classifier::new(Body::from(base), head, 5).expect("a head"))
        })
        .collect()
}

fn outputs(classifier: &Classifier, ids: &[u32]) -> Vec<Vec<f32>> {
    let rows = Padded::new([Sequence { ids, second: None }], &classifier.device());
    let outputs = classifier.outputs(classifier.states(&rows, None), &rows, None);
    vectors(outputs.unsqueeze())
}

#[test]
fn a_classifier_s_adapters_come_back_with_its_head_and_peft_reads_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
    let mut in_transformers = Vec::new();
    for (index, (name, base, classifier)) in classifiers(dir.path()).into_iter().enumerate() {
        let adapted = adapted(classifier, &lora);
        let expected = outputs(&adapted, &ids(0, 9));
        let [folder, whole] = ["adapters", "whole"].map(|name| dir.path().join(format!("{name}-{index}")));
        adapted.save_adapters(&folder, None, AdapterFolder { base: &base, lora: &lora }).expect("written");
        assert!(save_merged(&folder, &whole, &device("cpu")).expect("written"));
        for folder in [&folder, &whole] {
            let read = load_classifier(folder, &device("cpu")).expect("read");
            let difference = difference(&outputs(&read, &ids(0, 9)), &expected);
            assert!(difference <= 1e-5, "{name}: {difference:e}");
            assert_eq!(read.head_config(), adapted.head_config(), "{name}");
        }
        let theirs = Architecture::of(&load_config(&base).expect("read"));
        let same_names = theirs.is_in_transformers() && theirs != Architecture::Electra;
        if same_names && adapted.head_config().class(adapted.body().config()).is_some() {
            let said = json!({"ids": ids(0, 9), "logits": expected});
            std::fs::write(folder.join("firebrand.json"), said.to_string()).expect("written");
            in_transformers.push(folder);
        }
    }
    assert!(in_transformers.len() >= 6);
    compare(&in_transformers);
}

#[test]
fn the_base_is_as_it_was_and_is_not_in_the_folder_of_its_adapters() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (_, config) = configs().remove(0);
    let lora = LoraConfig::default();
    let base = model(&config, &device("cpu"));
    let path = dir.path().join("base/model.safetensors");
    save(&dir.path().join("base"), &base, None).expect("written");
    let before = std::fs::read(&path).expect("read");
    write(dir.path(), &base, &adapted(base.clone(), &lora), &lora);
    assert!(before == std::fs::read(&path).expect("read"));
    let mut files: Vec<String> = std::fs::read_dir(dir.path().join("adapters"))
        .expect("a folder")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("a name"))
        .collect();
    files.sort();
    assert_eq!(files, ["adapter_config.json", "adapter_model.safetensors"]);
}

/// What loading says of the adapters in `dir` after `change` of their config.
fn complaint(dir: &TempDir, change: impl FnOnce(&mut Value)) -> String {
    let path = dir.path().join("adapters/adapter_config.json");
    let text = std::fs::read_to_string(&path).expect("read");
    let mut json: Value = serde_json::from_str(&text).expect("json");
    change(&mut json);
    std::fs::write(&path, json.to_string()).expect("written");
    let error =
        load_any(&dir.path().join("adapters"), &device("cpu")).expect_err("it is damaged").to_string();
    std::fs::write(&path, text).expect("written");
    error
}

#[test]
fn adapters_that_cannot_be_read_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (_, config) = configs().remove(0);
    let lora = LoraConfig::default();
    let base = model(&config, &device("cpu"));
    write(dir.path(), &base, &adapted(base.clone(), &lora), &lora);
    let gone = complaint(&dir, |json| json["base_model_name_or_path"] = json!("nowhere/to/be/found"));
    assert!(gone.contains("nowhere/to/be/found") && gone.contains("base_model_name_or_path"), "{gone}");
    let own = complaint(&dir, |json| json["base_model_name_or_path"] = json!("."));
    assert!(own.contains("for itself"), "{own}");
    let dora = complaint(&dir, |json| json["use_dora"] = json!(true));
    assert!(dora.contains("use_dora"), "{dora}");
    let kind = complaint(&dir, |json| json["peft_type"] = json!("IA3"));
    assert!(kind.contains("IA3"), "{kind}");
    let alpha = complaint(&dir, |json| json["lora_alpha"] = json!("much"));
    assert!(alpha.contains("lora_alpha"), "{alpha}");
    let layout = complaint(&dir, |json| json["fan_in_fan_out"] = json!(true));
    assert!(layout.contains("does not fit"), "{layout}");
    std::fs::remove_file(dir.path().join("adapters/adapter_model.safetensors")).expect("removed");
    let missing = complaint(&dir, |_| {});
    assert!(missing.contains("adapter_model.safetensors"), "{missing}");
}

#[test]
fn peft_reads_our_adapters_with_the_same_logits() {
    let dirs = configs().into_iter().filter(|(_, config)| Architecture::of(config).is_in_transformers());
    let dirs: Vec<TempDir> = dirs
        .flat_map(|(_, config)| loras().map(|lora| (config.clone(), lora)))
        .map(|(config, lora)| {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let base = model(&config, &device("cpu"));
            let adapted = adapted(base.clone(), &lora);
            write(dir.path(), &base, &adapted, &lora);
            let said = json!({"ids": ids(0, 9), "logits": uncached(&adapted, &ids(0, 9))});
            std::fs::write(dir.path().join("adapters/firebrand.json"), said.to_string()).expect("written");
            dir
        })
        .collect();
    assert!(dirs.len() >= 6);
    compare(&dirs.iter().map(|dir| dir.path().join("adapters")).collect::<Vec<_>>());
}

/// Has PEFT load folders, and compare its logits with those in `firebrand.json`.
fn compare(folders: &[PathBuf]) {
    let python = match python().and_then(with_peft) {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let script = golden("make_adapters.py");
    let run = Command::new(python).arg(script).arg("--compare").args(folders).output().expect("it starts");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(said.lines().count(), folders.len(), "{said}");
}

/// This Python, if it has PEFT.
fn with_peft(python: PathBuf) -> Result<PathBuf, String> {
    let run = Command::new(&python).args(["-c", "import peft"]).output();
    match run.is_ok_and(|run| run.status.success()) {
        true => Ok(python),
        false => Err(format!("{} has no peft", python.display())),
    }
}
