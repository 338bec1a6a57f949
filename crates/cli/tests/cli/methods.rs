//! `firebrand finetune` by every method: which weights change, what a folder of adapters holds, how it is used.

use crate::support::Scratch;
use serde_json::Value;
use std::fmt::Write;

/// A tiny run, and texts of the same words with two labels.
fn scratch() -> Scratch {
    let scratch = Scratch::with_run();
    let mut labelled = String::from("text,label\n");
    for i in 0..40 {
        let (who, what) = (["fox", "crow", "hen"][i % 3], ["cheese", "grain", "shade", "peace"][i % 4]);
        let label = if i % 2 == 0 { "good" } else { "bad" };
        writeln!(labelled, "The {who} wanted {what} number {i}.,{label}").expect("a string");
    }
    scratch.write("labelled.csv", labelled);
    scratch
}

fn finetune<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args =
        vec!["finetune", "--from", "run", "--data", "labelled.csv", "--config", "smoke", "--out", out];
    args.extend_from_slice(more);
    args
}

/// What each text is called, and how likely, by `classify`.
fn said(scratch: &Scratch, run: &str) -> Vec<Value> {
    scratch.run(&["classify", run, "The fox wanted cheese.", "The hen wanted peace.", "--json"]).json_lines()
}

#[test]
fn adapters_are_a_folder_of_their_own_that_classifies_as_the_whole_model_does() {
    let scratch = scratch();
    let base = scratch.bytes("run/model.safetensors");
    scratch.run(&finetune("adapters", &["--set", "method.kind=lora", "--set", "lora.rank=2"])).succeeds();
    assert!(base == scratch.bytes("run/model.safetensors"), "the base is as it was");
    assert!(!scratch.path("adapters/model.safetensors").exists());
    let config: Value = serde_json::from_str(&scratch.text("adapters/adapter_config.json")).expect("JSON");
    assert_eq!((&config["r"], &config["peft_type"]), (&2.into(), &"LORA".into()));
    let expected = said(&scratch, "adapters");
    scratch.write("adapters/chat_template.jinja", "{{ eos_token }}");
    scratch.run(&["merge", "adapters", "--out", "whole"]).succeeds();
    assert_eq!(said(&scratch, "whole"), expected);
    // What it was trained as and on stays known, as where its texts are.
    assert_eq!(scratch.text("whole/chat_template.jinja"), "{{ eos_token }}");
    assert!(scratch.text("whole/run.toml").contains("merged_from = \"adapters\""));
    let shown = scratch.run(&["show", "whole"]).succeeds().stdout;
    for part in ["merged      from adapters", "from        run", "8 of 8 (finished)"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    scratch
        .run(&["finetune", "--out", "whole", "--resume"])
        .fails(2, &["whole: was merged from adapters", "--from whole"]);
    // Written as a whole at once, it is the same but for the rounding of the sums.
    let set = ["--set", "method.kind=lora", "--set", "lora.rank=2", "--set", "lora.merge=true"];
    scratch.run(&finetune("at-once", &set)).succeeds();
    assert!(scratch.path("at-once/model.safetensors").exists());
    assert!(!scratch.path("at-once/adapter_config.json").exists());
    for (a, b) in said(&scratch, "at-once").iter().zip(&expected) {
        assert_eq!(a["label"], b["label"]);
    }
}

#[test]
fn a_frozen_body_is_written_as_it_was() {
    let scratch = scratch();
    scratch.run(&finetune("frozen", &["--set", "method.kind=frozen"])).succeeds();
    let embedding = |run: &str| {
        let ran = scratch.run(&["embed", run, "--text", "The fox wanted cheese.", "--layer", "last"]);
        ran.succeeds().stdout
    };
    assert_eq!(embedding("frozen"), embedding("run"));
}

#[test]
fn a_run_by_any_method_goes_on_after_it_was_stopped_to_the_same_weights() {
    let scratch = scratch();
    for (name, set, file) in [
        ("gradual", vec!["method.unfreeze=gradual", "method.layer_decay=2.6"], "model.safetensors"),
        ("lora", vec!["method.kind=lora"], "adapter_model.safetensors"),
        ("frozen", vec!["method.kind=frozen", "schedule.kind=slanted-triangular"], "model.safetensors"),
    ] {
        let (whole, parts) = (format!("{name}-whole"), format!("{name}-parts"));
        let set: Vec<&str> = set.iter().flat_map(|key| ["--set", key]).collect();
        scratch.run(&finetune(&whole, &set)).succeeds();
        // As a kill leaves it: the checkpoint in the middle is the last one, and nothing is exported.
        scratch.run(&finetune(&parts, &set)).succeeds();
        std::fs::remove_dir_all(scratch.path(&format!("{parts}/checkpoints/step-00000008")))
            .expect("removed");
        std::fs::remove_file(scratch.path(&format!("{parts}/{file}"))).expect("removed");
        scratch.run(&["finetune", "--out", &parts, "--resume"]).succeeds();
        let [a, b] = [&whole, &parts].map(|run| scratch.bytes(&format!("{run}/{file}")));
        assert!(a == b, "{name}");
    }
}

#[test]
fn the_texts_are_read_first_if_that_is_asked_for_and_what_is_held_out_is_not_among_them() {
    let scratch = scratch();
    scratch.run(&finetune("adapted", &["--set", "adapt.steps=3", "--set", "adapt.batch_size=2"])).succeeds();
    let read = scratch.text("adapted/adapt.jsonl");
    assert_eq!(read.lines().count(), 30, "a quarter is held out");
    assert!(scratch.path("adapted/adapted/model.safetensors").exists());
    assert_eq!(scratch.metrics("adapted/adapted").last().expect("logged")["step"], 3);
    assert_eq!(said(&scratch, "adapted").len(), 2);
    scratch.write("elsewhere.jsonl", "{}");
    std::fs::create_dir(scratch.path("folder")).expect("made");
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(scratch.path(&format!("run/{name}")), scratch.path(&format!("folder/{name}")))
            .expect("copied");
    }
    let args =
        ["finetune", "--from", "folder", "--data", "labelled.csv", "--set", "adapt.steps=3", "--out", "x"];
    scratch.run(&args).fails(2, &["adapt.steps 3", "folder", "pretrained for"]);
    assert!(!scratch.path("x/run.toml").exists());
}

