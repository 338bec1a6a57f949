//! Ctrl-C and sudden death: nothing is lost, and the end is the same to the last bit.
#![cfg(unix)]

use crate::support::Scratch;
use std::hash::{BuildHasher, RandomState};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough to be interrupted, short enough to wait for.
const STEPS: &str = "training.steps=500";
const ARGS: [&str; 8] = [
    "pretrain",
    "--config",
    "tiny.toml",
    "--resume",
    "--set",
    STEPS,
    "--set",
    "training.checkpoint_every=50",
];

fn start(scratch: &Scratch) -> Child {
    let mut command = scratch.command(&[&ARGS[..], &["--out", "run"]].concat());
    command.stdout(Stdio::null()).spawn().expect("the binary starts")
}

/// Waits until the run has logged `lines` steps; it may have ended before.
fn wait_for(scratch: &Scratch, lines: usize) {
    let started = Instant::now();
    let path = scratch.path("run/metrics.jsonl");
    while std::fs::read_to_string(&path).unwrap_or_default().lines().count() < lines {
        assert!(started.elapsed() < Duration::from_secs(60), "no {lines} steps in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Asserts that the run in `run` ended as the undisturbed one in `calm` did.
fn ends_as_undisturbed(scratch: &Scratch) {
    scratch.run(&[&ARGS[..], &["--out", "calm"]].concat()).succeeds();
    assert_eq!(scratch.metrics("run"), scratch.metrics("calm"));
    for file in ["model.safetensors", "checkpoints/step-00000500/optimizer.safetensors"] {
        let [disturbed, calm] = ["run", "calm"].map(|run| scratch.bytes(&format!("{run}/{file}")));
        assert!(disturbed == calm, "{file} differs from that of the undisturbed run");
    }
}

#[test]
fn ctrl_c_saves_and_the_resumed_run_ends_the_same() {
    let scratch = Scratch::with_text();
    let child = start(&scratch);
    wait_for(&scratch, 30);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("everything is saved"), "{stderr}");
    assert!(stderr.contains("Go on with: firebrand pretrain --out run --resume"), "{stderr}");
    scratch.run(&["score", "run", "--text", "Once"]).fails(2, &["run: the run is not finished", "--resume"]);
    let shown = scratch.run(&["show", "run"]).succeeds().stdout;
    assert!(shown.contains("not finished: go on with --resume"), "{shown}");

    scratch.run(&["pretrain", "--out", "run", "--resume"]).succeeds();
    ends_as_undisturbed(&scratch);
}

#[test]
fn a_killed_run_ends_the_same_wherever_it_was_killed() {
    let scratch = Scratch::with_text();
    let random = RandomState::new();
    for (kill, lines) in [0, 10, 100, 300].into_iter().enumerate() {
        let mut child = start(&scratch);
        wait_for(&scratch, lines);
        let pause = Duration::from_micros(random.hash_one(kill) % 40_000);
        std::thread::sleep(pause);
        eprintln!("killed {pause:?} after {lines} lines");
        child.kill().expect("killed");
        child.wait().expect("it ends");
    }
    scratch.run(&[&ARGS[..], &["--out", "run"]].concat()).succeeds();
    ends_as_undisturbed(&scratch);
}
