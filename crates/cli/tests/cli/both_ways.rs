//! Bidirectional runs, and what every command makes of them.

use crate::support::Scratch;
use serde_json::Value;

const BOTH_WAYS: &str = "objective=bidirectional";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_bidirectional_run_is_trained_scored_continued_and_shown() {
    let scratch = Scratch::with_text();
    let ran = scratch.pretrain("elmo", &[BOTH_WAYS]).succeeds();
    assert!(ran.stderr.contains("2 × ") && ran.stderr.contains("Firebrand's own"), "{}", ran.stderr);
    for line in scratch.metrics("elmo") {
        let half = 0.5 * (number(&line["train_forward"]) + number(&line["train_backward"]));
        assert!((number(&line["train_loss"]) - half).abs() < 1e-9);
        if let Some(loss) = line.get("val_loss") {
            let half = 0.5 * (number(&line["val_forward"]) + number(&line["val_backward"]));
            assert!((number(loss) - half).abs() < 1e-9);
        }
    }
    let score = |text: &str| scratch.run(&["score", "elmo", "--text", text, "--json"]).json();
    let scored = score("Once there was a crow.");
    let directions = ["forward", "backward"].map(|name| number(&scored[name]["log_likelihood"]));
    assert!((number(&scored["log_likelihood"]) - 0.5 * (directions[0] + directions[1])).abs() < 1e-6);
    assert!(directions[0] != directions[1] && directions.iter().all(|nats| *nats < 0.0));
    // Both directions predict every token of the text, from an end of text before and behind it.
    let encoded = scratch.run_with(&["tokenizer", "encode", "--tokenizer", "elmo"], "Once there was a crow.");
    let tokens = encoded.succeeds().stdout.trim().split(',').count();
    assert_eq!(scored["tokens"].as_u64(), Some(tokens as u64));
    let plain = scratch.run(&["score", "elmo", "--text", "Once"]).succeeds().stdout;
    assert!(plain.contains("forward") && plain.contains("backward"), "{plain}");
    // The forward half is a decoder.
    let generated =
        scratch.run(&["generate", "elmo", "--prompt", "Once", "--max-new-tokens", "5", "--json"]).json();
    assert_eq!(generated["ids"].as_array().map(Vec::len), Some(5));
    let shown = scratch.run(&["show", "elmo"]).succeeds().stdout;
    assert!(shown.contains("FirebrandForBidirectionalLM"), "{shown}");
}

#[test]
fn a_bidirectional_run_goes_on_where_it_was_stopped() {
    let scratch = Scratch::with_text();
    scratch.pretrain("elmo", &[BOTH_WAYS]).succeeds();
    let weights = scratch.bytes("elmo/model.safetensors");
    std::fs::remove_dir_all(scratch.path("elmo/checkpoints/step-00000008")).expect("the last checkpoint");
    scratch.run(&["pretrain", "--out", "elmo", "--resume"]).succeeds();
    assert!(scratch.bytes("elmo/model.safetensors") == weights);
}

