//! `firebrand eval`.

use crate::support::Scratch;
use serde_json::Value;

const SUITE: &str = r#"
title = "Animals"
resamples = 100

[[tasks]]
name = "text"
kind = "perplexity"
data = "train.txt"
boundary = "blank-line"

[[tasks]]
name = "pairs"
kind = "minimal-pairs"
data = "pairs.jsonl"
group = "about"
"#;

/// Six pairs in two groups.
const PAIRS: &str = r#"{"sentence_good": "Once there was a fox.", "sentence_bad": "Once fox was there a.", "about": "order"}
{"sentence_good": "The crow wanted grain.", "sentence_bad": "The crow grain wanted.", "about": "order"}
{"sentence_good": "It got peace at last.", "sentence_bad": "It got at last peace.", "about": "order"}
{"sentence_good": "The hen wanted shade.", "sentence_bad": "The hen wants shade.", "about": "tense"}
{"sentence_good": "It got cheese at last.", "sentence_bad": "It gets cheese at last.", "about": "tense"}
{"sentence_good": "Once there was a crow with 7 friends.", "sentence_bad": "Once there is a crow with 7 friends.", "about": "tense"}
"#;

/// A run and a suite that asks it of animals.
fn with_suite() -> Scratch {
    let scratch = Scratch::with_run();
    scratch.write("animals.toml", SUITE);
    scratch.write("pairs.jsonl", PAIRS);
    scratch
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn its_figures_are_those_of_score() {
    let scratch = with_suite();
    let eval = ["eval", "run", "--suite", "animals.toml", "--json", "--examples", "answers.jsonl"];
    let report = scratch.run(&eval).json();
    let tasks = &report["suites"][0]["tasks"];
    let score = ["score", "run", "--file", "train.txt", "--boundary", "blank-line", "--json"];
    let score = scratch.run(&score).json();
    let metric = |task: usize, metric: usize| &tasks[task]["metrics"][metric];
    assert_eq!(
        (&metric(0, 0)["metric"], &metric(0, 1)["metric"]),
        (&"bits per byte".into(), &"perplexity".into())
    );
    for (i, name) in ["bits_per_byte", "perplexity"].into_iter().enumerate() {
        let value = &metric(0, i)["runs"][0];
        assert!((number(&value["value"]) / number(&score[name]) - 1.0).abs() < 1e-6, "{value} {score}");
        assert!(
            value["low"].as_f64() < value["value"].as_f64()
                && value["value"].as_f64() < value["high"].as_f64()
        );
    }
    assert_eq!(tasks[0]["examples"], 40);

    // A sentence scored among others is as likely as by itself.
    let answers: Vec<Value> = scratch
        .text("answers.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    assert_eq!(answers.len(), 46);
    let mut right = 0;
    for (line, answer) in PAIRS.lines().zip(&answers[40..]) {
        let pair: Value = serde_json::from_str(line).expect("JSON");
        let alone = ["sentence_good", "sentence_bad"].map(|name| {
            let text = pair[name].as_str().expect("a sentence");
            number(&scratch.run(&["score", "run", "--text", text, "--json"]).json()["log_likelihood"])
        });
        for (among, alone) in answer["log_likelihoods"].as_array().expect("two").iter().zip(alone) {
            assert!((number(among) - alone).abs() < 1e-4, "{among} {alone}");
        }
        assert_eq!((&answer["correct"], &answer["group"]), (&(alone[0] > alone[1]).into(), &pair["about"]));
        right += usize::from(alone[0] > alone[1]);
    }
    assert!((number(&metric(1, 0)["runs"][0]["value"]) - right as f64 / 6.0).abs() < 1e-9);
    let groups = tasks[1]["groups"].as_array().expect("groups");
    assert_eq!(groups.iter().map(|group| &group["group"]).collect::<Vec<_>>(), ["order", "tense"]);
    assert_eq!(scratch.run(&eval).json(), report, "the same figures and intervals every time");
}

#[test]
fn runs_are_compared_with_the_first() {
    let scratch = with_suite();
    scratch.pretrain("longer", &["training.steps=40"]).succeeds();
    let report = scratch.run(&["eval", "run", "longer", "run", "--suite", "animals.toml", "--json"]).json();
    let runs = &report["suites"][0]["tasks"][0]["metrics"][0]["runs"];
    assert_eq!(runs[0].get("difference"), None);
    let difference = &runs[1]["difference"];
    let expected = number(&runs[1]["value"]) - number(&runs[0]["value"]);
    assert!((number(&difference["value"]) - expected).abs() < 1e-9 && expected < 0.0, "{runs}");
    assert!(number(&difference["high"]) < 0.0 && number(&difference["p"]) < 0.05, "{difference}");
    assert_eq!(difference["test"], "paired permutation");
    let same = &runs[2]["difference"];
    assert_eq!((number(&same["low"]), number(&same["high"]), number(&same["p"])), (0.0, 0.0, 1.0));
    let of_pairs = &report["suites"][0]["tasks"][1]["metrics"][0]["runs"][1]["difference"];
    assert_eq!(of_pairs["test"], "McNemar, exact");
}

#[test]
fn a_table_fits_a_terminal_and_says_what_is_what() {
    let scratch = with_suite();
    scratch.pretrain("a-run-with-a-name-that-is-rather-long", &["seed=1"]).succeeds();
    let eval = |args: &[&str]| {
        let line = [&["eval"], args, &["--suite", "animals.toml", "--by-group"]].concat();
        let stdout = scratch.run(&line).succeeds().stdout;
        for line in stdout.lines() {
            assert!(line.chars().count() <= 80, "wide: {line:?}");
            assert!(!line.contains('\u{1b}') && line == line.trim_end(), "{line:?}");
        }
        stdout
    };
    let one = eval(&["run"]);
    for part in
        ["Animals", "bits per byte", "perplexity", "accuracy", "0.5000", "order", "95 % of 100 bootstrap"]
    {
        assert!(one.contains(part), "{part:?} is not in {one}");
    }
    assert!(!one.contains("p: how"), "{one}");
    let two = eval(&["run", "a-run-with-a-name-that-is-rather-long"]);
    for part in
        ["…", "rather-long", "text: bits per byte of 40", "McNemar", "paired permutation", "chance 0.5000"]
    {
        assert!(two.contains(part), "{part:?} is not in {two}");
    }
}

#[test]
fn some_examples_are_drawn_and_some_tasks_chosen() {
    let scratch = with_suite();
    let some =
        ["eval", "run", "--suite", "animals.toml", "smoke", "--task", "pairs", "--limit", "4", "--json"];
    let report = scratch.run(&some).json();
    let tasks = report["suites"][0]["tasks"].as_array().expect("tasks");
    assert_eq!((tasks.len(), &tasks[0]["examples"]), (1, &4.into()));
    assert_eq!(report["suites"][1]["tasks"], Value::Array(Vec::new()));
}

#[test]
fn what_is_wrong_with_a_suite_is_said_before_any_model_is_asked() {
    let scratch = with_suite();
    let check = |suite: &str, parts: &[&str]| {
        scratch.write("wrong.toml", suite);
        // There is no such run: whoever opened it first would say so.
        scratch.run(&["eval", "none", "--suite", "wrong.toml"]).fails(2, parts);
    };
    let task = |keys: &str| format!("[[tasks]]\nname = \"t\"\n{keys}\n");
    check("title = 3", &["wrong.toml", "line 1"]);
    check(&task("kind = \"perplexity\"\ndatta = \"x\""), &["line 4", "did you mean `data`?"]);
    check(&task("kind = \"minimal-pair\"\ndata = \"x\""), &["line 3", "did you mean `minimal-pairs`?"]);
    check(&task("kind = \"perplexity\"\ndata = \"none.txt\""), &["task `t`", "none.txt", "No such file"]);
    check(
        &task("kind = \"perplexity\"\ndata = \"dataset:sst\""),
        &["no dataset `sst`; did you mean `sst2`?"],
    );
    check(&task("kind = \"perplexity\"\ndata = \"dataset:sst2\""), &["sst2 is not here", "data fetch sst2"]);
    check(&task("kind = \"minimal-pairs\"\ndata = \"train.txt\""), &["train.txt: plain text has no fields"]);
    check(
        &task("kind = \"minimal-pairs\"\ndata = \"pairs.jsonl\"\ngood = \"sentence_god\""),
        &["line 1", "did you mean `sentence_good`?"],
    );
    check(
        &task("kind = \"perplexity\"\ndata = \"built-in:pairs\""),
        &["there is no field `text`", "`premise`"],
    );
    check(
        &task("kind = \"perplexity\"\ndata = \"train.txt\"\ncontext = \"x\""),
        &["`context` is no key of the kind perplexity"],
    );
    scratch
        .run(&["eval", "run", "--suite", "smok"])
        .fails(2, &["no suite `smok`; did you mean `smoke`?", "blimp"]);
    scratch
        .run(&["eval", "run", "--suite", "animals.toml", "--task", "pair"])
        .fails(2, &["did you mean `pairs`?"]);
    scratch.run(&["eval", "none", "--suite", "animals.toml"]).fails(2, &["none: there is no such run"]);
    scratch.run(&["eval", "run"]).fails(2, &["--suite"]);
    scratch
        .run(&["eval", "run", "--suite", "animals.toml", "--examples", "none/x.jsonl"])
        .fails(2, &["--examples none/x.jsonl: there is no folder none; make it"]);
}

const WISHES: &str = r#"
resamples = 20
seed = 3

[[tasks]]
name = "wishes"
kind = "classification"
template = "wish.toml"
data = "wishes.data"
format = "json-lines"
measure = "calibrated"
shots = 2
pool = "wishes.data"
"#;

/// A run that sees so many tokens, and a suite that asks it of wishes.
fn with_wishes(context: usize) -> Scratch {
    let scratch = Scratch::with_text();
    scratch.pretrain("run", &[&format!("training.seq_len={context}")]).succeeds();
    let template = "texts = [\"{text} It got [Z].\", \"{text} [Z]!\"]\n[labels]\nfood = [\"cheese\", \"grain\"]\nrest = [\"peace\"]\n";
    scratch.write("wish.toml", template);
    let line = |(who, label): (&str, &str)| format!("{{\"text\": \"A {who}.\", \"label\": \"{label}\"}}\n");
    let lines = [("fox", "food"), ("crow", "rest"), ("hen", "food"), ("fox and a hen", "rest")].map(line);
    scratch.write("wishes.data", lines.concat());
    scratch.write("wishes.toml", WISHES);
    scratch
}

#[test]
fn a_classification_shows_and_measures_what_its_task_says() {
    let scratch = with_wishes(96);
    let eval = ["eval", "run", "--suite", "wishes.toml", "--json", "--examples", "answers.jsonl"];
    let answers = |suite: &str| -> (Value, Vec<Value>) {
        scratch.write("wishes.toml", suite);
        let report = scratch.run(&eval).json();
        let parse = |line: &str| serde_json::from_str(line).expect("a line of JSON");
        (report, scratch.text("answers.jsonl").lines().map(parse).collect())
    };
    let (report, calibrated) = answers(WISHES);
    // The scores of both templates, of three answers each.
    for answer in &calibrated {
        let scores: Vec<Vec<f64>> = serde_json::from_value(answer["log_likelihoods"].clone()).expect("lists");
        assert_eq!(scores.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3], "{answer}");
    }
    // Accuracy is of the measure that the task names, and the plain sum stands among the others.
    let metrics = report["suites"][0]["tasks"][0]["metrics"].as_array().expect("metrics");
    let right = |measure: &str| {
        calibrated.iter().filter(|answer| answer["chosen"][measure] == answer["label"]).count() as f64 / 4.0
    };
    assert_eq!(
        (&metrics[0]["metric"], number(&metrics[0]["runs"][0]["value"])),
        (&"accuracy".into(), right("calibrated"))
    );
    assert_eq!(
        (&metrics[2]["metric"], number(&metrics[2]["runs"][0]["value"])),
        (&"accuracy, sum".into(), right("sum"))
    );
    // What is shown before an input is chosen as the command line would, and never the input itself.
    let shown = |suite: &str, by: &str, seed: &str| {
        let (_, answers) = answers(suite);
        scratch.write("wishes.jsonl", scratch.text("wishes.data"));
        let classify =
            ["classify", "run", "--template", "wish.toml", "--data", "wishes.jsonl", "--each", "--json"];
        let examples = ["--examples", "wishes.jsonl", "--shots", "2", "--shots-by", by];
        let seed = if by == "nearest" { vec![] } else { vec!["--seed", seed] };
        let lines = scratch.run(&[&classify[..], &examples, &seed].concat()).json_lines();
        for (line, answer) in lines.iter().zip(&answers) {
            let of = |template: usize| -> Vec<f64> {
                let answers = line["templates"][template]["answers"].as_array().expect("answers");
                answers.iter().map(|answer| number(&answer["values"]["sum"])).collect()
            };
            assert_eq!(line["templates"][0]["demonstrations"], 2);
            assert_eq!(answer["log_likelihoods"], serde_json::json!([of(0), of(1)]), "{by}");
        }
    };
    shown(WISHES, "balanced", "3");
    shown(&format!("{WISHES}seed = 5"), "balanced", "5");
    shown(&format!("{WISHES}shots_by = \"random\""), "random", "3");
    shown(&format!("{WISHES}shots_by = \"nearest\""), "nearest", "");
    let wrong = |suite: String, parts: &[&str]| {
        scratch.write("wishes.toml", suite);
        scratch.run(&eval).fails(2, &[&["wishes.toml: task `wishes`"], parts].concat());
    };
    wrong(
        WISHES.replace("\"calibrated\"", "\"calibrate\""),
        &["measure = \"calibrate\"; did you mean `calibrated`?"],
    );
    wrong(format!("{WISHES}shots_by = \"near\""), &["shots_by = \"near\"", "nearest"]);
    wrong(
        WISHES.replace("format = \"json-lines\"\n", ""),
        &["plain text, whose lines have no field `label`"],
    );
    wrong(WISHES.replace("shots = 2", "shots = 5"), &["5 demonstrations are asked for, and there are 4"]);
}

#[test]
fn demonstrations_for_which_there_was_no_room_are_said_once_a_task() {
    let scratch = with_wishes(16);
    let ran = scratch.run(&["eval", "run", "--suite", "wishes.toml"]).succeeds();
    let said: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("no room")).collect();
    assert_eq!(said.len(), 1, "{}", ran.stderr);
    assert!(
        said[0].starts_with("wishes: ")
            && said[0].ends_with("of 8 filled templates had no room for all 2 demonstrations"),
        "{said:?}"
    );
}

