//! Encoder–decoders from the command line: trained, and used with every command.

use crate::scoring::{explained_by_logits, weights_are_rounded};
use crate::support::Scratch;
use serde_json::Value;
use std::path::Path;

const OBJECTIVES: [&str; 3] = ["span-corruption", "denoising", "mixture"];

/// A folder with a short run of the smoke config of `objective` in `run`.
fn with_run(objective: &str) -> Scratch {
    let scratch = Scratch::with_text();
    let config = format!("{objective}-smoke");
    let args = ["pretrain", "--config", &config, "--out", "run", "--set", "data.texts=train.txt"];
    scratch.run(&[&args[..], &["--set", "data.tokenizer=tok"]].concat()).succeeds();
    scratch
}

#[test]
fn a_run_is_scored_embedded_prompted_and_shown() {
    for objective in OBJECTIVES {
        let scratch = with_run(objective);
        let score = scratch.run(&["score", "run", "--text", "Once there was a fox.", "--json"]).json();
        assert!(score["loss"].as_f64().is_some_and(|loss| loss > 0.0 && loss < 20.0), "{objective}: {score}");
        assert_eq!(score["bytes"], 21);
        let all = scratch.run(&["score", "run", "--file", "train.txt", "--json"]).json();
        assert_eq!(all["documents"], 1, "{objective}: the smoke configs take a file for a document");
        assert!(
            all["bits_per_byte"].as_f64().is_some_and(|bits| bits > 0.0 && bits < 10.0),
            "{objective}: {all}"
        );
        let embedding = scratch.run(&["embed", "run", "--text", "a fox", "--json"]).json();
        let tokens = embedding["tokens"].as_array().expect("a list").len();
        assert_eq!(embedding["embeddings"].as_array().map(Vec::len), Some(tokens));
        let generate = ["generate", "run", "--prompt", "Once there", "--max-new-tokens", "8", "--json"];
        let greedy = scratch.run(&generate).json();
        assert_eq!(greedy["prompt"], "Once there");
        let (ids, read) = (greedy["ids"].as_array(), greedy["input_ids"].as_array());
        assert!(ids.is_some_and(|ids| (1..=8).contains(&ids.len())), "{objective}: {greedy}");
        assert!(read.is_some_and(|read| read.len() > 2), "{objective}: {greedy}");
        assert_eq!(scratch.run(&generate).json(), greedy, "the same once more");
        for strategy in [&["--beams", "3", "--n-best", "2"][..], &["--temperature", "0.9", "--seed", "4"]] {
            let ran = scratch.run(&[&generate[..], strategy].concat()).succeeds();
            let lines: Vec<Value> =
                ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            assert_eq!(
                lines.len(),
                if strategy[0] == "--beams" { 2 } else { 1 },
                "{objective}: {}",
                ran.stdout
            );
        }
        scratch.run(&["show", "run"]).succeeds();
    }
}

#[test]
fn logits_explain_the_score_with_narrow_weights_too() {
    for objective in OBJECTIVES {
        let scratch = with_run(objective);
        // Behind an end of text, for which what the decoder begins with stands, and as they are.
        explained_by_logits(&scratch, &[0, 40, 41, 42], &[]);
        weights_are_rounded(&scratch, &[40, 41, 42, 60, 61]);
    }
}

