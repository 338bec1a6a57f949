//! `firebrand classify`: labels for texts.

pub(crate) mod records;
mod template;

use crate::args::{ClassifyArgs, Global};

pub(crate) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    template::run(args, global)
}
