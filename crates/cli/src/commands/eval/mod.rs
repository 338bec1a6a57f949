//! `firebrand eval`: asks runs the tasks of suites, and says how well they do, how sure that is and how they differ.
//!
//! `suite` finds what is asked → `data` reads the examples of all tasks, before any model → `ask` a run for its answers → the
//! reports of `firebrand_evaluation` → `print`.

mod ask;
mod data;
mod print;
mod suite;

#[cfg(test)]
pub(crate) use suite::BUILT_IN;

use crate::args::{EvalArgs, Global};
use crate::exit::usage;
use crate::output::{check_writable, line};
use crate::run::{Trained, check_model};
use anyhow::Context;
use data::Examples;
use firebrand_evaluation::results::{Answers, TaskReport, report};
use firebrand_evaluation::suite::Task;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use suite::Asked;

/// A task with its examples, and what each run answered.
struct Prepared {
    /// The number of its suite.
    suite: usize,
    task: Task,
    examples: Examples,
    /// One a run.
    answers: Vec<Answers>,
}

pub(crate) fn run(args: &EvalArgs, global: &Global) -> anyhow::Result<()> {
    let suites = args.suite.iter().map(|name| suite::load(name)).collect::<anyhow::Result<Vec<Asked>>>()?;
    if let Some(path) = &args.examples {
        check_writable("--examples", path, "answers.jsonl")?;
    }
    // What is wrong with the last task or the last run is said before the first one takes its time.
    let mut tasks = prepare(&suites, args)?;
    args.runs.iter().try_for_each(|run| check_model(run))?;
    let mut devices = Vec::new();
    for run in &args.runs {
        let trained = Trained::open(run, global)?;
        for prepared in &mut tasks {
            let name = match args.runs.len() {
                1 => prepared.task.name.clone(),
                _ => format!("{}, {}", run.display(), prepared.task.name),
            };
            let answers = ask::ask(&trained, &prepared.examples, prepared.task.begins, global, &name);
            prepared
                .answers
                .push(answers.with_context(|| format!("{}: task `{}`", run.display(), prepared.task.name))?);
        }
        devices.push(trained.device);
    }
    if let Some(path) = &args.examples {
        write_examples(path, args, &suites, &tasks)?;
    }
    let reports: Vec<Vec<TaskReport>> = (0..suites.len())
        .map(|suite| {
            let of_suite = tasks.iter().filter(|prepared| prepared.suite == suite);
            let bootstrap = &suites[suite].suite.bootstrap;
            of_suite
                .map(|Prepared { task, answers, .. }| {
                    report(&task.name, task.kind.name().name(), answers, bootstrap)
                })
                .collect()
        })
        .collect();
    if global.json {
        let runs: Vec<_> = args
            .runs
            .iter()
            .zip(devices)
            .map(|(run, device)| json!({"run": run, "device": device}))
            .collect();
        let of_suites = suites.iter().zip(&reports).map(|(Asked { name, suite, .. }, tasks)| {
            let (title, bootstrap) = (&suite.title, suite.bootstrap);
            json!({
                "suite": name, "title": title, "seed": bootstrap.seed, "resamples": bootstrap.resamples,
                "confidence": bootstrap.confidence, "tasks": tasks,
            })
        });
        return line(json!({"runs": runs, "suites": of_suites.collect::<Vec<_>>()}));
    }
    for (i, (asked, reports)) in suites.iter().zip(&reports).enumerate() {
        if i > 0 {
            line("")?;
        }
        print::print(asked, reports, args)?;
    }
    Ok(())
}

/// The examples of all tasks that are wanted.
fn prepare(suites: &[Asked], args: &EvalArgs) -> anyhow::Result<Vec<Prepared>> {
    let names: Vec<&str> =
        suites.iter().flat_map(|asked| &asked.suite.tasks).map(|task| task.name.as_str()).collect();
    if let Some(unknown) = args.task.iter().find(|wanted| !names.contains(&wanted.as_str())) {
        let hint = crate::config::did_you_mean(unknown, &names);
        return Err(usage(format!(
            "--task {unknown}: there is no such task{hint}: there is {}",
            names.join(", ")
        )));
    }
    let mut tasks = Vec::new();
    for (suite, asked) in suites.iter().enumerate() {
        for task in &asked.suite.tasks {
            if !args.task.is_empty() && !args.task.contains(&task.name) {
                continue;
            }
            let limit = [task.limit, args.limit.map(|limit| limit.get())].into_iter().flatten().min();
            let task = Task { limit, ..task.clone() };
            let examples = data::read(&task, &asked.base, asked.suite.bootstrap.seed)
                .with_context(|| format!("{}: task `{}`", asked.origin, task.name))?;
            tasks.push(Prepared { suite, task, examples, answers: Vec::new() });
        }
    }
    Ok(tasks)
}

/// A line of JSON for each answer of each run.
fn write_examples(path: &Path, args: &EvalArgs, suites: &[Asked], tasks: &[Prepared]) -> anyhow::Result<()> {
    let written = firebrand_durable::write_with(path, |out| -> anyhow::Result<()> {
        for Prepared { suite, task, answers, .. } in tasks {
            for (run, answers) in args.runs.iter().zip(answers) {
                for example in 0..answers.len() {
                    let mut line = json!({"suite": suites[*suite].name, "task": task.name, "run": run, "example": example});
                    if let (Some(line), Some(answer)) =
                        (line.as_object_mut(), answers.json(example).as_object())
                    {
                        line.extend(answer.clone());
                    }
                    writeln!(out, "{line}")?;
                }
            }
        }
        Ok(())
    });
    written.with_context(|| format!("--examples {}", path.display()))
}
