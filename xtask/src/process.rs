//! Starting other programs: one at a time, stopped together with us by Ctrl-C, repeatable by hand when they fail.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::failure::Failure;
use crate::paths;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How long a program may go on after Ctrl-C before it is told by us. A terminal sends Ctrl-C to us and to what we started
/// alike, and a second one would hurry a program that is saving; a signal to this process alone would never arrive there.
const GRACE: Duration = Duration::from_secs(3);

/// From here on Ctrl-C no longer ends this process at once: it waits for the program it runs to save and exit.
pub(crate) fn catch_interrupts() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")
}

/// Runs `command` to its end; what it prints goes where our own output goes. `what` names the work in error messages.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null());
    let mut child = spawn(what, command)?;
    let status = wait(&mut child).with_context(|| format!("cannot wait for {}", command_line(command)))?;
    judge(what, command, status)
}

/// [`run`] for a step on the way to our own result: stdout is for that, so what the step prints there goes to stderr.
pub(crate) fn run_step(what: &str, command: &mut Command) -> Result<()> {
    run(what, command.stdout(io::stderr()))
}

/// Runs `command` to its end and returns what it wrote to stdout; stderr goes where ours goes.
pub(crate) fn output(what: &str, command: &mut Command) -> Result<String> {
    output_watching(what, command, |_| {})
}

/// [`output`], with the number of the process given to `watch` every few milliseconds while it runs.
pub(crate) fn output_watching(what: &str, command: &mut Command, watch: impl FnMut(u32)) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = spawn(what, command)?;
    let mut stdout = child.stdout.take().context("the child's stdout is not piped")?;
    // Read beside the waiting, so that a program that writes much never waits for us.
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let status = wait_watching(&mut child, watch)
        .with_context(|| format!("cannot wait for {}", command_line(command)))?;
    judge(what, command, status)?;
    let Ok(read) = reader.join() else { bail!("reading the output of {} panicked", command_line(command)) };
    let bytes = read.with_context(|| format!("cannot read what {} prints", command_line(command)))?;
    String::from_utf8(bytes).with_context(|| format!("{} printed invalid UTF-8", command_line(command)))
}

/// Whether `command` can be started and succeeds; prints nothing.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Prints one piece of data to stdout, with a line end.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush()).context("cannot print")
}

/// `command` as it can be pasted into a shell, with the variables it was given.
pub(crate) fn command_line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value?.to_string_lossy())))
    });
    let program = command.get_program();
    let is_cargo = env::var_os("CARGO").is_some_and(|cargo| cargo == program);
    let program = if is_cargo { "cargo".to_owned() } else { paths::shown_program(program.as_ref()) };
    let words = std::iter::once(program.into()).chain(command.get_args().map(OsStr::to_string_lossy));
    variables.chain(words.map(|word| quoted(&word))).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn spawn(what: &str, command: &mut Command) -> Result<Child> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        return Err(Failure::Interrupted { what: format!("before: {what}") }.into());
    }
    command.spawn().with_context(|| format!("cannot start {} ({what})", command_line(command)))
}

fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    wait_watching(child, |_| {})
}

fn wait_watching(child: &mut Child, mut watch: impl FnMut(u32)) -> io::Result<ExitStatus> {
    let mut interrupted_at: Option<Instant> = None;
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        watch(child.id());
        if INTERRUPTED.load(Ordering::Relaxed) {
            let since = *interrupted_at.get_or_insert_with(Instant::now);
            if !told && since.elapsed() >= GRACE {
                interrupt(child);
                told = true;
            }
        }
        thread::sleep(POLL);
    }
}

/// Sends Ctrl-C to `child`. Windows delivers it to every program of a console itself.
fn interrupt(child: &Child) {
    if cfg!(unix) {
        succeeds(Command::new("kill").args(["-s", "INT"]).arg(child.id().to_string()));
    }
}

fn judge(what: &str, command: &Command, status: ExitStatus) -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) || ended_by_interrupt(status) {
        return Err(Failure::Interrupted { what: what.to_owned() }.into());
    }
    if !status.success() {
        let (what, command) = (what.to_owned(), command_line(command));
        return Err(Failure::Process { what, ended: status.to_string(), command }.into());
    }
    Ok(())
}

/// Whether a program says that Ctrl-C ended it, by its exit code or (on Unix) by dying of the signal.
fn ended_by_interrupt(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        const SIGINT: i32 = 2;
        if std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGINT) {
            return true;
        }
    }
    status.code() == Some(130)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("firebrand");
        command.args(["generate", "runs/a b", "--prompt", "it's", "", "--seed=1"]);
        assert_eq!(command_line(&command), r"firebrand generate 'runs/a b' --prompt 'it'\''s' '' --seed=1");
        command.env("NO_COLOR", "1 2").env_remove("HOME");
        assert!(command_line(&command).starts_with("NO_COLOR='1 2' firebrand generate "));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error =
            run("a stage", &mut Command::new("no-such-program-anywhere")).expect_err("it cannot start");
        assert_eq!(error.to_string(), "cannot start no-such-program-anywhere (a stage)");
    }

    #[cfg(unix)]
    #[test]
    fn output_is_what_was_written_to_stdout_however_long() {
        let written = output("count", Command::new("seq").arg("100000")).expect("seq runs");
        assert_eq!(written.lines().count(), 100_000);
    }

    #[cfg(unix)]
    #[test]
    fn a_failed_stage_says_what_it_was_and_how_to_repeat_it() {
        let error = run("failing on purpose", &mut Command::new("false")).expect_err("false fails");
        let said = error.to_string();
        assert!(said.contains("failing on purpose") && said.ends_with("\n  false"), "{said}");
    }
}