#[test]
fn states_of_layers_come_as_json_lines_or_in_a_file() {
    let scratch = Scratch::with_text();
    scratch.pretrain("elmo", &[BOTH_WAYS]).succeeds();
    scratch.pretrain("run", &[]).succeeds();
    let d_model = |run: &str| {
        let config: Value =
            serde_json::from_slice(&scratch.bytes(&format!("{run}/config.json"))).expect("JSON");
        config["firebrand"]["d_model"].as_u64().expect("a width") as usize
    };
    for (run, directions) in [("elmo", 2), ("run", 1)] {
        let embed = |more: &[&str]| {
            let line = [&["embed", run, "--text", "Once", "--text", "a crow"], more].concat();
            scratch.run(&line).succeeds().json_lines()
        };
        let vectors = |line: &Value| -> Vec<Vec<f64>> {
            let rows = line["embeddings"].as_array().expect("a row a token");
            rows.iter().map(|row| row.as_array().expect("a row").iter().map(number).collect()).collect()
        };
        let layers: Vec<Vec<Value>> = ["0", "1"].iter().map(|layer| embed(&["--layer", layer])).collect();
        let mixed = embed(&["--layer", "mix"]);
        let n_layers = 1 + layers[1].len().min(1);
        assert_eq!(n_layers, 2);
        for (index, text) in ["Once", "a crow"].iter().enumerate() {
            let line = &layers[0][index];
            assert_eq!(line["text"], *text);
            let rows = vectors(line);
            assert_eq!(rows.len(), line["ids"].as_array().map_or(0, Vec::len));
            assert!(rows.iter().all(|row| row.len() == directions * d_model(run)));
            if directions == 2 {
                assert!(
                    rows.iter().all(|row| row[..row.len() / 2] == row[row.len() / 2..]),
                    "the embedding twice"
                );
            }
            assert!(vectors(&mixed[index]) != rows);
        }
        // The mean of a text's tokens.
        let pooled = embed(&["--layer", "1", "--pool", "mean"]);
        let rows = vectors(&layers[1][0]);
        let first = rows.iter().map(|row| row[0]).sum::<f64>() / rows.len() as f64;
        assert!((number(&pooled[0]["embedding"][0]) - first).abs() < 1e-5);
        let out = ["embed", run, "--text", "Once", "--pool", "mean", "--out", "vectors.safetensors"];
        scratch.run(&out).succeeds();
        let file = scratch.bytes("vectors.safetensors");
        let header = String::from_utf8_lossy(&file[8..200.min(file.len())]).into_owned();
        assert!(header.contains(&format!("[1,{}]", directions * d_model(run))), "{header}");
    }
    scratch.run(&["embed", "run", "--text", "Once", "--layer", "9"]).fails(2, &["--layer 9"]);
    scratch.run(&["embed", "run", "--text", "Once", "--layer", "top"]).fails(2, &["top", "last or mix"]);
    scratch.run(&["embed", "run", "--text", ""]).fails(2, &["text 1 is empty"]);
    scratch.run(&["embed", "run", "--text", &"crow ".repeat(40)]).fails(2, &["text 1 has", "context is"]);
    scratch.run(&["embed", "run", "--text", "a", "--out", "none/x"]).fails(2, &["--out none/x"]);
}

#[test]
fn each_document_of_a_file_has_a_line_of_its_own() {
    let scratch = Scratch::with_run();
    scratch.write("lines.txt", "Once there was a crow.\nA crow.\n");
    let each = ["score", "run", "--file", "lines.txt", "--boundary", "line"];
    let lines = scratch.run(&[&each[..], &["--each"]].concat()).succeeds().json_lines();
    assert_eq!(lines.len(), 2);
    let all = scratch.run(&[&each[..], &["--json"]].concat()).json();
    for key in ["log_likelihood", "tokens", "bytes"] {
        let sum: f64 = lines.iter().map(|line| number(&line[key])).sum();
        assert!((sum - number(&all[key])).abs() < 1e-6 * sum.abs(), "{key}");
    }
    assert!(number(&lines[0]["bytes"]) > number(&lines[1]["bytes"]));
    scratch.run(&["score", "run", "--text", "a", "--each"]).fails(2, &["--text", "--each"]);
}

#[test]
fn a_run_of_another_kind_is_no_start_and_no_teacher() {
    let scratch = Scratch::with_text();
    scratch.pretrain("elmo", &[BOTH_WAYS]).succeeds();
    let config = ["pretrain", "--config", "tiny.toml", "--out", "run", "--from", "elmo"];
    scratch.run(&config).fails(1, &["--from elmo", "bidirectional model", "decoder model is wanted"]);
    scratch.pretrain("draft", &["distillation.teacher=elmo"]).fails(1, &["bidirectional model"]);
    scratch
        .pretrain("draft", &[BOTH_WAYS, "distillation.teacher=elmo"])
        .fails(2, &["[distillation] teaches a causal model"]);
}