#[test]
fn all_runs_are_looked_at_before_the_first_is_asked() {
    let scratch = with_questions("replaced-token-smoke");
    // Asked first, this run would say that it predicts no tokens.
    scratch.run(&["eval", "run", "none", "--suite", "all.toml"]).fails(2, &["none: there is no such run"]);
}

#[test]
fn kinds_of_models_without_a_common_figure_show_their_own() {
    let scratch = with_questions("masked-smoke");
    scratch.pretrain("decoder", &[]).succeeds();
    let eval = ["eval", "run", "decoder", "--suite", "all.toml", "--task", "text"];
    let report = scratch.run(&[&eval[..], &["--json"]].concat()).json();
    let metrics = report["suites"][0]["tasks"][0]["metrics"].as_array().expect("metrics");
    let there: Vec<(&str, [bool; 2])> = metrics
        .iter()
        .map(|metric| {
            (metric["metric"].as_str().expect("a name"), [0, 1].map(|run| !metric["runs"][run].is_null()))
        })
        .collect();
    let [first, second] = [[true, false], [false, true]];
    assert_eq!(there, [("pseudo-perplexity", first), ("bits per byte", second), ("perplexity", second)]);
    let table = scratch.run(&eval).succeeds().stdout;
    for part in ["text: pseudo-perplexity of 40", "text: perplexity of 40", "—", "A run without a value"] {
        assert!(table.contains(part), "{part:?} is not in {table}");
    }
}

