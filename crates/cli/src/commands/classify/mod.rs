//! `firebrand classify`: what a fine-tuned model makes of texts.

mod columns;
mod heads;
mod input;
mod said;

use crate::args::{ClassifyArgs, Global};

pub(crate) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    heads::run(args, global)
}
