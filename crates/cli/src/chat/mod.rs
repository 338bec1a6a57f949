//! Chats as text: a Jinja template says how turns are written, and where a response begins and ends.
//!
//! The template stands in `tokenizer_config.json` under `chat_template`, where transformers looks for it. A chat is encoded part by
//! part, and every response is a part of its own: so where a response begins its ids are the same in training, where it is all there,
//! and in use, where it is still to come.

mod template;

use crate::exit::usage;
use anyhow::Context;
use firebrand_corpus::labelled::{Role, Turn};
use firebrand_tokenizer::Tokenizer;
use serde_json::Value;
use std::path::Path;
pub(crate) use template::Template;

/// How chats are written where nothing else is asked for: the role and a colon on a line, what is said on the next ones, an end of
/// text behind each response and in front of all. Line ends stand in quotes: of those behind a block the renderer takes one away.
pub(crate) const DEFAULT: &str = "{{ eos_token }}{% for message in messages %}\
{{ message['role'] | capitalize + ':\\n' + message['content'] | trim }}\
{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}";

const FILE: &str = "tokenizer_config.json";
const KEY: &str = "chat_template";
/// Where newer folders of transformers have it.
const OWN_FILE: &str = "chat_template.jinja";

/// A part of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) ids: Vec<u32>,
    /// Whether it is a response, with the end of text that closes it.
    pub(crate) response: bool,
}

/// A template and the tokenizer of the texts it makes.
pub(crate) struct Chat<'a> {
    template: Template,
    tokenizer: &'a Tokenizer,
    /// What ends a response.
    end: String,
}

impl<'a> Chat<'a> {
    /// Chats written by this template.
    ///
    /// # Errors
    /// A template that is malformed, or puts no end of text behind a response; a tokenizer without such a token.
    pub(crate) fn new(source: &str, tokenizer: &'a Tokenizer) -> anyhow::Result<Self> {
        Self::open(source, tokenizer).map_err(|error| usage(format!("{error:#}")))
    }

    fn open(source: &str, tokenizer: &'a Tokenizer) -> anyhow::Result<Self> {
        let name = |id: Option<u32>| id.and_then(|id| tokenizer.id_to_token(id)).map(str::to_owned);
        let end = name(tokenizer.end_of_text()).context(
            "the tokenizer has no end-of-text token: a model of it would not learn where a response ends",
        )?;
        let begin = name(tokenizer.begin_of_text()).unwrap_or_default();
        let chat = Self { template: Template::new(source, &begin, &end)?, tokenizer, end };
        let turns = [Turn::new(Role::User, "a"), Turn::new(Role::Assistant, "b")];
        let parts = chat.parts(&turns, false).context("the chat template")?;
        match parts.iter().any(|(text, response)| *response && text.ends_with(&chat.end)) {
            true => Ok(chat),
            false => anyhow::bail!(
                "the chat template puts no `{}` behind a response: a model would not learn to stop there; write \
                 {{{{ eos_token }}}} behind it",
                chat.end
            ),
        }
    }

    /// The template that the folder of a model holds.
    ///
    /// # Errors
    /// A file that cannot be read, and what [`Chat::new`] says of templates.
    pub(crate) fn of_folder(dir: &Path, tokenizer: &'a Tokenizer) -> anyhow::Result<Option<Self>> {
        let source = source_in(dir)?;
        let chat = source.map(|source| Self::new(&source, tokenizer)).transpose();
        chat.with_context(|| dir.display().to_string())
    }

    /// The parts of a chat; one that is open ends where a response is to begin.
    ///
    /// # Errors
    /// What the template says; a text that spells a special token, which would be read as one.
    pub(crate) fn encode(&self, turns: &[Turn], open: bool) -> anyhow::Result<Vec<Part>> {
        for turn in turns {
            self.tokenizer.encode_refusing_special(&turn.content)?;
        }
        let parts = self.parts(turns, open)?;
        let encode = |(text, response): (String, bool)| Part {
            ids: self.tokenizer.encode_with_special(&text),
            response,
        };
        Ok(parts.into_iter().map(encode).filter(|part| !part.ids.is_empty()).collect())
    }

    /// The ids of an open chat.
    ///
    /// # Errors
    /// As [`Chat::encode`].
    pub(crate) fn prompt(&self, turns: &[Turn]) -> anyhow::Result<Vec<u32>> {
        Ok(self.encode(turns, true)?.into_iter().flat_map(|part| part.ids).collect())
    }

    /// The texts of the parts, and which are responses.
    fn parts(&self, turns: &[Turn], open: bool) -> anyhow::Result<Vec<(String, bool)>> {
        let whole = self.template.render(turns, open)?;
        let (mut parts, mut done) = (Vec::new(), 0);
        for (index, _) in turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant) {
            let before = self.template.render(&turns[..index], true)?;
            let with = self.template.render(&turns[..=index], false)?;
            let response = with.strip_prefix(before.as_str()).filter(|_| whole.starts_with(&before));
            let response = response.with_context(|| {
                format!(
                    "turn {} does not begin where the template says that a response begins (add_generation_prompt)",
                    index + 1
                )
            })?;
            let length = response.rfind(&self.end).map_or(response.len(), |at| at + self.end.len());
            let end = before.len() + length;
            anyhow::ensure!(
                whole.get(before.len()..end) == Some(&response[..length]),
                "the template writes turn {} otherwise when other turns follow it",
                index + 1
            );
            parts.push((whole[done..before.len()].to_owned(), false));
            parts.push((whole[before.len()..end].to_owned(), true));
            done = end;
        }
        parts.push((whole[done..].to_owned(), false));
        Ok(parts)
    }
}

/// The source of the template in the folder of a model.
pub(crate) fn source_in(dir: &Path) -> anyhow::Result<Option<String>> {
    let own = dir.join(OWN_FILE);
    if own.exists() {
        return std::fs::read_to_string(&own).map(Some).with_context(|| own.display().to_string());
    }
    let path = dir.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let json: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(json[KEY].as_str().map(str::to_owned))
}

/// Writes a template into the folder of a model, whose tokenizer is there already.
pub(crate) fn save(dir: &Path, source: &str) -> anyhow::Result<()> {
    let path = dir.join(FILE);
    let at = || path.display().to_string();
    let text = std::fs::read_to_string(&path).with_context(at)?;
    let mut json: Value = serde_json::from_str(&text).with_context(at)?;
    json[KEY] = source.into();
    let text = serde_json::to_string_pretty(&json).with_context(at)? + "\n";
    firebrand_durable::write(&path, text.as_bytes()).with_context(at)
}

#[cfg(test)]
mod tests;