/// A small model, questions and answers in `golden/lm_eval`, of which `make.py` says how they were made.
#[test]
fn log_likelihoods_are_those_of_lm_evaluation_harness() {
    let scratch = Scratch::empty();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/lm_eval");
    let path = |name: &str| folder.join(name).display().to_string();
    let (run, suite) = (path("run"), path("suite.toml"));
    scratch.run(&["eval", &run, "--suite", &suite, "--examples", "answers.jsonl"]).succeeds();
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON");
    let answers: Vec<Value> = scratch.text("answers.jsonl").lines().map(parse).collect();
    let mut largest = 0.0_f64;
    for task in ["pairs", "choices", "cloze"] {
        let ours: Vec<&Value> = answers.iter().filter(|answer| answer["task"] == task).collect();
        let theirs = std::fs::read_to_string(folder.join(format!("{task}.expected.jsonl"))).expect("golden");
        let theirs: Vec<Value> = theirs.lines().map(parse).collect();
        assert_eq!(ours.len(), theirs.len(), "{task}");
        for (ours, theirs) in ours.into_iter().zip(&theirs) {
            let found = match ours.get("log_likelihoods") {
                Some(Value::Array(all)) => all.clone(),
                _ => vec![ours["log_likelihood"].clone()],
            };
            let expected = theirs["log_likelihoods"].as_array().expect("a list");
            assert_eq!(found.len(), expected.len(), "{task}");
            for (found, expected) in found.iter().zip(expected) {
                largest = largest.max((number(found) - number(expected)).abs());
            }
            if task == "cloze" {
                assert_eq!(ours["correct"], theirs["greedy"][0]);
            }
        }
    }
    assert!(largest <= 1e-3, "{largest} nats apart");
}

