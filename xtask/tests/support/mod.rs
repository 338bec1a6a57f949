//! The real `xtask` binary in a scratch folder, on a `firebrand` that only notes what it is asked for.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A scratch folder to run `xtask` in.
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a scratch folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the scratch folder can be written");
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `xtask` with the fake binary.
    pub(crate) fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("FIREBRAND_BIN", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_firebrand.sh"));
        command.env("FIREBRAND_PYTHON", "/no/such/python").env("FAKE_LOG", self.path("log"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::new(self.xtask(arguments).output().expect("xtask starts"))
    }

    /// Starts `xtask` with a variable for the fake, and waits until the fake has noted `line`.
    pub(crate) fn start(&self, arguments: &[&str], variables: &[(&str, &str)], line: &str) -> Child {
        let mut command = self.xtask(arguments);
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("xtask starts");
        self.wait_for(line);
        child
    }

    /// Waits until the fake has noted a line that contains `text`.
    pub(crate) fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.log().iter().any(|line| line.contains(text)) {
            assert!(Instant::now() < deadline, "never came to: {text}");
            sleep(Duration::from_millis(10));
        }
    }

    /// What the fake has noted.
    pub(crate) fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Forgets what the fake has noted.
    pub(crate) fn clear_log(&self) {
        self.write("log", "");
    }

    /// The first words of each command line that the fake was given.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        self.log().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

/// Sends a signal to `child` alone, as a script would.
pub(crate) fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", signal, &id]).status().expect("kill runs").success());
}

/// How a command ended and what it said.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("xtask prints UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn of(child: Child) -> Self {
        Self::new(child.wait_with_output().expect("xtask ends"))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32, in_stderr: &str) -> Self {
        assert!(
            self.code == Some(code) && self.stderr.contains(in_stderr) && !self.stderr.contains("panicked"),
            "{:?}, expected {code} and {in_stderr:?}\n{}",
            self.code,
            self.stderr
        );
        self
    }
}

/// `a` reads the user's `in.txt`; `b` and `c` read what `a` makes; `d` trains on both.
pub(crate) const DIAMOND: &str = r#"
description = "four stages"

[settings]
size = 1
word = ""

[stages.a]
run = ["make", "--out", "{out}/a", "--read", "in.txt", ["--word", "{word}"]]
inputs = ["in.txt"]
outputs = ["{out}/a"]

[stages.b]
run = ["make", "--out", "{out}/b", "--read", "{out}/a", "--size", "{size}"]
inputs = ["{out}/a"]
outputs = ["{out}/b"]

[stages.c]
run = ["score"]
inputs = ["{out}/a"]
stdout = "{out}/c.json"

[stages.d]
run = ["pretrain", "--out", "{out}/run", "--read", "{out}/b", "--read", "{out}/c.json"]
inputs = ["{out}/b", "{out}/c.json"]
trains = "{out}/run"
"#;

/// Runs the pipeline in `p.toml`.
pub(crate) const RUN: [&str; 5] = ["pipeline", "run", "p.toml", "--out", "o"];

/// A scratch folder with [`DIAMOND`] in `p.toml`.
pub(crate) fn diamond() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("p.toml", DIAMOND);
    scratch.write("in.txt", "text\n");
    scratch
}

/// Runs the pipeline and returns the names of the stages that had something to do.
#[track_caller]
pub(crate) fn ran(scratch: &Scratch, more: &[&str]) -> String {
    let ended = scratch.run(&[&RUN[..], more].concat()).expect(0, "");
    let starts = ended.stderr.lines().filter(|line| line.contains("  starts: "));
    let mut names: Vec<&str> = starts.filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.join(" ")
}
