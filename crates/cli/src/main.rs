//! The `firebrand` binary: arguments in, the other crates wired together, results printed.
//!
//! stdout carries data, stderr progress and messages. Exit codes: 0 success, 1 a failed run, 2 wrong usage or config,
//! 130 after Ctrl-C with everything saved.

mod args;
mod chat;
mod commands;
mod config;
mod exit;
mod html;
mod interrupt;
mod named;
mod output;
mod plot;
mod reading;
mod report;
mod run;
mod screen;
mod table;
mod tensorboard;
mod text;
mod words;

use anyhow::Context;
use args::{Cli, Command};
use clap::Parser;
use std::num::NonZero;

fn main() -> std::process::ExitCode {
    #[allow(unsafe_code, reason = "the environment can be set only here")]
    // SAFETY: `main` has just begun, and nothing before this line starts a thread.
    unsafe {
        firebrand_backend::device::quiet_drivers();
    }
    let cli = Cli::parse();
    if !matches!(&cli.command, Command::BenchTrain(args) if args.plain_allocator) {
        firebrand_backend::memory::keep_pages();
    }
    interrupt::follow_supervisor();
    exit::code(dispatch(&cli))
}

fn dispatch(cli: &Cli) -> anyhow::Result<()> {
    let threads = cli.global.threads.map_or(0, NonZero::get);
    // The pool is built once; every crate below uses it. This thread is one of it: with the others it computes, instead of
    // sleeping until they have.
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .build_global()
        .context("the threads to compute with cannot be started (`--threads N` says how many)")?;
    match &cli.command {
        Command::Data(command) => commands::data::run(command, &cli.global),
        Command::Tokenizer(command) => commands::tokenizer::run(command, &cli.global),
        Command::Prepare(command) => commands::prepare::run(command, &cli.global),
        Command::Pretrain(command) => commands::pretrain::run(command, &cli.global),
        Command::Finetune(command) => commands::finetune::run(command, &cli.global),
        Command::Eval(command) => commands::eval::run(command, &cli.global),
        Command::Classify(command) => commands::classify::run(command, &cli.global),
        Command::Merge(command) => commands::merge::run(command, &cli.global),
        Command::Generate(command) => commands::generate::run(command, &cli.global),
        Command::Embed(command) => commands::embed::run(command, &cli.global),
        Command::Score(command) => commands::score::run(command, &cli.global),
        Command::Show(command) => commands::show::run(command, &cli.global),
        Command::Device => commands::device::run(&cli.global),
        Command::Completions { shell } => commands::completions(*shell),
        Command::BenchTrain(command) => commands::bench::train(command, &cli.global),
        Command::BenchCost(command) => commands::bench::cost(command, &cli.global),
        Command::BenchGenerate(command) => commands::bench::generate(command, &cli.global),
        Command::BenchLstm(command) => commands::bench::lstm(command, &cli.global),
        Command::BenchPrompt(command) => commands::bench::prompt(command, &cli.global),
        Command::BenchGenerator => commands::bench::generator(&cli.global),
        Command::BenchTokenizer(command) => commands::bench::tokenizer(command, &cli.global),
    }
}