const QUESTIONS: &str = r#"
[[tasks]]
name = "choices"
kind = "multiple-choice"
data = "choices.jsonl"
context = "question"

[[tasks]]
name = "words"
kind = "cloze"
data = "train.txt"
boundary = "blank-line"
limit = 6
"#;

const CHOICES: &str = r#"{"question": "Once there was a", "choices": ["fox with 3 friends.", "with friends fox."], "answer": 0}
{"question": "The crow wanted grain.", "choices": ["at.", "It got grain at last.", "Once"], "answer": "B"}
{"question": "The hen", "choices": ["wanted shade.", "hen hen hen"], "answer": "wanted shade."}
"#;

/// A run and a suite with questions that go on.
fn with_questions(config: &str) -> Scratch {
    let scratch = Scratch::with_text();
    scratch.write("choices.jsonl", CHOICES);
    scratch.write("pairs.jsonl", PAIRS);
    scratch.write("all.toml", format!("{SUITE}{QUESTIONS}"));
    let data = ["data.texts=train.txt", "data.tokenizer=tok", "data.boundary=blank-line"];
    let args = ["pretrain", "--config", config, "--out", "run"];
    scratch.run(&[&args[..], &data.map(|set| ["--set", set]).concat()].concat()).succeeds();
    scratch
}

