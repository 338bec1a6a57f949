//! `firebrand score`.

use crate::support::Scratch;
use serde_json::Value;

#[test]
fn text_ids_and_file_agree() {
    let scratch = Scratch::with_run();
    let text = "Once there was a crow.";
    let by_text = scratch.run(&["score", "run", "--text", text, "--json"]).json();
    let ids = scratch.run_with(&["tokenizer", "encode", "--tokenizer", "run"], text).succeeds().stdout;
    // A text is scored after an end of text, which is id 0 here.
    let ids = format!("0,{}", ids.trim());
    let by_ids = scratch.run(&["score", "run", "--ids", &ids, "--json"]).json();
    assert_eq!(by_text["log_likelihood"], by_ids["log_likelihood"]);
    scratch.write("one.txt", text);
    let by_file = scratch.run(&["score", "run", "--file", "one.txt", "--json"]).json();
    assert_eq!(by_file["documents"], 1);
    let tokens = by_text["tokens"].as_u64().expect("a count");
    assert_eq!(by_file["tokens"].as_u64(), Some(tokens + 1), "a document in a file ends with an end of text");
    assert!(by_file["log_likelihood"].as_f64() < by_text["log_likelihood"].as_f64());

    let (nats, bytes) = (-by_text["log_likelihood"].as_f64().expect("nats"), text.len() as f64);
    let bits = by_text["bits_per_byte"].as_f64().expect("bits");
    assert!((bits - nats / bytes / std::f64::consts::LN_2).abs() < 1e-9);
    let perplexity = by_text["perplexity"].as_f64().expect("a perplexity");
    assert!((perplexity - (nats / tokens as f64).exp()).abs() < 1e-6 * perplexity);
    let plain = scratch.run(&["score", "run", "--text", text]).succeeds().stdout;
    for name in ["log-likelihood", "loss", "perplexity", "bits per byte"] {
        assert!(plain.contains(name), "{plain}");
    }
}

/// What the logits that `run` writes say of all `ids` but the first, in nats; together they are what it is scored by. Returns the score,
/// too.
pub(crate) fn explained_by_logits(scratch: &Scratch, ids: &[u32], more: &[&str]) -> (Vec<f64>, Value) {
    let list: Vec<String> = ids.iter().map(u32::to_string).collect();
    let args = ["score", "run", "--ids", &list.join(","), "--logits", "logits.json", "--json"];
    let score = scratch.run(&[&args[..], more].concat()).json();
    let file: Value = serde_json::from_slice(&scratch.bytes("logits.json")).expect("JSON");
    let rows: Vec<Vec<f64>> = serde_json::from_value(file["logits"].clone()).expect("rows of numbers");
    let config: Value = serde_json::from_str(&scratch.text("run/config.json")).expect("JSON");
    assert_eq!((rows.len(), Some(rows[0].len() as u64)), (ids.len(), config["vocab_size"].as_u64()));
    let nats = |(&id, row): (&u32, &Vec<f64>)| {
        row.iter().map(|logit| logit.exp()).sum::<f64>().ln() - row[id as usize]
    };
    let nats: Vec<f64> = ids[1..].iter().zip(&rows).map(nats).collect();
    let (found, expected) = (-score["log_likelihood"].as_f64().expect("nats"), nats.iter().sum::<f64>());
    assert!((found - expected).abs() < 1e-3, "{found} is not {expected}");
    (nats, score)
}

/// Narrow weights of `run` change the perplexity of these ids, but little, and are smaller.
pub(crate) fn weights_are_rounded(scratch: &Scratch, ids: &[u32]) {
    let (_, plain) = explained_by_logits(scratch, ids, &[]);
    for weights in ["bf16", "int8"] {
        let (_, narrow) = explained_by_logits(scratch, ids, &["--weights", weights]);
        assert_eq!(
            (&narrow["weights"], &narrow["f32"]["perplexity"]),
            (&weights.into(), &plain["perplexity"])
        );
        let change = narrow["perplexity_change"].as_f64().expect("a number");
        assert!(change != 0.0 && change.abs() < 0.02, "{narrow}");
        let bytes = |json: &Value| json["weight_bytes"].as_u64().expect("a count");
        assert!(bytes(&narrow) > 0 && bytes(&narrow["f32"]) > 0, "{narrow}");
    }
}

#[test]
fn logits_explain_the_log_likelihood() {
    explained_by_logits(&Scratch::with_run(), &[0, 40, 41, 42], &[]);
}

