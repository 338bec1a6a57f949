//! The pipelines that come with Firebrand, in their short form, on the real binary: the one that cargo built beside
//! `xtask`. Without one they are skipped, and say so.
#![cfg(unix)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::{Ended, Scratch, signal};

/// The binary, as `cargo test --workspace` builds it.
fn firebrand() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("firebrand");
    let named = std::env::var_os("FIREBRAND_BIN").map(PathBuf::from);
    let found = named.into_iter().chain([beside.clone()]).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: no firebrand binary at {}; `cargo xtask test` builds one", beside.display());
    }
    found
}

/// `xtask pipeline run` on the CPU, whatever else the machine has.
fn command(scratch: &Scratch, binary: &Path, pipeline: &str, out: &str) -> Command {
    let mut command =
        scratch.xtask(&["pipeline", "run", pipeline, "--smoke", "--out", out, "--device", "cpu"]);
    command.args(["--threads", "2"]);
    command.env("FIREBRAND_BIN", binary).env("FIREBRAND_CACHE", scratch.path("cache"));
    command
}

fn run(scratch: &Scratch, binary: &Path, pipeline: &str, out: &str) -> Ended {
    Ended::new(command(scratch, binary, pipeline, out).output().expect("xtask starts"))
}

#[test]
fn every_pipeline_has_a_short_form_that_runs_and_then_has_nothing_to_do() {
    let Some(binary) = firebrand() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/pipelines");
    let files = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    let mut names: Vec<String> =
        files.map(|file| file.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    names.sort();
    assert!(names.contains(&"quickstart".to_owned()) && names.len() >= 5, "{names:?}");
    let scratch = Scratch::new();
    for name in names {
        let first = run(&scratch, &binary, &name, &name).expect(0, "stages ran");
        let started = Instant::now();
        let second = run(&scratch, &binary, &name, &name).expect(0, "nothing to do");
        assert!(started.elapsed() < Duration::from_secs(2), "{name}: {:?} to do nothing", started.elapsed());
        assert_eq!(first.stdout, second.stdout, "{name}");
    }
    for table in ["vocab-size/results.json", "lr/results.json"] {
        let rows: Vec<serde_json::Value> = serde_json::from_str(&scratch.read(table)).expect("a JSON array");
        let best = rows.iter().filter(|row| row["best"] == true).count();
        assert!(best == 1 && rows.iter().all(|row| row["bits per byte"].is_f64()), "{table}: {rows:?}");
    }
}

#[test]
fn a_quickstart_killed_in_any_stage_ends_with_the_same_bytes() {
    let Some(binary) = firebrand() else { return };
    let scratch = Scratch::new();
    // Long enough to be caught in the middle.
    let command = |out: &str| {
        let mut command = command(&scratch, &binary, "quickstart", out);
        command.args(["--set", "steps=200", "--set", "train_bytes=400KB"]);
        command
    };
    let run = |out: &str| Ended::new(command(out).output().expect("xtask starts"));
    run("calm").expect(0, "6 of 6 stages ran");
    let files =
        ["model.safetensors", "score.json", "samples.jsonl", "tokenizer/tokenizer.json", "data/train.txt"];
    let bytes = |out: &str| files.map(|file| fs::read(scratch.path(&format!("{out}/{file}"))).expect(file));
    let expected = bytes("calm");
    let mut killed = 0;
    for stage in ["train-text", "validation-text", "tokenizer", "pretrain", "score", "samples"] {
        let out = format!("killed-{stage}");
        let mut child =
            command(&out).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("xtask starts");
        // A stage is at work from its log on. Training is caught on its way, with something to go on with.
        let sign = match stage {
            "pretrain" => format!("{out}/checkpoints/step-00000006"),
            _ => format!("{out}/.pipeline/{stage}.log"),
        };
        while !scratch.path(&sign).exists() {
            assert!(child.try_wait().expect("it can be asked").is_none(), "{stage} never came to {sign}");
            sleep(Duration::from_millis(1));
        }
        signal(&child, "KILL");
        killed += usize::from(child.wait().expect("it ends").code().is_none());
        let ended = run(&out).expect(0, "");
        assert!(bytes(&out) == expected, "killed in {stage}, it ends otherwise:\n{}", ended.stderr);
        if stage == "pretrain" {
            assert!(
                ended.stderr.contains("pretrain         starts: it was stopped on its way"),
                "{}",
                ended.stderr
            );
        }
        run(&out).expect(0, "nothing to do");
    }
    assert!(killed >= 5, "only {killed} of 6 kills came before the end");
}
