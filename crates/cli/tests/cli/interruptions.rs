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
            // Two checkpoints, the best weights, a lock, and what was being written or dropped.
            let kept = std::fs::read_dir(scratch.path(&format!("{run}/checkpoints")));
            let kept = kept.map_or(0, |entries| entries.count());
            assert!(kept <= 7, "{run}: {kept} things are kept after {} kills", life + 1);
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
    // Reading the text reports its bytes in the same way.
    let reported = stderr.lines().filter_map(|line| line.strip_prefix("@progress ")).any(|progress| {
        let progress: serde_json::Value = serde_json::from_str(progress).expect("JSON");
        progress["length"] == 500
    });
    assert!(reported, "no progress over 500 steps: {stderr}");
    scratch.run(&["pretrain", "--out", "run", "--resume"]).succeeds();
    ends_as_undisturbed(&scratch);
}

#[test]
fn two_threads_give_the_same_bytes_every_time_and_after_a_kill() {
    let scratch = Scratch::with_text();
    // Large enough that the kernels divide their work between the threads.
    let set = [
        "model.d_model=128",
        "model.n_layers=2",
        "model.dropout=0.1",
        "training.batch_size=16",
        "training.grad_accum_steps=2",
        "training.seq_len=64",
        "training.steps=20",
    ];
    let command = |run: &str| {
        let args = ["pretrain", "--config", "tiny.toml", "--resume", "--device", "cpu", "--threads", "2"];
        let mut command = scratch.command(&[&args[..], &["--out", run]].concat());
        command.args(set.iter().flat_map(|set| ["--set", set]));
        command.stderr(Stdio::null());
        command
    };
    for run in ["first", "second"] {
        assert!(command(run).status().expect("the binary starts").success());
    }
    let mut killed = command("run").spawn().expect("the binary starts");
    wait_for(&scratch, 8);
    killed.kill().expect("killed, or has ended");
    killed.wait().expect("it ends");
    assert!(command("run").status().expect("the binary starts").success());
    for run in ["second", "run"] {
        assert_eq!(scratch.metrics(run), scratch.metrics("first"), "{run}");
        for file in ["model.safetensors", "checkpoints/step-00000020/optimizer.safetensors"] {
            let [expected, found] = ["first", run].map(|run| scratch.bytes(&format!("{run}/{file}")));
            assert!(found == expected, "{run}: {file} differs");
        }
    }
}

#[test]
fn a_run_ends_alike_whatever_its_steps_are_cut_into() {
    let scratch = Scratch::with_text();
    let losses = |pieces: usize| -> Vec<f64> {
        let run = format!("pieces-{pieces}");
        scratch
            .pretrain(&run, &[&format!("training.grad_accum_steps={pieces}"), "model.dropout=0.2"])
            .succeeds();
        scratch.metrics(&run).iter().filter_map(|line| line["train_loss"].as_f64()).collect()
    };
    let whole = losses(1);
    for pieces in [2, 4] {
        for (step, (cut, whole)) in losses(pieces).into_iter().zip(&whole).enumerate() {
            assert!((cut / whole - 1.0).abs() < 1e-5, "step {}: {cut} in {pieces} pieces, {whole}", step + 1);
        }
    }
}

/// Asks a run to stop once the metrics in `run` have `lines`; returns the command that it names, without `firebrand`.
fn stopped_at(scratch: &Scratch, args: &[&str], run: &str, lines: usize) -> Vec<String> {
    let mut command = scratch.command(args);
    command.env("FIREBRAND_SUPERVISED", "1").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("the binary starts");
    let started = Instant::now();
    let path = scratch.path(&format!("{run}/metrics.jsonl"));
    while std::fs::read_to_string(&path).unwrap_or_default().lines().count() < lines {
        assert!(started.elapsed() < Duration::from_secs(60), "no {lines} steps of {run} in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    let command =
        stderr.split("Go on with: firebrand ").nth(1).unwrap_or_else(|| panic!("no command: {stderr}"));
    let command = command.lines().next().unwrap_or_default();
    command.split_whitespace().map(|arg| arg.trim_matches('\'').to_owned()).collect()
}

#[test]
fn a_command_of_several_runs_that_was_stopped_names_one_that_makes_all_of_them() {
    let scratch = Scratch::with_run();
    let rows =
        |i: usize| format!("The {} ran {i} times.,{}\n", ["fox", "crow"][i % 2], ["good", "bad"][i % 2]);
    scratch.write("labelled.csv", "text,label\n".to_owned() + &(0..40).map(rows).collect::<String>());
    let go = |more: &[&str], run: &str| {
        let line = ["finetune", "--from", "run", "--data", "labelled.csv", "--config", "smoke", "--set"];
        let args = [&line[..], &["training.steps=400"], more].concat();
        let go_on = stopped_at(&scratch, &args, run, 20);
        let go_on: Vec<&str> = go_on.iter().map(String::as_str).collect();
        scratch.run(&go_on).succeeds()
    };
    // Of the second seed nothing is in any folder yet.
    let ran = go(&["--seeds", "2", "--out", "seeds"], "seeds/seed-0");
    assert!(ran.stderr.contains("going on after step "), "{}", ran.stderr);
    for seed in [0, 1] {
        assert!(scratch.path(&format!("seeds/seed-{seed}/model.safetensors")).exists());
    }
    let more = ["--set", "adapt.steps=400", "--set", "adapt.batch_size=2", "--out", "adapted"];
    go(&more, "adapted/adapted");
    assert!(scratch.path("adapted/report.json").exists(), "the labels are learned too");
}
