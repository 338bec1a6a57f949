//! Hugging Face folders: theirs read here, ours read there, and nothing misunderstood in silence.

use crate::{configs, device, difference, ids, model, uncached};
use firebrand_transformer::hugging_face::{Architecture, load, load_config, save};
use firebrand_transformer::{Decoder, Model, ModelConfig, ModelKind, PositionKind, Preset, named_tensors};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A folder of `golden` to damage.
pub(crate) fn copy(name: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for entry in std::fs::read_dir(golden(name)).expect("the folder is committed") {
        let from = entry.expect("readable").path();
        std::fs::copy(&from, dir.path().join(from.file_name().expect("a file"))).expect("copied");
    }
    dir
}

/// What loading says of a copy of `name` after `damage`.
fn complaint(name: &str, damage: impl FnOnce(&Path)) -> String {
    let dir = copy(name);
    damage(dir.path());
    load::<Decoder>(dir.path(), &device("cpu")).map(|_| ()).expect_err("the folder is damaged").to_string()
}

/// Sets a key of `config.json`.
pub(crate) fn set(key: &str, value: Value) -> impl FnOnce(&Path) {
    move |dir| {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path).expect("read");
        let mut json: Value = serde_json::from_str(&text).expect("json");
        json[key] = value;
        std::fs::write(&path, json.to_string()).expect("written");
    }
}

fn check_golden(name: &str) -> ModelConfig {
    let model = load(&golden(name), &device("cpu")).expect("a supported folder");
    let text = std::fs::read_to_string(golden(name).join("logits.json")).expect("committed");
    let expected: Value = serde_json::from_str(&text).expect("json");
    let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).expect("ids");
    let logits: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).expect("logits");
    let difference = difference(&uncached(&model, &ids), &logits);
    assert!(difference <= 1e-4, "{name}: logits differ by {difference:e}");
    model.config().clone()
}

#[test]
fn a_sharded_llama_folder_gives_the_logits_of_transformers() {
    let config = check_golden("llama-sharded");
    assert_eq!((config.n_kv_heads, config.tied_head, config.bias), (2, false, false));
}

#[test]
fn a_tied_bf16_llama_folder_with_biases_gives_the_logits_of_transformers() {
    let config = check_golden("llama-bf16");
    assert_eq!((config.rope_theta, config.tied_head, config.bias), (500.0, true, true));
}

#[test]
fn a_llama_folder_whose_heads_are_wider_than_its_share_gives_the_logits_of_transformers() {
    let config = check_golden("llama-wide-heads");
    assert_eq!((config.d_head, config.d_queries(), config.d_model), (Some(6), 24, 16));
}

#[test]
fn a_gpt2_folder_gives_the_logits_of_transformers() {
    let config = check_golden("gpt2");
    assert_eq!((config.d_ff, config.tied_head, config.dropout), (64, true, 0.1));
}

#[test]
fn gpt2_files_without_the_prefix_and_with_mask_buffers_are_read() {
    use firebrand_transformer::{NamedTensor, read_tensors, write_tensors};
    let dir = copy("gpt2");
    let path = dir.path().join("model.safetensors");
    let mut tensors = read_tensors(&path).expect("read");
    for tensor in &mut tensors {
        tensor.name = tensor.name.trim_start_matches("transformer.").to_string();
    }
    tensors.push(NamedTensor { name: "h.0.attn.bias".into(), shape: vec![1, 1, 1], values: vec![1.0] });
    write_tensors(&path, &tensors).expect("written");
    let [old, new] = [dir.path().to_path_buf(), golden("gpt2")]
        .map(|dir| load::<Decoder>(&dir, &device("cpu")).expect("read"));
    assert_eq!(named_tensors(&old), named_tensors(&new));
}

#[test]
fn what_is_exported_comes_back_exactly() {
    for (name, config) in configs() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let model = model(&config, &device("cpu"));
        save(dir.path(), &model, Some(3)).expect("written");
        let again: Decoder = load(dir.path(), &device("cpu")).expect("read");
        assert_eq!(again.config(), &config, "{name}");
        assert_eq!(named_tensors(&again), named_tensors(&model), "{name}");
    }
}

