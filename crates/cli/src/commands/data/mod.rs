//! `firebrand data`: datasets by name, and the built-in corpus.

mod fetch;
mod generate;
mod inspect;
mod list;

use crate::args::{DataCommand, Global};

pub(crate) fn run(command: &DataCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        DataCommand::List(args) => list::run(args, global),
        DataCommand::Fetch(args) => fetch::run(args, global),
        DataCommand::Inspect(args) => inspect::run(args, global),
        DataCommand::Generate(args) => generate::run(args, global),
    }
}
