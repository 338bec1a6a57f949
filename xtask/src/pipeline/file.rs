//! What stands in a pipeline file, and where.
//!
//! A pipeline is a TOML file: a description, settings with their defaults, stages that call the `firebrand` binary, what
//! differs in its short (smoke) form, perhaps a sweep and a table of results. This module reads it and knows nothing of
//! what the names in it mean; `check` does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::failure::Failure;
use crate::nearest::did_you_mean;

/// A pipeline as it was written.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// The file's name without `.toml`.
    pub(super) name: String,
    /// The file.
    pub(super) path: PathBuf,
    pub(super) description: String,
    /// Names with their defaults, in the order of the file.
    pub(super) settings: Vec<(String, Value)>,
    /// In the order of the file.
    pub(super) stages: Vec<Stage>,
    pub(super) sweep: Sweep,
    pub(super) table: Option<Table>,
    pub(super) smoke: Smoke,
}

/// A call of the binary.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    /// Where it stands in the file.
    pub(super) line: usize,
    pub(super) body: Body,
}

/// What a stage is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    /// Arguments of the binary.
    pub(super) run: Vec<Word>,
    /// Files and folders it reads.
    #[serde(default)]
    pub(super) inputs: Vec<String>,
    /// Files and folders it writes. A folder is the stage's alone.
    #[serde(default)]
    pub(super) outputs: Vec<String>,
    /// The file that what it prints goes into: one more output.
    pub(super) stdout: Option<String>,
    /// The run directory it trains: one more output, and one that a stopped stage goes on with.
    pub(super) trains: Option<String>,
    /// Stages to wait for, besides those that make its inputs.
    #[serde(default)]
    pub(super) after: Vec<String>,
    #[serde(default)]
    pub(super) threads: Threads,
    /// Keys of the config of a command that trains.
    #[serde(default)]
    pub(super) set: BTreeMap<String, Value>,
    /// Whether the command computes on a device that can be chosen.
    #[serde(default)]
    pub(super) device: bool,
}

/// One argument, or several that are left out together when a setting in them is empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected an argument, or a list of arguments that belong together")]
pub(super) enum Word {
    One(String),
    Group(Vec<String>),
}

/// How many threads a stage takes: a number, `"all"`, or the name of a setting in braces.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of threads, \"all\", or a setting in braces")]
pub(super) enum Threads {
    Count(usize),
    Text(String),
}

impl Default for Threads {
    fn default() -> Self {
        Self::Count(1)
    }
}

/// Several runs of one pipeline that differ in some keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sweep {
    /// Every combination of these values.
    pub(super) grid: BTreeMap<String, Vec<Value>>,
    /// These points.
    pub(super) list: Vec<BTreeMap<String, Value>>,
}

/// What stands in the table of results.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// Names, and where the value is: `FILE.json:KEY`.
    pub(super) columns: BTreeMap<String, String>,
    /// The column whose lowest value is the best.
    pub(super) lowest: Option<String>,
    /// The column whose highest value is the best.
    pub(super) highest: Option<String>,
}

/// What differs in the short form, which takes seconds and no network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Smoke {
    /// Other values to sweep.
    pub(super) sweep: Option<Sweep>,
    /// Other commands for some stages.
    pub(super) stages: BTreeMap<String, SmokeStage>,
    /// Values of settings and of keys such as `STAGE.optimizer.lr`.
    #[serde(flatten)]
    pub(super) set: toml::Table,
}

/// A stage that does something else in the short form.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SmokeStage {
    pub(super) run: Vec<Word>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: String,
    #[serde(default)]
    settings: BTreeMap<Spanned<String>, Value>,
    stages: BTreeMap<Spanned<String>, Body>,
    #[serde(default)]
    sweep: Sweep,
    table: Option<Table>,
    #[serde(default)]
    smoke: Smoke,
}

/// Reads the pipeline at `path`.
pub(super) fn read(path: &Path) -> Result<Pipeline> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read the pipeline {}", path.display()))?;
    parse(path, &text)
}

