//! `cargo xtask pipeline list`: what there is.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use super::check;
use super::file::{self, Pipeline};
use super::values::plain;
use crate::failure::Failure;
use crate::nearest::did_you_mean;
use crate::{process, workspace};

/// Show the pipelines, their stages and settings.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask pipeline list\n  cargo xtask pipeline list --json")]
pub(super) struct Args {
    /// Print a line of JSON a pipeline.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<()> {
    for path in files()? {
        let pipeline = file::read(&path)?;
        check::check(&pipeline)?;
        process::print(&if args.json { as_json(&pipeline) } else { as_text(&pipeline) })?;
    }
    Ok(())
}

/// The pipeline called `name`, or in the file `name`.
pub(super) fn find(name: &str) -> Result<Pipeline> {
    if name.ends_with(".toml") {
        return match PathBuf::from(name) {
            path if path.is_file() => file::read(&path),
            _ => Err(Failure::Usage(format!("{name}: no such file")).into()),
        };
    }
    let files = files()?;
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(path) = files.iter().find(|path| stem(path) == name) {
        return file::read(path);
    }
    let names: Vec<String> = files.iter().map(stem).collect();
    let near = did_you_mean(name, names.iter().map(String::as_str));
    Err(Failure::Usage(format!("no pipeline is called `{name}`{near} (there are: {})", names.join(", ")))
        .into())
}

/// The pipelines of the workspace, by name.
fn files() -> Result<Vec<PathBuf>> {
    let folder = workspace::root()?.join("configs").join("pipelines");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| crate::paths::relative(&entry.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}

fn as_text(pipeline: &Pipeline) -> String {
    let mut lines = vec![pipeline.name.clone()];
    let mut part = |name: &str, words: &[String]| {
        // At most 80 columns, the words of a part under each other.
        let mut line = format!("  {name:<10}");
        let indent = line.len();
        for (number, word) in words.iter().enumerate() {
            if line.len() > indent && line.chars().count() + 1 + word.chars().count() > 80 {
                lines.push(line.trim_end().to_owned());
                line = " ".repeat(indent);
            }
            line.push_str(if number > 0 && line.len() > indent { " " } else { "" });
            line.push_str(word);
        }
        lines.push(line);
    };
    part("", &pipeline.description.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    part("stages", &pipeline.stage_names().map(str::to_owned).collect::<Vec<_>>());
    let setting = |(name, value): &(String, toml::Value)| match value {
        toml::Value::Table(table) => {
            format!("{name}={}", table.values().next().map(plain).unwrap_or_default())
        }
        value => format!("{name}={}", plain(value)),
    };
    part("settings", &pipeline.settings.iter().map(setting).collect::<Vec<_>>());
    let swept = pipeline.sweep.grid.keys().chain(pipeline.sweep.list.iter().flat_map(|point| point.keys()));
    let mut swept: Vec<String> = swept.cloned().collect();
    swept.dedup();
    if !swept.is_empty() {
        part("sweeps", &swept);
    }
    lines.join("\n") + "\n"
}

fn as_json(pipeline: &Pipeline) -> String {
    let settings: serde_json::Map<String, serde_json::Value> =
        pipeline.settings.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "name": pipeline.name,
        "description": pipeline.description,
        "stages": pipeline.stage_names().collect::<Vec<_>>(),
        "settings": settings,
        "sweep": pipeline.sweep.grid,
    })
    .to_string()
}
