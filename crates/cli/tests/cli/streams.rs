//! stdout carries data, stderr the rest, and either may close.

use crate::support::Scratch;
use std::io::{BufRead, BufReader};

#[test]
fn progress_goes_to_stderr_and_quiet_silences_it() {
    let scratch = Scratch::with_text();
    let ran = scratch.pretrain("run", &[]).succeeds();
    assert_eq!(ran.stdout, "");
    for part in
        ["parameters", "8 steps of 64 tokens", "step 8: loss", "tokens/s", "held-out loss", "perplexity"]
    {
        assert!(ran.stderr.contains(part), "{part:?} is not in {}", ran.stderr);
    }
    for args in [
        &["pretrain", "--config", "tiny.toml", "--out", "quiet", "--quiet"][..],
        &["tokenizer", "train", "train.txt", "--out", "t", "--vocab-size", "300", "-q"],
        &["prepare", "train.txt", "--tokenizer", "tok", "--out", "s", "-q"],
        &["data", "generate", "--bytes", "1KB", "--out", "x.txt", "-q"],
        &["score", "run", "--text", "Once", "-q"],
        &["generate", "run", "--prompt", "Once", "-q"],
    ] {
        assert_eq!(scratch.run(args).succeeds().stderr, "", "{args:?}");
    }
    scratch.pretrain("run", &[]).fails(2, &["error: "]);
    let json = scratch.run(&["pretrain", "--config", "tiny.toml", "--out", "json", "--json"]).json();
    assert!(json["val_loss"].is_f64() && json["run"] == "json", "{json}");
}

#[test]
fn verbose_tells_of_checkpoints() {
    let scratch = Scratch::with_text();
    let ran = scratch.run(&["pretrain", "--config", "tiny.toml", "--out", "run", "--verbose"]).succeeds();
    assert!(ran.stderr.contains("step 6: checkpoint written"), "{}", ran.stderr);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let scratch = Scratch::with_run();
    let long = vec!["Once"; 3000].join("\n");
    scratch.write("prompts", long);
    let prompts = || std::fs::File::open(scratch.path("prompts")).expect("written just now").into();
    for (args, stdin) in [
        (&["data", "generate", "--bytes", "4MB"][..], None),
        (&["data", "list"], None),
        (&["data", "inspect", "prompts"], None),
        (&["tokenizer", "inspect", "--tokenizer", "tok"], None),
        (&["generate", "run", "--max-new-tokens", "1", "--json"], Some(prompts())),
        (&["completions", "bash"], None),
        (&["eval", "run", "--suite", "smoke", "--task", "stories"], None),
    ] {
        let mut command = scratch.command(args);
        let mut child =
            command.stdin(stdin.unwrap_or(std::process::Stdio::null())).spawn().expect("it starts");
        let mut line = String::new();
        let mut stdout = BufReader::with_capacity(16, child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("a line");
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !stderr.contains("error"), "{args:?}: {stderr}");
    }
}

#[test]
fn training_outlives_whoever_watched_it() {
    let scratch = Scratch::with_text();
    let mut child =
        scratch.command(&["pretrain", "--config", "tiny.toml", "--out", "run"]).spawn().expect("it starts");
    let mut line = String::new();
    let mut stderr = BufReader::with_capacity(16, child.stderr.take().expect("piped"));
    stderr.read_line(&mut line).expect("a line");
    drop(stderr);
    assert!(child.wait().expect("it ends").success());
    assert!(scratch.path("run/model.safetensors").exists());
}

#[test]
fn no_color_means_no_escapes() {
    let scratch = Scratch::with_text();
    for args in [&["--help"][..], &["pretrain", "--config", "tiny.toml", "--out", "run"], &["scoer"]] {
        let mut command = scratch.command(args);
        command.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1");
        let output = command.output().expect("it runs");
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{args:?}");
    }
}
