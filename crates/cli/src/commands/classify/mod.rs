//! `firebrand classify`: labels for texts, by the head of a fine-tuned model (`heads`) or by a template (`template`).

mod columns;
mod heads;
mod input;
mod judged;
pub(crate) mod records;
mod said;
mod tagged;
mod template;

use crate::args::{ClassifyArgs, Global};

pub(crate) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    match args.prompt.templates.is_empty() {
        true => heads::run(args, global),
        false => template::run(args, global),
    }
}