#[test]
fn methods_that_make_no_sense_are_refused_with_a_way_out() {
    let scratch = scratch();
    for (set, parts) in [
        (vec!["method.kind=lorra"], vec!["lorra", "lora"]),
        (vec!["method.layer_decay=0.5"], vec!["method.layer_decay 0.5", "1 or more"]),
        (vec!["method.kind=frozen", "method.unfreeze=gradual"], vec!["gradual", "frozen"]),
        (vec!["lora.rank=4"], vec!["[lora]", "method.kind", "full"]),
        (vec!["method.kind=lora", "lora.rank=0"], vec!["lora.rank"]),
        (vec!["method.kind=lora", r#"lora.targets=["q_proj"]"#], vec!["q_proj", "query"]),
        (vec!["schedule.kind=slanted-triangular", "schedule.ratio=0.5"], vec!["schedule.ratio 0.5"]),
        (vec!["adapt.steps=2", "adapt.lr=0"], vec!["adapt.lr 0"]),
    ] {
        let set: Vec<&str> = set.iter().flat_map(|key| ["--set", key]).collect();
        scratch.run(&finetune("refused", &set)).fails(2, &parts);
        assert!(!scratch.path("refused/run.toml").exists(), "{set:?}");
    }
    scratch.run(&["merge", "run", "--out", "whole"]).fails(2, &["run: holds no adapters"]);
    scratch.run(&["merge", "nowhere", "--out", "whole"]).fails(2, &["there is no such run"]);
    scratch.run(&finetune("adapters", &["--set", "method.kind=lora"])).succeeds();
    scratch.run(&["merge", "adapters", "--out", "run"]).fails(2, &["holds a model already"]);
    let weights = scratch.bytes("run/model.safetensors");
    scratch.pretrain("other", &["seed=5"]).succeeds();
    std::fs::copy(scratch.path("other/model.safetensors"), scratch.path("run/model.safetensors"))
        .expect("copied");
    scratch.run(&["classify", "adapters", "The fox."]).fails(1, &["another one is there now"]);
    scratch.write("run/model.safetensors", weights);
    std::fs::rename(scratch.path("run"), scratch.path("elsewhere")).expect("moved");
    scratch.run(&["classify", "adapters", "The fox."]).fails(1, &["base_model_name_or_path", "not there"]);
}

#[test]
fn a_dry_run_says_what_would_be_trained_and_trains_nothing() {
    let scratch = scratch();
    let dry = |more: &[&str]| scratch.run(&finetune("dry", &[&["--dry-run"], more].concat()));
    let shown = dry(&["--set", "data.test=0.25"]).succeeds().stdout;
    for part in [
        " 0 stay as they are (method.kind full)",
        "22 examples to train on, 8 held out, 10 to test on",
        "8 steps of 4 examples",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert!(!scratch.path("dry").exists(), "nothing is written");
    let whole = dry(&["--json"]).json();
    let frozen = dry(&["--json", "--set", "method.kind=frozen"]).json();
    let number = |plan: &Value, key: &str| plan[key].as_u64().unwrap_or_else(|| panic!("{key} in {plan}"));
    assert_eq!(number(&whole, "trained"), number(&whole, "n_params"));
    assert_eq!(number(&frozen, "trained"), number(&whole, "n_params") - number(&frozen, "frozen"));
    // The head: two classes of sixteen numbers. That of the language model, 300 tokens, is thawed with it, though no loss reads it.
    assert_eq!(number(&frozen, "trained"), 32 + 300 * 16);
    assert!(frozen["memory"]["peak"].as_u64() < whole["memory"]["peak"].as_u64());
    let counted: Vec<u64> =
        ["train", "held_out", "test"].map(|part| number(&whole["labels"][0], part)).to_vec();
    assert_eq!((counted, &whole["labels"][0]["label"]), (vec![15, 5, 0], &"bad".into()));
    let lora = dry(&["--json", "--seeds", "3", "--set", "method.kind=lora"]).json();
    assert_eq!(lora["runs"], 3);
    assert!(number(&lora, "n_params") > number(&whole, "n_params") && number(&lora, "trained") > 32);
    scratch.write("chats.csv", "prompt,response\nWho?,The fox.\nWhy?,Peace.\nHow?,So.\nWhen?,Now.\n");
    // A context in which a chat finds room.
    scratch.pretrain("base", &["training.seq_len=64"]).succeeds();
    let args =
        ["finetune", "--from", "base", "--data", "chats.csv", "--task", "instruction", "--config", "smoke"];
    let chats = scratch.run(&[&args[..], &["--dry-run", "--out", "dry"]].concat()).succeeds().stdout;
    assert!(chats.contains("3 examples to train on, 1 held out"), "{chats}");
    assert!(!scratch.path("dry").exists(), "nothing is written");
}
