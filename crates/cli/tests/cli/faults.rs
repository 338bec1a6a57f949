//! A disk that fails, a disk that is full, a process killed at every single thing it does to its files: what was there
//! before is still there, what went wrong is said, and the run goes on to the same last bit.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use crate::support::{Ran, Scratch, finish};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The ways in which things go wrong; `tests/faults/shim.rs` says what each does.
const KINDS: [&str; 3] = ["kill", "io", "full"];

/// The library that makes things go wrong, compiled once; `None`, with the reason printed, where there is no compiler.
fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let compile = || {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.rs");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libfaults.so");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = Command::new(rustc);
        command.args(["--edition", "2024", "--crate-type", "cdylib", "-O", "-o"]).arg(&library).arg(&source);
        match command.status() {
            Ok(status) => {
                assert!(status.success(), "the library that makes files fail does not compile");
                Some(library)
            }
            Err(error) => {
                eprintln!("SKIPPED: no compiler for the library that makes files fail: {error}");
                None
            }
        }
    };
    SHIM.get_or_init(compile).as_deref()
}

/// One file operation of a program, as the library wrote it down.
struct Operation {
    name: String,
    path: String,
}

/// Something the binary does, in a folder of its own, again and again.
struct Subject<'a> {
    scratch: &'a Scratch,
    args: Vec<String>,
}

impl Subject<'_> {
    fn new<'a>(scratch: &'a Scratch, args: &[&str]) -> Subject<'a> {
        Subject { scratch, args: args.iter().map(ToString::to_string).collect() }
    }

    /// The command with `{}` standing for `folder`.
    fn command(&self, folder: &str) -> Command {
        let args: Vec<String> = self.args.iter().map(|arg| arg.replace("{}", folder)).collect();
        self.scratch.command(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn run(&self, folder: &str) -> Ran {
        finish(&mut self.command(folder))
    }

    /// Runs it with operation `at` (from 1) on anything in `folder` going wrong.
    fn run_with_fault(&self, folder: &str, shim: &Path, kind: &str, at: usize) -> Ran {
        let mut command = self.command(folder);
        command.env("LD_PRELOAD", shim).env("FAULT_DIR", self.scratch.path(folder));
        command.env("FAULT_KIND", kind).env("FAULT_AT", at.to_string());
        finish(&mut command)
    }

    /// What it does to files in `folder` when nothing goes wrong.
    fn operations(&self, folder: &str, shim: &Path) -> Vec<Operation> {
        let log = format!("{folder}.log");
        let mut command = self.command(folder);
        command.env("LD_PRELOAD", shim).env("FAULT_DIR", self.scratch.path(folder));
        finish(command.env("FAULT_LOG", self.scratch.path(&log))).succeeds();
        let parse = |line: &str| {
            let mut words = line.splitn(3, ' ').skip(1).map(str::to_owned);
            let mut next = || words.next().expect("a line has three words");
            Operation { name: next(), path: next() }
        };
        self.scratch.text(&log).lines().map(parse).collect()
    }
}

/// Runs `trial` for every kind of fault at every operation, on two threads.
fn at_every_operation(operations: usize, trial: impl Fn(&str, usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(kind) = KINDS.get(number / operations) else { break };
                    trial(kind, number % operations + 1);
                }
            });
        }
    });
}

/// Every file below `folder`, by its path there, without what depends on the clock.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("it is in there").display().to_string();
            files.insert(name, without_clock(&path));
        }
    }
    files
}

fn without_clock(path: &Path) -> Vec<u8> {
    let bytes = crate::support::read(path);
    let strip = |line: &[u8], within: &str, keys: &[&str]| {
        let mut json: Value = serde_json::from_slice(line).expect("JSON");
        let inner = json.pointer_mut(within).and_then(Value::as_object_mut).expect("an object");
        inner.retain(|key, _| !keys.contains(&key.as_str()));
        json.to_string().into_bytes()
    };
    match path.file_name().and_then(|name| name.to_str()) {
        Some("metrics.jsonl") => bytes
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .flat_map(|line| strip(line, "", &["tokens_per_s", "seconds"]))
            .collect(),
        Some("state.json") => strip(&bytes, "/progress", &["seconds"]),
        // Its line for the state depends on the clock as the state does.
        Some("SHA256SUMS") => {
            let lines = bytes.split_inclusive(|&byte| byte == b'\n');
            lines.filter(|line| !line.ends_with(b"state.json\n")).flatten().copied().collect()
        }
        Some("fetched.toml") => {
            let text = String::from_utf8(bytes).expect("TOML is text");
            text.lines()
                .filter(|line| !line.starts_with("fetched ="))
                .collect::<Vec<_>>()
                .join("\n")
                .into_bytes()
        }
        _ => bytes,
    }
}

