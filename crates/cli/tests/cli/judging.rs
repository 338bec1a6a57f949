//! Reports of fine-tuned runs: of what is held out, of a file with labels, over folds and sizes.

use crate::support::{Ran, Scratch};
use serde_json::{Value, json};

/// Reviews of which the word `fox` says that they are good.
fn reviews(from: usize, to: usize) -> String {
    let row = |i: usize| {
        let (who, label) = if i.is_multiple_of(2) { ("fox", "good") } else { ("crow", "bad") };
        format!("\"The {who} wanted cheese, {i} times.\",{label}\n")
    };
    std::iter::once("text,label\n".to_owned()).chain((from..to).map(row)).collect()
}

/// `run`, a decoder, and files with labels.
fn scratch() -> Scratch {
    let scratch = Scratch::with_run();
    scratch.write("train.csv", reviews(0, 40));
    scratch.write("test.csv", reviews(40, 60));
    scratch
}

fn finetune(scratch: &Scratch, out: &str, more: &[&str]) -> Ran {
    let line = ["finetune", "--from", "run", "--data", "train.csv", "--config", "smoke", "--out", out];
    scratch.run(&[&line[..], more].concat())
}

fn report(scratch: &Scratch, file: &str) -> Value {
    serde_json::from_str(&scratch.text(file)).expect("JSON")
}

#[test]
fn a_run_reports_what_is_held_out_and_classify_reports_the_same_of_the_file() {
    let scratch = scratch();
    let set = "data.held_out=[\"test.csv\"]";
    let ran = finetune(&scratch, "ft", &["--set", set, "--set", "training.steps=40"]).succeeds();
    assert!(ran.stdout.starts_with("20 examples: accuracy "), "{}", ran.stdout);
    for heading in ["precision", "label, and predicted"] {
        assert!(ran.stdout.contains(heading), "{heading} is not in {}", ran.stdout);
    }
    let held_out = report(&scratch, "ft/report.json");
    assert_eq!((&held_out["task"], &held_out["examples"]), (&json!("classification"), &json!(20)));
    let basis = [&held_out["part"], &held_out["weights_chosen_on"]];
    assert_eq!(basis, [&json!("held-out"), &json!("held-out")]);
    assert!(ran.stdout.contains("by which the weights were chosen too: data.test"), "{}", ran.stdout);
    let judged = scratch
        .run(&["classify", "ft", "--file", "test.csv", "--label", "label", "--json"])
        .succeeds()
        .json();
    assert_eq!(judged["confusion"], held_out["confusion"]);
    let wrong = scratch.run(&["classify", "ft", "--file", "test.csv", "--label", "lable"]);
    wrong.fails(2, &["there is no field `lable`", "did you mean `label`?"]);
    scratch.write("other.csv", "text,label\nA fox.,great\n");
    let unseen = scratch.run(&["classify", "ft", "--file", "other.csv", "--label", "label"]);
    unseen.fails(2, &["other.csv, line 2: the label `great` is none of those that are known: bad, good"]);
}

#[test]
fn a_test_part_is_reported_on_and_changes_nothing_of_the_run() {
    let scratch = scratch();
    // The same texts under the other label: whatever looked at them would choose other weights.
    scratch.write(
        "swapped.csv",
        reviews(40, 60).replace("good", "?").replace("bad", "good").replace('?', "bad"),
    );
    let run = |out: &str, test: &str| {
        let test = format!("data.test=[\"{test}\"]");
        let set = ["--set", &test, "--set", "training.steps=24", "--set", "training.patience=3", "--json"];
        finetune(&scratch, out, &set).json()
    };
    let (right, wrong) = (run("right", "test.csv"), run("wrong", "swapped.csv"));
    assert!(scratch.bytes("right/model.safetensors") == scratch.bytes("wrong/model.safetensors"));
    assert_eq!(scratch.metrics("right"), scratch.metrics("wrong"));
    for key in ["val_loss", "val_figures", "best_step"] {
        assert_eq!(right[key], wrong[key], "{key}");
    }
    let accuracy = |run: &Value| run["figures"]["accuracy"].as_f64().expect("a number");
    assert!((accuracy(&right) + accuracy(&wrong) - 1.0).abs() < 1e-9, "{right} {wrong}");
    assert_ne!(right["test_loss"], wrong["test_loss"]);
    let found = report(&scratch, "right/report.json");
    assert_eq!((&found["part"], &found["examples"]), (&json!("test"), &json!(20)));
    let judged = scratch.run(&["classify", "right", "--file", "test.csv", "--label", "label", "--json"]);
    assert_eq!(judged.succeeds().json()["confusion"], found["confusion"]);
}

