//! The real `xtask` binary on a `firebrand` that only notes what it is asked for: no burn, no training.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A scratch folder to run `xtask` in.
struct Scratch {
    folder: TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a scratch folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("FIREBRAND_BIN", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_firebrand.sh"));
        command.env("FIREBRAND_PYTHON", "/no/such/python").env("FAKE_LOG", self.path("log"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::new(self.xtask(arguments).output().expect("xtask starts"))
    }

    /// The first words of each command line that the fake was given.
    fn asked_for(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("xtask prints UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    fn expect(self, code: i32, in_stderr: &str) -> Self {
        assert!(
            self.code == Some(code) && self.stderr.contains(in_stderr),
            "{:?}\n{}",
            self.code,
            self.stderr
        );
        self
    }
}

#[test]
fn quickstart_goes_through_its_stages_and_reports() {
    let scratch = Scratch::new();
    let ended = scratch.run(&["quickstart", "--out", "mine"]).expect(0, "== Pretraining");
    let stages = ["data", "data", "tokenizer", "pretrain", "score", "generate", "generate", "generate"];
    assert_eq!(scratch.asked_for(), stages);
    for said in
        ["1.2500 nats", "3.49", "0.5500", "0.0500 bits per byte", "[Long ago, a] and that is how", "mine"]
    {
        assert!(ended.stdout.contains(said), "{said} is missing:\n{}", ended.stdout);
    }
}

#[test]
fn quickstart_on_a_text_reports_the_best_evaluation_of_training() {
    let scratch = Scratch::new();
    fs::write(scratch.path("notes.txt"), "My dear diary, today I wrote nothing.").expect("written");
    let ended = scratch.run(&["quickstart", "--out", "mine", "--text", "notes.txt"]).expect(0, "320 tokens");
    assert_eq!(scratch.asked_for(), ["tokenizer", "pretrain", "generate", "generate", "generate"]);
    for said in ["1.2500 nats", "0.6250", "[My dear diary,] and that is how"] {
        assert!(ended.stdout.contains(said), "{said} is missing:\n{}", ended.stdout);
    }
}

#[test]
fn a_finished_run_is_kept_unless_forced() {
    let scratch = Scratch::new();
    scratch.run(&["quickstart", "--out", "mine"]).expect(0, "");
    fs::write(scratch.path("mine/leftover"), "").expect("written");
    scratch.run(&["quickstart", "--out", "mine"]).expect(2, "--force");
    assert!(scratch.path("mine/leftover").exists());
    scratch.run(&["quickstart", "--out", "mine", "--force"]).expect(0, "");
    assert!(!scratch.path("mine/leftover").exists());
}

#[test]
fn an_unfinished_run_goes_on_from_where_it_was() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("mine")).expect("created");
    fs::write(scratch.path("mine/run.toml"), "").expect("written");
    scratch.run(&["quickstart", "--out", "mine"]).expect(0, "going on");
    let log = fs::read_to_string(scratch.path("log")).expect("the fake was called");
    let first = log.lines().next().expect("the fake was called");
    assert!(first.starts_with("pretrain ") && first.ends_with(" --resume"), "{first}");
}

#[test]
fn what_is_no_run_is_never_removed() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("photos")).expect("created");
    fs::write(scratch.path("photos/cat.jpg"), "").expect("written");
    scratch.run(&["quickstart", "--out", "photos", "--force"]).expect(2, "no run directory");
    assert!(scratch.path("photos/cat.jpg").exists());
}

#[test]
fn wrong_usage_is_named_before_anything_runs() {
    let scratch = Scratch::new();
    fs::write(scratch.path("empty.txt"), "").expect("written");
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
    let ended = ended.expect(1, "failed (exit status: 1): train the tokenizer");
    assert!(
        ended.stderr.contains("fake_firebrand.sh tokenizer train mine-data/train.txt --out"),
        "{}",
        ended.stderr
    );
}

#[test]
fn ctrl_c_reaches_the_stage_lets_it_save_and_exits_with_130() {
    let scratch = Scratch::new();
    let mut command = scratch.xtask(&["quickstart", "--out", "mine"]);
    let child = command.env("FAKE_SLOW", "pretrain").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("xtask starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while scratch.asked_for().last().is_none_or(|last| last != "pretrain") {
        assert!(Instant::now() < deadline, "pretrain never started");
        sleep(Duration::from_millis(20));
    }
    // To xtask alone, as a script would; a terminal also tells the stage itself.
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().expect("kill runs").success());
    Ended::new(child.wait_with_output().expect("xtask ends")).expect(130, "stopped by Ctrl-C");
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
    for said in ["4,000", "100.0", "80.0", "410.0", "≥ 0.8 × no peer"] {
        assert!(ended.stdout.contains(said), "{said} is missing:\n{}", ended.stdout);
    }
}

#[test]
fn benches_can_be_listed() {
    let ended = Scratch::new().run(&["bench", "--list"]).expect(0, "");
    let names: Vec<_> = ended.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["train", "generator", "shakespeare"]);
}
