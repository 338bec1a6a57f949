//! `firebrand generate --no-cache` and `--explain-cost`.

use crate::support::Scratch;
use serde_json::Value;

const FIRST: [&str; 6] = ["generate", "run", "--max-new-tokens", "8", "--prompt", "Once"];

#[test]
fn without_its_cache_a_model_writes_the_same() {
    let scratch = Scratch::with_run();
    for options in [
        &[][..],
        &["--temperature", "1.3", "--seed", "5"],
        &["--beams", "3", "--n-best", "2"],
        &["--best-of", "3"],
        &["--draft", "ngram"],
        &["--draft", "self:1", "--draft-length", "3"],
        &["--sliding-window", "--prompt", "The fox wanted to"],
        &["--guidance", "2"],
        &["--regex", "[a-z ]{9}"],
    ] {
        let ids = |more: &[&str]| -> Vec<Value> {
            let lines = scratch.run(&[&FIRST[..], &["--json"], options, more].concat()).json_lines();
            lines.iter().map(|line| line["ids"].clone()).collect()
        };
        let cached = ids(&[]);
        assert!(!cached.is_empty() && cached[0] != Value::Null);
        assert_eq!(ids(&["--no-cache"]), cached, "{options:?}");
    }
}

#[test]
fn a_cost_is_explained_with_its_numbers() {
    let scratch = Scratch::with_run();
    for (options, hypotheses) in
        [(&[][..], 1), (&["--beams", "3"], 3), (&["--temperature", "1"], 1), (&["--best-of", "2"], 2)]
    {
        let args = [&FIRST[..], &["--min-new-tokens", "8"], options].concat();
        let line = scratch.run(&[&args[..], &["--json", "--explain-cost"]].concat()).json();
        let plain = scratch.run(&[&args[..], &["--json"]].concat()).json();
        assert_eq!(line["ids"], plain["ids"], "{options:?}");
        let cost = &line["cost"];
        let prompt = plain["prompt_ids"].as_array().expect("ids").len();
        assert_eq!(cost["prompt_tokens"].as_u64(), Some(prompt as u64), "{cost}");
        assert_eq!(
            (cost["new_tokens"].as_u64(), cost["vocab_size"].as_u64()),
            (Some(8), Some(300)),
            "{cost}"
        );
        assert_eq!(cost["hypotheses"].as_u64(), Some(hypotheses), "{cost}");
        assert_eq!(cost["same_tokens"], true, "{cost}");
        for side in ["with_cache", "without_cache"] {
            let number = |key: &str| cost[side][key].as_f64().expect("a number");
            assert!(number("predicted_seconds") > 0.0 && number("measured_seconds") > 0.0, "{cost}");
            let parts = number("prompt_seconds") + number("token_seconds") + number("choice_seconds");
            assert!((parts / number("measured_seconds") - 1.0).abs() < 1e-6, "{cost}");
            assert_eq!(number("new_tokens"), 8.0);
        }
    }
    // For people, under the text.
    let text = scratch.run(&FIRST).succeeds().stdout;
    let shown = scratch.run(&[&FIRST[..], &["--explain-cost"]].concat()).succeeds().stdout;
    assert!(shown.starts_with(&text), "{shown}");
    for part in [
        "K = 1, logits |V| = 300",
        "pass over the prompt",
        "O(kpL + k²L) = ",
        "O(t·|V|) = ",
        "predicted",
        "measured",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn a_draft_is_explained_beside_plain_decoding() {
    let scratch = Scratch::with_run();
    let options = ["--min-new-tokens", "8", "--draft", "self:1", "--explain-cost", "--cost-plot", "cost.svg"];
    let args = [&FIRST[..], &options].concat();
    let line = scratch.run(&[&args[..], &["--json"]].concat()).json();
    assert!(line["speculation"]["predicted_speedup"].as_f64() > Some(0.0), "{line}");
    assert!(line["cost"]["with_cache"]["ratio"].as_f64() > Some(0.0), "{line}");
    let plot = scratch.text("cost.svg");
    for part in
        ["<svg", "new tokens", "(s)", "without the cache, predicted", "with the draft, measured", "</svg>"]
    {
        assert!(plot.contains(part), "{part} in {plot}");
    }
    let shown = scratch.run(&args).succeeds();
    assert!(shown.stdout.contains("O(kpL' + k²L') + O((p+k)L)"), "{}", shown.stdout);
    assert!(shown.stdout.contains("with the draft"), "{}", shown.stdout);
    assert!(shown.stderr.contains("the plot is cost.svg"), "{}", shown.stderr);
}

#[test]
fn what_has_no_cost_to_explain_is_refused() {
    let scratch = Scratch::with_run();
    scratch.write("file", "");
    let fails = |options: &[&str], parts: &[&str]| {
        scratch.run(&[&FIRST[..], options].concat()).fails(2, parts);
    };
    fails(&["--explain-cost", "--prompt", "It"], &["--explain-cost", "one prompt", "there are 2"]);
    fails(&["--explain-cost", "--no-cache"], &["--explain-cost", "--no-cache"]);
    fails(&["--explain-cost", "--sliding-window"], &["--sliding-window"]);
    fails(&["--explain-cost", "--guidance", "2"], &["--guidance"]);
    fails(&["--explain-cost", "--top-p", "2"], &["top_p 2"]);
    fails(&["--cost-plot", "cost.svg"], &["--explain-cost"]);
    fails(&["--explain-cost", "--cost-plot", "cost.png"], &["--cost-plot cost.png", ".svg"]);
    fails(&["--explain-cost", "--cost-plot", "nowhere/cost.svg"], &["there is no folder nowhere"]);
    fails(&["--explain-cost", "--cost-plot", "run"], &["--cost-plot run", "is a folder"]);
    fails(&["--explain-cost", "--cost-plot", "file/cost.svg"], &["there is no folder file"]);
    let nothing = ["generate", "run", "--prompt", "a", "--max-new-tokens", "0", "--explain-cost"];
    scratch.run(&nothing).fails(2, &["--explain-cost", "--max-new-tokens 0"]);
    let long = "word ".repeat(100);
    let long = ["generate", "run", "--prompt", &long, "--explain-cost"];
    scratch.run(&long).fails(2, &["the model's context holds 16"]);
}
