//! Drafts that learn from a teacher: `[distillation]`.

use crate::support::Scratch;
use serde_json::Value;
use sha2::{Digest, Sha256};

const TEACHER: &str = "distillation.teacher=run";
/// A student smaller than its teacher.
const SMALL: [&str; 3] = ["model.d_model=8", "model.n_heads=1", "training.seq_len=12"];

fn sets<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SMALL[..], more].concat()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

const OF_TEACHER: [&str; 4] =
    ["run/model.safetensors", "run/config.json", "run/metrics.jsonl", "run/tokenizer.json"];

#[test]
fn a_draft_is_distilled_by_naming_its_teacher() {
    let scratch = Scratch::with_run();
    let teacher = OF_TEACHER.map(|file| scratch.bytes(file));
    scratch.pretrain("plain", &SMALL).succeeds();
    let ran = scratch.pretrain("draft", &sets(&[TEACHER])).succeeds();
    assert!(
        ran.stderr.contains("distilled from run (") && ran.stderr.contains("weight 0.5"),
        "{}",
        ran.stderr
    );
    assert!(OF_TEACHER.map(|file| scratch.bytes(file)) == teacher, "the teacher stays as it is");
    assert!(scratch.bytes("draft/model.safetensors") != scratch.bytes("plain/model.safetensors"));
    // The first step begins with the same weights and text.
    let (distilled, plain) = (scratch.metrics("draft"), scratch.metrics("plain"));
    assert_eq!(distilled[0]["train_cross_entropy"], plain[0]["train_loss"]);
    let first = |key: &str| distilled[0][key].as_f64().expect("a number");
    let expected = 0.5 * first("train_cross_entropy") + 0.5 * first("train_distillation");
    assert!((first("train_loss") - expected).abs() < 1e-9 && first("train_distillation") > 0.0);
    let evaluated =
        |lines: &[Value]| lines.iter().filter(|line| line.get("val_bits_per_byte").is_some()).count();
    assert_eq!((evaluated(&distilled), evaluated(&plain)), (2, 2), "held-out loss stays the causal one");
    let run_toml = scratch.text("draft/run.toml");
    for hash in [sha256(&teacher[0]), sha256(&teacher[1])] {
        assert!(run_toml.contains(&hash), "{run_toml}");
    }
    let shown = scratch.run(&["show", "draft"]).succeeds().stdout;
    assert!(shown.contains("teacher     run (weights "), "{shown}");
    scratch.run(&["generate", "run", "--prompt", "Once", "--draft", "draft"]).succeeds();
}

#[test]
fn a_distilled_run_is_the_same_whatever_it_is_cut_into_and_where_it_was_stopped() {
    let scratch = Scratch::with_run();
    let set = sets(&[TEACHER, "distillation.weight=0.8", "distillation.temperature=2", "model.dropout=0.1"]);
    scratch.pretrain("draft", &set).succeeds();
    let (weights, metrics) = (scratch.bytes("draft/model.safetensors"), scratch.metrics("draft"));
    // As a kill leaves it.
    for gone in ["draft/checkpoints/step-00000008", "draft/checkpoints/best"] {
        std::fs::remove_dir_all(scratch.path(gone)).expect("it is there");
    }
    for gone in ["draft/model.safetensors", "draft/config.json"] {
        std::fs::remove_file(scratch.path(gone)).expect("it is there");
    }
    let ran = scratch.run(&["pretrain", "--out", "draft", "--resume"]).succeeds();
    assert!(ran.stderr.contains("going on after step 6"), "{}", ran.stderr);
    assert!(scratch.bytes("draft/model.safetensors") == weights);
    assert_eq!(scratch.metrics("draft"), metrics);
    let checkpointing = ["training.activation_checkpointing=true"];
    scratch.pretrain("again", &[&set[..], &checkpointing].concat()).succeeds();
    assert!(scratch.bytes("again/model.safetensors") == weights);
}

#[test]
fn another_teacher_or_none_is_refused_on_resume() {
    let scratch = Scratch::with_run();
    scratch.pretrain("draft", &sets(&[TEACHER])).succeeds();
    let (run_toml, weights) = (scratch.bytes("draft/run.toml"), scratch.bytes("draft/model.safetensors"));
    let resume = |set: &[&str]| {
        let mut args = vec!["pretrain", "--config", "tiny.toml", "--out", "draft", "--resume"];
        let set = sets(set);
        args.extend(set.iter().flat_map(|&assignment| ["--set", assignment]));
        scratch.run(&args)
    };
    resume(&[])
        .fails(2, &["started differently", "distillation.teacher: \"run\" → absent", "teacher's weights"]);
    resume(&[TEACHER, "distillation.temperature=3"]).fails(2, &["distillation.temperature: 1.0 → 3"]);
    resume(&[TEACHER]).succeeds();
    // The same folder, trained anew.
    std::fs::rename(scratch.path("run"), scratch.path("old")).expect("moved");
    let resumed = || scratch.run(&["pretrain", "--out", "draft", "--resume"]);
    resumed().fails(2, &["distillation.teacher run", "there is no such run"]);
    scratch.pretrain("run", &["seed=1"]).succeeds();
    resumed().fails(2, &["started differently", "teacher's weights: "]);
    assert!(scratch.bytes("draft/run.toml") == run_toml);
    assert!(scratch.bytes("draft/model.safetensors") == weights, "a refused command changes nothing");
    std::fs::remove_dir_all(scratch.path("run")).expect("it is there");
    std::fs::rename(scratch.path("old"), scratch.path("run")).expect("moved");
    resumed().succeeds();
}

