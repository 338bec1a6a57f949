//! The main flow: corpus, tokenizer, shards, a trained run and what it leaves.

use crate::support::Scratch;
use serde_json::{Value, json};
use std::collections::HashSet;

#[test]
fn generated_data_is_decided_by_kind_split_and_seed() {
    let scratch = Scratch::empty();
    let generate = |out: &str, options: &[&str]| {
        scratch.run(&[&["data", "generate", "--json", "--out", out], options].concat()).json()
    };
    let stories = ["--bytes", "30KB", "--seed", "7"];
    let summary = generate("a.txt", &stories);
    generate("b.txt", &stories);
    assert_eq!(scratch.bytes("a.txt"), scratch.bytes("b.txt"));
    // The blank lines between documents are no document's.
    let documents = scratch.text("a.txt").split("\n\n").count() as u64;
    assert_eq!(summary["documents"].as_u64(), Some(documents));
    let bytes = summary["bytes"].as_u64().expect("a count");
    assert!((30_000..scratch.bytes("a.txt").len() as u64).contains(&bytes), "{bytes}");
    let stdout = scratch.run(&["data", "generate", "--bytes", "30KB", "--seed", "7"]).succeeds().stdout;
    assert_eq!(stdout, scratch.text("a.txt"), "stdout gets the bytes that a file gets");
    generate("c.txt", &["--bytes", "30KB", "--seed", "8"]);
    assert_ne!(scratch.bytes("a.txt"), scratch.bytes("c.txt"));

    let mut seen = HashSet::new();
    for split in ["train", "validation", "test"] {
        generate("split.txt", &["--bytes", "100KB", "--split", split]);
        let text = scratch.text("split.txt");
        let documents: HashSet<String> = text.split("\n\n").map(|text| text.trim().to_string()).collect();
        assert!(documents.is_disjoint(&seen), "{split} shares a document with another split");
        seen.extend(documents);
    }

    for (kind, field) in [("reviews", "text"), ("pairs", "label")] {
        generate("labelled.jsonl", &["--kind", kind, "--count", "20"]);
        let text = scratch.text("labelled.jsonl");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 20);
        assert!(lines.iter().all(|line| !line[field].is_null()), "{kind} without {field}: {}", lines[0]);
    }
}