#[track_caller]
fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, context: &str) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{context}: other files");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{context}: {name} is not what an undisturbed run leaves");
    }
}

/// The step of the newest checkpoint that was complete before operation `at`.
fn saved_before(operations: &[Operation], at: usize) -> Option<u64> {
    let step = |operation: &Operation| {
        let name = Path::new(&operation.path).file_name()?.to_str()?;
        (operation.name == "rename").then(|| name.strip_prefix("step-")?.parse().ok()).flatten()
    };
    operations[..at - 1].iter().filter_map(step).max()
}

/// What a fault may do to a program: end it, with a word about what went wrong. An operation that only tidies up may
/// fail without harm.
#[track_caller]
fn assert_explained(ran: &Ran, kind: &str, context: &str) {
    match (kind, ran.code) {
        ("kill", None) | (_, Some(0)) => {}
        (_, Some(1)) => {
            let reason = if kind == "io" { "Input/output error" } else { "No space left on device" };
            assert!(ran.stderr.contains(reason), "{context}: {}", ran.stderr);
            assert!(ran.stdout.is_empty(), "{context}: stdout is for data");
        }
        (_, code) => panic!("{context}: exit code {code:?}, {}", ran.stderr),
    }
}

#[test]
fn a_run_survives_a_fault_at_every_operation_on_its_files() {
    let Some(shim) = shim() else { return };
    let scratch = Scratch::with_text();
    let subject =
        Subject::new(&scratch, &["pretrain", "--config", "tiny.toml", "--out", "{}", "--resume", "--quiet"]);
    // Encodes the text; the faults are in the folder of the run alone.
    subject.run("calm").succeeds();
    let expected = contents(&scratch.path("calm"));
    let operations = subject.operations("logged", shim);
    assert_same(&contents(&scratch.path("logged")), &expected, "with the library but without a fault");
    assert!(operations.len() > 100, "{} operations: does the library see them?", operations.len());
    let failures = AtomicUsize::new(0);

    at_every_operation(operations.len(), |kind, at| {
        let operation = &operations[at - 1];
        let context = format!("{kind} at operation {at}, {} {}", operation.name, operation.path);
        let run = format!("{kind}-{at}");
        let ran = subject.run_with_fault(&run, shim, kind, at);
        assert_explained(&ran, kind, &context);
        failures.fetch_add(usize::from(ran.code != Some(0)), Ordering::Relaxed);

        // Not quiet: it says where it goes on.
        let again = ["pretrain", "--config", "tiny.toml", "--out", &run, "--resume"];
        let again = scratch.run(&again).succeeds();
        let going_on = saved_before(&operations, at).map(|step| format!("going on after step {step}"));
        if let Some(line) = going_on {
            // A failure on the way out comes after the next checkpoint is in place.
            let later = ran.code.is_some() && again.stderr.contains("going on after step");
            assert!(again.stderr.contains(&line) || later, "{context}: not {line:?} but {}", again.stderr);
        }
        assert!(!again.stderr.contains("warning"), "{context}: {}", again.stderr);
        assert_same(&contents(&scratch.path(&run)), &expected, &context);
        std::fs::remove_dir_all(scratch.path(&run)).expect("removed");
    });
    let failures = failures.into_inner();
    assert!(
        failures > 2 * operations.len(),
        "only {failures} of {} faults had any effect",
        3 * operations.len()
    );
}

/// Asserts that a command which writes over the files of an earlier one leaves old or new ones, whole, wherever a fault
/// hits it, and the new ones when it is given again. `before` makes the old files.
fn check_overwriting(scratch: &Scratch, before: &[&str], command: &[&str]) {
    let Some(shim) = shim() else { return };
    let (before, subject) = (Subject::new(scratch, before), Subject::new(scratch, command));
    for folder in ["old", "new", "logged"] {
        before.run(folder).succeeds();
    }
    let old = contents(&scratch.path("old"));
    subject.run("new").succeeds();
    let new = contents(&scratch.path("new"));
    assert!(old != new, "the two commands should write different files");
    let operations = subject.operations("logged", shim);

    at_every_operation(operations.len(), |kind, at| {
        let operation = &operations[at - 1];
        let context = format!("{command:?}: {kind} at operation {at}, {} {}", operation.name, operation.path);
        let folder = format!("{kind}-{at}");
        before.run(&folder).succeeds();
        let ran = subject.run_with_fault(&folder, shim, kind, at);
        assert_explained(&ran, kind, &context);
        let found = contents(&scratch.path(&folder));
        for (name, bytes) in &old {
            assert!(
                found[name] == *bytes || found[name] == new[name],
                "{context}: {name} is neither old nor new"
            );
        }
        subject.run(&folder).succeeds();
        assert_same(&contents(&scratch.path(&folder)), &new, &context);
        std::fs::remove_dir_all(scratch.path(&folder)).expect("removed");
    });
}

