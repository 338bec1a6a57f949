//! `--resume`, and what it refuses.

use crate::support::Scratch;
use std::path::PathBuf;

/// Every file of a run, but those that a look at it may touch.
fn files(scratch: &Scratch, run: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut folders = vec![scratch.path(run)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push((path.clone(), crate::support::read(&path))),
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_run_is_not_started_twice() {
    let scratch = Scratch::with_run();
    let before = files(&scratch, "run");
    scratch.pretrain("run", &[]).fails(2, &["run: holds a run already", "--resume", "another --out"]);
    assert!(files(&scratch, "run") == before, "a refused command changes nothing");
}

#[test]
fn there_must_be_something_to_resume() {
    let scratch = Scratch::with_text();
    scratch
        .run(&["pretrain", "--out", "nowhere", "--resume"])
        .fails(2, &["nowhere: holds no run to go on with; start one with --config"]);
    scratch
        .run(&["pretrain", "--out", "run", "--resume", "--set", "seed=1"])
        .fails(2, &["a resumed run keeps its own"]);
    scratch.run(&["pretrain", "--config", "tiny.toml", "--out", "new", "--resume"]).succeeds();
}

#[test]
fn another_config_tokenizer_or_text_is_refused_and_listed() {
    let scratch = Scratch::with_run();
    let before = files(&scratch, "run");
    let resume = |set: &[&str]| {
        let mut args = vec!["pretrain", "--config", "tiny.toml", "--out", "run", "--resume"];
        args.extend(set.iter().flat_map(|&assignment| ["--set", assignment]));
        scratch.run(&args)
    };
    resume(&["optimizer.lr=0.5", "training.steps=9"])
        .fails(2, &["started differently", "optimizer.lr: 0.01 → 0.5", "training.steps: 8 → 9"]);
    resume(&["data.tokenizer=characters"])
        .fails(2, &["data.tokenizer: \"tok\" → \"characters\"", "tokenizer: "]);
    let text = scratch.text("train.txt");
    scratch.write("train.txt", text.replace("crow", "wren"));
    resume(&[]).fails(2, &["started differently", "data: "]);
    assert!(files(&scratch, "run") == before, "a refused command changes nothing");
    scratch.write("train.txt", text);
    resume(&[]).succeeds();
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let scratch = Scratch::with_run();
    let (weights, metrics) = (scratch.bytes("run/model.safetensors"), scratch.metrics("run"));
    scratch.run(&["pretrain", "--out", "run", "--resume"]).succeeds();
    assert_eq!(scratch.bytes("run/model.safetensors"), weights);
    assert_eq!(scratch.metrics("run"), metrics);
}

#[test]
fn a_damaged_checkpoint_is_reported_and_the_one_before_it_used() {
    let scratch = Scratch::with_run();
    let weights = scratch.bytes("run/model.safetensors");
    let metrics = scratch.metrics("run");
    let newest = "run/checkpoints/step-00000008";
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let path = format!("{newest}/{file}");
        let whole = scratch.bytes(&path);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &[], &flipped] {
            scratch.write(&path, damaged);
            let ran = scratch.run(&["pretrain", "--out", "run", "--resume"]).succeeds();
            assert!(
                ran.stderr.contains("warning: ") && ran.stderr.contains(newest),
                "{file}: {}",
                ran.stderr
            );
            assert!(ran.stderr.contains("going on after step 6"), "{file}: {}", ran.stderr);
            assert!(scratch.bytes("run/model.safetensors") == weights, "{file}");
            assert_eq!(scratch.metrics("run"), metrics, "{file}");
            let again = scratch.run(&["pretrain", "--out", "run", "--resume"]).succeeds();
            assert!(!again.stderr.contains("warning: "), "{file} is whole again: {}", again.stderr);
        }
        std::fs::remove_file(scratch.path(&path)).expect("it is there");
        let ran = scratch.run(&["pretrain", "--out", "run", "--resume"]).succeeds();
        assert!(ran.stderr.contains("going on after step 6"), "without {file}: {}", ran.stderr);
    }
}

#[test]
fn going_on_with_other_threads_is_said() {
    let scratch = Scratch::with_run();
    let ran = scratch
        .run(&["pretrain", "--out", "run", "--resume", "--device", "cpu", "--threads", "2"])
        .succeeds();
    let warning = "warning: started on cpu (threads: 1), continued on cpu (threads: 2)";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
}
