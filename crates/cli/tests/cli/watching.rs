//! Watching a run: on a whole screen, and in TensorBoard.

use crate::support::Scratch;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PRETRAIN: [&str; 3] = ["pretrain", "--config", "tiny.toml"];

#[test]
fn a_screen_needs_a_terminal() {
    let scratch = Scratch::with_text();
    let tui = |more: &[&str]| scratch.run(&[&PRETRAIN[..], &["--out", "run", "--tui"], more].concat());
    tui(&[]).fails(2, &["--tui: stderr is no terminal; leave --tui out"]);
    tui(&["--quiet"]).fails(2, &["--tui and --quiet"]);
    // What a pipeline starts; its pipe is open as long as it lives.
    let mut command = scratch.command(&[&PRETRAIN[..], &["--out", "run", "--tui"]].concat());
    let mut child =
        command.env("FIREBRAND_SUPERVISED", "1").stdin(Stdio::piped()).spawn().expect("it starts");
    let pipe = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    drop(pipe);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("another program watches over this one"), "{stderr}");
    assert!(!scratch.path("run").exists(), "a refused command makes nothing");
}

/// A run's event file; there is one with anything in it.
fn event_file(scratch: &Scratch, run: &str) -> PathBuf {
    let folder = scratch.path(run).join("tensorboard");
    let files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("it was asked for")
        .map(|entry| entry.expect("a name").path())
        .filter(|path| !crate::support::read(path).is_empty())
        .collect();
    let [file] = &files[..] else { panic!("one file in {}: {files:?}", folder.display()) };
    file.clone()
}

/// How many records an event file has; each is a length (8 bytes), its checksum (4), the bytes, theirs (4).
fn records(file: &Path) -> usize {
    let bytes = crate::support::read(file);
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        (at, count) = (at + 16 + length as usize, count + 1);
    }
    assert_eq!(at, bytes.len(), "the last record is whole");
    count
}

#[test]
fn an_event_file_has_each_step_once_whatever_was_interrupted() {
    let scratch = Scratch::with_text();
    let run = |out: &str| scratch.run(&[&PRETRAIN[..], &["--out", out, "--tensorboard"]].concat());
    run("run").succeeds();
    // The version, the start, eight steps.
    assert_eq!(records(&event_file(&scratch, "run")), 10);

    // Killed after step 7, when its last checkpoint was that of step 6.
    std::fs::remove_dir_all(scratch.path("run/checkpoints/step-00000008")).expect("it was saved");
    std::fs::remove_file(scratch.path("run/config.json")).expect("it was finished");
    let first = event_file(&scratch, "run");
    scratch.run(&["pretrain", "--out", "run", "--resume", "--tensorboard"]).succeeds();
    let second = event_file(&scratch, "run");
    assert_eq!(records(&second), 10);
    assert!(second > first, "TensorBoard goes through files by name and never back");

    // Resumed without: the file stays as it was, and can be made of the metrics.
    scratch.pretrain("late", &[]).succeeds();
    assert!(!scratch.path("late/tensorboard").exists());
    let shown = scratch.run(&["show", "late", "--tensorboard"]).succeeds();
    assert!(shown.stderr.contains("late/tensorboard/events.out.tfevents."), "{}", shown.stderr);
    assert_eq!(records(&event_file(&scratch, "late")), 10);
}

#[test]
fn an_event_file_that_cannot_be_written_is_said_before_training() {
    let scratch = Scratch::with_text();
    std::fs::create_dir(scratch.path("run")).expect("made");
    scratch.write("run/tensorboard", "a file where the folder should be");
    scratch.run(&[&PRETRAIN[..], &["--out", "run", "--tensorboard"]].concat()).fails(1, &["run/tensorboard"]);
    assert!(!scratch.path("run/metrics.jsonl").exists());
}

/// A Python that has TensorBoard; `None`, with the reason printed, where there is none.
fn python() -> Option<PathBuf> {
    let chosen = std::env::var_os("FIREBRAND_PYTHON").map(PathBuf::from);
    let python = chosen.unwrap_or_else(|| "python3".into());
    let found = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("SKIPPED: {} has no tensorboard; FIREBRAND_PYTHON may name one that has", python.display());
    None
}

