//! `--chat`: prompts are what is said to the model, and it answers.

use super::{Prompt, prompt_texts};
use crate::args::{GenerateArgs, Global};
use crate::chat::Chat;
use crate::exit::usage;
use crate::run::Trained;
use anyhow::Context;
use firebrand_corpus::labelled::{Role, Turn};

/// The prompts as the template of the run has them, each up to where the answer begins.
pub(super) fn prompts(
    args: &GenerateArgs,
    trained: &Trained,
    global: &Global,
) -> anyhow::Result<Vec<Prompt>> {
    let dir = &args.run;
    let chat = Chat::of_folder(dir, trained.tokenizer()?)?.ok_or_else(|| {
        usage(format!(
            "{}: has no chat template, so nothing says how a chat is written: train one with `firebrand finetune --task instruction`",
            dir.display()
        ))
    })?;
    let prompt = |text: String| {
        let ids = chat.prompt(&turns(args, &text)?).with_context(|| format!("the prompt `{text}`"))?;
        Ok(Prompt { answers: true, ..Prompt::new(Some(text), ids) })
    };
    prompt_texts(args, false, global)?.into_iter().map(prompt).collect()
}

/// What has been said so far: one message, or all of a JSON list.
fn turns(args: &GenerateArgs, text: &str) -> anyhow::Result<Vec<Turn>> {
    let system = args.system.as_ref().map(|system| Turn::new(Role::System, system.as_str()));
    if text.trim().is_empty() {
        return Err(usage("a prompt is empty: there is nothing to answer"));
    }
    let said = match text.trim_start().starts_with('[') {
        false => vec![Turn::new(Role::User, text)],
        true => serde_json::from_str(text).map_err(|error| {
            usage(format!(
                "--chat: a prompt that begins with `[` is a JSON list of objects with `role` (system, user, assistant) and \
                 `content`: {error}"
            ))
        })?,
    };
    Ok(system.into_iter().chain(said).collect())
}
