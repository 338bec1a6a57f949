//! `firebrand data`: datasets by name, and the built-in corpus.

mod fetch;
mod generate;
mod inspect;
mod list;

use crate::args::{DataCommand, Global, StoreArgs};
use crate::text::cache_dir;
use firebrand_corpus::datasets::Store;
use std::path::{Path, PathBuf};

pub(crate) fn run(command: &DataCommand, global: &Global) -> anyhow::Result<()> {
    match command {
        DataCommand::List(args) => list::run(args, global),
        DataCommand::Fetch(args) => fetch::run(args, global),
        DataCommand::Inspect(args) => inspect::run(args, global),
        DataCommand::Generate(args) => generate::run(args, global),
    }
}

/// Where the datasets are: the folder that was named, or that of the environment, of the project, of the user.
pub(crate) fn store(args: &StoreArgs) -> Store {
    let from_environment = std::env::var_os("FIREBRAND_DATA").filter(|value| !value.is_empty());
    let project = Path::new("datasets");
    let root = args
        .dir
        .clone()
        .or_else(|| from_environment.map(PathBuf::from))
        .or_else(|| project.is_dir().then(|| project.to_path_buf()))
        .unwrap_or_else(|| cache_dir("datasets"));
    Store::new(root)
}
