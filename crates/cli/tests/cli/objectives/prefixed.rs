//! Prefix language models.

use crate::support::Scratch;

#[test]
fn a_prompt_sees_itself_and_scores_are_those_of_reading_from_left_to_right() {
    let scratch = Scratch::with_text();
    let args = ["pretrain", "--config", "prefix-smoke", "--set", "data.texts=train.txt", "--out", "run"];
    scratch.run(&args).succeeds();
    let config = scratch.text("run/config.json");
    assert!(
        config.contains("FirebrandForCausalLM") && config.contains("\"prefix_attention\": true"),
        "{config}"
    );
    let last = scratch.metrics("run").into_iter().rfind(|line| line.get("val_loss").is_some());
    assert!(last.is_some_and(|line| line.get("val_bits_per_byte").is_none()), "prefixes are not predicted");
    let generate = |more: &[&str]| {
        let args = ["generate", "run", "--prompt", "Once there", "--max-new-tokens", "8", "--json"];
        scratch.run(&[&args[..], more].concat()).json()["ids"].clone()
    };
    // Drafts feed several tokens at a time, and nothing changes.
    let plain = generate(&[]);
    assert_eq!(generate(&["--draft", "ngram"]), plain);
    assert_eq!(generate(&["--device", "ndarray"]), plain);
    let score = |more: &[&str]| {
        let args = ["score", "run", "--text", "Once there was a fox", "--json"];
        scratch.run(&[&args[..], more].concat()).json()["loss"].as_f64().expect("a number")
    };
    assert!((score(&["--weights", "bf16"]) / score(&[]) - 1.0).abs() < 0.02, "both read from left to right");
    // The first token's vector depends on what comes later.
    let first = |text: &str| {
        let json = scratch.run(&["embed", "run", "--text", text]).json();
        json["embeddings"][0].as_array().expect("a vector").clone()
    };
    assert_ne!(first("Once"), first("Onca"));
    for option in ["--no-cache", "--explain-cost"] {
        scratch.run(&["generate", "run", "--prompt", "Once", option]).fails(2, &["--no-cache", "prompt"]);
    }
    scratch.run(&["generate", "run", "--fill", "On[Z]"]).fails(2, &["fill-in-the-middle"]);
}
