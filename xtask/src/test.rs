//! `cargo xtask test`: every test of the workspace.

use std::process::Command;

use anyhow::Result;

use crate::{machine, process, workspace};

/// Run every test: unit, integration and documentation tests of all crates.
///
/// Says first what some tests need and this machine lacks; those tests skip themselves aloud. Tests and product share the
/// release profile and one set of compiled crates, so that burn is compiled once.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Passed on to `cargo test`: a part of test names, or options (with `--` for the tests' own).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask test                             everything
  cargo xtask test resumed_equals              tests whose names contain this
  cargo xtask test --no-fail-fast              go on after a failed test binary
  cargo xtask test --test cli -- --nocapture   one test file, showing what it prints

`cargo xtask check` is the other half of what a change must pass; neither runs the other.";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let python = machine::python_with("transformers");
    eprintln!("What some tests need:");
    say(
        "shared data",
        machine::shared("data")?.map(|path| path.display().to_string()),
        "tests on real data sets",
    );
    say(
        "transformers",
        python.as_ref().map(|path| path.display().to_string()).map_err(Clone::clone),
        "comparisons with Hugging Face",
    );
    say("GPU", machine::gpu_drivers(), "tests on wgpu");
    eprintln!();

    let mut build = workspace::cargo()?;
    build.arg("build").args(workspace::EVERYTHING);
    process::run("compile the workspace and its tests", &mut build)?;

    let mut test = workspace::cargo()?;
    test_command(&mut test, &args.arguments);
    if let Ok(python) = python {
        // So that the tests use the Python that was announced.
        test.env(machine::PYTHON_VARIABLE, python);
    }
    process::run("run the tests", &mut test)
}

/// Without target options, `cargo test` runs documentation tests too; all else is what the build above made.
fn test_command(cargo: &mut Command, arguments: &[String]) {
    cargo.args(["test", "--release", "--workspace"]).args(arguments);
}

fn say(name: &str, found: machine::Found<String>, without_it: &str) {
    match found {
        Ok(there) => eprintln!("  {name:<14}{there}"),
        Err(reason) => eprintln!("  {name:<14}missing: {reason}; skipped: {without_it}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_cargo_test_as_they_are() {
        let mut cargo = Command::new("cargo");
        test_command(
            &mut cargo,
            &["--no-fail-fast".into(), "some_name".into(), "--".into(), "--nocapture".into()],
        );
        let expected = "cargo test --release --workspace --no-fail-fast some_name -- --nocapture";
        assert_eq!(process::command_line(&cargo), expected);
    }
}