/// A folder of another program that says by itself what begins and ends texts; there is no tokenizer.
#[test]
fn what_a_foreign_folder_begins_and_ends_texts_with_is_heeded() {
    let scratch = Scratch::empty();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../transformer/tests/golden/t5");
    std::fs::create_dir(scratch.path("t5")).expect("created");
    for file in ["config.json", "generation_config.json", "model.safetensors"] {
        scratch.write(&format!("t5/{file}"), std::fs::read(golden.join(file)).expect("committed"));
    }
    let generate = |ids: &str| {
        let args = ["generate", "t5", "--prompt-ids", ids, "--max-new-tokens", "12", "--json"];
        scratch.run(&args).json()
    };
    let says = |key: &str, value: Value| {
        let mut json: Value = serde_json::from_str(&scratch.text("t5/generation_config.json")).expect("JSON");
        json[key] = value;
        scratch.write("t5/generation_config.json", json.to_string());
    };
    says("eos_token_id", 31.into());
    let json = generate("3,14,15,9");
    let ids: Vec<u32> = serde_json::from_value(json["ids"].clone()).expect("ids");
    assert_eq!((&json["prompt_ids"], &json["input_ids"]), (&[0].into(), &[3, 14, 15, 9].into()));
    // Padding is not read.
    assert_eq!(generate("3,14,15,9,0,0"), json);
    // Where one of its ids ends texts, it ends there, whichever of several that is.
    let end = ids[2];
    let first = ids.iter().position(|&id| id == end).expect("it is there");
    for (ends, reason) in [(Value::from(end), "end-of-text"), ([30, end].into(), "stopped")] {
        says("eos_token_id", ends);
        let json = generate("3,14,15,9");
        assert_eq!(json["ids"], serde_json::json!(ids[..=first]), "{json}");
        assert_eq!(json["finish_reason"], reason);
    }
    says("decoder_start_token_id", 7.into());
    let json = generate("3,14,15,9");
    assert_eq!(json["prompt_ids"], serde_json::json!([7]));
    assert_ne!(json["ids"], serde_json::json!(ids[..=first]));
    let score = scratch.run(&["score", "t5", "--ids", "3,14,15", "--json"]).json();
    assert!(score["loss"].as_f64().is_some_and(|loss| loss > 0.0), "{score}");
}

#[test]
fn sentinels_that_a_tokenizer_has_are_used_and_only_missing_ones_are_added() {
    let scratch = Scratch::with_text();
    let trained = |tokenizer: &str, special: &[&str]| {
        let train = ["tokenizer", "train", "train.txt", "--out", tokenizer, "--vocab-size", "310"];
        let special = special.iter().flat_map(|&name| ["--special", name]);
        scratch.run(&train.into_iter().chain(special).collect::<Vec<_>>()).succeeds();
        let run = format!("{tokenizer}-run");
        let tokenizer = format!("data.tokenizer={tokenizer}");
        let set = ["data.texts=train.txt", &tokenizer, "training.steps=2"];
        let args = ["pretrain", "--config", "span-corruption-smoke", "--out", &run];
        scratch
            .run(&args.into_iter().chain(set.into_iter().flat_map(|set| ["--set", set])).collect::<Vec<_>>())
            .succeeds();
        let json: Value =
            serde_json::from_str(&scratch.text(&format!("{run}/tokenizer.json"))).expect("JSON");
        let added = json["added_tokens"].as_array().expect("a list").clone();
        let ids: Vec<(String, u64)> = added
            .iter()
            .map(|token| {
                (token["content"].as_str().expect("a text").to_owned(), token["id"].as_u64().expect("an id"))
            })
            .collect();
        let config: Value = serde_json::from_str(&scratch.text(&format!("{run}/config.json"))).expect("JSON");
        (ids, config["vocab_size"].as_u64())
    };
    // 32 tokens, 5 of them in 2 spans.
    let all = ["<|endoftext|>", "<extra_id_2>", "<extra_id_1>", "<extra_id_0>"];
    let (ids, size) = trained("all", &all);
    let expected: Vec<(String, u64)> = all.iter().zip(0..).map(|(&name, id)| (name.to_owned(), id)).collect();
    assert_eq!((ids, size), (expected, Some(310)));
    let (ids, size) = trained("one", &["<|endoftext|>", "<extra_id_0>"]);
    let expected = [("<|endoftext|>", 0), ("<extra_id_0>", 1), ("<extra_id_1>", 310)];
    assert_eq!((ids, size), (expected.map(|(name, id)| (name.to_owned(), id)).to_vec(), Some(311)));
}

#[test]
fn the_first_sentinel_is_the_top_of_the_vocabulary() {
    let scratch = with_run("span-corruption");
    let json: Value = serde_json::from_str(&scratch.text("run/tokenizer.json")).expect("JSON");
    let added = json["added_tokens"].as_array().expect("a list");
    let id = |name: &str| {
        added.iter().find(|token| token["content"] == name).and_then(|token| token["id"].as_u64())
    };
    let config: Value = serde_json::from_str(&scratch.text("run/config.json")).expect("JSON");
    assert_eq!(config["architectures"][0], "T5ForConditionalGeneration");
    let top = config["vocab_size"].as_u64().expect("a count") - 1;
    // 32 tokens, 5 of them in 2 spans.
    assert_eq!(
        (id("<extra_id_0>"), id("<extra_id_1>"), id("<extra_id_2>")),
        (Some(top), Some(top - 1), None)
    );
}