#[test]
fn generated_text_is_the_old_or_the_new_one() {
    let scratch = Scratch::empty();
    let generate =
        |seed| ["data", "generate", "--bytes", "100KB", "--out", "{}/stories.txt", "--quiet", "--seed", seed];
    check_overwriting(&scratch, &generate("1"), &generate("2"));
}

#[test]
fn a_tokenizer_is_the_old_or_the_new_one() {
    let scratch = Scratch::with_text();
    let train = |size| ["tokenizer", "train", "train.txt", "--out", "{}", "--quiet", "--vocab-size", size];
    check_overwriting(&scratch, &train("280"), &train("300"));
}

#[test]
fn shards_are_whole_or_not_there() {
    let Some(shim) = shim() else { return };
    let scratch = Scratch::with_text();
    let prepare = [
        "prepare",
        "train.txt",
        "--tokenizer",
        "tok",
        "--out",
        "{}/shards",
        "--boundary",
        "blank-line",
        "--quiet",
    ];
    let subject = Subject::new(&scratch, &prepare);
    subject.run("calm").succeeds();
    let expected = contents(&scratch.path("calm"));
    let operations = subject.operations("logged", shim);
    at_every_operation(operations.len(), |kind, at| {
        let operation = &operations[at - 1];
        let context = format!("{kind} at operation {at}, {} {}", operation.name, operation.path);
        let folder = format!("{kind}-{at}");
        let ran = subject.run_with_fault(&folder, shim, kind, at);
        assert_explained(&ran, kind, &context);
        let shards = scratch.path(&format!("{folder}/shards"));
        if shards.exists() {
            assert_eq!(contents(&shards), contents(&scratch.path("calm/shards")), "{context}");
        }
        subject.run(&folder).succeeds();
        assert_same(&contents(&scratch.path(&folder)), &expected, &context);
        std::fs::remove_dir_all(scratch.path(&folder)).expect("removed");
    });
}

#[test]
fn shards_that_take_long_go_on_wherever_a_fault_hits_their_journal() {
    let Some(shim) = shim() else { return };
    let scratch = Scratch::with_text();
    scratch.run(&["data", "generate", "--bytes", "11MB", "--out", "big.txt", "--quiet"]).succeeds();
    let prepare = ["prepare", "big.txt", "--tokenizer", "tok", "--out", "{}/shards"];
    let subject = Subject::new(&scratch, &prepare);
    subject.run("calm").succeeds();
    let expected = contents(&scratch.path("calm"));
    let operations = subject.operations("logged", shim);
    let journal = |operation: &Operation| operation.path.contains("journal.json");
    let first = operations.iter().position(journal).expect("there is a journal");
    // All that is not merely one more write of tokens, and a few of these.
    let tried: Vec<usize> = (0..operations.len())
        .filter(|at| operations[*at].name != "write" || journal(&operations[*at]) || at % 40 == 0)
        .collect();
    let went_on = AtomicUsize::new(0);
    at_every_operation(tried.len(), |kind, at| {
        let at = tried[at - 1];
        let operation = &operations[at];
        let context = format!("{kind} at operation {}, {} {}", at + 1, operation.name, operation.path);
        let folder = format!("{kind}-{at}");
        let ran = subject.run_with_fault(&folder, shim, kind, at + 1);
        assert_explained(&ran, kind, &context);
        let again = subject.run(&folder).succeeds();
        let goes_on = again.stderr.contains("going on: ");
        went_on.fetch_add(usize::from(goes_on), Ordering::Relaxed);
        assert!(!goes_on || at > first, "{context}: there is nothing to go on with");
        assert_same(&contents(&scratch.path(&folder)), &expected, &context);
        std::fs::remove_dir_all(scratch.path(&folder)).expect("removed");
    });
    let went_on = went_on.into_inner();
    assert!(went_on > 10, "only {went_on} of {} went on", 3 * tried.len());
}

