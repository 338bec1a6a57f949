//! The real `xtask` binary on a `firebrand` that only notes what it is asked for: no burn, no training.
#![cfg(unix)]

mod support;

use std::fs;

use support::{Ended, Scratch, signal};

/// Everything the quickstart asks of the binary.
const STAGES: [&str; 6] = ["data", "data", "generate", "pretrain", "score", "tokenizer"];

#[test]
fn quickstart_goes_through_its_stages_and_reports() {
    let scratch = Scratch::new();
    let ended = scratch.run(&["quickstart", "--out", "mine"]).expect(0, "pretrain         done");
    let mut asked_for = scratch.asked_for();
    // What does not depend on each other may come in any order.
    asked_for.sort();
    assert_eq!(asked_for, STAGES);
    for said in
        ["1.2500 nats", "3.49", "0.5500", "0.0500 bits per byte", "[Long ago, a] and that is how", "mine"]
    {
        assert!(ended.stdout.contains(said), "{said} is missing:\n{}", ended.stdout);
    }
}

#[test]
fn quickstart_on_a_text_reports_the_best_evaluation_of_training() {
    let scratch = Scratch::new();
    scratch.write("notes.txt", "My dear diary, today I wrote nothing.");
    let ended = scratch.run(&["quickstart", "--out", "mine", "--text", "notes.txt"]).expect(0, "");
    assert_eq!(scratch.asked_for(), ["tokenizer", "pretrain", "generate"]);
    assert!(scratch.log()[0].contains("--vocab-size 320 "), "{:?}", scratch.log());
    assert!(scratch.log()[1].contains("data.texts=[\"notes.txt\"]"), "{:?}", scratch.log());
    for said in ["1.2500 nats", "0.6250", "[My dear diary,] and that is how"] {
        assert!(ended.stdout.contains(said), "{said} is missing:\n{}", ended.stdout);
    }
}

#[test]
fn of_a_finished_run_the_report_is_printed_again() {
    let scratch = Scratch::new();
    let first = scratch.run(&["quickstart", "--out", "mine"]).expect(0, "");
    scratch.clear_log();
    let second = scratch.run(&["quickstart", "--out", "mine"]).expect(0, "nothing to do");
    assert_eq!(second.stdout, first.stdout);
    assert!(scratch.log().is_empty(), "{:?}", scratch.log());
}

#[test]
fn a_finished_run_is_kept_unless_forced() {
    let scratch = Scratch::new();
    scratch.run(&["quickstart", "--out", "mine"]).expect(0, "");
    scratch.write("mine/model.safetensors", "precious");
    scratch.write("mine/leftover", "");
    scratch.run(&["quickstart", "--out", "mine", "--seed", "1"]).expect(2, "--force");
    assert_eq!(scratch.read("mine/model.safetensors"), "precious");
    scratch.run(&["quickstart", "--out", "mine", "--force"]).expect(0, "");
    assert_eq!(scratch.read("mine/model.safetensors"), "weights of\n");
    assert!(scratch.path("mine/leftover").exists(), "the quickstart did not make it");
}

#[test]
fn a_run_that_the_quickstart_did_not_make_is_kept_unless_forced() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("mine")).expect("created");
    scratch.write("mine/run.toml", "");
    scratch.run(&["quickstart", "--out", "mine"]).expect(2, "did not make");
    assert!(scratch.asked_for().is_empty());
    scratch.run(&["quickstart", "--out", "mine", "--force"]).expect(0, "");
}

#[test]
fn an_unfinished_run_goes_on_from_where_it_was() {
    let scratch = Scratch::new();
    let child = scratch.start(&["quickstart", "--out", "mine"], &[("FAKE_SLOW", "pretrain")], "pretrain ");
    signal(&child, "KILL");
    Ended::of(child);
    scratch.wait_for("saved");
    scratch.clear_log();
    scratch.run(&["quickstart", "--out", "mine"]).expect(0, "it was stopped on its way");
    assert_eq!(scratch.asked_for().len(), 3, "{:?}", scratch.log());
    assert!(scratch.log()[0].starts_with("pretrain ") && scratch.log()[0].ends_with(" --resume"));
}

