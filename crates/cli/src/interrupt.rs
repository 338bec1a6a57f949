//! Being asked to stop: by Ctrl-C, by a signal, or by the end of the program that started us.
//!
//! A program that runs Firebrand as a part of something larger (`cargo xtask pipeline`) sets `FIREBRAND_SUPERVISED=1`
//! and holds our stdin open. When it ends, however it ends, stdin does too, and that is a request to stop: nothing goes
//! on behind the back of a pipeline that was killed.

use crate::output::complain;
use crate::screen;
use anyhow::Context;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody has asked.
static ASKED: AtomicBool = AtomicBool::new(false);
/// Whether the command that runs looks at `ASKED`. One that does not is ended at once: all its files are whole.
static HEEDED: AtomicBool = AtomicBool::new(false);

/// Whether another program watches over this one and reads its progress.
pub(crate) fn is_supervised() -> bool {
    std::env::var_os("FIREBRAND_SUPERVISED").is_some_and(|value| value == "1")
}

/// Under supervision: stops when stdin ends.
pub(crate) fn follow_supervisor() {
    if !is_supervised() {
        return;
    }
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().lock().read(&mut byte), Ok(1..)) {}
        ask();
    });
}

/// From here on the caller looks at the returned flag, which the first Ctrl-C sets. The second one ends the process at
/// once, with what was saved before. A command of several runs asks for it with each.
pub(crate) fn heed() -> anyhow::Result<&'static AtomicBool> {
    if !HEEDED.swap(true, Ordering::Relaxed) {
        ctrlc::set_handler(ask).context("cannot listen for Ctrl-C")?;
    }
    Ok(&ASKED)
}

/// Whether somebody has asked.
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// From here on a Ctrl-C says this and ends the process. For work that may stop at any instant, and goes on from there.
pub(crate) fn end_with(message: &'static str) -> anyhow::Result<()> {
    let end = move || {
        complain(format_args!("\n{message}"));
        std::process::exit(130);
    };
    ctrlc::set_handler(end).context("cannot listen for Ctrl-C")
}

/// The command as it was typed, and an option more, unless it has it: for a shell.
pub(crate) fn same_command(option: &str) -> String {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    command(args.collect(), option)
}

fn command(mut args: Vec<String>, option: &str) -> String {
    if !args.iter().any(|arg| arg == option) {
        args.push(option.to_owned());
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=,+@%^-".contains(c);
    let quoted = |arg: String| match !arg.is_empty() && arg.chars().all(is_plain) {
        true => arg,
        false => format!("'{}'", arg.replace('\'', "'\\''")),
    };
    let args: Vec<String> =
        std::iter::once("firebrand".to_owned()).chain(args.into_iter().map(quoted)).collect();
    args.join(" ")
}

/// What a Ctrl-C does.
pub(crate) fn ask() {
    if ASKED.swap(true, Ordering::Relaxed) || !HEEDED.load(Ordering::Relaxed) {
        screen::leave();
        std::process::exit(130);
    }
    // A screen says so itself.
    if !screen::is_up() {
        complain("\nsaving a checkpoint after this step (Ctrl-C again: stop at once)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_as_a_shell_reads_it() {
        let typed = |args: &[&str]| command(args.iter().map(ToString::to_string).collect(), "--resume");
        assert_eq!(typed(&["finetune", "--out", "runs/a"]), "firebrand finetune --out runs/a --resume");
        assert_eq!(typed(&["x", "--resume", "y"]), "firebrand x --resume y");
        let quoted = r#"firebrand --set 'data.test=["it'\''s.csv"]' '' --resume"#;
        assert_eq!(typed(&["--set", r#"data.test=["it's.csv"]"#, ""]), quoted);
    }
}