#[test]
fn text_comes_back_from_its_ids() {
    let scratch = Scratch::with_text();
    scratch
        .run(&["tokenizer", "train", "train.txt", "--out", "chars", "--algorithm", "characters"])
        .succeeds();
    let longest = ["tokenizer", "train", "train.txt", "--merges", "40", "--algorithm"];
    scratch.run(&[&longest[..], &["longest-prefix", "--out", "longest"]].concat()).succeeds();
    scratch.run(&[&longest[..], &["reference", "--out", "reference"]].concat()).succeeds();
    scratch
        .run(&[&longest[..], &["longest-prefix", "--byte-fallback", "--out", "fallback"]].concat())
        .succeeds();
    assert_eq!(scratch.text("longest/tokenizer.json"), scratch.text("reference/tokenizer.json"));
    let text = scratch.text("train.txt");
    for tokenizer in ["tok", "chars", "longest", "fallback"] {
        let encode = ["tokenizer", "encode", "--tokenizer", tokenizer];
        let decode = ["tokenizer", "decode", "--tokenizer", tokenizer];
        let ids = scratch.run(&[&encode[..], &["train.txt"]].concat()).succeeds().stdout;
        assert_eq!(scratch.run_with(&encode, &text).succeeds().stdout, ids, "stdin as a file");
        let document = scratch.run_with(&[&encode[..], &["--json"]].concat(), &text).json();
        let listed: Vec<String> = ids.trim().split(',').map(str::to_string).collect();
        assert_eq!(document["ids"].as_array().map(Vec::len), Some(listed.len()));
        assert_eq!(scratch.run_with(&decode, &ids).succeeds().stdout, text);
        // One id a line, as another program might write them.
        assert_eq!(scratch.run_with(&decode, listed.join("\r\n")).succeeds().stdout, text);
        let document = scratch.run_with(&[&decode[..], &["--json"]].concat(), &ids).json();
        assert_eq!(document, json!({ "text": text }));
    }
    let inspect = scratch.run(&["tokenizer", "inspect", "--tokenizer", "tok", "--json"]).json();
    assert_eq!(inspect["vocab_size"], 300);
    std::fs::create_dir(scratch.path("texts")).expect("made");
    scratch.write("texts/a.txt", "one two three");
    scratch.write("texts/b.txt", "four\nfive");
    let compare = ["tokenizer", "inspect", "--tokenizer", "tok", "--tokenizer", "longest", "texts"];
    let lines = scratch.run(&[&compare[..], &["--json"]].concat()).json_lines();
    assert_eq!(lines.len(), 2);
    for (line, name) in lines.iter().zip(["tok", "longest"]) {
        let encode = ["tokenizer", "encode", "--tokenizer", name, "texts/b.txt"];
        let ids = scratch.run(&encode).succeeds().stdout.trim().split(',').count();
        let text = &line["texts"][1];
        assert_eq!((&line["tokenizer"], &text["tokens"]), (&json!(name), &json!(ids)));
        assert_eq!((&text["words"], &text["bytes"]), (&json!(2), &json!(9)));
        assert!(line["unused_share"].as_f64().is_some_and(|share| 0.0 < share && share < 1.0), "{line}");
    }
    let table = scratch.run(&compare).succeeds().stdout;
    for part in ["tokens/word longest", "bytes/token tok", "\nb.txt", "unused"] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
    scratch.run(&[&compare[..], &["absent.txt"]].concat()).fails(2, &["absent.txt"]);
    let encode = ["tokenizer", "encode", "--tokenizer", "tok"];
    let special =
        |how: &str| scratch.run_with(&[&encode[..], &["--special", how]].concat(), "a <|endoftext|>");
    assert!(special("allow").succeeds().stdout.trim().ends_with(",0"));
    assert!(special("text").succeeds().stdout.trim().split(',').all(|id| id != "0"));
    special("refuse").fails(2, &["<|endoftext|>", "at byte 2"]);
    let offsets = scratch.run_with(&[&encode[..], &["--offsets", "--json"]].concat(), "one").json();
    assert_eq!(offsets["offsets"][0][0], 0);
    assert_eq!(
        offsets["offsets"].as_array().and_then(|all| all.last()).map(|last| &last[1]),
        Some(&json!(3))
    );
    let any = "Ünïcode, emoji 🦊 and\ttabs";
    for tokenizer in ["tok", "fallback"] {
        let ids = scratch.run_with(&["tokenizer", "encode", "--tokenizer", tokenizer], any).succeeds().stdout;
        let decode = ["tokenizer", "decode", "--tokenizer", tokenizer];
        assert_eq!(scratch.run_with(&decode, ids).succeeds().stdout, any);
    }
    // More merges than there are pairs, and options of the other algorithm.
    let many = scratch.run(&["tokenizer", "train", "train.txt", "--out", "many", "--merges", "1000000"]);
    assert!(many.succeeds().stderr.contains("no more pairs to merge"));
    scratch
        .run(&["tokenizer", "train", "train.txt", "--out", "no", "--byte-fallback"])
        .fails(2, &["--byte-fallback", "longest-prefix"]);
    scratch
        .run(&[
            "tokenizer",
            "train",
            "train.txt",
            "--out",
            "no",
            "--algorithm",
            "longest-prefix",
            "--vocab-size",
            "9",
        ])
        .fails(2, &["vocab_size 9", "different characters", "at least"]);
}

#[test]
fn shards_train_as_their_text_does() {
    let scratch = Scratch::with_text();
    let prepare = [
        "prepare",
        "train.txt",
        "--tokenizer",
        "tok",
        "--out",
        "shards",
        "--boundary",
        "blank-line",
        "--json",
    ];
    let splits = scratch.run(&prepare).json_lines();
    let names: Vec<&str> = splits.iter().filter_map(|split| split["split"].as_str()).collect();
    assert_eq!(names, ["train", "held-out"]);
    assert_eq!(splits[0]["documents"].as_u64().zip(splits[1]["documents"].as_u64()), Some((36, 4)));

    scratch.pretrain("from-text", &[]).succeeds();
    scratch.pretrain("from-shards", &["data.texts=[]", "data.shards=shards"]).succeeds();
    assert_eq!(scratch.metrics("from-text"), scratch.metrics("from-shards"));
    assert_eq!(scratch.bytes("from-text/model.safetensors"), scratch.bytes("from-shards/model.safetensors"));
    let shown = scratch.run(&["show", "from-shards"]).succeeds().stdout;
    assert!(shown.contains("data        shards"), "{shown}");

    scratch.run(&["tokenizer", "train", "train.txt", "--out", "other", "--vocab-size", "280"]).succeeds();
    let set = |assignments: &[&str]| scratch.pretrain("x", assignments);
    set(&["data.texts=[]", "data.shards=shards", "data.tokenizer=other"]).fails(2, &["another tokenizer"]);
    set(&["data.texts=[]", "data.shards=tok"]).fails(2, &["tok holds no token shards", "firebrand prepare"]);
    set(&["data.shards=shards"]).fails(2, &["data.texts and data.shards are both set"]);
}

