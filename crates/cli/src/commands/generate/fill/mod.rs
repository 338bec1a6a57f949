//! `--fill`: what stands in the blanks of a text, by whatever kind of model can say that. A file a kind.

mod masked;
mod middle;
pub(super) mod spans;

use super::{Asked, Prompt, ranked, reason};
use crate::args::{GenerateArgs, Global};
use crate::exit::usage;
use crate::output::line;
use crate::run::Trained;
use firebrand_decode::FinishReason;
use firebrand_pretrain::MiddleTokens;
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{AnyModel, Model};
use serde_json::{Value, json};

/// How a blank is written.
const BLANK: &str = "[Z]";

/// A text whose blanks a model filled, as it is shown whatever model that was.
pub(super) struct Filling<'a> {
    /// The text with its blanks.
    pub(super) prompt: &'a str,
    /// The text with something in them; nothing without a tokenizer.
    pub(super) text: Option<String>,
    /// What is in each of them; nothing where the model wrote the whole text anew.
    pub(super) fills: Option<Vec<String>>,
    /// What the model was given.
    pub(super) input_ids: &'a [u32],
    /// What it chose.
    pub(super) ids: &'a [u32],
    /// From 1 on, the best first.
    pub(super) rank: usize,
    pub(super) score: f64,
    pub(super) log_prob: f64,
    pub(super) finish_reason: FinishReason,
}

impl Filling<'_> {
    /// The one form of `--json`.
    pub(super) fn json(&self) -> Value {
        json!({
            "prompt": self.prompt, "text": self.text, "fills": self.fills, "input_ids": self.input_ids, "ids": self.ids,
            "rank": self.rank, "score": self.score, "log_prob": self.log_prob, "finish_reason": reason(self.finish_reason),
        })
    }

    /// Writes it as the user wants it.
    pub(super) fn show(&self, args: &GenerateArgs, global: &Global) -> anyhow::Result<()> {
        if global.json {
            return line(self.json());
        }
        if args.n_best > 1 {
            line(ranked(self.rank, self.score, self.log_prob))?;
        }
        line(self.text.as_deref().unwrap_or_default())
    }
}

/// Fills the blanks of the texts that are asked for; encoder–decoders do it by themselves, with `spans`.
pub(super) fn run(
    args: &GenerateArgs,
    asked: Asked,
    trained: Trained,
    global: &Global,
) -> anyhow::Result<()> {
    if let AnyModel::Encoder(_) = &trained.model {
        return masked::run(args, &trained, global);
    }
    if let Some(tokens) = middle::tokens(&trained) {
        return middle::run(args, asked, trained, tokens, global);
    }
    Err(usage(format!(
        "--fill: {} cannot say what stands between two texts; models of the objectives masked, fill-in-the-middle, span-corruption, \
         denoising and mixture can. This one goes on with a text: --prompt",
        args.run.display()
    )))
}

/// Refuses to go on with a text with a model that cannot.
pub(super) fn check(args: &GenerateArgs, model: &AnyModel) -> anyhow::Result<()> {
    let AnyModel::Encoder(model) = model else { return Ok(()) };
    let run = args.run.display();
    let instead = match model.config().heads.masked {
        true => format!("it fills blanks: firebrand generate {run} --fill \"The [Z] went home.\""),
        false => format!("see its states by `firebrand embed {run}`"),
    };
    Err(usage(format!("{run}: this model sees both sides of a token and goes on with no text; {instead}")))
}

/// The tokens that put parts of a text elsewhere. Who only goes on with a text is not to begin with that: a model for which half of all
/// documents were rewritten would, behind every end of text.
pub(super) fn marks(tokenizer: &Tokenizer) -> Vec<u32> {
    MiddleTokens::NAMES.iter().filter_map(|name| tokenizer.token_to_id(name)).collect()
}

/// What stands around the blanks of a text: one part more than it has blanks, and it has one at least.
fn around_blanks(text: &str) -> anyhow::Result<Vec<&str>> {
    let parts: Vec<&str> = text.split(BLANK).collect();
    match parts.len() {
        1 => Err(usage(format!("--fill {text:?}: has no blank; write {BLANK} where something is missing"))),
        _ => Ok(parts),
    }
}

/// The two texts around its only blank.
fn around_blank(text: &str) -> anyhow::Result<[&str; 2]> {
    let parts = around_blanks(text)?;
    let blanks = parts.len() - 1;
    parts.try_into().map_err(|_| {
        usage(format!("--fill {text:?}: has {blanks} blanks, and this model fills one at a time"))
    })
}

/// A prompt for a blank between two texts: `ids` is what the model is given, `behind` what the tokens stand behind in the
/// text.
fn prompt(text: &str, [before, after]: [&str; 2], ids: Vec<u32>, behind: Vec<u32>) -> Prompt {
    Prompt {
        text: Some(before.to_owned()),
        ids,
        behind,
        answers: false,
        blank: Some(super::Blank { text: text.to_owned(), after: after.to_owned() }),
        input: None,
    }
}
