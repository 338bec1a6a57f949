//! Models of llama2.c: what llama.cpp makes of the same weights (`golden/llama2c.py`), and damaged files.

use crate::device;
use firebrand_transformer::llama2c::load;
use firebrand_transformer::{CpuDecoder, Wanted, WeightFormat};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The trained model, or the reason why it is not looked at.
fn stories() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("../../../shared/data/stories260k/stories260K.bin");
    if !path.exists() {
        eprintln!("skipped: no ../shared/data/stories260k beside the repository");
        return None;
    }
    Some(path)
}

#[test]
fn two_hundred_ids_and_their_log_probabilities_are_those_of_llama_cpp() {
    let Some(path) = stories() else { return };
    let golden: Value =
        serde_json::from_str(include_str!("../golden/llama2c.json")).expect("the golden file");
    let ids: Vec<u32> = serde_json::from_value(golden["ids"].clone()).expect("ids");
    let log_probs: Vec<f64> = serde_json::from_value(golden["log_probs"].clone()).expect("log-probabilities");
    let decoder = load(&path, &device("cpu")).expect("the model");
    let model = CpuDecoder::new(&decoder, WeightFormat::F32).expect("on the CPU");
    let logits = model.step(&mut model.start(1), &[&ids], Wanted::All);
    for (position, (logits, expected)) in logits.chunks_exact(512).zip(log_probs).enumerate() {
        let logits: Vec<f64> = logits.iter().copied().map(f64::from).collect();
        let (likeliest, largest) = (0..).zip(&logits).max_by(|a, b| a.1.total_cmp(b.1)).expect("logits");
        let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        assert_eq!(likeliest, ids[position + 1], "position {position}");
        assert!((-sum.ln() - expected).abs() < 2e-4, "position {position}: {} and {expected}", -sum.ln());
    }
}

#[test]
fn what_is_no_model_of_llama2c_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("model.bin");
    let complaint = |content: &[u8]| {
        std::fs::write(&path, content).expect("written");
        load(&path, &device("cpu")).expect_err("it is no model").to_string()
    };
    assert!(complaint(&[1; 5]).contains("has 5 bytes"));
    assert!(complaint(&[0; 64]).contains("no sizes of a model"));
    assert!(complaint(&[0x7f; 64]).contains("no sizes of a model"));
    let header: Vec<u8> = [64_i32, 172, 5, 8, 4, 512, 512].iter().flat_map(|n| n.to_le_bytes()).collect();
    assert!(complaint(&[&header[..], &[0; 100]].concat()).contains("holds 100 bytes of weights"));
    let header: Vec<u8> = [65_i32, 172, 5, 8, 4, 512, 512].iter().flat_map(|n| n.to_le_bytes()).collect();
    let message = complaint(&header);
    assert!(message.contains("model.bin") && message.contains("65"), "{message}");
    if let Some(stories) = stories() {
        let content = std::fs::read(stories).expect("read");
        assert!(complaint(&content[..content.len() - 4]).contains("cut short"));
    }
    assert!(
        load(&dir.path().join("none.bin"), &device("cpu"))
            .expect_err("absent")
            .to_string()
            .contains("none.bin")
    );
}
