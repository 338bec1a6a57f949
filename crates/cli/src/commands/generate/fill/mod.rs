//! `--fill`: what stands in the blanks of a text, by whatever kind of model can say that. A file a kind.

mod masked;

use crate::args::{GenerateArgs, Global};
use crate::exit::usage;
use crate::run::Trained;
use firebrand_transformer::AnyModel;

/// How a blank is written.
const BLANK: &str = "[Z]";

/// Fills the blanks of the texts that are asked for.
pub(super) fn run(args: &GenerateArgs, trained: &Trained, global: &Global) -> anyhow::Result<()> {
    match &trained.model {
        AnyModel::Encoder(_) => masked::run(args, trained, global),
        AnyModel::Decoder(_) | AnyModel::Bidirectional(_) => Err(usage(format!(
            "--fill: {} cannot say what stands between two texts; a model of the objective masked can. This one goes on with \
             a text: --prompt",
            args.run.display()
        ))),
    }
}

/// Refuses to go on with a text with a model that cannot.
pub(super) fn check(args: &GenerateArgs, model: &AnyModel) -> anyhow::Result<()> {
    let AnyModel::Encoder(model) = model else { return Ok(()) };
    let run = args.run.display();
    let instead = match firebrand_transformer::Model::config(&**model).heads.masked {
        true => format!("it fills blanks: firebrand generate {run} --fill \"The [Z] went home.\""),
        false => format!("see its states by `firebrand embed {run}`"),
    };
    Err(usage(format!("{run}: this model sees both sides of a token and goes on with no text; {instead}")))
}

/// What stands around the blanks of a text: one part more than it has blanks, and it has one at least.
fn around_blanks(text: &str) -> anyhow::Result<Vec<&str>> {
    let parts: Vec<&str> = text.split(BLANK).collect();
    match parts.len() {
        1 => Err(usage(format!("--fill {text:?}: has no blank; write {BLANK} where something is missing"))),
        _ => Ok(parts),
    }
}
