//! `firebrand show` of several runs.

use crate::support::Scratch;

/// Two runs: a good one, and one that hardly learns.
fn runs() -> Scratch {
    let scratch = Scratch::with_text();
    scratch.pretrain("runs/good", &[]).succeeds();
    scratch.pretrain("runs/slow", &["optimizer.lr=1e-5", "seed=3"]).succeeds();
    scratch
}

/// The line of the table that begins with `run`.
fn row<'a>(table: &'a str, run: &str) -> &'a str {
    table.lines().find(|line| line.starts_with(run)).unwrap_or_else(|| panic!("{run} is not in\n{table}"))
}

#[test]
fn runs_are_compared_the_best_first() {
    let scratch = runs();
    let table = scratch.run(&["show", "runs/slow", "runs/good"]).succeeds().stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("run") && lines[0].contains("held out"), "{table}");
    assert!(lines[1].starts_with("runs/good") && lines[2].starts_with("runs/slow"), "{table}");
    assert!(lines[1].contains('*') && !lines[2].contains('*'), "the lowest is marked\n{table}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "it fits\n{table}");
    assert!(lines[1].contains("finished"), "{table}");
    // A folder of runs stands for them.
    assert_eq!(scratch.run(&["show", "runs"]).succeeds().stdout, table);
    let by_name = scratch.run(&["show", "runs/slow", "runs/good", "--sort", "name"]).succeeds().stdout;
    assert!(by_name.find("runs/good") < by_name.find("runs/slow"), "{by_name}");
}

#[test]
fn only_the_keys_that_differ_are_listed() {
    let scratch = runs();
    let shown = scratch.run(&["show", "runs"]).succeeds().stdout;
    let (_, differences) = shown.split_once("What differs:\n").expect("the runs differ");
    let heading: Vec<&str> = differences.lines().next().expect("a heading").split_whitespace().collect();
    assert_eq!(heading, ["run", "optimizer.lr", "seed"]);
    let words = |run| row(differences, run).split_whitespace().skip(1).collect::<Vec<_>>();
    assert_eq!((words("runs/good"), words("runs/slow")), (vec!["0.01", "0"], vec!["0.00001", "3"]));
    let twice = scratch.run(&["show", "runs/good", "runs/good"]).succeeds().stdout;
    assert!(!twice.contains("differ"), "{twice}");
}

#[test]
fn a_wide_output_has_all_columns_and_a_narrow_one_the_most_important() {
    let scratch = runs();
    let show = |columns: &str| {
        let mut command = scratch.command(&["show", "runs"]);
        crate::support::finish(command.env("COLUMNS", columns)).succeeds().stdout
    };
    let wide = show("200");
    for heading in ["state", "steps", "parameters", "tokens/s", "time", "train", "bits/byte", "perplexity"] {
        assert!(wide.lines().next().is_some_and(|line| line.contains(heading)), "{heading}: {wide}");
    }
    let narrow = show("30");
    assert!(narrow.lines().take(3).all(|line| line.chars().count() <= 30), "{narrow}");
    assert!(narrow.contains("held out") && narrow.contains("Too wide for 30 columns: "), "{narrow}");
}

#[test]
fn a_folder_that_is_no_run_is_reported_and_the_others_are_shown() {
    let scratch = runs();
    std::fs::create_dir(scratch.path("foreign")).expect("made");
    std::fs::create_dir(scratch.path("runs/damaged")).expect("made");
    scratch.write("runs/damaged/run.toml", "format = \"none\"\n");
    let ran = scratch.run(&["show", "runs", "foreign"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for part in
        ["foreign: holds neither a run nor a model", "runs/damaged/run.toml", "2 of 4 could not be shown"]
    {
        assert!(ran.stderr.contains(part), "{part:?} is not in {}", ran.stderr);
    }
    assert!(ran.stdout.contains("runs/good") && ran.stdout.contains("runs/slow"), "{}", ran.stdout);
    scratch.run(&["show", "foreign"]).fails(2, &["foreign: holds neither a run nor a model"]);
}

#[test]
fn other_tokenizers_are_compared_by_bits_per_byte() {
    let scratch = runs();
    scratch.pretrain("runs/characters", &["data.tokenizer=characters", "training.eval_tokens=0"]).succeeds();
    scratch.pretrain("runs/tokens", &["training.eval_tokens=0"]).succeeds();
    let shown = scratch.run(&["show", "runs/characters", "runs/tokens"]).succeeds().stdout;
    assert!(shown.contains("tokenizers differ: losses by token cannot be compared"), "{shown}");
    assert!(shown.lines().next().is_some_and(|line| line.contains("bits/byte")), "{shown}");
    let json = scratch.run(&["show", "runs/characters", "runs/tokens", "--json"]).json_lines();
    let bits: Vec<f64> =
        json.iter().map(|run| run["val_bits_per_byte"].as_f64().expect("all is evaluated")).collect();
    assert!(bits[0] < bits[1], "{bits:?}");
    assert!(shown.contains(&format!("*{:.4}", bits[0])), "{shown}");
}

#[test]
fn json_has_a_line_a_run() {
    let scratch = runs();
    let lines = scratch.run(&["show", "runs", "--json"]).json_lines();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_eq!((line["state"].as_str(), line["step"].as_u64()), (Some("finished"), Some(8)));
        assert_eq!(line["tokens"], 8 * 4 * 16);
        assert!(line["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{line}");
        assert!(line["best_val_loss"].is_f64() && line["n_params"].is_u64(), "{line}");
    }
    let one = scratch.run(&["show", "runs/good", "--json"]).json();
    assert_eq!(one, lines[0]);
}

#[cfg(unix)]
#[test]
fn a_run_in_training_is_running_and_its_event_file_is_not_touched() {
    let scratch = Scratch::with_run();
    let args = ["pretrain", "--config", "tiny.toml", "--out", "now", "--set", "training.steps=1000000"];
    let mut child = scratch.command(&args).spawn().expect("it starts");
    let metrics = scratch.path("now/metrics.jsonl");
    while std::fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let shown = scratch.run(&["show", "run", "now"]).succeeds().stdout;
    let event_file = scratch.run(&["show", "now", "--tensorboard"]);
    child.kill().expect("killed");
    child.wait().expect("it ends");
    let now = row(&shown, "now");
    assert!(now.contains("running") && now.contains("/1,000,000"), "{shown}");
    event_file.fails(1, &["now: is being trained"]);
    let shown = scratch.run(&["show", "run", "now"]).succeeds().stdout;
    assert!(row(&shown, "now").contains("stopped"), "{shown}");
}