#[test]
fn a_teacher_that_does_not_fit_is_refused_before_anything_is_written() {
    let scratch = Scratch::with_run();
    scratch.run(&["tokenizer", "train", "train.txt", "--out", "other", "--vocab-size", "290"]).succeeds();
    scratch.pretrain("other-run", &["data.tokenizer=other"]).succeeds();
    let check = |set: &[&str], parts: &[&str]| {
        scratch.pretrain("draft", set).fails(2, parts);
        let args: Vec<&str> = set.iter().flat_map(|&set| ["--set", set]).collect();
        let dry = scratch.run(&[&["pretrain", "--config", "tiny.toml", "--dry-run"], &args[..]].concat());
        dry.fails(2, parts);
        assert!(!scratch.path("draft/run.toml").exists());
    };
    check(&["distillation.teacher=nowhere"], &["distillation.teacher nowhere", "there is no such run"]);
    check(&["distillation.teacher=tok"], &["distillation.teacher tok", "holds no model"]);
    check(
        &["distillation.teacher=other-run"],
        &[
            "distillation.teacher other-run",
            "tokenizer.json is not that of this run",
            "data.tokenizer=other-run",
        ],
    );
    check(
        &[TEACHER, "training.seq_len=17"],
        &["distillation.teacher run", "holds 16 tokens, and training.seq_len is 17", "training.seq_len=16"],
    );
    check(&[TEACHER, "distillation.weight=0"], &["distillation.weight 0 is not in (0, 1]"]);
    check(&[TEACHER, "distillation.weight=1.1"], &["distillation.weight 1.1"]);
    check(&[TEACHER, "distillation.temperature=-1"], &["distillation.temperature -1"]);
    check(&["distillation.weight=0.5"], &["missing field `teacher`"]);
    check(&[TEACHER, "distillation.wieght=0.5"], &["did you mean `weight`?"]);
    // A run in the making, a folder without a tokenizer, damaged weights.
    std::fs::rename(scratch.path("run/config.json"), scratch.path("config.json")).expect("moved");
    check(&[TEACHER], &["distillation.teacher run", "not finished", "--resume"]);
    std::fs::rename(scratch.path("config.json"), scratch.path("run/config.json")).expect("moved");
    let tokenizer = scratch.bytes("run/tokenizer.json");
    std::fs::remove_file(scratch.path("run/tokenizer.json")).expect("it is there");
    check(&[TEACHER], &["distillation.teacher run", "no tokenizer.json"]);
    scratch.write("run/tokenizer.json", tokenizer);
    let weights = scratch.bytes("run/model.safetensors");
    scratch.write("run/model.safetensors", &weights[..weights.len() / 2]);
    scratch.pretrain("draft", &[TEACHER]).fails(1, &["distillation.teacher", "model.safetensors"]);
    assert!(!scratch.path("draft/run.toml").exists());
}

#[test]
fn a_run_is_not_its_own_teacher() {
    let scratch = Scratch::with_run();
    // A model without a history.
    std::fs::remove_file(scratch.path("run/run.toml")).expect("it is there");
    scratch
        .pretrain("run", &[TEACHER])
        .fails(2, &["distillation.teacher", "written over its teacher", "--out"]);
}

#[test]
fn a_dry_run_counts_the_teacher() {
    let scratch = Scratch::with_run();
    let dry = |set: &[&str]| {
        let args: Vec<&str> = set.iter().flat_map(|&set| ["--set", set]).collect();
        scratch
            .run(&[&["pretrain", "--config", "tiny.toml", "--dry-run"], &args[..]].concat())
            .succeeds()
            .stdout
    };
    assert!(!dry(&[]).contains("teacher"));
    let shown = dry(&[TEACHER]);
    assert!(shown.contains("teacher 1 MiB") && shown.contains("[distillation]"), "{shown}");
    scratch.write("again.toml", &shown);
    scratch.run(&["pretrain", "--config", "again.toml", "--out", "draft"]).succeeds();
}
