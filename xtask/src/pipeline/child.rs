//! A stage at work: a supervised process, its log, and what it leaves.
//!
//! The process sees us through its stdin: a pipe that ends when we do, however we end, and that is its sign to save and
//! stop. We see it, even if we are the next to come after a kill, through the file it prints into: that is locked as
//! long as the process lives.

use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::decide::{Judge, Start};
use super::expand::{Instance, Places};
use super::state::{self, Record};
use crate::failure::Failure;
use crate::{paths, process};

/// How often a process is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How many of its last lines are shown when a stage fails.
const LAST_LINES: usize = 8;
/// How the binary begins a line that says how far it is.
const PROGRESS: &str = "@progress ";

/// How far a stage is, as the binary says.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Progress {
    pub(super) position: u64,
    pub(super) length: Option<u64>,
    pub(super) message: String,
}

/// What a stage at work tells.
#[derive(Debug)]
pub(super) enum Sign {
    /// A process that an earlier pipeline started is still at it.
    Waits,
    /// The process has started.
    Started,
    Progress(Progress),
}

/// What a stage does now.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) judge: &'a Judge<'a>,
    pub(super) firebrand: &'a Path,
    pub(super) instance: &'a Instance,
    pub(super) start: Start,
}

impl Work<'_> {
    /// Runs the stage to its end and returns how many seconds it took, earlier starts included.
    pub(super) fn run(self, tell: &(dyn Fn(Sign) + Sync)) -> Result<f64> {
        let (judge, name) = (self.judge, &self.instance.file_name);
        let printed = judge.state.file(name, "out");
        let stdout = self.locked(&printed, tell)?;
        self.rehearse()?;
        let mut record = self.prepare()?;
        let started = Instant::now();
        let outcome = self.process(stdout, tell);
        record.seconds += started.elapsed().as_secs_f64();
        if let Err(error) = outcome {
            // What it saved, it goes on with; the time it took counts. The failure of the stage is what matters.
            judge.state.write(name, &record).ok();
            return Err(error);
        }
        if let Some(output) = self.instance.printed() {
            let path = judge.resolve(output);
            let kept =
                firebrand_durable::write_with(&path, |file| io::copy(&mut File::open(&printed)?, file));
            kept.with_context(|| format!("cannot write {}", paths::shown(&path)))?;
        }
        state::remove(&printed)?;
        record.outputs = Some(judge.outputs(self.instance)?);
        record.expected = Some(record.seconds);
        judge.state.write(name, &record)?;
        judge.hashes().save()?;
        Ok(record.seconds)
    }

    /// An empty file to print into, ours and the process's alone. Waits for one that outlived its pipeline.
    fn locked(&self, path: &Path, tell: &dyn Fn(Sign)) -> Result<File> {
        let cannot_write = || format!("cannot write {}", path.display());
        let file = File::options().create(true).append(true).open(path).with_context(cannot_write)?;
        // Elsewhere a lock would keep the process itself from writing.
        let mut told = false;
        while cfg!(unix) && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            if !told {
                tell(Sign::Waits);
                told = true;
            }
            self.stop_if_interrupted()?;
            thread::sleep(POLL);
        }
        file.set_len(0).with_context(cannot_write)?;
        Ok(file)
    }

    fn stop_if_interrupted(&self) -> Result<()> {
        match process::interrupts() {
            0 => Ok(()),
            _ => Err(Failure::Interrupted { what: format!("stage {}", self.instance.name) }.into()),
        }
    }

    /// Lets the binary look at its command before a run is removed for it: a typing error must not cost hours.
    fn rehearse(&self) -> Result<()> {
        if self.start.goes_on || self.start.before.is_none() || self.instance.run().is_none() {
            return Ok(());
        }
        let mut command = command(self.firebrand, self.instance, self.judge.places());
        command.arg("--dry-run").stdin(Stdio::null());
        let shown = process::command_line(&command);
        let output = command.output().with_context(|| format!("cannot start {shown}"))?;
        if output.status.code() != Some(2) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "\n  ");
        let name = &self.instance.name;
        Err(Failure::Usage(format!(
            "stage {name} (its run is as it was):\n  {said}\nits command:\n  {shown}"
        ))
        .into())
    }

    /// Removes what an earlier start has made, unless this one goes on with it, and notes what is started.
    fn prepare(&self) -> Result<Record> {
        let (judge, instance, before) =
            (self.judge, self.instance, self.start.before.clone().unwrap_or_default());
        let made: Vec<String> = instance.outputs.iter().flat_map(super::expand::Output::paths).collect();
        let mut record = Record {
            key: None,
            arguments: instance.arguments(judge.places()),
            made: made
                .iter()
                .chain(before.made.iter().filter(|path| !made.contains(path)))
                .cloned()
                .collect(),
            outputs: None,
            seconds: if self.start.goes_on { before.seconds } else { 0.0 },
            expected: before.expected,
        };
        if !self.start.goes_on {
            // A kill on the way must not leave old outputs beside a record that promises new ones.
            judge.state.write(&instance.file_name, &record)?;
            for path in &record.made {
                if made.contains(path) || !judge.has_other_owner(path) {
                    state::remove(&judge.resolve(path))?;
                }
            }
            record.made = made;
        }
        for output in &instance.outputs {
            let path = judge.resolve(&output.path);
            let folder = firebrand_durable::parent(&path);
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        record.key = Some(self.start.key.clone());
        judge.state.write(&instance.file_name, &record)?;
        Ok(record)
    }

    fn process(&self, stdout: File, tell: &(dyn Fn(Sign) + Sync)) -> Result<()> {
        let mut command = command(self.firebrand, self.instance, self.judge.places());
        let shown = printable_command(self.firebrand, self.instance, self.judge.places());
        let log = self.judge.state.file(&self.instance.file_name, "log");
        let cannot_write = || format!("cannot write {}", log.display());
        let goes_on = self.start.goes_on;
        let mut log_file = File::options()
            .create(true)
            .write(true)
            .append(goes_on)
            .truncate(!goes_on)
            .open(&log)
            .with_context(cannot_write)?;
        writeln!(log_file, "$ {shown}").with_context(cannot_write)?;
        command.env("FIREBRAND_SUPERVISED", "1").stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(stdout);
        #[cfg(unix)]
        {
            // Ctrl-C in a terminal is for us: a process that is told twice stops without saving.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        self.stop_if_interrupted()?;
        let mut child = command.spawn().with_context(|| format!("cannot start {shown}"))?;
        tell(Sign::Started);
        let stderr = child.stderr.take().context("the child's stderr is not piped")?;
        let (status, last_lines) = thread::scope(|scope| {
            let reader = scope.spawn(|| read(stderr, log_file, tell));
            let status = wait(&mut child);
            (status, reader.join().unwrap_or_default())
        });
        let status = status.with_context(|| format!("cannot wait for {shown}"))?;
        self.judge_end(status, &last_lines, &log, shown)
    }

    fn judge_end(
        &self,
        status: ExitStatus,
        last_lines: &[String],
        log: &Path,
        command: String,
    ) -> Result<()> {
        self.stop_if_interrupted()?;
        let name = &self.instance.name;
        if process::ended_by_interrupt(status) {
            return Err(Failure::Interrupted { what: format!("stage {name}") }.into());
        }
        if status.success() {
            return Ok(());
        }
        let lines: Vec<String> = last_lines.iter().map(|line| format!("\n  {line}")).collect();
        let what = format!("stage {name}:{}\nall it said is in {}", lines.concat(), paths::shown(log));
        let ended = status.to_string();
        match status.code() {
            // What it was told makes no sense to it.
            Some(2) => Err(Failure::Usage(format!("{what}\nits command:\n  {command}")).into()),
            _ => bail!(Failure::Process { what, ended, command }),
        }
    }
}

/// The command that does the work of `instance`.
fn command(firebrand: &Path, instance: &Instance, places: Places<'_>) -> Command {
    let mut command = Command::new(firebrand);
    command.args(instance.arguments(places));
    if instance.run().is_some() {
        // Starts a run that has no checkpoint yet, goes on with any other.
        command.arg("--resume");
    }
    command
}

/// The same, to be pasted into a shell.
pub(super) fn printable_command(firebrand: &Path, instance: &Instance, places: Places<'_>) -> String {
    let command = process::command_line(&command(firebrand, instance, places));
    match instance.printed() {
        Some(path) => format!("{command} > {}", process::quoted(&places.resolve(path))),
        None => command,
    }
}

/// Waits for `child`; asks it to stop when we are asked, and ends it when we are asked again.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let mut stdin = child.stdin.take();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let interrupts = process::interrupts();
        if interrupts > 0 && cfg!(unix) {
            // The end of its stdin. On Windows Ctrl-C has reached it already.
            drop(stdin.take());
        }
        if interrupts > 1 {
            child.kill()?;
        }
        thread::sleep(POLL);
    }
}

/// Passes on progress, logs the rest, and returns the last lines.
fn read(stderr: ChildStderr, mut log: File, tell: &dyn Fn(Sign)) -> Vec<String> {
    let mut last_lines = VecDeque::new();
    let mut reader = BufReader::new(stderr);
    let mut bytes = Vec::new();
    // The process must never wait for us, nor end because of us: what is no text, or cannot be logged, is passed over.
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        if let Some(progress) = line.strip_prefix(PROGRESS) {
            if let Ok(progress) = serde_json::from_str(progress) {
                tell(Sign::Progress(progress));
            }
            continue;
        }
        writeln!(log, "{line}").ok();
        if !line.is_empty() {
            last_lines.push_back(line);
        }
        if last_lines.len() > LAST_LINES {
            last_lines.pop_front();
        }
    }
    last_lines.into()
}
