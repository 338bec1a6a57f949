//! Fine-tuning on labelled texts, and what a fine-tuned run is used for.

use crate::support::{Ran, Scratch};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

/// Eight steps that learn a word: `fox` is good, `crow` is bad, and the rest of the sentence does not matter.
const CONFIG: &str = r#"
[data]
held_out = 0.25

[head]
dropout = 0.0

[training]
epochs = 6
batch_size = 4
log_every = 1
eval_every = 10
checkpoint_every = 7

[optimizer]
lr = 1e-2

[schedule]
warmup_steps = 2
"#;

fn reviews(count: usize) -> String {
    let line = |i: usize| {
        let (who, label) = if i.is_multiple_of(2) { ("fox", "good") } else { ("crow", "bad") };
        let what = ["cheese", "grain", "shade"][i % 3];
        format!("\"The {who} wanted {what}, {i} times.\",{label}\n")
    };
    "review,label\n".to_owned() + &(0..count).map(line).collect::<String>()
}

/// `run`, a decoder, `reviews.csv` and `ft.toml`.
fn scratch() -> Scratch {
    let scratch = Scratch::with_run();
    scratch.write("reviews.csv", reviews(40));
    scratch.write("ft.toml", CONFIG);
    scratch
}

fn finetune(scratch: &Scratch, out: &str, more: &[&str]) -> Ran {
    let line = ["finetune", "--from", "run", "--data", "reviews.csv", "--config", "ft.toml", "--out", out];
    scratch.run(&[&line[..], more].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_decoder_learns_to_tell_texts_apart_and_tells_them_apart() {
    let scratch = scratch();
    let ran = finetune(&scratch, "ft", &["--json"]).succeeds();
    let said =
        ["30 examples to train on, 10 held out; 2 labels: bad, good", "LlamaForSequenceClassification"];
    said.iter().for_each(|part| assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr));
    let result: Value = serde_json::from_str(&ran.stdout).expect("json");
    assert_eq!(number(&result["figures"]["accuracy"]), 1.0, "{result}");
    let config: Value = serde_json::from_slice(&scratch.bytes("ft/config.json")).expect("json");
    assert_eq!(config["id2label"]["1"], "good");
    assert_eq!(config["architectures"][0], "LlamaForSequenceClassification");
    assert!(scratch.text("ft/run.toml").contains("command = \"finetune\""));
    assert!(scratch.metrics("ft").iter().any(|line| line.get("val_accuracy").is_some()));

    let said = scratch.run(&["classify", "ft", "The fox wanted peace.", "The crow wanted peace.", "--json"]);
    let said = said.json_lines();
    for (line, label) in said.iter().zip(["good", "bad"]) {
        assert_eq!(line["label"], label);
        let probabilities = line["probabilities"].as_object().expect("one a label");
        let sum: f64 = probabilities.values().map(number).sum();
        assert!((sum - 1.0).abs() < 1e-9 && probabilities.len() == 2, "{line}");
        assert_eq!(line["probability"], probabilities[label]);
    }
    let table = scratch.run(&["classify", "ft", "The fox wanted peace."]).succeeds().stdout;
    assert!(table.starts_with("good  ") && table.ends_with("The fox wanted peace.\n"), "{table}");
    let shown = scratch.run(&["show", "ft"]).succeeds().stdout;
    for part in ["from        run", "reviews.csv", "accuracy 1.0000", "of 45 (finished)"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    // What reads is still a model.
    scratch.run(&["embed", "ft", "--text", "The fox", "--json"]).succeeds();
    scratch.run(&["pretrain", "--out", "ft", "--resume"]).fails(2, &["a run of `firebrand finetune`"]);
}

#[test]
fn a_run_that_lost_its_last_checkpoint_comes_to_the_same_bits() {
    let scratch = scratch();
    finetune(&scratch, "ft", &["--set", "head.dropout=0.2"]).succeeds();
    let [weights, metrics] = [scratch.bytes("ft/model.safetensors"), scratch.text("ft/metrics.jsonl").into()];
    finetune(&scratch, "ft", &[]).fails(2, &["ft: holds a run already", "--resume"]);
    std::fs::remove_dir_all(scratch.path("ft/checkpoints/step-00000045")).expect("the last checkpoint");
    std::fs::remove_file(scratch.path("ft/model.safetensors")).expect("the weights");
    scratch.run(&["finetune", "--out", "ft", "--resume"]).succeeds();
    assert!(scratch.bytes("ft/model.safetensors") == weights);
    let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().count();
    assert_eq!(lines(&metrics), lines(scratch.text("ft/metrics.jsonl").as_bytes()));
    finetune(&scratch, "ft", &["--resume"]).fails(2, &["the run was started differently", "head.dropout"]);
    scratch.write("reviews.csv", reviews(41));
    scratch
        .run(&["finetune", "--out", "ft", "--resume"])
        .fails(2, &["the run was started differently", "data: "]);
}

#[test]
fn files_are_read_in_batches_and_written_with_more_columns() {
    let scratch = scratch();
    finetune(&scratch, "ft", &[]).succeeds();
    let classify = |more: &[&str]| scratch.run(&[&["classify", "ft"], more].concat());
    // The column is the one of the training file.
    classify(&["--file", "reviews.csv", "--add-columns", "out.csv"]).succeeds();
    let out = scratch.text("out.csv");
    let (head, rest) = out.split_once('\n').expect("lines");
    assert_eq!(head, "review,label,predicted,probability");
    assert_eq!(rest.lines().count(), 40);
    let right = rest.lines().filter(|line| {
        let (label, other) = if line.contains("fox") { ("good", "bad") } else { ("bad", "good") };
        let is_right = line.contains(&format!(",{label},{label},0."));
        assert!(line.starts_with("\"The "), "{line}");
        assert!(is_right || line.contains(&format!(",{label},{other},0.")), "{line}");
        is_right
    });
    // The weights that are kept are those that were best on a quarter of these texts.
    assert!(right.count() >= 36, "{out}");
    let one_by_one = classify(&["--file", "reviews.csv", "--json", "--batch-size", "1"]).json_lines();
    let together = classify(&["--file", "reviews.csv", "--json"]).json_lines();
    for (a, b) in one_by_one.iter().zip(&together) {
        assert_eq!((&a["text"], &a["label"]), (&b["text"], &b["label"]));
        assert!((number(&a["probability"]) - number(&b["probability"])).abs() < 1e-5);
    }
    scratch.write("more.jsonl", "{\"id\": 7, \"text\": \"A fox.\", \"tags\": [1, 2]}\n");
    classify(&["--file", "more.jsonl", "--text", "text", "--add-columns", "out.jsonl"]).succeeds();
    let line: Value = serde_json::from_str(&scratch.text("out.jsonl")).expect("json");
    assert_eq!((&line["id"], &line["tags"][1]), (&Value::from(7), &Value::from(2)));
    assert!(line["predicted"].is_string() && line["probability"].is_f64(), "{line}");
    scratch.write("lines.txt", "A fox.\nA crow.\n");
    assert_eq!(classify(&["--file", "lines.txt"]).succeeds().stdout.lines().count(), 2);

    scratch.write("other.jsonl", "{\"id\": 7, \"words\": \"A fox.\"}\n");
    classify(&["--file", "other.jsonl"]).fails(2, &["other.jsonl", "words"]);
    classify(&["--file", "none.csv"]).fails(2, &["none.csv"]);
    classify(&["--file", "reviews.csv", "--add-columns", "out.parquet"]).fails(2, &["give a .csv"]);
    classify(&["--file", "out.csv", "--add-columns", "again.csv"])
        .fails(2, &["a column `predicted` already"]);
    assert!(!scratch.path("again.csv").exists());
    classify(&["A fox.", " "]).fails(2, &["text 2 is empty"]);
    scratch.run(&["classify", "run", "A fox."]).fails(2, &["has no head", "firebrand finetune --from run"]);
    scratch.run(&["classify", "none", "A fox."]).fails(2, &["none: there is no such run"]);
}

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let scratch = scratch();
    finetune(&scratch, "ft", &[]).succeeds();
    let mut child = scratch.command(&["classify", "ft"]).stdin(Stdio::piped()).spawn().expect("it starts");
    let (mut to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut answers = BufReader::new(from).lines();
    for (text, label) in [("The fox wanted grain.", "good"), ("The crow wanted grain.", "bad")] {
        writeln!(to, "{text}").expect("it reads");
        let answer = answers.next().expect("an answer").expect("UTF-8");
        assert!(answer.starts_with(label) && answer.ends_with(text), "{answer}");
    }
    drop(to);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn every_kind_of_model_can_be_fine_tuned() {
    let scratch = scratch();
    for (objective, class) in [
        ("bidirectional", "FirebrandForSequenceClassification"),
        ("permutation", "FirebrandForSequenceClassification"),
        ("span-corruption", "FirebrandForSequenceClassification"),
        ("masked", "BertForSequenceClassification"),
        ("replaced-token", "BertForSequenceClassification"),
    ] {
        let preset = if class.starts_with("Bert") { "model.preset=bert" } else { "model.preset=llama" };
        let set = [&format!("objective={objective}"), preset, "training.steps=3"];
        scratch.pretrain(objective, &set).succeeds();
        let line = ["finetune", "--from", objective, "--data", "reviews.csv", "--config", "ft.toml"];
        let out = format!("ft-{objective}");
        let ran =
            scratch.run(&[&line[..], &["--out", &out, "--set", "training.steps=8"]].concat()).succeeds();
        assert!(ran.stderr.contains(class), "{}", ran.stderr);
        let said = scratch.run(&["classify", &out, "A fox.", "--json"]).json();
        assert!(said["label"].is_string(), "{said}");
    }
    let line = ["finetune", "--from", "masked", "--data", "reviews.csv", "--set", "head.lm_weight=0.5"];
    scratch.run(&line).fails(2, &["head.lm_weight 0.5", "masked is none"]);
}

#[test]
fn pairs_labels_and_numbers_are_learned_too() {
    let scratch = scratch();
    let pair = |i: usize| {
        let who = ["fox", "crow"][i % 2];
        let labels = if i.is_multiple_of(3) { vec![] } else { vec![who, "animal"] };
        serde_json::json!({"a": format!("A {who}."), "b": "Who?", "labels": labels, "score": i % 2})
            .to_string()
    };
    scratch.write("pairs.jsonl", (0..24).map(pair).collect::<Vec<_>>().join("\n"));
    let line = ["finetune", "--from", "run", "--data", "pairs.jsonl", "--config", "ft.toml", "--text", "a"];
    let with = |more: &[&str]| scratch.run(&[&line[..], more].concat());
    with(&["--text-b", "b", "--task", "multi-label", "--out", "labels"]).succeeds();
    let said = scratch.run(&["classify", "labels", "--file", "pairs.jsonl", "--json"]).json_lines();
    assert_eq!(said.len(), 24);
    assert_eq!(said[0]["text_b"], "Who?");
    assert_eq!(said[0]["probabilities"].as_object().map(|all| all.len()), Some(3));
    assert!(said.iter().all(|line| line["labels"].is_array()), "{:?}", said[0]);
    let result = with(&["--task", "regression", "--out", "numbers", "--json"]).json();
    assert!(number(&result["figures"]["pearson"]) > 0.9, "{result}");
    let said = scratch.run(&["classify", "numbers", "A fox.", "A crow.", "--json"]).json_lines();
    assert!(number(&said[0]["value"]) < number(&said[1]["value"]), "{said:?}");
    with(&["--task", "regression", "--set", "head.class_weights=balanced", "--out", "x"])
        .fails(2, &["head.class_weights is for the task classification"]);
    with(&["--task", "regression", "--set", "head.best_by=accuracy", "--out", "x"])
        .fails(2, &["head.best_by accuracy", "pearson"]);
}

#[test]
fn several_seeds_come_with_mean_and_deviation() {
    let scratch = scratch();
    let result = finetune(&scratch, "seeds", &["--seeds", "2", "--json", "--set", "training.steps=6"]).json();
    let runs = result["runs"].as_array().expect("a list");
    assert_eq!(runs.iter().map(|run| number(&run["seed"])).collect::<Vec<f64>>(), [0.0, 1.0]);
    let mean = runs.iter().map(|run| number(&run["figures"]["accuracy"])).sum::<f64>() / 2.0;
    assert!((number(&result["figures"]["accuracy"]["mean"]) - mean).abs() < 1e-12);
    assert!(
        scratch.bytes("seeds/seed-0/model.safetensors") != scratch.bytes("seeds/seed-1/model.safetensors")
    );
    // Runs that are there are not made again.
    let again = scratch.run(&["finetune", "--out", "seeds", "--seeds", "2", "--resume", "--json"]).json();
    assert_eq!(again["figures"]["accuracy"], result["figures"]["accuracy"]);
}

#[test]
fn bad_data_is_refused_before_anything_is_written() {
    let scratch = scratch();
    let with = |data: &str, more: &[&str]| {
        let line = ["finetune", "--from", "run", "--data", data, "--config", "ft.toml", "--out", "bad"];
        scratch.run(&[&line[..], more].concat())
    };
    with("reviews.csv", &["--label", "lable"]).fails(2, &["no field `lable`", "did you mean `label`?"]);
    with("reviews.csv", &["--text", "reviw"]).fails(2, &["no field `reviw`", "did you mean `review`?"]);
    scratch.write("held.csv", "review,label\nA hen.,ugly\n");
    with("reviews.csv", &["--set", "data.held_out=[\"held.csv\"]"])
        .fails(2, &["held.csv", "line 2", "the label `ugly` is none of those that are known: bad, good"]);
    scratch.write("one.csv", "text,label\na,good\nb,good\nc,good\nd,good\n");
    with("one.csv", &[]).fails(2, &["all 4 examples have the label `good`"]);
    scratch.write("empty.csv", "text,label\na,good\n\"\",bad\nc,good\n");
    with("empty.csv", &[]).fails(2, &["line 3", "is empty", "data.empty_texts=skip"]);
    scratch.write("ragged.csv", "text,label\na,good\nb\nc,bad\n");
    with("ragged.csv", &[]).fails(2, &["ragged.csv", "line 3"]);
    with("none.csv", &[]).fails(2, &["--data none.csv: there is no such file"]);
    with("ss2", &[]).fails(2, &["--data ss2", "did you mean `sst2`?"]);
    with("reviews.csv", &["--set", "training.seq_len=4000"])
        .fails(2, &["training.seq_len 4000", "context of 16"]);
    with("reviews.csv", &["--set", "training.seq_len=1"])
        .fails(2, &["training.seq_len 1 is too short: a text and what stands around it take 2 at least"]);
    with("reviews.csv", &["--set", "training.epochs=0"]).fails(2, &["training.epochs 0"]);
    with("reviews.csv", &["--set", "head.droput=0.1"]).fails(2, &["did you mean `dropout`?"]);
    with("reviews.csv", &["--set", "head.class_weights=[1.0]"]).fails(2, &["1 weights for 2 labels"]);
    let line = ["finetune", "--from", "tok", "--data", "reviews.csv", "--out", "bad"];
    scratch.run(&line).fails(2, &["tok: holds no model"]);
    scratch.run(&["finetune", "--out", "bad", "--resume"]).fails(2, &["bad: holds no run to go on with"]);
    assert!(!scratch.path("bad/run.toml").exists());
}