#[test]
fn what_is_exported_comes_back_without_our_own_description() {
    for (name, config) in configs() {
        if Architecture::of(&config) == Architecture::Firebrand {
            continue;
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let model = model(&config, &device("cpu"));
        save(dir.path(), &model, None).expect("written");
        let path = dir.path().join("config.json");
        let mut json: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("json");
        json.as_object_mut().expect("an object").remove("firebrand");
        std::fs::write(&path, json.to_string()).expect("written");
        let again: Decoder = load(dir.path(), &device("cpu")).expect("read");
        let difference = difference(&uncached(&again, &ids(0, 9)), &uncached(&model, &ids(0, 9)));
        assert!(difference <= 1e-6, "{name}: {difference:e}");
    }
}

#[test]
fn an_architecture_of_transformers_is_named_only_where_it_computes_the_same() {
    let classes: Vec<(&str, &str)> =
        configs().iter().map(|(name, config)| (*name, Architecture::of(config).class())).collect();
    let expected = |name: &str| match name {
        "llama"
        | "llama, grouped queries, tied head"
        | "llama, one key head, biases"
        | "llama, wide heads, grouped queries, biases" => "LlamaForCausalLM",
        "gpt2" | "gpt2 without biases, free head, gelu" => "GPT2LMHeadModel",
        _ => "FirebrandForCausalLM",
    };
    for (name, class) in classes {
        assert_eq!(class, expected(name), "{name}");
    }
    for (name, config) in configs() {
        let prefix = ModelConfig { prefix_attention: true, ..config.clone() };
        assert_eq!(Architecture::of(&prefix).class(), "FirebrandForCausalLM", "{name}");
        let permutation = ModelConfig { kind: ModelKind::Permutation, ..config };
        assert_eq!(Architecture::of(&permutation).class(), "FirebrandForPermutationLM", "{name}");
        let both = ModelConfig { position: PositionKind::Rope, prefix_attention: true, ..permutation };
        let message = both.validate().expect_err("no such model").to_string();
        assert!(message.contains("prefix_attention is for a decoder"), "{message}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let llama = |key: &str, value: Value| complaint("llama-sharded", set(key, value));
    let gpt2 = |key: &str, value: Value| complaint("gpt2", set(key, value));
    for (message, named) in [
        (llama("rope_scaling", json!({"rope_type": "linear", "factor": 2.0})), "`rope_scaling`"),
        (llama("rope_parameters", json!({"rope_type": "yarn", "rope_theta": 1e4})), "rope_type `yarn`"),
        (llama("hidden_act", json!("gelu")), "`hidden_act`"),
        (llama("mlp_bias", json!(true)), "mlp_bias"),
        (llama("model_type", json!("mamba")), "model_type `mamba`"),
        (llama("model_type", Value::Null), "`model_type`"),
        (llama("hidden_size", json!("wide")), "`hidden_size`"),
        (llama("num_key_value_heads", json!(3)), "n_kv_heads 3"),
        (gpt2("activation_function", json!("tanh")), "activation_function `tanh`"),
        (gpt2("scale_attn_weights", json!(false)), "scale_attn_weights"),
        (gpt2("scale_attn_by_inverse_layer_idx", json!(true)), "scale_attn_by_inverse_layer_idx"),
        (gpt2("firebrand", json!({"vocab_size": 3})), "another version of Firebrand"),
    ] {
        assert!(message.contains(named), "{message:?} should name {named}");
        assert!(message.contains("config.json") || named.starts_with("n_kv"), "{message:?} names the file");
    }
}

#[test]
fn damaged_files_are_named() {
    let cut = complaint("llama-sharded", |dir| {
        let path = dir.join("model-00002-of-00002.safetensors");
        let bytes = std::fs::read(&path).expect("read");
        std::fs::write(&path, &bytes[..bytes.len() - 100]).expect("written");
    });
    assert!(cut.contains("model-00002-of-00002.safetensors"), "{cut}");
    assert!(cut.contains("is no whole safetensors file"), "{cut}");
    let absent = complaint("llama-sharded", |dir| {
        std::fs::remove_file(dir.join("model-00001-of-00002.safetensors")).expect("removed");
    });
    assert!(absent.contains("model-00001-of-00002.safetensors"), "{absent}");
    let no_weights = complaint("gpt2", |dir| {
        std::fs::remove_file(dir.join("model.safetensors")).expect("removed");
    });
    assert!(no_weights.contains("model.safetensors"), "{no_weights}");
    let no_config = complaint("gpt2", |dir| {
        std::fs::remove_file(dir.join("config.json")).expect("removed");
    });
    assert!(no_config.contains("config.json"), "{no_config}");
    let no_json = complaint("gpt2", |dir| std::fs::write(dir.join("config.json"), "{").expect("written"));
    assert!(no_json.contains("config.json") && no_json.contains("is not JSON"), "{no_json}");
    let outside = complaint("llama-sharded", |dir| {
        let index = json!({"weight_map": {"lm_head.weight": "../secret.safetensors"}});
        std::fs::write(dir.join("model.safetensors.index.json"), index.to_string()).expect("written");
    });
    assert!(outside.contains("../secret.safetensors"), "{outside}");
}

#[test]
fn weights_of_another_size_are_named() {
    let wrong = complaint("gpt2", set("n_positions", json!(8)));
    assert!(wrong.contains("transformer.wpe.weight is [16, 16] and should be [8, 16]"), "{wrong}");
    let wider = complaint("llama-sharded", set("head_dim", json!(8)));
    assert!(wider.contains("self_attn.q_proj.weight is [16, 16] and should be [16, 32]"), "{wider}");
    let deeper = complaint("gpt2", set("n_layer", json!(3)));
    assert!(deeper.contains("transformer.h.2.") && deeper.contains("is missing"), "{deeper}");
    let shallower = complaint("llama-sharded", set("num_hidden_layers", json!(1)));
    assert!(shallower.contains("model.layers.1.") && shallower.contains("has no place"), "{shallower}");
}

#[test]
fn an_export_that_cannot_be_written_names_the_file() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // A file cannot replace a folder.
    std::fs::create_dir_all(dir.path().join("model.safetensors/in the way")).expect("created");
    let (_, config) = configs().remove(0);
    let error = save(dir.path(), &model(&config, &device("cpu")), None).expect_err("the way is blocked");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    assert!(load_config(dir.path()).is_err(), "the config is written last");
}

/// Python with transformers, or why there is none.
pub(crate) fn python() -> Result<PathBuf, String> {
    let chosen = std::env::var_os("FIREBRAND_PYTHON").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".venvs/peers/bin/python"));
    for python in chosen.into_iter().chain(home).chain(["python3".into()]) {
        // Finding the packages is quick; importing them is not.
        let find = "import importlib.util as i, sys; sys.exit(not (i.find_spec('torch') and i.find_spec('transformers')))";
        if Command::new(&python).args(["-c", find]).output().is_ok_and(|output| output.status.success()) {
            return Ok(python);
        }
    }
    Err("no Python with torch and transformers is found; FIREBRAND_PYTHON may name one".into())
}

