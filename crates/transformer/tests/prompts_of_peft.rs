//! Trained prompts in folders: PEFT's read here, ours read there.

use burn::tensor::Device;
use firebrand_backend::device;
use firebrand_transformer::hugging_face::{
    base_of_adapter, holds_prompt, load_any, load_prompt, save, save_prompt,
};
use firebrand_transformer::{
    AnyModel, Beginning, Body, Decoder, Model, ModelConfig, NamedTensor, Preset, Prompted, TrainedPrompt,
    named_tensors, with_tensors,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const IDS: [u32; 6] = [3, 1, 4, 1, 5, 9];

fn cpu() -> Device {
    device::resolve(Some("cpu")).expect("always there").1
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The logits behind a prompt and each id; of a prefix those behind each id.
fn logits(prompted: &Prompted, ids: &[u32]) -> Vec<Vec<f32>> {
    let Body::Decoder(decoder) = prompted.body() else { panic!("the models here are decoders") };
    let row = match prompted.prompt() {
        // In the place of the first id.
        Some(TrainedPrompt::Soft(_)) => [&[0], ids].concat(),
        _ => ids.to_vec(),
    };
    let states = prompted.states(&[&row], None).reshape([row.len(), decoder.config().d_model]);
    let logits: Vec<f32> = decoder.logits(states).into_data().convert::<f32>().try_into_vec().expect("f32");
    logits.chunks(decoder.config().vocab_size).map(<[f32]>::to_vec).collect()
}

/// The model behind the prompt in a folder.
fn open(dir: &Path) -> Prompted {
    let base = base_of_adapter(dir).expect("its base is there").expect("it names one");
    let model = load_any(&base, &cpu()).expect("a model");
    let prompt = load_prompt(dir, &model).expect("a prompt");
    let AnyModel::Decoder(decoder) = model else { panic!("the models here are decoders") };
    Prompted::new(Body::Decoder(*decoder), Some(prompt)).expect("they go together")
}

fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!((a.len(), a[0].len()), (b.len(), b[0].len()));
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn prompts_of_peft_give_the_logits_of_peft() {
    for name in ["prompt-gpt2", "prompt-llama", "prefix-gpt2", "prefix-llama"] {
        assert!(holds_prompt(&golden(name)).expect("readable"), "{name}");
        let text = std::fs::read_to_string(golden(name).join("logits.json")).expect("committed");
        let said: Value = serde_json::from_str(&text).expect("json");
        let ids: Vec<u32> = serde_json::from_value(said["ids"].clone()).expect("ids");
        let expected: Vec<Vec<f32>> = serde_json::from_value(said["logits"].clone()).expect("logits");
        let difference = difference(&logits(&open(&golden(name)), &ids), &expected);
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}

/// Models far from their first weights, one whose heads share keys.
fn decoders() -> Vec<Decoder> {
    let llama = ModelConfig { n_kv_heads: 2, ..ModelConfig::preset(Preset::Llama, 19, 16, 2, 4, 16) };
    let gpt2 = ModelConfig::preset(Preset::Gpt2, 19, 16, 2, 4, 16);
    let far = |config: ModelConfig| {
        let model = Decoder::new(&config, 7, &cpu()).expect("a model");
        let tensors = named_tensors(&model).into_iter().map(|tensor| {
            let change = |(i, value): (usize, f32)| value * 6.0 + 0.1 * (i as f32 * 1.7).sin();
            let values = tensor.values.iter().copied().enumerate().map(change).collect();
            NamedTensor { values, ..tensor }
        });
        with_tensors(model, tensors.collect()).expect("its own")
    };
    [llama, gpt2].map(far).into()
}

#[test]
fn peft_reads_our_prompts_with_the_same_logits() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut folders = Vec::new();
    for (index, decoder) in decoders().into_iter().enumerate() {
        let base = dir.path().join(format!("base-{index}"));
        save(&base, &decoder, None).expect("written");
        let body = Body::Decoder(decoder);
        let words = Beginning::Ids(vec![2, 7, 11]);
        let prompts = [
            TrainedPrompt::soft(&body, &Beginning::Random(4), 1).expect("a prompt"),
            TrainedPrompt::prefix(&body, &words, 5, 1).expect("a prefix"),
        ];
        for (kind, prompt) in prompts.into_iter().enumerate() {
            let prompted = Prompted::new(body.clone(), Some(prompt)).expect("they go together");
            let folder = dir.path().join(format!("prompt-{index}-{kind}"));
            save_prompt(&folder, &prompted, &base).expect("written");
            let expected = logits(&prompted, &IDS);
            let difference = difference(&logits(&open(&folder), &IDS), &expected);
            assert!(difference <= 1e-5, "{folder:?}: {difference:e}");
            let said = json!({"ids": IDS, "logits": expected});
            std::fs::write(folder.join("firebrand.json"), said.to_string()).expect("written");
            folders.push(folder);
        }
    }
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".venvs/peers/bin/python"));
    let chosen = std::env::var_os("FIREBRAND_PYTHON").map(PathBuf::from);
    let mut pythons = chosen.into_iter().chain(home).chain(["python3".into()]);
    let has_peft = |python: &PathBuf| {
        Command::new(python).args(["-c", "import peft"]).output().is_ok_and(|run| run.status.success())
    };
    let Some(python) = pythons.find(has_peft) else {
        eprintln!("skipped: no Python with peft is found; FIREBRAND_PYTHON may name one");
        return;
    };
    let script = golden("make_prompts.py");
    let run = Command::new(python).arg(script).arg("--compare").args(&folders).output().expect("it starts");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(said.lines().count(), folders.len(), "{said}");
}

#[test]
fn folders_that_hold_no_prompt_for_this_model_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let [llama, gpt2] = <[Decoder; 2]>::try_from(decoders()).expect("two");
    let base = dir.path().join("base");
    save(&base, &llama, None).expect("written");
    let body = Body::Decoder(llama.clone());
    let prompt = TrainedPrompt::prefix(&body, &Beginning::Random(3), 0, 1).expect("a prefix");
    let prompted = Prompted::new(body, Some(prompt)).expect("they go together");
    let folder = dir.path().join("prompt");
    save_prompt(&folder, &prompted, &base).expect("written");
    let error = load_any(&folder, &cpu()).expect_err("it is no adapter").to_string();
    assert!(error.contains("a trained prompt") && error.contains("firebrand classify"), "{error}");
    let of_another = AnyModel::Decoder(Box::new(gpt2));
    let error = load_prompt(&folder, &of_another).expect_err("of another width").to_string();
    assert!(error.contains("of 32 numbers") && error.contains("have 64"), "{error}");
    let path = folder.join("adapter_config.json");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, text.replace("\"prefix_projection\": false", "\"prefix_projection\": true"))
        .expect("written");
    let error = load_prompt(&folder, &AnyModel::Decoder(Box::new(llama))).expect_err("an MLP").to_string();
    assert!(error.contains("prefix_projection"), "{error}");
}
