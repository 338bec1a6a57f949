//! `firebrand classify --template`.

use crate::support::Scratch;
use serde_json::Value;

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
    let table = scratch.run(&["classify", "run", "--template", "wish.toml", "A fox."]).succeeds().stdout;
    assert!(table.starts_with("label") && table.contains("A fox."), "{table}");
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
    assert_eq!(scratch.run(&both).json()["templates"].as_array().map(Vec::len), Some(2), "an ensemble");
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
        1,
        &["data.jsonl, line 1", "`fod` is no label of the template: food, rest; did you mean `food`?"],
    );
    let long = "The fox wanted peace. ".repeat(40);
    with(&format!("text = \"{{text}} [Z]\"\ntrim = []\n{answers}"), &[&long])
        .fails(2, &["input 1 has", "room for", "trim"]);
    with(&format!("text = \"{long} [Z]\"\n{answers}"), &["x"])
        .fails(2, &["what stands around the fields is too long"]);
    scratch.run(&["classify", "run", "--template", "reviws", "x"]).fails(2, &["did you mean `reviews`?"]);
    scratch
        .run(&["classify", "run", "--template", "wish.toml", "--data", "train.txt"])
        .fails(2, &["records have fields"]);
}

#[test]
fn a_long_text_is_cut_and_that_is_said() {
    let scratch = with_run();
    let long = "The fox wanted peace. ".repeat(40);
    let ran = scratch.run(&["classify", "run", "--template", "wish.toml", "--json", &long]);
    assert!(ran.stderr.contains("too long for the context, and fields were cut"), "{}", ran.stderr);
    assert_eq!(ran.json()["templates"][0]["trimmed"], true);
}