#[test]
fn the_floor_is_shown_for_the_built_in_corpus_alone() {
    let scratch = Scratch::with_run();
    let summary = scratch
        .run(&["data", "generate", "--split", "validation", "--bytes", "3KB", "--out", "val.txt", "--json"])
        .json();
    let score = scratch.run(&["score", "run", "--file", "val.txt", "--json"]).json();
    let floor = |json: &Value| json["floor_bits_per_byte"].as_f64();
    assert!(
        floor(&score).zip(floor(&summary)).is_some_and(|(a, b)| (a - b).abs() < 1e-9),
        "{score} {summary}"
    );
    assert!(score["bits_per_byte"].as_f64() > floor(&score));
    let plain = scratch.run(&["score", "run", "--file", "val.txt"]).succeeds().stdout;
    assert!(plain.contains("floor") && plain.contains("above what is possible"), "{plain}");
    let other = scratch.run(&["score", "run", "--file", "train.txt", "--json"]).json();
    assert_eq!(floor(&other), None);
}

#[test]
fn what_cannot_be_scored_is_named() {
    let scratch = Scratch::with_run();
    scratch.write("empty.txt", "");
    scratch.write("invalid.txt", b"ok\n\xff");
    let check = |args: &[&str], parts: &[&str]| {
        scratch.run(&[&["score", "run"], args].concat()).fails(2, parts);
    };
    check(&[], &["give --text, --file or --ids"]);
    check(&["--text", "a", "--ids", "1"], &["cannot be used with"]);
    check(&["--text", ""], &["nothing to score"]);
    check(&["--file", "missing.txt"], &["missing.txt", "No such file"]);
    check(&["--file", "empty.txt"], &["empty.txt: is empty"]);
    check(&["--file", "invalid.txt"], &["invalid.txt", "line 2, byte offset 3"]);
    check(&["--ids", "1,300"], &["id 300 at position 1", "vocabulary of 300 tokens"]);
    check(&["--ids", "1,x"], &["`x` is no token id"]);
    check(&["--ids", "7"], &["nothing to score"]);
    check(&["--file", "train.txt", "--logits", "l.json"], &["--logits", "not of a --file"]);
    check(&["--ids", "1,2", "--logits", "none/l.json"], &["--logits none/l.json", "no folder none"]);
    check(&["--ids", "1,2", "--logits", "tok"], &["--logits tok: is a folder"]);
    let long = vec!["5"; 17].join(",");
    check(&["--ids", &long, "--logits", "l.json"], &["17 tokens", "context of 16"]);
}

#[test]
fn the_perplexity_that_narrow_weights_cost_is_shown() {
    let scratch = Scratch::with_run();
    scratch.write("val.txt", "Once there was a crow. The crow wanted cheese.\n".repeat(5));
    let plain = scratch.run(&["score", "run", "--file", "val.txt", "--json"]).json();
    assert_eq!((&plain["weights"], &plain["f32"]), (&Value::from("f32"), &Value::Null));
    for weights in ["bf16", "int8"] {
        let narrow =
            scratch.run(&["score", "run", "--file", "val.txt", "--weights", weights, "--json"]).json();
        assert_eq!(narrow["weights"], weights);
        assert_eq!(
            (&narrow["f32"]["perplexity"], &narrow["tokens"]),
            (&plain["perplexity"], &plain["tokens"])
        );
        let number = |value: &Value| value.as_f64().expect("a number");
        let (change, of) = (number(&narrow["perplexity_change"]), number(&plain["perplexity"]));
        assert!(change != 0.0 && change.abs() < 0.02, "{narrow}");
        assert!((number(&narrow["perplexity"]) / of - 1.0 - change).abs() < 1e-9, "{narrow}");
        let text =
            scratch.run(&["score", "run", "--file", "val.txt", "--weights", weights]).succeeds().stdout;
        assert!(text.contains(&format!("{weights} changes it by")) && text.contains("(f32: "), "{text}");
    }
    let logits = |weights: &str| {
        let args = ["score", "run", "--ids", "0,40,41", "--logits", "l.json", "--weights", weights];
        scratch.run(&args).succeeds();
        let file: Value = serde_json::from_slice(&scratch.bytes("l.json")).expect("JSON");
        serde_json::from_value::<Vec<Vec<f64>>>(file["logits"].clone()).expect("rows of numbers").concat()
    };
    let (f32, int8) = (logits("f32"), logits("int8"));
    let difference = f32.iter().zip(&int8).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(f32.len() == int8.len() && difference > 0.0 && difference < 0.2, "{difference}");
    scratch
        .run(&["score", "run", "--ids", "1,2", "--weights", "bf16", "--device", "ndarray"])
        .fails(2, &["--weights bf16", "--device cpu"]);
    // Said before anything is opened.
    scratch.run(&["score", "nowhere", "--file", "val.txt", "--logits", "l"]).fails(2, &["not of a --file"]);
    scratch
        .run(&["score", "nowhere", "--ids", "1,2", "--weights", "int8", "--device", "ndarray"])
        .fails(2, &["--weights int8", "--device cpu"]);
    scratch
        .run(&["score", "run", "--ids", "1,2", "--weights", "half"])
        .fails(2, &["half", "f32, bf16, int8"]);
}
