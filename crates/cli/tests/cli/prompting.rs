//! `firebrand classify --template`.

use crate::support::Scratch;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

const TEMPLATE: &str = "text = \"{text} It got [Z] at last.\"\n[labels]\nfood = [\"cheese\", \"grain\"]\nrest = [\"shade\", \"peace\"]\n";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A run that sees texts of 64 tokens, and the template in `wish.toml`.
fn with_run() -> Scratch {
    let scratch = Scratch::with_text();
    scratch.pretrain("run", &["training.seq_len=64"]).succeeds();
    scratch.write("wish.toml", TEMPLATE);
    scratch
}

/// A run of another objective.
fn with_objective(config: &str) -> Scratch {
    let scratch = Scratch::with_text();
    let args = ["pretrain", "--config", config, "--out", "run", "--set", "data.texts=train.txt"];
    scratch.run(&[&args[..], &["--set", "data.tokenizer=tok"]].concat()).succeeds();
    scratch.write("wish.toml", TEMPLATE);
    scratch
}

#[test]
fn answers_differ_by_what_score_says_of_the_filled_texts() {
    let scratch = with_run();
    let classified = scratch.run(&["classify", "run", "--template", "wish.toml", "A fox.", "--json"]).json();
    let answers = classified["templates"][0]["answers"].as_array().expect("answers");
    let score = |answer: &str| {
        let text = format!("A fox. It got {answer} at last.");
        number(&scratch.run(&["score", "run", "--text", &text, "--json"]).json()["log_likelihood"])
    };
    let sums: Vec<f64> = answers.iter().map(|answer| number(&answer["values"]["sum"])).collect();
    let whole: Vec<f64> =
        answers.iter().map(|answer| score(answer["answer"].as_str().expect("a text"))).collect();
    for i in 1..4 {
        let (found, expected) = (sums[i] - sums[0], whole[i] - whole[0]);
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
    }
    let best = (0..4).reduce(|best, next| if whole[next] > whole[best] { next } else { best }).expect("four");
    assert_eq!(classified["label"], if best < 2 { "food" } else { "rest" });
    let p = &classified["probabilities"];
    assert!((number(&p["food"]) + number(&p["rest"]) - 1.0).abs() < 1e-9);
    let measures: Vec<&str> =
        classified["measures"].as_object().expect("measures").keys().map(String::as_str).collect();
    assert_eq!(measures, ["sum", "per-token", "per-character", "per-byte", "pmi", "calibrated"]);
}

#[test]
fn texts_come_from_arguments_stdin_and_records() {
    let scratch = with_run();
    let classify = ["classify", "run", "--template", "wish.toml", "--json"];
    let by_argument = scratch.run(&[&classify[..], &["A fox.", "A hen."]].concat()).json_lines();
    let by_stdin = scratch.run_with(&classify, "A fox.\nA hen.\n").json_lines();
    scratch.write("new.csv", "id,text\n1,A fox.\n2,A hen.\n");
    let by_records = scratch.run(&[&classify[..], &["--data", "new.csv"]].concat()).json_lines();
    assert_eq!(by_argument, by_stdin);
    assert_eq!(by_records.len(), 2);
    for (record, text) in by_records.iter().zip(&by_argument) {
        assert_eq!((&record["templates"], &record["right"]), (&text["templates"], &Value::Null));
    }
    assert_eq!(by_records[1]["fields"]["id"], "2");
    scratch.write("new.txt", "A fox.\nA hen.\n");
    assert_eq!(scratch.run(&[&classify[..], &["--file", "new.txt"]].concat()).json_lines(), by_argument);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"A fox.\nA hen.\n").expect("into memory");
    scratch.write("new.txt.gz", packed.finish().expect("into memory"));
    assert_eq!(scratch.run(&[&classify[..], &["--file", "new.txt.gz"]].concat()).json_lines(), by_argument);
    let table = scratch.run(&["classify", "run", "--template", "wish.toml", "A fox."]).succeeds().stdout;
    assert!(table.starts_with("label") && table.contains("A fox."), "{table}");
}