#[test]
fn a_dataset_is_the_old_one_or_the_new_one_or_not_there() {
    let Some(shim) = shim() else { return };
    let scratch = Scratch::empty();
    std::fs::create_dir(scratch.path("from")).expect("made");
    for (name, text) in
        [("from/a.txt", "one\n--\ntwo\n"), ("from/b.txt", "three\n"), ("from/c.txt", "four\n")]
    {
        scratch.write(name, text);
    }
    scratch.write(
        "mine.toml",
        "name = 'mine'\ntitle = 'Mine'\nlicence = 'MIT'\nkind = 'text'\nbase_urls = ['http://127.0.0.1:9']\n\
         files = [{ name = 'a.txt', convert = { separated = '--' } }, { name = 'b.txt' }]\n\
         [splits.train]\nfiles = ['a.jsonl']\nformat = 'json-lines'\n\
         [splits.test]\nfiles = ['b.txt']\nformat = 'text'\nboundary = 'line'\n\
         [[variants]]\nname = 'other'\n\
         [variants.splits.train]\nfiles = ['c.txt']\nformat = 'text'\nboundary = 'line'\n",
    );
    let fetch =
        ["data", "fetch", "--manifest", "mine.toml", "--from", "from", "--dir", "{}", "--quiet", "--force"];
    let before = Subject::new(&scratch, &[&fetch[..], &["--variant", "other"]].concat());
    let subject = Subject::new(&scratch, &fetch);
    before.run("old").succeeds();
    let old = contents(&scratch.path("old/mine/data"));
    for folder in ["new", "logged"] {
        before.run(folder).succeeds();
    }
    subject.run("new").succeeds();
    let new = contents(&scratch.path("new/mine/data"));
    assert!(new.contains_key("a.jsonl") && !new.contains_key("c.txt"), "{:?}", new.keys());
    let operations = subject.operations("logged", shim);

    at_every_operation(operations.len(), |kind, at| {
        let operation = &operations[at - 1];
        let context = format!("{kind} at operation {at}, {} {}", operation.name, operation.path);
        let folder = format!("{kind}-{at}");
        before.run(&folder).succeeds();
        let ran = subject.run_with_fault(&folder, shim, kind, at);
        assert_explained(&ran, kind, &context);
        let data = scratch.path(&format!("{folder}/mine/data"));
        // Between taking the old one away and putting the new one there, the old one is beside it.
        let found = contents(&if data.exists() { data } else { data.with_extension("old") });
        assert!(found == old || found == new, "{context}: neither the old nor the new dataset");
        subject.run(&folder).succeeds();
        assert_same(
            &contents(&scratch.path(&format!("{folder}/mine"))),
            &contents(&scratch.path("new/mine")),
            &context,
        );
        std::fs::remove_dir_all(scratch.path(&folder)).expect("removed");
    });
}

/// A file system of so many KiB, gone when dropped; `None`, with the reason printed, where mounting is not allowed.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: PathBuf, kib: usize) -> Option<Self> {
        std::fs::create_dir_all(&path).expect("a folder");
        let mut command = Command::new("mount");
        let size = format!("size={kib}k");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path);
        match command.output() {
            Ok(output) if output.status.success() => Some(Self { path }),
            Ok(output) => {
                eprintln!("SKIPPED: no small disk: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: no small disk: {error}");
                None
            }
        }
    }

    fn grow(&self, kib: usize) {
        let size = format!("remount,size={kib}k");
        let status = Command::new("mount").args(["-o", &size]).arg(&self.path).status().expect("mount runs");
        assert!(status.success(), "the disk did not grow");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Another test's process may be between fork and exec, with this one's files still open in it.
        let unmounted = (0..100).any(|attempt| {
            std::thread::sleep(Duration::from_millis(if attempt == 0 { 0 } else { 100 }));
            Command::new("umount").arg(&self.path).status().is_ok_and(|status| status.success())
        });
        assert!(unmounted, "{} stays mounted", self.path.display());
    }
}

#[test]
fn a_disk_that_is_really_full_stops_a_run_which_goes_on_when_there_is_room() {
    let scratch = Scratch::with_text();
    let args = |run: &str| -> Vec<String> {
        ["pretrain", "--config", "tiny.toml", "--resume", "--out", run].map(String::from).to_vec()
    };
    let run = |out: &str| {
        let args = args(out);
        scratch.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run("calm").succeeds();
    let expected = contents(&scratch.path("calm"));
    let mut stopped = 0;
    for kib in (8..).step_by(48) {
        let folder = format!("disk-{kib}");
        let Some(disk) = SmallDisk::mount(scratch.path(&folder), kib) else { return };
        let out = format!("{folder}/run");
        let ran = run(&out);
        let context = format!("{kib} KiB");
        let done = ran.code == Some(0);
        if !done {
            stopped += 1;
            assert_explained(&ran, "full", &context);
            assert!(ran.stderr.contains(&format!("{folder}/run")), "it says where: {}", ran.stderr);
            disk.grow(4096);
            run(&out).succeeds();
        }
        assert_same(&contents(&scratch.path(&out)), &expected, &context);
        if done {
            break;
        }
    }
    assert!(stopped >= 3, "the disks were too large: {stopped} of them were full");
}
