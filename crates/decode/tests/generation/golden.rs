//! The ids and scores that Hugging Face `generate` finds with tiny models (`tests/golden/make.py`).

use std::ops::ControlFlow;
use std::path::Path;

use firebrand_backend::device;
use firebrand_decode::{Beam, DecoderModel, GenerateConfig, Penalties, Strategy, generate_n_best};
use firebrand_transformer::hugging_face;
use serde_json::Value;

#[test]
fn hugging_face_generate_finds_the_same() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let models = tests.join("../../transformer/tests/golden");
    let json = std::fs::read_to_string(tests.join("golden/generate.json")).expect("committed");
    let cases: Vec<Value> = serde_json::from_str(&json).expect("JSON");
    assert_eq!(cases.len(), 120);
    let (_, device) = device::resolve(Some("cpu")).expect("the cpu is always there");
    for case in cases {
        let decoder = hugging_face::load(&models.join(case["model"].as_str().expect("a name")), &device);
        let decoder = decoder.expect("a supported folder");
        let prompt: Vec<u32> = serde_json::from_value(case["prompt"].clone()).expect("ids");
        let expected: Vec<Vec<u32>> = serde_json::from_value(case["ids"].clone()).expect("ids");
        let config = config(&case["options"]);
        let found = generate_n_best(&DecoderModel::new(&decoder), &[prompt], &config, &mut |_, _| {
            ControlFlow::Continue(())
        });
        let found = found.expect("valid options").remove(0);
        let ids: Vec<Vec<u32>> = found.iter().map(|generation| generation.ids.clone()).collect();
        assert_eq!(ids, expected, "{case}");
        if let Some(scores) = case["scores"].as_array() {
            for (found, expected) in found.iter().zip(scores) {
                let expected = expected.as_f64().expect("a number");
                assert!((found.score - expected).abs() < 1e-3, "{} is not {expected}: {case}", found.score);
            }
        }
    }
}

fn config(options: &Value) -> GenerateConfig {
    let number = |name: &str| options[name].as_u64().map(|number| number as usize);
    let length_penalty = options["length_penalty"].as_f64().unwrap_or(0.0);
    let beam = |width| Strategy::Beam(Beam { width, length_penalty, ..Beam::default() });
    GenerateConfig {
        strategy: number("num_beams").map_or(Strategy::Greedy, beam),
        n_best: number("num_return_sequences").unwrap_or(1),
        penalties: Penalties {
            repetition: options["repetition_penalty"].as_f64().unwrap_or(1.0),
            no_repeat_ngram: number("no_repeat_ngram_size").unwrap_or(0),
            ..Penalties::default()
        },
        max_new_tokens: 11,
        min_new_tokens: number("min_new_tokens").unwrap_or(0),
        end_of_text: Some(0),
        ..GenerateConfig::default()
    }
}
