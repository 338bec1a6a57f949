//! A scratch folder to run the binary in.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A decoder that trains in the blink of an eye.
const CONFIG: &str = r#"
[data]
texts = ["train.txt"]
tokenizer = "tok"
boundary = "blank-line"

[model]
preset = "llama"
d_model = 16
n_layers = 1
n_heads = 2

[training]
steps = 8
batch_size = 4
seq_len = 16
eval_every = 4
log_every = 1
checkpoint_every = 3

[optimizer]
lr = 1e-2

[schedule]
warmup_steps = 2
"#;

/// A folder with the binary's working directory and cache, gone when dropped.
pub(crate) struct Scratch {
    dir: TempDir,
}

/// What a command left behind.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scratch {
    /// Nothing in it.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    /// `train.txt` (forty documents), a byte-level tokenizer of 300 tokens in `tok`, and `tiny.toml`.
    pub(crate) fn with_text() -> Self {
        let scratch = Self::empty();
        let story = |i: usize| {
            let (who, what) = (["fox", "crow", "hen"][i % 3], ["cheese", "grain", "shade", "peace"][i % 4]);
            format!(
                "Once there was a {who} with {i} friends. The {who} wanted {what}.\nIt got {what} at last.\n"
            )
        };
        scratch.write("train.txt", (0..40).map(story).collect::<Vec<_>>().join("\n"));
        scratch.write("tiny.toml", CONFIG);
        scratch.run(&["tokenizer", "train", "train.txt", "--out", "tok", "--vocab-size", "300"]).succeeds();
        scratch
    }

    /// The same with a trained model in `run`.
    pub(crate) fn with_run() -> Self {
        let scratch = Self::with_text();
        scratch.run(&["pretrain", "--config", "tiny.toml", "--out", "run"]).succeeds();
        scratch
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the scratch folder can be written");
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        read(&self.path(name))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).expect("a text file")
    }

    /// The binary with these arguments, on the CPU and one thread unless they name a device.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firebrand"));
        command.args(args).current_dir(self.dir.path());
        if !args.contains(&"--device") {
            command.args(["--device", "cpu", "--threads", "1"]);
        }
        // A backtrace would be noise to a user, and some have asked for one everywhere.
        command
            .env("RUST_BACKTRACE", "1")
            .env("FIREBRAND_CACHE", self.path("cache"))
            .env_remove("FIREBRAND_DATA");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        finish(&mut self.command(args))
    }

    /// Runs with `input` on stdin.
    pub(crate) fn run_with(&self, args: &[&str], input: impl AsRef<[u8]>) -> Ran {
        self.write("stdin", input);
        let stdin = std::fs::File::open(self.path("stdin")).expect("written just now");
        finish(self.command(args).stdin(stdin))
    }

    /// Starts training with `tiny.toml`, some keys set, in `out`.
    pub(crate) fn pretrain(&self, out: &str, set: &[&str]) -> Ran {
        let mut args = vec!["pretrain", "--config", "tiny.toml", "--out", out];
        args.extend(set.iter().flat_map(|&assignment| ["--set", assignment]));
        self.run(&args)
    }

    /// The lines of a run's metrics, without what depends on the clock.
    pub(crate) fn metrics(&self, run: &str) -> Vec<Value> {
        let text = self.text(&format!("{run}/metrics.jsonl"));
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        for line in &mut lines {
            let line = line.as_object_mut().expect("a metrics line is an object");
            line.retain(|key, _| !["tokens_per_s", "seconds"].contains(&key.as_str()));
        }
        lines
    }
}

/// Runs a command to its end. It must not panic.
pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("what the binary prints is UTF-8");
    let ran = Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    for noise in ["panicked at", "stack backtrace"] {
        assert!(!ran.stderr.contains(noise), "{:?}: {noise}\n{}", command.get_args(), ran.stderr);
    }
    ran
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Ran {
    /// Asserts exit code 0.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "stderr: {}", self.stderr);
        self
    }

    /// Asserts an exit code, a message with all of `parts` in it, and nothing on stdout.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in: {}", self.stderr);
        }
        assert_eq!(self.stdout, "", "stdout is for data");
        self
    }

    /// stdout as one JSON document.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let ran = self.succeeds();
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error} in {:?}", ran.stdout))
    }

    /// stdout as JSON lines.
    #[track_caller]
    pub(crate) fn json_lines(self) -> Vec<Value> {
        let ran = self.succeeds();
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        ran.stdout.lines().map(parse).collect()
    }
}
