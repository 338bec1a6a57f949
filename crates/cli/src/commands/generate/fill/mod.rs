//! `firebrand generate --fill`: what stands in the blanks of a text. A file for each kind of model that can say it.

pub(super) mod spans;

use crate::args::GenerateArgs;
use crate::exit::usage;
use firebrand_transformer::AnyModel;

/// How a blank is written.
const BLANK: &str = "[Z]";

/// Refuses to fill blanks with a model that cannot.
pub(super) fn check(args: &GenerateArgs, model: &AnyModel) -> anyhow::Result<()> {
    match args.fill.is_empty() {
        true => Ok(()),
        false => Err(usage(format!(
            "--fill: this {} model cannot fill blanks; models trained for span-corruption, denoising or mixture can",
            model.config().kind.name()
        ))),
    }
}

/// What stands between the blanks of a text.
fn parts(text: &str) -> anyhow::Result<Vec<&str>> {
    let parts: Vec<&str> = text.split(BLANK).collect();
    match parts.len() {
        1 => Err(usage(format!("--fill {text:?}: has no blank; write {BLANK} where something is missing"))),
        _ => Ok(parts),
    }
}