#[test]
fn a_test_part_can_be_a_share_and_needs_nothing_held_out() {
    let scratch = scratch();
    let set = ["--set", "data.test=0.25", "--set", "data.held_out=\"none\""];
    let ran = finetune(&scratch, "ft", &set).succeeds();
    assert!(ran.stderr.contains("30 examples to train on, 0 held out, 10 to test on"), "{}", ran.stderr);
    assert!(ran.stdout.contains("the weights are those of the last step"), "{}", ran.stdout);
    let found = report(&scratch, "ft/report.json");
    assert_eq!((&found["examples"], &found["weights_chosen_on"]), (&json!(10), &json!(null)));
    let seeds = finetune(&scratch, "seeds", &["--seeds", "2", "--set", "data.test=0.25", "--json"]).json();
    let parts: Vec<&Value> =
        seeds["runs"].as_array().expect("a list").iter().map(|run| &run["part"]).collect();
    assert_eq!(parts, ["test", "test"]);
}

#[test]
fn labels_that_cannot_be_learned_or_measured_are_named() {
    let scratch = scratch();
    let rare = scratch.text("train.csv") + "A hen.,so-so\n";
    scratch.write("train.csv", &rare);
    let ran = finetune(&scratch, "rare", &["--set", "data.held_out=0.6"]).succeeds();
    let expected =
        "warning: one example alone has the label `so-so`: it is trained on, and nothing is measured of it";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    // In one of the folds it is what is measured on.
    let ran = finetune(&scratch, "folds", &["--folds", "2"]).succeeds();
    let expected = "warning: nothing that is trained on has the label `so-so`";
    assert_eq!(ran.stderr.matches(expected).count(), 1, "{}", ran.stderr);
}

#[test]
fn texts_longer_than_the_context_are_cut_with_a_count_or_read_in_windows() {
    let scratch = scratch();
    let cut = finetune(&scratch, "cut", &["--set", "training.seq_len=8"]).succeeds();
    assert!(cut.stderr.contains("40 texts are longer than 8 tokens and were cut"), "{}", cut.stderr);
    let windows = ["--set", "training.seq_len=8", "--set", "training.long_texts=windows"];
    let ran = finetune(&scratch, "windows", &windows).succeeds();
    assert!(ran.stderr.contains("40 texts are longer than 8 tokens and are read in parts"), "{}", ran.stderr);
    assert_eq!(report(&scratch, "windows/report.json")["examples"], 10, "a text counts once");
    let judged = scratch.run(&["classify", "windows", "--file", "test.csv", "--label", "label", "--json"]);
    assert_eq!(judged.succeeds().json()["examples"], 20);
    let said = scratch
        .run(&["classify", "windows", "--json", &"The fox wanted cheese. ".repeat(9)])
        .succeeds()
        .json();
    let sum: f64 =
        ["good", "bad"].iter().map(|label| said["probabilities"][label].as_f64().expect("a number")).sum();
    assert!((sum - 1.0).abs() < 1e-9, "a mean of distributions is one: {said}");
}

#[test]
fn a_learning_curve_holds_out_the_same_examples_for_every_size() {
    let scratch = scratch();
    let ran = finetune(&scratch, "curve", &["--curve", "8,16", "--json"]).succeeds().json();
    let sizes: Vec<&Value> =
        ran["points"].as_array().expect("a list").iter().map(|point| &point["examples"]).collect();
    assert_eq!(sizes, [8, 16]);
    assert_eq!(report(&scratch, "curve/curve.json"), ran);
    for size in [8, 16] {
        assert_eq!(report(&scratch, &format!("curve/examples-{size}/report.json"))["examples"], 10);
    }
}