/// The pipeline in `text`, which stands in `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Pipeline> {
    let file: File = toml::from_str(text).map_err(|error| Failure::Usage(explain(path, &error)))?;
    let line = |at: usize| 1 + text[..at].matches('\n').count();
    // The order of the file: that of a table is the alphabet's.
    let mut stages: Vec<_> = file.stages.into_iter().collect();
    stages.sort_by_key(|(name, _)| name.span().start);
    let stage = |(name, body): (Spanned<String>, Body)| Stage {
        line: line(name.span().start),
        name: name.into_inner(),
        body,
    };
    let mut settings: Vec<_> = file.settings.into_iter().collect();
    settings.sort_by_key(|(name, _)| name.span().start);
    Ok(Pipeline {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        path: path.to_path_buf(),
        description: file.description,
        settings: settings.into_iter().map(|(name, value)| (name.into_inner(), value)).collect(),
        stages: stages.into_iter().map(stage).collect(),
        sweep: file.sweep,
        table: file.table,
        smoke: file.smoke,
    })
}

/// The error with file, line and the nearest known key, where an unknown one is the cause.
fn explain(path: &Path, error: &toml::de::Error) -> String {
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let hint = match quoted.split_first() {
        Some((unknown, known)) if error.message().starts_with("unknown") => {
            did_you_mean(unknown, known.iter().copied())
        }
        _ => String::new(),
    };
    format!("{}: {}{hint}", path.display(), error.to_string().trim_end())
}

impl Pipeline {
    /// The short form: other values, other commands.
    pub(super) fn into_smoke(mut self) -> Self {
        for stage in &mut self.stages {
            if let Some(smoke) = self.smoke.stages.get(&stage.name) {
                stage.body.run.clone_from(&smoke.run);
            }
        }
        if let Some(sweep) = self.smoke.sweep.take() {
            self.sweep = sweep;
        }
        self.name.push_str("-smoke");
        self
    }

    /// The number of the stage called `name`.
    pub(super) fn stage(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == name)
    }

    /// The names of the stages.
    pub(super) fn stage_names(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().map(|stage| stage.name.as_str())
    }

    /// A mistake in the file, at the stage it is in.
    pub(super) fn wrong_stage(&self, stage: &Stage, what: impl std::fmt::Display) -> anyhow::Error {
        Failure::Usage(format!("{}:{}: stage `{}`: {what}", self.path.display(), stage.line, stage.name))
            .into()
    }

    /// A mistake in the file, outside its stages.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> anyhow::Error {
        Failure::Usage(format!("{}: {what}", self.path.display())).into()
    }
}

impl Body {
    /// Every template in it.
    pub(super) fn templates(&self) -> impl Iterator<Item = &str> {
        let words = self.run.iter().flat_map(Word::words).chain(&self.inputs).map(String::as_str);
        let threads = match &self.threads {
            Threads::Text(text) if text != "all" => Some(text.as_str()),
            _ => None,
        };
        let mut set = Vec::new();
        self.set.values().for_each(|value| strings(value, &mut set));
        words.chain(self.made()).chain(threads).chain(set)
    }

    /// Every output: declared, printed, trained.
    pub(super) fn made(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().chain(&self.stdout).chain(&self.trains).map(String::as_str)
    }
}

impl Word {
    /// Its arguments.
    pub(super) fn words(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Group(words) => words,
        }
    }
}

fn strings<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        format!("{:#}", parse(Path::new("p.toml"), text).expect_err("a file with a mistake"))
    }

    #[test]
    fn stages_and_settings_keep_the_order_of_the_file() {
        let text = "description = \"d\"\n[settings]\nz = 1\na = \"x\"\n[stages.two]\nrun = [\"score\"]\n\n[stages.one]\n\
                    run = [\"show\", [\"--text\", \"{a}\"]]\nset = { \"optimizer.lr\" = 0.1 }\n";
        let pipeline = parse(Path::new("configs/p.toml"), text).expect("well-formed");
        assert_eq!(pipeline.name, "p");
        assert_eq!(pipeline.stage_names().collect::<Vec<_>>(), ["two", "one"]);
        assert_eq!(pipeline.stages.iter().map(|stage| stage.line).collect::<Vec<_>>(), [5, 8]);
        assert_eq!(pipeline.settings.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["z", "a"]);
    }

    #[test]
    fn an_unknown_key_is_named_with_line_and_nearest() {
        let error = error("description = \"d\"\n[stages.a]\nrun = [\"show\"]\ninput = [\"x\"]\n");
        assert!(error.starts_with("p.toml: ") && error.contains("line 4"), "{error}");
        assert!(error.contains("did you mean `inputs`?"), "{error}");
    }

    #[test]
    fn a_value_of_another_kind_is_named_with_its_line() {
        let error = error("description = \"d\"\n[stages.a]\nrun = \"show\"\n");
        assert!(error.contains("line 3") && error.contains("show"), "{error}");
    }
}