#[test]
fn tensorboard_reads_the_metrics_as_they_are() {
    let Some(python) = python() else { return };
    let scratch = Scratch::with_text();
    scratch.run(&[&PRETRAIN[..], &["--out", "run", "--tensorboard"]].concat()).succeeds();
    scratch.run(&["pretrain", "--out", "run", "--resume", "--tensorboard"]).succeeds();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/read_events.py");
    let output = Command::new(python)
        .arg(script)
        .arg(scratch.path("run/tensorboard"))
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: BTreeMap<String, Vec<(u64, f64, f64)>> = serde_json::from_slice(&output.stdout).expect("JSON");

    let lines: Vec<Value> = scratch
        .text("run/metrics.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let names = [
        ("bits_per_byte/val", "val_bits_per_byte"),
        ("grad_norm", "grad_norm"),
        ("loss/train", "train_loss"),
        ("loss/val", "val_loss"),
        ("lr", "lr"),
        ("tokens_per_s", "tokens_per_s"),
    ];
    for (tag, key) in names {
        let expected: Vec<(u64, f32)> = lines
            .iter()
            .filter_map(|line| Some((line["step"].as_u64()?, line.get(key)?.as_f64()? as f32)))
            .collect();
        let found: Vec<(u64, f32)> =
            read.get(tag).into_iter().flatten().map(|&(step, value, _)| (step, value as f32)).collect();
        assert_eq!(found, expected, "{tag}");
        assert!(key == "val_bits_per_byte" || !found.is_empty(), "{tag}");
    }
    let times: Vec<f64> = read["loss/train"].iter().map(|&(_, _, time)| time).collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
    assert!(read.keys().all(|tag| names.iter().any(|(name, _)| name == tag)), "{:?}", read.keys());
}

#[cfg(target_os = "linux")]
mod screen {
    use super::*;
    use std::io::{Read, Write};
    use std::process::Child;
    use std::time::Duration;

    const ENTER: &str = "\x1b[?1049h";
    const LEAVE: &str = "\x1b[?1049l";

