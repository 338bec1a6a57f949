//! `firebrand classify`: what a fine-tuned model makes of texts.

mod columns;
mod heads;
mod input;
mod judged;
mod said;
mod tagged;

use crate::args::{ClassifyArgs, Global};

pub(crate) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    heads::run(args, global)
}
