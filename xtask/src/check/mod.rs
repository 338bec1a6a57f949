//! `cargo xtask check`: everything that is checked without running a test.

mod levels;
mod sources;

use std::fmt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::failure::Failure;
use crate::{process, workspace};

/// Check format, layers, licences, lints and documentation. Runs no tests: that is `cargo xtask test`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only these checks. [default: all]
    #[arg(value_name = "CHECK")]
    checks: Vec<Check>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask check                   everything
  cargo xtask check format levels     what takes no compiling

All checks run, whichever fails. `.ci/run` calls this and then `cargo xtask test`.";

/// One check, quick ones first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// `cargo fmt`: sources are formatted.
    Format,
    /// Crates use lower levels only, and backends are named in `backend` alone.
    Levels,
    /// `cargo deny`, where installed: licences, banned crates, sources of dependencies.
    Licences,
    /// `cargo clippy`, warnings denied.
    Lints,
    /// `cargo doc`, warnings denied.
    Docs,
}

enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Skipped(reason) => write!(f, "SKIPPED: {reason}"),
            Self::Failed(reason) => write!(f, "FAILED: {reason}"),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let checks = if args.checks.is_empty() { Check::value_variants() } else { &args.checks };
    let mut summary = Vec::new();
    for check in checks {
        eprintln!("== {}", check.name());
        let started = Instant::now();
        let outcome = match check.run() {
            Ok(outcome) => outcome,
            Err(error) => match error.downcast_ref::<Failure>() {
                Some(Failure::Process { command, .. }) => {
                    Outcome::Failed(format!("see above, or repeat: {command}"))
                }
                Some(_) => return Err(error),
                None => Outcome::Failed(format!("{error:#}")),
            },
        };
        summary.push((check.name(), started.elapsed().as_secs_f64(), outcome));
    }
    eprintln!();
    for (name, seconds, outcome) in &summary {
        eprintln!("{name:<10}{seconds:>6.0} s  {outcome}");
    }
    let failed = summary.iter().filter(|(_, _, outcome)| matches!(outcome, Outcome::Failed(_))).count();
    if failed > 0 {
        bail!("{failed} of {} checks failed", summary.len());
    }
    Ok(())
}

impl Check {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn run(self) -> Result<Outcome> {
        match self {
            Self::Format => cargo(&["fmt", "--all", "--check"], |_| {}),
            Self::Levels => check_levels(),
            Self::Licences => check_licences(),
            Self::Lints => {
                let arguments = [&["clippy"], &workspace::EVERYTHING[..], &["--", "-D", "warnings"]].concat();
                cargo(&arguments, |_| {})
            }
            Self::Docs => cargo(&["doc", "--release", "--workspace", "--no-deps"], |command| {
                command.env("RUSTDOCFLAGS", "-D warnings");
            }),
        }
    }
}

fn cargo(arguments: &[&str], adjust: impl Fn(&mut Command)) -> Result<Outcome> {
    let mut command = workspace::cargo()?;
    command.args(arguments);
    adjust(&mut command);
    process::run(&format!("cargo {}", arguments.join(" ")), &mut command)?;
    Ok(Outcome::Passed)
}

fn check_levels() -> Result<Outcome> {
    let mut command = workspace::cargo()?;
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = process::output("read the workspace's manifests", &mut command)?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata is not what was expected")?;
    let mut breaches = levels::breaches(&metadata);
    breaches.extend(sources::breaches(&workspace::root()?.join("crates"))?);
    for breach in &breaches {
        eprintln!("{breach}");
    }
    Ok(match breaches.len() {
        0 => Outcome::Passed,
        n => Outcome::Failed(format!(
            "the crates are not layered as ARCHITECTURE.md says ({n} breaches above)"
        )),
    })
}

fn check_licences() -> Result<Outcome> {
    if !process::succeeds(workspace::cargo()?.args(["deny", "--version"])) {
        let reason = "cargo-deny is not installed (cargo install --locked cargo-deny)";
        return Ok(Outcome::Skipped(reason.to_owned()));
    }
    cargo(&["deny", "check", "licenses", "bans", "sources"], |_| {})
}
