//! Whether what a pipeline file says makes sense: everything that can be known before anything runs.

use std::collections::BTreeSet;

use anyhow::Result;

use super::file::{Pipeline, Stage, Threads, Word};
use super::graph::Graph;
use super::template::{self, OUT, Piece, RESERVED, begins_with_path};
use super::values::Key;
use crate::nearest::did_you_mean;
use crate::run_directory;

/// Checks `pipeline` and finds which stage needs which.
///
/// # Errors
/// The first mistake, with file, line and way out.
pub(super) fn check(pipeline: &Pipeline) -> Result<Graph> {
    if pipeline.stages.is_empty() {
        return Err(pipeline.wrong("it has no stages; write [stages.NAME] with run = [\"COMMAND\", …]"));
    }
    for (name, _) in &pipeline.settings {
        if RESERVED.contains(&name.as_str()) || !is_name(name, "_-") {
            return Err(pipeline.wrong(format!("a setting cannot be called `{name}`")));
        }
    }
    for name in pipeline.smoke.stages.keys() {
        if pipeline.stage(name).is_none() {
            let near = did_you_mean(name, pipeline.stage_names());
            return Err(pipeline.wrong(format!("[smoke.stages.{name}]: no stage is called so{near}")));
        }
    }
    for stage in &pipeline.stages {
        check_stage(pipeline, stage)?;
    }
    check_outputs(pipeline)?;
    check_table(pipeline)?;
    let graph = Graph::new(pipeline)?;
    for (number, stage) in pipeline.stages.iter().enumerate() {
        check_mentions(pipeline, &graph, number, stage)?;
    }
    Ok(graph)
}

fn is_name(name: &str, also: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
}

fn check_stage(pipeline: &Pipeline, stage: &Stage) -> Result<()> {
    let body = &stage.body;
    if !is_name(&stage.name, "_-") {
        return Err(pipeline.wrong_stage(stage, "a stage's name is of letters, digits, `-` and `_`"));
    }
    if !matches!(body.run.first(), Some(Word::One(command)) if !command.is_empty()) {
        return Err(
            pipeline.wrong_stage(stage, "`run` begins with a command of firebrand, such as \"score\"")
        );
    }
    for text in body.templates() {
        check_template(pipeline, text).map_err(|wrong| pipeline.wrong_stage(stage, wrong))?;
    }
    match &body.threads {
        Threads::Count(0) => {
            return Err(pipeline.wrong_stage(stage, "threads = 0; a stage takes at least one"));
        }
        Threads::Text(text) if text != "all" && !text.starts_with('{') => {
            return Err(
                pipeline.wrong_stage(stage, format!("threads = \"{text}\"; write a number or \"all\""))
            );
        }
        _ => {}
    }
    for name in &body.after {
        if pipeline.stage(name).is_none() {
            let near = did_you_mean(name, pipeline.stage_names());
            return Err(pipeline
                .wrong_stage(stage, format!("`after` names `{name}`, but no stage is called so{near}")));
        }
    }
    if !body.set.is_empty() && body.trains.is_none() {
        return Err(
            pipeline.wrong_stage(stage, "`set` is for a stage that `trains` a run; others have no config")
        );
    }
    for output in body.made() {
        let below = output.strip_prefix(OUT).and_then(|rest| rest.strip_prefix('/'));
        let climbs = below.is_some_and(|below| below.split('/').any(|part| matches!(part, "" | "." | "..")));
        let is_run = body.trains.as_deref() == Some(output);
        if climbs || below.is_none() && !(is_run && output == OUT) {
            return Err(pipeline.wrong_stage(
                stage,
                format!("output `{output}` must be a plain path that begins with {{out}}/"),
            ));
        }
        let first = below.unwrap_or_default().split('/').next();
        if first == Some(super::state::FOLDER) {
            return Err(pipeline
                .wrong_stage(stage, format!("output `{output}` lies where the pipeline keeps its state")));
        }
    }
    if body.made().next().is_none() {
        return Err(pipeline.wrong_stage(
            stage,
            "it has no outputs; name them, or keep what it prints: stdout = \"{out}/FILE\"",
        ));
    }
    Ok(())
}

/// Whether every name in `text` is known.
fn check_template(pipeline: &Pipeline, text: &str) -> Result<(), String> {
    for piece in template::pieces(text)? {
        let Piece::Name(name) = piece else { continue };
        let known = || pipeline.settings.iter().map(|(name, _)| name.as_str()).chain(RESERVED);
        if !known().any(|known| known == name) {
            let near = did_you_mean(name, known());
            return Err(format!("`{text}`: no setting is called `{name}`{near}"));
        }
    }
    Ok(())
}

