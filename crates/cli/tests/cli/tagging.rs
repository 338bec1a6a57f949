//! `finetune --task tagging` and what its runs say of texts.

use crate::support::Scratch;
use serde_json::{Value, json};

/// Sentences with towns in them, as words and tags.
fn towns() -> String {
    let line = |i: usize| {
        let (who, town) = (["fox", "crow", "hen"][i % 3], ["Rome", "New York", "Bath", "Los Gatos"][i % 4]);
        let mut words = vec!["The", who, "got", "to"];
        let mut tags = vec!["O"; 4];
        for (place, part) in town.split(' ').enumerate() {
            words.push(part);
            tags.push(if place == 0 { "B-TOWN" } else { "I-TOWN" });
        }
        words.extend(["at", "last"]);
        tags.extend(["O", "O"]);
        format!("{}\n", json!({"tokens": words, "tags": tags}))
    };
    (0..48).map(line).collect()
}

/// A model of contexts of 48 tokens in `base`, and one that tags towns in `tagger`.
fn tagger() -> Scratch {
    let scratch = Scratch::with_text();
    scratch.pretrain("base", &["training.seq_len=48"]).succeeds();
    scratch.write("towns.jsonl", towns());
    let set = ["training.steps=120", "training.eval_every=40", "training.seq_len=48", "optimizer.lr=0.01"];
    let mut args = vec!["finetune", "--from", "base", "--data", "towns.jsonl", "--config", "smoke"];
    args.extend(["--task", "tagging", "--out", "tagger"]);
    set.iter().for_each(|set| args.extend(["--set", set]));
    scratch.run(&args).succeeds();
    scratch
}

#[test]
fn towns_are_found_in_new_texts_and_reported() {
    let scratch = tagger();
    let report: Value = serde_json::from_str(&scratch.text("tagger/report.json")).expect("JSON");
    assert_eq!(report["task"], "tagging");
    assert!(report["spans"]["micro"]["f1"].as_f64().expect("a number") > 0.9, "{report}");
    let ran = scratch.run(&["classify", "tagger", "The hen got to New York at last"]);
    assert_eq!(ran.succeeds().stdout, "The hen got to [New York](TOWN) at last\n");
    let ran = scratch.run(&["classify", "tagger", "The hen got to Rome at last", "--json"]);
    let said: Value = serde_json::from_str(&ran.succeeds().stdout).expect("JSON");
    let span = &said["spans"][0];
    assert_eq!((&span["start"], &span["end"], &span["text"]), (&json!(15), &json!(19), &json!("Rome")));
    assert_eq!(said["words"].as_array().map(Vec::len), Some(7));
    // The same figures from the same file: what is held out is a quarter of it.
    let ran = scratch.run(&["classify", "tagger", "--file", "towns.jsonl", "--label", "tags", "--json"]);
    let judged: Value = serde_json::from_str(&ran.succeeds().stdout).expect("JSON");
    assert_eq!(judged["examples"], 48);
}

#[test]
fn lists_of_words_are_tagged_word_by_word_as_in_training() {
    let scratch = tagger();
    // As a text this would be more words.
    let words = json!(["The", "hen's", "aunt", "got", "to", "New", "York"]);
    scratch.write("new.jsonl", format!("{}\n{}\n", json!({"tokens": words}), json!({"tokens": "A fox."})));
    let said = scratch.run(&["classify", "tagger", "--file", "new.jsonl", "--json"]).json_lines();
    let found: Vec<&Value> =
        said[0]["words"].as_array().expect("a list").iter().map(|word| &word["text"]).collect();
    assert_eq!(json!(found), words);
    assert_eq!(said[1]["words"].as_array().map(Vec::len), Some(3));
    scratch.write("empty.jsonl", "{\"tokens\": []}\n");
    scratch
        .run(&["classify", "tagger", "--file", "empty.jsonl"])
        .fails(2, &["line 1", "is empty", "remove it"]);
}

#[test]
fn a_text_longer_than_the_context_is_tagged_to_its_end() {
    let scratch = tagger();
    let long = "The fox got to Rome at last. ".repeat(9);
    let ran = scratch.run(&["classify", "tagger", long.trim(), "--json"]);
    let said: Value = serde_json::from_str(&ran.succeeds().stdout).expect("JSON");
    // Seven words and a full stop, nine times.
    assert_eq!(said["words"].as_array().map(Vec::len), Some(72));
    let ends = said["words"][71]["end"].as_u64().expect("a number");
    assert_eq!(ends as usize, long.trim().len());
}

#[test]
fn words_and_tags_that_do_not_match_are_located() {
    let scratch = Scratch::with_run();
    scratch.write(
        "bad.jsonl",
        "{\"tokens\": [\"a\"], \"tags\": [\"O\"]}\n{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\"]}\n",
    );
    let ran =
        scratch.run(&["finetune", "--from", "run", "--data", "bad.jsonl", "--task", "tagging", "--out", "x"]);
    ran.fails(2, &["bad.jsonl, line 2: there are 2 words and 1 tags"]);
}