#[test]
fn every_kind_of_model_that_predicts_tokens_answers() {
    for objective in ["bidirectional", "masked", "span-corruption", "denoising", "permutation", "prefix"] {
        let scratch = with_questions(&format!("{objective}-smoke"));
        let report = scratch.run(&["eval", "run", "--suite", "all.toml", "--json"]).json();
        let tasks = report["suites"][0]["tasks"].as_array().expect("tasks");
        assert_eq!(tasks.len(), 4);
        for task in tasks {
            let metrics = task["metrics"].as_array().expect("metrics");
            assert!(!metrics.is_empty(), "{objective}: {task}");
            for metric in metrics {
                assert!(number(&metric["runs"][0]["value"]) >= 0.0, "{objective}: {task}");
            }
        }
        let first = &tasks[0]["metrics"][0]["metric"];
        let expected = if objective == "masked" { "pseudo-perplexity" } else { "bits per byte" };
        assert_eq!(first, expected, "{objective}");
    }
    let scratch = with_questions("replaced-token-smoke");
    scratch
        .run(&["eval", "run", "--suite", "all.toml"])
        .fails(2, &["run: task `text`", "trained to find replaced tokens"]);
}

#[test]
fn what_follows_a_context_is_as_likely_as_the_difference_of_two_texts() {
    let scratch = with_questions("causal-smoke");
    let eval = [
        "eval",
        "run",
        "--suite",
        "all.toml",
        "--task",
        "choices",
        "--task",
        "words",
        "--examples",
        "a.jsonl",
    ];
    scratch.run(&eval).succeeds();
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect("a line of JSON");
    let answers: Vec<Value> = scratch.text("a.jsonl").lines().map(parse).collect();
    assert_eq!(answers.len(), 9);
    let likely = |text: &str| {
        number(&scratch.run(&["score", "run", "--text", text, "--json"]).json()["log_likelihood"])
    };
    for (line, answer) in CHOICES.lines().zip(&answers) {
        let (question, texts) = (parse(line)["question"].clone(), parse(line)["choices"].clone());
        let question = question.as_str().expect("a text");
        for (i, text) in texts.as_array().expect("a list").iter().enumerate() {
            // No token holds the end of a word and the space behind it, so the tokens of the question are those of the whole.
            let whole = likely(&format!("{question} {}", text.as_str().expect("a text")));
            let found = number(&answer["log_likelihoods"][i]);
            assert!((found - (whole - likely(question))).abs() < 1e-3, "{line}: {found}");
        }
    }
}