    /// The binary in a pseudo terminal of util-linux's `script`; `None`, with the reason printed, where there is none.
    /// It writes the terminal's settings before and after to `before` and `after`.
    fn in_a_terminal(scratch: &Scratch, args: &[&str]) -> Option<Child> {
        if !Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: there is no `script` to make a pseudo terminal");
            return None;
        }
        let words: Vec<String> = args.iter().map(|word| format!("'{word}'")).collect();
        let line = format!(
            "stty rows 24 cols 80; stty -a > before; '{}' {} --device cpu --threads 1; code=$?; stty -a > after; exit $code",
            env!("CARGO_BIN_EXE_firebrand"),
            words.join(" ")
        );
        let mut command = Command::new("script");
        command.args(["-qfec", &line, "/dev/null"]).current_dir(scratch.path(""));
        command
            .env("TERM", "xterm-256color")
            .env("FIREBRAND_CACHE", scratch.path("cache"))
            .env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Some(command.spawn().expect("script starts"))
    }

    /// Reads what is drawn up to `text`.
    fn read_to(child: &mut Child, text: &str) -> String {
        let (mut seen, mut buffer) = (String::new(), [0; 4096]);
        let stdout = child.stdout.as_mut().expect("piped");
        while !seen.contains(text) {
            let count = stdout.read(&mut buffer).expect("readable");
            assert!(count > 0, "the screen ended without {text:?}: {seen}");
            seen += &String::from_utf8_lossy(&buffer[..count]);
        }
        seen
    }

    fn end(mut child: Child) -> (Option<i32>, String) {
        let mut rest = Vec::new();
        child.stdout.take().expect("piped").read_to_end(&mut rest).expect("readable");
        (child.wait().expect("it ends").code(), String::from_utf8_lossy(&rest).into_owned())
    }

    fn check_restored(scratch: &Scratch, screen: &str) {
        let (left, shown) = screen.rsplit_once(LEAVE).expect("the screen is left");
        assert!(!left.is_empty() && !shown.contains(ENTER), "{shown:?}");
        assert!(shown.contains("\x1b[?25h"), "the cursor is back: {shown:?}");
        assert_eq!(scratch.text("before"), scratch.text("after"), "the terminal is set as before");
    }

    #[test]
    fn a_watched_run_ends_as_one_that_nobody_watched() {
        let scratch = Scratch::with_run();
        let args = [&PRETRAIN[..], &["--out", "watched", "--tui"]].concat();
        let Some(child) = in_a_terminal(&scratch, &args) else { return };
        let (code, screen) = end(child);
        assert_eq!(code, Some(0), "{screen}");
        assert!(screen.contains(ENTER) && screen.contains("save and stop"), "{screen}");
        check_restored(&scratch, &screen);
        let (_, after) = screen.rsplit_once(LEAVE).expect("left");
        assert!(after.contains("watched: held-out loss"), "{after}");
        assert_eq!(scratch.metrics("watched"), scratch.metrics("run"));
        for file in ["model.safetensors", "checkpoints/step-00000008/optimizer.safetensors"] {
            let [watched, calm] = ["watched", "run"].map(|run| scratch.bytes(&format!("{run}/{file}")));
            assert!(watched == calm, "{file} differs");
        }
    }

    #[test]
    fn q_saves_and_stops_and_ctrl_c_twice_ends_at_once() {
        let scratch = Scratch::with_text();
        let steps = ["--set", "training.steps=100000", "--set", "training.checkpoint_every=1000"];
        let args = [&PRETRAIN[..], &["--out", "run", "--tui"], &steps].concat();
        let Some(mut child) = in_a_terminal(&scratch, &args) else { return };
        read_to(&mut child, "save and stop");
        child.stdin.as_mut().expect("piped").write_all(b"lq").expect("typed");
        let stdin = child.stdin.take();
        let (code, screen) = end(child);
        drop(stdin);
        assert_eq!(code, Some(130), "{screen}");
        check_restored(&scratch, &screen);
        let (_, after) = screen.rsplit_once(LEAVE).expect("left");
        assert!(after.contains("everything is saved"), "{after}");

        let args = ["pretrain", "--out", "run", "--resume", "--tui"];
        let mut child = in_a_terminal(&scratch, &args).expect("as before");
        read_to(&mut child, "save and stop");
        child.stdin.as_mut().expect("piped").write_all(b"\x03\x03").expect("typed");
        let stdin = child.stdin.take();
        let (code, screen) = end(child);
        drop(stdin);
        assert_eq!(code, Some(130), "{screen}");
        check_restored(&scratch, &screen);
    }

    #[test]
    fn an_error_and_a_signal_leave_the_screen_too() {
        let scratch = Scratch::with_text();
        let diverging = ["--set", "optimizer.lr=1e30", "--set", "schedule.warmup_steps=0"];
        let args = [&PRETRAIN[..], &["--out", "diverged", "--tui"], &diverging].concat();
        let Some(child) = in_a_terminal(&scratch, &args) else { return };
        let (code, screen) = end(child);
        assert_eq!(code, Some(1), "{screen}");
        check_restored(&scratch, &screen);
        let (_, after) = screen.rsplit_once(LEAVE).expect("left");
        assert!(after.contains("the run diverged"), "{after}");

        let args = [&PRETRAIN[..], &["--out", "run", "--tui", "--set", "training.steps=100000"]].concat();
        let mut child = in_a_terminal(&scratch, &args).expect("as before");
        read_to(&mut child, "save and stop");
        std::thread::sleep(Duration::from_millis(100));
        let holder = scratch.text("run/checkpoints/lock");
        Command::new("kill").args(["-TERM", holder.trim()]).status().expect("kill runs");
        let (code, screen) = end(child);
        assert_eq!(code, Some(130), "{screen}");
        check_restored(&scratch, &screen);
    }
}
