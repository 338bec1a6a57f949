//! Ctrl-C and sudden death: nothing is lost, and the end is the same to the last bit.
#![cfg(unix)]

use crate::support::Scratch;
use std::hash::{BuildHasher, RandomState};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
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
fn a_hundred_runs_killed_at_random_instants_end_the_same() {
    const KILLED: usize = 100;
    let scratch = Scratch::with_text();
    let args = |run: &str| -> Vec<String> {
        let set = ["training.steps=150", "training.checkpoint_every=20", "training.eval_every=25"];
        let args = ["pretrain", "--config", "tiny.toml", "--resume", "--out", run];
        args.into_iter().chain(set.into_iter().flat_map(|set| ["--set", set])).map(String::from).collect()
    };
    let command = |run: &str| {
        let args = args(run);
        let mut command = scratch.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    command("warm").status().expect("the binary starts");
    let started = Instant::now();
    command("calm").status().expect("the binary starts");
    let undisturbed = started.elapsed();
    let files = ["model.safetensors", "checkpoints/step-00000150/optimizer.safetensors"];
    let expected = files.map(|file| scratch.bytes(&format!("calm/{file}")));
    let metrics = scratch.metrics("calm");

    let random = RandomState::new();
    let (next, alive) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let trial = |number: usize| {
        let run = format!("run-{number}");
        // One to three times in its life, anywhere from its first instruction to its end.
        for life in 0..=number % 3 {
            let pause = undisturbed.mul_f64((random.hash_one((number, life)) % 1000) as f64 / 1000.0);
            let mut child = command(&run).spawn().expect("the binary starts");
            std::thread::sleep(pause);
            child.kill().expect("killed, or has ended");
            let code = child.wait().expect("it ends").code();
            alive.fetch_add(usize::from(code.is_none()), Ordering::Relaxed);
        }
        assert!(command(&run).status().expect("the binary starts").success(), "{run} does not end");
        assert_eq!(scratch.metrics(&run), metrics, "{run}");
        for (file, expected) in files.iter().zip(&expected) {
            assert!(scratch.bytes(&format!("{run}/{file}")) == *expected, "{run}: {file} differs");
        }
        std::fs::remove_dir_all(scratch.path(&run)).expect("removed");
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= KILLED {
                        break;
                    }
                    trial(number);
                }
            });
        }
    });
    let alive = alive.into_inner();
    eprintln!("{alive} kills hit a process that was still alive");
    assert!(alive > KILLED, "only {alive} kills came before the end of a run");
}

#[test]
fn a_run_is_trained_by_one_process_at_a_time() {
    let scratch = Scratch::with_text();
    let mut first = start(&scratch);
    wait_for(&scratch, 10);
    let second = scratch.run(&[&ARGS[..], &["--out", "run"]].concat());
    let who = format!("process {}", first.id());
    second.fails(1, &["run: ", &who, "is training this run"]);
    first.kill().expect("killed");
    first.wait().expect("it ends");
    scratch.run(&[&ARGS[..], &["--out", "run"]].concat()).succeeds();
}

#[test]
fn a_run_saves_and_stops_when_the_program_that_started_it_ends() {
    let scratch = Scratch::with_text();
    let mut command = scratch.command(&[&ARGS[..], &["--out", "run"]].concat());
    command.env("FIREBRAND_SUPERVISED", "1").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    wait_for(&scratch, 30);
    // What happens to the pipe when its holder is killed.
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    // The last: encoding the text may have been reported, too.
    let progress = stderr.lines().filter_map(|line| line.strip_prefix("@progress "));
    let progress = progress.last().expect("it reports progress");
    let progress: serde_json::Value = serde_json::from_str(progress).expect("JSON");
    assert_eq!(progress["length"], 500);
    scratch.run(&["pretrain", "--out", "run", "--resume"]).succeeds();
    ends_as_undisturbed(&scratch);
}
