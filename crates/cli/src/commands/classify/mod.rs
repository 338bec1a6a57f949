//! `firebrand classify`: labels for texts.

mod records;
mod template;

use crate::args::{ClassifyArgs, Global};

pub(crate) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    template::run(args, global)
}