#[test]
fn blanks_are_filled_where_they_are() {
    for objective in ["span-corruption", "mixture"] {
        let scratch = with_run(objective);
        let fill = ["generate", "run", "--max-new-tokens", "12", "--fill", "The [Z] wanted [Z]."];
        let json = scratch.run(&[&fill[..], &["--json"]].concat()).json();
        let spans = json["fills"].as_array().expect("a list");
        assert_eq!(spans.len(), 2, "{json}");
        let span = |at: usize| {
            let span = spans[at].as_str().expect("a text");
            if span.starts_with(char::is_whitespace) { span.to_string() } else { format!(" {span}") }
        };
        let expected = format!("The{} wanted{}.", span(0), span(1));
        assert_eq!(json["text"], expected.as_str(), "{objective}");
        assert_eq!(scratch.run(&fill).succeeds().stdout, format!("{expected}\n"));
        let many = format!("a {}", "[Z] and ".repeat(40));
        let ran = scratch.run(&["generate", "run", "--fill", &many]);
        assert!(ran.code == Some(2) && ran.stderr.contains("blanks"), "{}", ran.stderr);
        let ran = scratch.run(&["generate", "run", "--fill", "no blank"]);
        assert!(ran.code == Some(2) && ran.stderr.contains("[Z]"), "{}", ran.stderr);
    }
    // A model that mends whole texts says the whole text.
    let scratch = with_run("denoising");
    let json = scratch
        .run(&["generate", "run", "--max-new-tokens", "9", "--fill", "The [Z] left.", "--json"])
        .json();
    assert!(json["fills"].is_null() && json["text"].is_string(), "{json}");
}

#[test]
fn what_an_encoder_decoder_cannot_do_is_named() {
    let scratch = with_run("span-corruption");
    for (args, named) in [
        (&["generate", "run", "--prompt", "a", "--draft", "ngram"][..], "--draft"),
        (&["generate", "run", "--prompt", "a", "--weights", "int8"], "--weights"),
        (&["generate", "run", "--prompt", "a", "--sliding-window"], "--sliding-window"),
        (&["generate", "run", "--prompt-ids", "99999"], "99999"),
        (
            &["score", "run", "--ids", &vec!["5"; 34].join(","), "--logits", "out.json"],
            "34 tokens are more than the 32",
        ),
    ] {
        let ran = scratch.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(named), "{args:?}: {}", ran.stderr);
    }
    let long = "fox ".repeat(60);
    let ran = scratch.run(&["generate", "run", "--prompt", &long]);
    assert!(ran.code == Some(2) && ran.stderr.contains("context"), "{}", ran.stderr);
}

#[test]
fn options_that_describe_no_noise_are_refused_by_name() {
    let scratch = Scratch::with_text();
    let refused = |config: &str, set: &[&str]| {
        let mut args = vec!["pretrain", "--config", config, "--out", "run", "--set", "data.texts=train.txt"];
        set.iter().for_each(|set| args.extend(["--set", set]));
        let ran = scratch.run(&args);
        assert_eq!(ran.code, Some(2), "{set:?}: {}", ran.stderr);
        ran.stderr
    };
    for (config, set, named) in [
        ("span-corruption-smoke", "span_corruption.rate=1.5", "rate 1.5"),
        ("span-corruption-smoke", "span_corruption.rat=0.1", "did you mean `rate`?"),
        ("span-corruption-smoke", "training.seq_len=1", "seq_len 1"),
        ("span-corruption-smoke", "training.seq_len=4096", "sentinels"),
        ("span-corruption-smoke", "model.seq_len=33", "2 tokens that the objective may add"),
        ("denoising-smoke", "denoising.mean_span=0", "mean_span 0"),
        ("mixture-smoke", "mixture.denoisers=[]", "denoisers"),
        ("causal-smoke", "span_corruption.rate=0.1", "[span_corruption]"),
        ("causal-smoke", "model.preset=t5", "relative-bias"),
    ] {
        let said = refused(config, &[set]);
        assert!(said.contains(named), "{set}: {said}");
    }
}
