//! Firebrand's project commands, run as `cargo xtask COMMAND`: typed Rust that works wherever cargo does.
//!
//! It compiles the workspace and runs the `firebrand` binary and cargo as a user would. Of Firebrand's crates it uses the
//! one that knows how files are written, and so builds in seconds, without burn.

mod bench;
mod check;
mod failure;
mod machine;
mod nearest;
mod paths;
mod pipeline;
mod process;
mod quickstart;
mod run_directory;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Firebrand's project commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask quickstart                     a model of the built-in stories
  cargo xtask quickstart --text notes.txt    a model of your own text
  cargo xtask pipeline run quickstart        the same, stage by stage
  cargo xtask test && cargo xtask check      everything a change must pass
  cargo xtask bench train --json             speed beside PyTorch, a line a figure

Exit codes: 0 success, 1 something failed, 2 wrong usage, 130 after Ctrl-C.";

#[derive(Subcommand)]
enum Command {
    Quickstart(quickstart::Args),
    Pipeline(pipeline::Args),
    Test(test::Args),
    Check(check::Args),
    Bench(bench::Args),
}

impl Command {
    fn run(self) -> Result<()> {
        match self {
            Self::Quickstart(args) => quickstart::run(&args),
            Self::Pipeline(args) => pipeline::run(&args),
            Self::Test(args) => test::run(&args),
            Self::Check(args) => check::run(&args),
            Self::Bench(args) => bench::run(&args),
        }
    }
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    match process::catch_interrupts().and_then(|()| command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