#[test]
fn what_is_no_run_is_never_removed() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("photos")).expect("created");
    scratch.write("photos/cat.jpg", "");
    scratch.run(&["quickstart", "--out", "photos", "--force"]).expect(2, "no run directory");
    assert!(scratch.path("photos/cat.jpg").exists());
}

#[test]
fn wrong_usage_is_named_before_anything_runs() {
    let scratch = Scratch::new();
    scratch.write("empty.txt", "");
    scratch.run(&["quickstart", "--text", "missing.txt"]).expect(2, "--text missing.txt: No such file");
    scratch.run(&["quickstart", "--text", "empty.txt"]).expect(2, "the file is empty");
    scratch.run(&["quickstart", "--binary", "nowhere"]).expect(2, "--binary nowhere: no such file");
    scratch.run(&["quickstart", "--colour", "red"]).expect(2, "--colour");
    scratch.run(&["bench", "trian"]).expect(2, "train");
    scratch.run(&["bench", "train", "--only", "bert"]).expect(2, "--only bert: no case is called so");
    assert!(scratch.asked_for().is_empty());
}

#[test]
fn a_failed_stage_is_named_with_the_command_that_repeats_it() {
    let scratch = Scratch::new();
    let mut command = scratch.xtask(&["quickstart", "--out", "mine"]);
    let ended = Ended::new(command.env("FAKE_FAIL", "tokenizer").output().expect("xtask starts"));
    let ended =
        ended.expect(1, "failed (exit status: 1): stage tokenizer:\n  about to fail\n  error: told to fail");
    assert!(
        ended.stderr.contains("fake_firebrand.sh tokenizer train mine/data/train.txt --out"),
        "{}",
        ended.stderr
    );
}

#[test]
fn ctrl_c_reaches_the_stage_lets_it_save_and_exits_with_130() {
    let scratch = Scratch::new();
    let child = scratch.start(&["quickstart", "--out", "mine"], &[("FAKE_SLOW", "pretrain")], "pretrain ");
    // To xtask alone, as a script would; a terminal tells nobody else either: stages are in groups of their own.
    signal(&child, "INT");
    Ended::of(child).expect(130, "stopped by Ctrl-C");
    assert_eq!(scratch.asked_for().last().map(String::as_str), Some("saved"));
}

#[test]
fn a_bench_prints_one_line_of_json_a_figure() {
    let scratch = Scratch::new();
    let ended = scratch.run(&["bench", "generator", "--json", "--rounds", "2"]).expect(0, "25.0 MB/s");
    let expected = "{\"bench\":\"generator\",\"case\":\"stories\",\"value\":25.0,\"unit\":\"MB/s\",\"peer\":null,\
        \"peer_value\":null,\"ratio\":null,\"target\":20.0,\"target_is\":\"least-value\",\"met\":true}\n";
    assert_eq!(ended.stdout, expected);
}

#[test]
fn without_pytorch_training_is_measured_alone_and_says_so() {
    let scratch = Scratch::new();
    let ended = scratch
        .run(&["bench", "train", "--only", "gpt2-11m", "--rounds", "1"])
        .expect(0, "PyTorch is skipped");
    for said in [
        "4,000",
        "100.0",
        "80.0",
        "410.0",
        "≥ 2 × no peer, goal 2.5",
        "≥ 75.0 met",
        "≤ 0.01 × MISSED",
        "≥ 1.8 MISSED",
    ] {
        assert!(ended.stdout.contains(said), "{said} is missing:\n{}", ended.stdout);
    }
}

#[test]
fn benches_can_be_listed() {
    let ended = Scratch::new().run(&["bench", "--list"]).expect(0, "");
    let names: Vec<_> = ended.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(
        names,
        [
            "train",
            "generate",
            "decode",
            "generator",
            "prepare",
            "tokenizer",
            "shakespeare",
            "objectives",
            "prompt",
            "finetune"
        ]
    );
}