#[test]
fn a_cross_validation_measures_on_every_example_once() {
    let scratch = scratch();
    let ran = finetune(&scratch, "folds", &["--folds", "4"]).succeeds();
    assert!(ran.stdout.contains("deviation"), "{}", ran.stdout);
    let examples: i64 = (0..4)
        .map(|fold| {
            report(&scratch, &format!("folds/fold-{fold}/report.json"))["examples"]
                .as_i64()
                .expect("a number")
        })
        .sum();
    assert_eq!(examples, 40);
    let fold = report(&scratch, "folds/fold-0/report.json");
    let basis = [&fold["part"], &fold["weights_chosen_on"]];
    assert_eq!(basis, [&json!("test"), &json!("held-out")], "a quarter of the rest is held out to choose by");
    finetune(&scratch, "x", &["--folds", "4", "--set", "data.test=0.2"]).fails(2, &["data.test", "--folds"]);
    finetune(&scratch, "x", &["--folds", "41"]).fails(2, &["there is no fold 0 of 41", "of 40 examples"]);
}

#[test]
fn files_are_read_in_use_as_they_were_in_training() {
    let scratch = scratch();
    // Without a header, tabs between columns, under a name that says nothing of it, the label called otherwise.
    let rows = |range: std::ops::Range<usize>| -> String {
        let row = |i: usize| format!("{}\t{}\tThe {} ran {i} times.\n", i, i % 2, ["fox", "crow"][i % 2]);
        range.map(row).collect()
    };
    scratch.write("train.dat", rows(0..40));
    scratch.write("new.dat", rows(40..60) + "60\t1\t\n");
    let set = [
        "data.format=tsv",
        "data.no_header=true",
        "data.empty_texts=skip",
        "data.columns={text=2,label=1,values={0=\"good\",1=\"bad\"}}",
    ];
    let mut args =
        vec!["finetune", "--from", "run", "--data", "train.dat", "--config", "smoke", "--out", "ft"];
    set.iter().for_each(|set| args.extend(["--set", set]));
    scratch.run(&args).succeeds();
    let judge = ["classify", "ft", "--file", "new.dat", "--label", "1", "--json"];
    let judged = scratch.run(&judge).succeeds();
    assert!(judged.stderr.contains("1 examples without a text were left out"), "{}", judged.stderr);
    assert_eq!(judged.json()["examples"], 20);
    scratch
        .run(&["classify", "ft", "--file", "new.dat", "--json"])
        .fails(2, &["line 21", "remove it from the file"]);
    // A name that says what the file is goes before what was said of files of other names.
    scratch.write("new.csv", "text,label\nA fox.,good\n");
    let said = scratch.run(&["classify", "ft", "--file", "new.csv", "--text", "text", "--json"]).json_lines();
    assert_eq!(said[0]["text"], "A fox.");
}

#[test]
fn the_column_that_was_found_in_training_is_the_one_that_is_read() {
    let scratch = scratch();
    scratch.write("train.csv", reviews(0, 40).replace("text,label", "review,label"));
    finetune(&scratch, "ft", &[]).succeeds();
    scratch.write("new.jsonl", "{\"text\": \"no\", \"review\": \"A fox.\"}\n");
    let said = scratch.run(&["classify", "ft", "--file", "new.jsonl", "--json"]).json_lines();
    assert_eq!(said[0]["text"], "A fox.");
    // And where there is none of this name, one is found as ever.
    scratch.write("other.jsonl", "{\"text\": \"A crow.\"}\n");
    let said = scratch.run(&["classify", "ft", "--file", "other.jsonl", "--json"]).json_lines();
    assert_eq!(said[0]["text"], "A crow.");
}

#[test]
fn messages_say_what_happened_to_pairs_and_what_can_be_done() {
    let scratch = scratch();
    let pairs: String = (0..12).map(|i| format!("a fox and a hen,where did they go?,{}\n", i % 2)).collect();
    scratch.write("train.csv", format!("text,text_b,label\n{pairs}"));
    let windows = ["--set", "training.seq_len=8", "--set", "training.long_texts=windows"];
    let ran = finetune(&scratch, "pairs", &windows).succeeds();
    assert!(ran.stderr.contains("12 texts are longer than 8 tokens and were cut"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("in parts"), "{}", ran.stderr);
    // The same two texts under either label.
    let said = format!("warning: {} held-out texts are trained on as well, word for word, ", 3);
    assert!(ran.stderr.contains(&said) && ran.stderr.contains("under another label"), "{}", ran.stderr);
    finetune(&scratch, "x", &["--set", "training.seq_len=3"]).fails(
        2,
        &["training.seq_len 3 is too short: two texts and what stands around them take 4 at least"],
    );
}