#[test]
fn a_run_leaves_a_hugging_face_folder_and_its_own_records() {
    let scratch = Scratch::with_run();
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "run.toml",
        "metrics.jsonl",
        "checkpoints/best/model.safetensors",
        "checkpoints/step-00000008/state.json",
    ] {
        assert!(scratch.path(&format!("run/{file}")).is_file(), "{file} is missing");
    }
    let config: Value = serde_json::from_slice(&scratch.bytes("run/config.json")).expect("JSON");
    assert_eq!(config["architectures"], json!(["LlamaForCausalLM"]));
    assert_eq!(scratch.bytes("run/tokenizer.json"), scratch.bytes("tok/tokenizer.json"));
    let run = scratch.text("run/run.toml");
    for record in
        ["format = 1", "version = ", "device = \"cpu\"", "threads = 1", "data_key", "seed = 0", "lr = 0.01"]
    {
        assert!(run.contains(record), "{record:?} is not in run.toml:\n{run}");
    }
    let metrics = scratch.metrics("run");
    let steps: Vec<u64> = metrics.iter().filter_map(|line| line["step"].as_u64()).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(metrics.iter().all(|line| line["train_loss"].is_f64() && line["lr"].is_f64()));
    let evaluated = metrics.iter().filter(|line| line["val_loss"].is_f64()).count();
    assert_eq!(evaluated, 2, "eval_every = 4 of 8 steps");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let scratch = Scratch::with_run();
    scratch.pretrain("again", &[]).succeeds();
    // Without --out, the config names the run.
    scratch.run(&["pretrain", "--config", "tiny.toml"]).succeeds();
    assert_eq!(scratch.bytes("run/model.safetensors"), scratch.bytes("runs/tiny/model.safetensors"));
    scratch.pretrain("other", &["seed=1"]).succeeds();
    assert_eq!(scratch.bytes("run/model.safetensors"), scratch.bytes("again/model.safetensors"));
    assert_eq!(scratch.metrics("run"), scratch.metrics("again"));
    assert_ne!(scratch.bytes("run/model.safetensors"), scratch.bytes("other/model.safetensors"));
}

#[test]
fn training_goes_on_from_another_runs_weights() {
    let scratch = Scratch::with_run();
    let from = |run: &str, set: &[&str]| {
        let mut args = vec!["pretrain", "--config", "tiny.toml", "--out", "next", "--from", run];
        args.extend(set.iter().flat_map(|&assignment| ["--set", assignment]));
        scratch.run(&args)
    };
    from("nowhere", &[]).fails(2, &["--from nowhere: holds no model"]);
    from("run", &["model.n_layers=2"]).fails(2, &["n_layers: 1 there, 2 here"]);
    // As many tokens, but others.
    scratch.write("other.txt", "zebras zigzag lazily; quizzes puzzle jazzy wizards. ".repeat(40));
    scratch.run(&["tokenizer", "train", "other.txt", "--out", "other", "--vocab-size", "280"]).succeeds();
    scratch.run(&["tokenizer", "train", "train.txt", "--out", "small", "--vocab-size", "280"]).succeeds();
    scratch.pretrain("small-run", &["data.tokenizer=small"]).succeeds();
    from("small-run", &["data.tokenizer=other"])
        .fails(2, &["its tokenizer is another one", "--set data.tokenizer=small-run"]);

    from("run", &[]).succeeds();
    let first = |run: &str| scratch.metrics(run)[0]["train_loss"].as_f64().expect("a loss");
    assert!(first("next") < first("run") - 0.05, "{} is no head start on {}", first("next"), first("run"));
    let shown = scratch.run(&["show", "next"]).succeeds().stdout;
    assert!(shown.contains("from        run"), "{shown}");
}
