//! The commands, a module each.

pub(crate) mod bench;
pub(crate) mod classify;
pub(crate) mod data;
pub(crate) mod device;
pub(crate) mod embed;
pub(crate) mod eval;
pub(crate) mod finetune;
mod frame;
pub(crate) mod generate;
mod masked;
pub(crate) mod merge;
mod narrow;
pub(crate) mod prepare;
pub(crate) mod pretrain;
mod prompting;
pub(crate) mod score;
pub(crate) mod show;
mod tags;
pub(crate) mod tokenizer;
mod training;

use crate::args::Cli;
use clap::CommandFactory;

/// Prints a shell's completions.
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "firebrand", &mut script);
    crate::output::piece(&String::from_utf8_lossy(&script))
}
