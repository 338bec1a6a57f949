//! The values a pipeline runs with: settings, and keys of the configs of its stages.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Result;
use toml::{Table, Value};

use super::file::{Pipeline, Stage};
use super::template::ROOT;
use crate::failure::Failure;
use crate::nearest::did_you_mean;

/// A thing that can be set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// One of the pipeline's settings.
    Setting(String),
    /// A key of the config of one stage's command.
    Config { stage: String, key: String },
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(name) => f.write_str(name),
            Self::Config { stage, key } => write!(f, "{stage}.{key}"),
        }
    }
}

impl Key {
    /// The key that `text` names in `pipeline`.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub(super) fn parse(pipeline: &Pipeline, text: &str) -> Result<Self, String> {
        let settings = || pipeline.settings.iter().map(|(name, _)| name.as_str());
        if settings().any(|name| name == text) {
            return Ok(Self::Setting(text.to_owned()));
        }
        let Some((stage, key)) = text.split_once('.').filter(|(_, key)| !key.is_empty()) else {
            let names = settings().collect::<Vec<_>>().join(", ");
            let names = if names.is_empty() {
                "it has no settings".to_owned()
            } else {
                format!("its settings: {names}")
            };
            let near = did_you_mean(text, settings());
            return Err(format!("pipeline {} has no setting `{text}`{near} ({names})", pipeline.name));
        };
        let Some(number) = pipeline.stage(stage) else {
            let near = did_you_mean(stage, pipeline.stage_names());
            return Err(format!("pipeline {} has no stage `{stage}`{near}", pipeline.name));
        };
        if pipeline.stages[number].body.trains.is_none() {
            return Err(format!(
                "stage `{stage}` trains nothing, so it has no config to set `{key}` in; only settings reach it"
            ));
        }
        Ok(Self::Config { stage: stage.to_owned(), key: key.to_owned() })
    }
}

/// A value for each setting, and those config keys that have been set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    settings: BTreeMap<String, Value>,
    config: BTreeMap<(String, String), Value>,
}

impl Values {
    /// The defaults of `pipeline`.
    ///
    /// # Errors
    /// When a default is no text, number, truth value or `{ if_exists = PATH }`.
    pub(super) fn defaults(pipeline: &Pipeline, root: &Path) -> Result<Self> {
        let mut settings = BTreeMap::new();
        for (name, value) in &pipeline.settings {
            let value = match value {
                Value::Table(table) => if_exists(root, table).ok_or_else(|| no_default(pipeline, name))?,
                Value::Array(_) | Value::Datetime(_) => return Err(no_default(pipeline, name)),
                plain => plain.clone(),
            };
            settings.insert(name.clone(), value);
        }
        Ok(Self { settings, config: BTreeMap::new() })
    }

    /// Gives `key` a value.
    ///
    /// # Errors
    /// When a setting is of another kind, as the end of a sentence.
    pub(super) fn set(&mut self, key: &Key, value: Value) -> Result<(), String> {
        match key {
            Key::Config { stage, key } => {
                self.config.insert((stage.clone(), key.clone()), value);
            }
            Key::Setting(name) => {
                let old = &self.settings[name];
                let is_number = |value: &Value| value.is_integer() || value.is_float();
                if !(old.same_type(&value) || is_number(old) && is_number(&value)) {
                    return Err(format!("`{name}` is {}, not {value}", kind(old)));
                }
                self.settings.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    /// `text` as a value for `key`: what a user typed.
    ///
    /// # Errors
    /// When a setting is of another kind, as the end of a sentence.
    pub(super) fn typed(&self, key: &Key, text: &str) -> Result<Value, String> {
        let parsed =
            || toml::from_str::<Table>(&format!("value = {text}")).ok().and_then(|mut it| it.remove("value"));
        let as_text = || Value::String(text.to_owned());
        match key {
            Key::Config { .. } => Ok(parsed().unwrap_or_else(as_text)),
            Key::Setting(name) if self.settings[name].is_str() => Ok(as_text()),
            Key::Setting(name) => {
                parsed().ok_or_else(|| format!("`{name}` is {}, not `{text}`", kind(&self.settings[name])))
            }
        }
    }

    /// The value of a setting that exists.
    pub(super) fn setting(&self, name: &str) -> Option<&Value> {
        self.settings.get(name)
    }

    /// The keys that were set for the config of `stage`.
    pub(super) fn config_of(&self, stage: &Stage) -> impl Iterator<Item = (&str, &Value)> {
        let of_stage = self.config.iter().filter(|((name, _), _)| *name == stage.name);
        of_stage.map(|((_, key), value)| (key.as_str(), value))
    }
}

/// `value` as an argument: text without quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `{ if_exists = PATH }`: the path when something is there, else nothing.
fn if_exists(root: &Path, table: &Table) -> Option<Value> {
    let path = table.get("if_exists").filter(|_| table.len() == 1)?.as_str()?;
    let found = Path::new(&path.replace(ROOT, &root.to_string_lossy())).exists();
    Some(Value::String(if found { path.to_owned() } else { String::new() }))
}

fn no_default(pipeline: &Pipeline, name: &str) -> anyhow::Error {
    pipeline.wrong(format!(
        "the default of setting `{name}` must be a text, a number, true or false, or {{ if_exists = \"PATH\" }}"
    ))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Boolean(_) => "true or false",
        _ => "a number",
    }
}

/// `KEY=VALUE` of the option `--set` or `--sweep`.
///
/// # Errors
/// When there is no `=`.
pub(super) fn assignment<'a>(option: &str, text: &'a str, example: &str) -> Result<(&'a str, &'a str)> {
    let split = text.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
    split
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| Failure::Usage(format!("{option} {text}: write {example}")).into())
}

/// `a.b = 1` written as nested tables, with their dots again.
pub(super) fn flat(table: &Table) -> Vec<(String, Value)> {
    let mut flat_table = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => flat_table
                .extend(flat(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value))),
            value => flat_table.push((key.clone(), value.clone())),
        }
    }
    flat_table
}
