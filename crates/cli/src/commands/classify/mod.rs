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
use crate::commands::finetune::answers::TEMPLATE;
use crate::exit::usage;

pub(crate) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    // A run that was trained by a template holds it.
    if !args.prompt.templates.is_empty() || args.run.join(TEMPLATE).is_file() {
        return template::run(args, global);
    }
    match args.prompt.first_given() {
        Some(option) => Err(usage(format!("{option} is for templates: give --template FILE"))),
        None => heads::run(args, global),
    }
}
