//! Blanks for decoders that were trained to fill in the middle: prefix and suffix are given, and the middle is generated.

use super::{around_blank, prompt};
use crate::args::{GenerateArgs, Global};
use crate::commands::generate::{Asked, boundary, decode};
use crate::run::Trained;
use firebrand_pretrain::MiddleTokens;
use firebrand_transformer::AnyModel;

/// The tokens that the model knows for it, if it does.
pub(super) fn tokens(trained: &Trained) -> Option<MiddleTokens> {
    let (AnyModel::Decoder(_), Some(tokenizer)) = (&trained.model, &trained.tokenizer) else { return None };
    MiddleTokens::of(|name| tokenizer.token_to_id(name), tokenizer.end_of_text())
}

pub(super) fn run(
    args: &GenerateArgs,
    asked: Asked,
    trained: Trained,
    tokens: MiddleTokens,
    global: &Global,
) -> anyhow::Result<()> {
    let tokenizer = trained.tokenizer()?;
    let mut prompts = Vec::new();
    for text in &args.fill {
        let [before, after] = around_blank(text)?;
        let prefix = tokenizer.encode(before);
        let ids = tokens.prompt(&prefix, &tokenizer.encode(after));
        let [ids, behind] = [ids, prefix].map(|ids| [boundary(tokenizer).as_slice(), &ids].concat());
        prompts.push(prompt(text, [before, after], ids, behind));
    }
    // A part that begins is no part of the middle either.
    let ends = vec![tokens.prefix, tokens.suffix, tokens.middle];
    decode(args, asked, prompts, trained, ends, global)
}
