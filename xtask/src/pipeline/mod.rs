//! `cargo xtask pipeline`: stages that call the binary, run when something they depend on has changed.
//!
//! `file` reads a pipeline, `check` and `graph` hold it to its rules, `values`, `sweep` and `expand` make of it what is
//! to be run, `decide` finds out what has something to do (with `digest` and `state`), `schedule` and `child` run it,
//! `view` shows it, `table` gathers results. `job` puts these together; nobody here knows what a stage's command does.

mod check;
mod child;
mod decide;
mod digest;
mod expand;
mod file;
mod graph;
mod job;
mod list;
mod schedule;
mod state;
mod sweep;
mod table;
mod template;
mod values;
mod view;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use digest::sha256;
pub(crate) use job::{Job, Request};
pub(crate) use state::is_at_home;

/// Run stages that depend on each other; those whose inputs have not changed are skipped.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Run(RunArgs),
}

/// Run a pipeline, or go on with it.
///
/// A stage is skipped when its command, its inputs (by content) and the firebrand binary are those it was made with. A
/// pipeline that was stopped, killed too, goes on when the same command is given again.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// A pipeline of configs/pipelines/, or a TOML file.
    #[arg(value_name = "NAME|FILE")]
    pipeline: String,
    /// Give a setting another value, or a key of the config of a stage that trains (pretrain.optimizer.lr=1e-3).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run once for each of these values; several make a grid.
    #[arg(long, value_name = "KEY=A,B,C")]
    sweep: Vec<String>,
    /// The short form of the pipeline: seconds, offline.
    #[arg(long)]
    smoke: bool,
    /// Run this stage and all that depend on it even if nothing has changed.
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// Say what would run and why, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Where everything is written. [default: runs/NAME, runs/NAME-smoke]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N. [default: the best there is]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Threads that may be busy at once; a stage that takes all of them is made anew with another number. [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
    /// Print the table of results as JSON, a line a row.
    #[arg(long)]
    json: bool,
    /// Use this firebrand binary instead of compiling one.
    #[arg(long, value_name = "FILE", env = "FIREBRAND_BIN")]
    binary: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask pipeline list
  cargo xtask pipeline run quickstart --smoke
  cargo xtask pipeline run shakespeare --set seed=2 --out runs/bard
  cargo xtask pipeline run lr --sweep lr=1e-3,2e-3 --json
  cargo xtask pipeline run quickstart --sweep pretrain.optimizer.kind=adamw,muon
  cargo xtask pipeline run quickstart --from score --dry-run

Progress goes to stderr, results to stdout. Exit codes: 0 success, 1 a stage
failed, 2 wrong usage, 130 after Ctrl-C; the same command then goes on.";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Run(args) => run_pipeline(args),
    }
}

fn run_pipeline(args: &RunArgs) -> Result<()> {
    let job = Job::new(&Request {
        pipeline: args.pipeline.clone(),
        set: args.set.clone(),
        sweep: args.sweep.clone(),
        smoke: args.smoke,
        from: args.from.clone(),
        out: args.out.clone(),
        device: args.device.clone(),
        threads: args.threads,
        ..Request::default()
    })?;
    let firebrand = crate::workspace::firebrand(args.binary.as_deref())?;
    if args.dry_run {
        return job.dry_run(&firebrand);
    }
    let summary = job.run(&firebrand)?;
    summary.print_table(args.json)
}