#[test]
fn lines_of_stdin_are_answered_as_they_come() {
    let scratch = with_run();
    let classify = ["classify", "run", "--template", "wish.toml", "--json"];
    let mut child = scratch.command(&classify).stdin(Stdio::piped()).spawn().expect("it starts");
    let (mut to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut answers = BufReader::new(from).lines();
    for text in ["A fox.", "A hen."] {
        writeln!(to, "{text}").expect("it reads");
        let answer = answers.next().expect("an answer before stdin ends").expect("text");
        let answer: Value = serde_json::from_str(&answer).expect("a line of JSON");
        assert_eq!(answer["fields"]["text"], text);
    }
    drop(to);
    assert!(answers.next().is_none() && child.wait().expect("it ends").success());
    scratch.run_with(&classify, "").fails(2, &["nothing to classify"]);
    let one = scratch.run_with(&[&classify[..], &["--limit", "1"]].concat(), "A fox.\nA hen.\n").json_lines();
    assert_eq!(one.len(), 1);
}

#[test]
fn labelled_records_are_reported_by_every_measure_and_each_on_request() {
    let scratch = with_run();
    let lines =
        ["{\"text\": \"A fox.\", \"label\": \"food\"}", "{\"text\": \"A hen.\", \"label\": \"rest\"}"];
    scratch.write("few.jsonl", lines.join("\n"));
    let classify = ["classify", "run", "--template", "wish.toml", "--data", "few.jsonl"];
    let report = scratch.run(&[&classify[..], &["--json"]].concat()).json();
    assert_eq!((&report["count"], &report["most_frequent"]), (&2.into(), &0.5.into()));
    let each = scratch.run(&[&classify[..], &["--json", "--each"]].concat()).json_lines();
    let right = each.iter().filter(|line| line["right"] == line["label"]).count() as f64 / 2.0;
    assert_eq!(report["accuracy"], right);
    let confusion: Vec<Vec<u64>> = serde_json::from_value(report["confusion"].clone()).expect("a table");
    assert_eq!(confusion.concat().iter().sum::<u64>(), 2);
    let plain = scratch.run(&classify).succeeds().stdout;
    assert!(plain.contains("calibrated") && plain.contains("rows are right"), "{plain}");
    let one = scratch.run(&[&classify[..], &["--limit", "1", "--json"]].concat()).json();
    assert_eq!(one["count"], 1);
}

#[test]
fn reading_each_text_anew_gives_the_same_sum() {
    let scratch = with_run();
    let classify =
        ["classify", "run", "--template", "wish.toml", "--json", "A fox.", "The crow wanted grain."];
    let shared = scratch.run(&classify).json_lines();
    let answers = shared.iter().flat_map(|line| line["templates"][0]["answers"].as_array().expect("answers"));
    let sum: f64 = answers.map(|answer| number(&answer["values"]["sum"])).sum();
    let anew = scratch.run(&[&classify[..], &["--one-by-one"]].concat()).json();
    assert_eq!(anew["texts"], 8);
    assert!((number(&anew["log_prob"]) - sum).abs() < 1e-4, "{anew} is not {sum}");
}

#[test]
fn demonstrations_templates_and_answers_come_from_labelled_examples() {
    let scratch = with_run();
    scratch.write(
        "few.jsonl",
        "{\"text\": \"A fox.\", \"label\": \"food\"}\n{\"text\": \"Hen.\", \"label\": \"rest\"}\n",
    );
    scratch.write("other.toml", TEMPLATE.replace("It got", "Oh, it got"));
    let classify =
        ["classify", "run", "--template", "wish.toml", "--examples", "few.jsonl", "--json", "A fox."];
    for by in ["random", "balanced", "nearest"] {
        let shots = scratch.run(&[&classify[..], &["--shots", "1", "--shots-by", by]].concat()).json();
        assert!(shots["templates"][0]["demonstrations"].as_u64().is_some_and(|n| n <= 1), "{shots}");
    }
    let both = [&classify[..], &["--template", "other.toml"]].concat();
    let shown = scratch.run(&[&both[..], &["--shots", "1"]].concat()).json();
    assert_eq!(shown["templates"].as_array().map(Vec::len), Some(2), "an ensemble");
    let chosen = scratch.run(&[&both[..], &["--choose"]].concat());
    assert!(chosen.stderr.contains("chosen: "), "{}", chosen.stderr);
    assert_eq!(chosen.json()["templates"].as_array().map(Vec::len), Some(1));
    let found = scratch.run(&[&classify[..], &["--find-answers", "2"]].concat());
    assert!(found.stderr.contains("answers of food: "), "{}", found.stderr);
    assert_eq!(found.json()["templates"][0]["answers"].as_array().map(Vec::len), Some(4));
    let none = scratch.run(&["classify", "run", "--template", "wish.toml", "--shots", "1", "A fox."]);
    none.fails(2, &["--shots", "--examples FILE"]);
    let many = scratch.run(&[&classify[..], &["--shots", "3"]].concat());
    many.fails(2, &["3 demonstrations are asked for, and there are 2 labelled examples"]);
}

#[test]
fn labels_are_the_same_in_all_templates_whatever_order_they_stand_in() {
    let scratch = with_run();
    scratch.write(
        "few.jsonl",
        "{\"text\": \"A fox.\", \"label\": \"food\"}\n{\"text\": \"Hen.\", \"label\": \"rest\"}\n",
    );
    let (head, labels) = TEMPLATE.split_once("[labels]\n").expect("labels");
    let reversed: Vec<&str> = labels.lines().rev().collect();
    scratch.write("reversed.toml", format!("{head}[labels]\n{}\n", reversed.join("\n")));
    scratch.write("same.toml", TEMPLATE);
    let classify = |other: &str, more: &[&str]| {
        let args = ["classify", "run", "--template", "wish.toml", "--template", other, "--json", "A crow."];
        scratch.run(&[&args[..], &["--examples", "few.jsonl"], more].concat())
    };
    // In other words: the second template is the first one, so that the order of its labels cannot matter.
    for more in [&["--shots", "2"][..], &["--find-answers", "1"], &["--shots", "1", "--choose"]] {
        let (same, reversed) = (classify("same.toml", more).json(), classify("reversed.toml", more).json());
        assert_eq!(same["probabilities"], reversed["probabilities"], "{more:?}");
        assert_eq!(same["measures"], reversed["measures"], "{more:?}");
    }
    scratch.write("wrong.toml", TEMPLATE.replace("rest =", "rests ="));
    classify("wrong.toml", &["--choose"]).fails(
        2,
        &["`wrong.toml` has no label `rest`, which `wish.toml` has: there is food, rests; did you mean `rests`?"],
    );
    scratch.write("more.toml", format!("{TEMPLATE}joy = [\"friends\"]\n"));
    classify("more.toml", &["--find-answers", "1"])
        .fails(2, &["`more.toml` has the label `joy`, which `wish.toml` has not"]);
}

#[test]
fn an_option_that_would_do_nothing_is_refused_with_what_it_needs() {
    let scratch = Scratch::empty();
    for option in [["--shots", "1"], ["--measure", "pmi"], ["--seed", "1"], ["--shots-by", "random"]] {
        let ran = scratch.run(&[&["classify", "run", "x"], &option[..]].concat());
        ran.fails(2, &["--template <FILE|NAME>"]);
    }
    let with_template = |more: &[&str], parts: &[&str]| {
        scratch.run(&[&["classify", "run", "x", "--template", "reviews"], more].concat()).fails(2, parts);
    };
    with_template(&["--batch-size", "3"], &["--batch-size", "cannot be used with", "--template"]);
    with_template(&["--label", "stars", "A fox."], &["--label: give the --file or the --examples"]);
    with_template(&["--seed", "1"], &["--seed", "say how many, --shots N"]);
    with_template(&["--shots-by", "random"], &["--shots-by", "say how many, --shots N"]);
    with_template(&["--examples", "few.jsonl"], &["--examples: say what for", "--choose"]);
    let nearest = ["--examples", "few.jsonl", "--shots", "1", "--shots-by", "nearest", "--seed", "1"];
    with_template(&nearest, &["--seed: the nearest examples are the same with every seed"]);
    with_template(&["--one-by-one", "--measure", "pmi"], &["--one-by-one", "--measure"]);
}

#[test]
fn models_of_every_kind_are_asked() {
    for config in [
        "bidirectional-smoke",
        "prefix-smoke",
        "permutation-smoke",
        "masked-smoke",
        "span-corruption-smoke",
        "denoising-smoke",
    ] {
        let scratch = with_objective(config);
        let classify = ["classify", "run", "--template", "wish.toml", "--json", "A fox.", "The hen."];
        let lines = scratch.run(&classify).json_lines();
        assert_eq!(lines.len(), 2, "{config}");
        let sums: Vec<f64> = lines
            .iter()
            .flat_map(|line| line["templates"][0]["answers"].as_array().expect("answers"))
            .map(|answer| number(&answer["values"]["sum"]))
            .collect();
        assert!(sums.iter().all(|sum| sum.is_finite() && *sum < 0.0), "{config}: {sums:?}");
        let anew = scratch.run(&[&classify[..], &["--one-by-one"]].concat()).json();
        assert!((number(&anew["log_prob"]) - sums.iter().sum::<f64>()).abs() < 1e-3, "{config}: {anew}");
    }
    let scratch = with_objective("replaced-token-smoke");
    scratch.run(&["classify", "run", "--template", "wish.toml", "A fox."]).fails(2, &["predicts no tokens"]);
}

#[test]
fn wrong_templates_and_data_are_said_with_their_place() {
    let scratch = with_run();
    let with = |template: &str, more: &[&str]| {
        scratch.write("bad.toml", template);
        scratch.run(&[&["classify", "run", "--template", "bad.toml"][..], more].concat())
    };
    let answers = "answers = [\"a\", \"b\"]\n";
    with(&format!("text = \"{{text}} is.\"\n{answers}"), &["x"])
        .fails(2, &["bad.toml, line 1", "column 11", "there is no blank"]);
    with(&format!("text = \"{{text\"\n{answers}"), &["x"]).fails(2, &["column 1", "has no }"]);
    with("text = \"[Z]\"\nanswers = [\"a\", \"\"]", &["x"]).fails(2, &["empty answer"]);
    with("text = \"[Z]\"\n[labels]\na = [\"x\"]\nb = [\"x\"]", &["x"])
        .fails(2, &["labels `a` and `b` have the same answer `x`"]);
    scratch.write("data.jsonl", "{\"text\": \"A fox.\", \"label\": \"fod\"}\n");
    with(&format!("text = \"{{txt}} [Z]\"\n{answers}"), &["--data", "data.jsonl", "--label", "text"])
        .fails(2, &["line 1", "`A fox.` is no label"]);
    scratch.write("plain.jsonl", "{\"text\": \"A fox.\"}\n");
    with(&format!("text = \"{{txt}} [Z]\"\n{answers}"), &["--data", "plain.jsonl"])
        .fails(2, &["`txt`", "did you mean `text`?"]);
    let label = scratch.run(&["classify", "run", "--template", "wish.toml", "--data", "data.jsonl"]);
    label.fails(
        2,
        &["data.jsonl, line 1", "`fod` is no label of the template: food, rest; did you mean `food`?"],
    );
    let long = "The fox wanted peace. ".repeat(40);
    with(&format!("text = \"{{text}} [Z]\"\ntrim = []\n{answers}"), &[&long])
        .fails(2, &["input 1 has", "room for", "trim"]);
    with("text = \"{if text}{text} [Z]{end}\"\nanswers = [\"a\", \"b\"]", &["x"])
        .fails(2, &["no input (empty fields, which PMI and calibration ask about)", "without a blank"]);
    with(&format!("text = \"{long} [Z]\"\n{answers}"), &["x"])
        .fails(2, &["what stands around the fields is too long"]);
    scratch.run(&["classify", "run", "--template", "reviws", "x"]).fails(2, &["did you mean `reviews`?"]);
    scratch
        .run(&["classify", "run", "--template", "wish.toml", "--text", "a", "--file", "data.jsonl"])
        .fails(2, &["--text is for heads"]);
}

#[test]
fn a_long_text_is_cut_and_that_is_said() {
    let scratch = with_run();
    let long = "The fox wanted peace. ".repeat(40);
    let ran = scratch.run(&["classify", "run", "--template", "wish.toml", "--json", &long]);
    assert!(ran.stderr.contains("too long for the context, and fields were cut"), "{}", ran.stderr);
    assert_eq!(ran.json()["templates"][0]["trimmed"], true);
}