/// Python with transformers, and the peer script that computes logits; or why there is none.
pub(crate) fn peer() -> Result<(PathBuf, PathBuf), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peers/logits_hf.py");
    if !script.is_file() {
        return Err(format!("there is no {}", script.display()));
    }
    Ok((python()?, script))
}

fn check_against_transformers(preset: Preset) {
    let (python, script) = match peer() {
        Ok(peer) => peer,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let (_, mut config) =
        configs().into_iter().find(|(name, _)| *name == preset.name()).expect("in the table");
    if preset == Preset::Llama {
        config.n_kv_heads = 2;
    }
    let model = model(&config, &device("cpu"));
    let dir = tempfile::tempdir().expect("a temporary folder");
    save(dir.path(), &model, Some(0)).expect("written");
    let ids = ids(2, 11);
    let mine = dir.path().join("mine.json");
    std::fs::write(&mine, json!({"logits": uncached(&model, &ids)}).to_string()).expect("written");
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    let output = Command::new(python)
        .arg(script)
        .arg(dir.path())
        .args(["--ids", &list.join(","), "--compare"])
        .arg(&mine)
        .output()
        .expect("python starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let difference: f64 = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("max_abs_diff=")?.parse().ok())
        .unwrap_or_else(|| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert!(difference <= 1e-4, "{}: {said}", preset.name());
}

#[test]
fn transformers_computes_the_same_logits_from_an_exported_llama() {
    check_against_transformers(Preset::Llama);
}

#[test]
fn transformers_computes_the_same_logits_from_an_exported_gpt2() {
    check_against_transformers(Preset::Gpt2);
}