/// No output is made twice, and none lies in another.
fn check_outputs(pipeline: &Pipeline) -> Result<()> {
    let mut outputs: Vec<(&Stage, &str)> = Vec::new();
    for stage in &pipeline.stages {
        for output in stage.body.made() {
            for (other, theirs) in &outputs {
                let place = format!("stage `{}` (line {})", other.name, other.line);
                if output == *theirs {
                    return Err(
                        pipeline.wrong_stage(stage, format!("it writes {output}, which {place} writes, too"))
                    );
                }
                if lies_in(output, stage, theirs, other) || lies_in(theirs, other, output, stage) {
                    return Err(pipeline.wrong_stage(
                        stage,
                        format!("its output {output} and {theirs} of {place} lie one in the other; keep them apart"),
                    ));
                }
            }
            outputs.push((stage, output));
        }
    }
    if pipeline.table.is_some() {
        for file in [super::table::JSON, super::table::MARKDOWN] {
            if let Some((stage, _)) = outputs.iter().find(|(_, output)| *output == format!("{OUT}/{file}")) {
                return Err(
                    pipeline.wrong_stage(stage, format!("{OUT}/{file} is where the table of results goes"))
                );
            }
        }
    }
    Ok(())
}

/// Whether `inner` lies in `outer`. Of a run directory only the files of the run are its stage's.
fn lies_in(inner: &str, of: &Stage, outer: &str, owner: &Stage) -> bool {
    let Some(rest) = inner.strip_prefix(outer).and_then(|rest| rest.strip_prefix('/')) else { return false };
    if owner.body.trains.as_deref() != Some(outer) {
        return true;
    }
    let first = rest.split('/').next().unwrap_or_default();
    let is_run_too = of.body.trains.as_deref() == Some(inner);
    run_directory::FILES.contains(&first) && !is_run_too
}

/// A path of another stage's that a command names must be among the inputs: otherwise it runs too early, or not again.
fn check_mentions(pipeline: &Pipeline, graph: &Graph, number: usize, stage: &Stage) -> Result<()> {
    let inputs: BTreeSet<&str> = stage.body.inputs.iter().map(String::as_str).collect();
    for text in stage.body.templates().filter(|text| !inputs.contains(text)) {
        for piece in template::pieces(text).unwrap_or_default() {
            let Piece::Out(from) = piece else { continue };
            let Some(maker) = graph.maker_of(pipeline, from).filter(|maker| *maker != number) else {
                continue;
            };
            if stage.body.inputs.iter().any(|input| begins_with_path(from, input)) {
                continue;
            }
            let path = pipeline.stages[maker].body.made().find(|made| begins_with_path(from, made));
            return Err(pipeline.wrong_stage(
                stage,
                format!(
                    "`{text}` names what stage `{}` makes; add \"{}\" to its inputs",
                    pipeline.stages[maker].name,
                    path.unwrap_or(OUT)
                ),
            ));
        }
    }
    Ok(())
}

fn check_table(pipeline: &Pipeline) -> Result<()> {
    let Some(table) = &pipeline.table else { return Ok(()) };
    for (column, cell) in &table.columns {
        let wrong = |what: String| pipeline.wrong(format!("[table] column `{column}`: {what}"));
        check_template(pipeline, cell).map_err(wrong)?;
        if cell.rsplit_once(':').is_none_or(|(file, key)| file.is_empty() || key.is_empty()) {
            return Err(wrong(format!("`{cell}` names no value; write \"FILE.json:KEY\"")));
        }
    }
    if table.lowest.is_some() && table.highest.is_some() {
        return Err(
            pipeline.wrong("[table]: the best row is the `lowest` or the `highest` of a column, not both")
        );
    }
    let Some(best) = table.lowest.as_ref().or(table.highest.as_ref()) else { return Ok(()) };
    if !table.columns.contains_key(best) {
        let near = did_you_mean(best, table.columns.keys().map(String::as_str));
        return Err(pipeline.wrong(format!("[table]: no column is called `{best}`{near}")));
    }
    Ok(())
}

/// The key called `text` in a part of the file outside the stages.
pub(super) fn key(pipeline: &Pipeline, part: &str, text: &str) -> Result<Key> {
    Key::parse(pipeline, text).map_err(|wrong| pipeline.wrong(format!("[{part}] {text}: {wrong}")))
}
