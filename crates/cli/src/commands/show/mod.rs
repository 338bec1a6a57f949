//! `firebrand show`: what a run is, how it was made, its curve; several runs side by side.

mod config;
mod differences;
mod one;
mod record;
mod several;
mod sparkline;

use crate::args::{Global, ShowArgs};
use crate::output::{complain, line, say};
use crate::run;
use crate::tensorboard::{self, EventFile};
use anyhow::Context;
use firebrand_durable::Lock;
use record::Record;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) fn run(args: &ShowArgs, global: &Global) -> anyhow::Result<()> {
    if let [dir] = &args.runs[..]
        && (record::is_one(dir) || runs_in(dir).is_empty())
    {
        let record = Record::read(dir)?;
        if args.tensorboard {
            write_events(&record, global)?;
        }
        return if global.json { line(record.json()) } else { one::show(&record) };
    }
    // A folder of runs stands for them.
    let dirs: Vec<PathBuf> = args
        .runs
        .iter()
        .flat_map(|dir| {
            let inside = if record::is_one(dir) { Vec::new() } else { runs_in(dir) };
            if inside.is_empty() { vec![dir.clone()] } else { inside }
        })
        .collect();
    let mut records = Vec::new();
    let mut failed = 0;
    for dir in &dirs {
        let record = Record::read(dir).and_then(|record| {
            if args.tensorboard {
                write_events(&record, global)?;
            }
            Ok(record)
        });
        match record {
            Ok(record) => records.push(record),
            Err(error) => {
                complain(format_args!("error: {error:#}"));
                failed += 1;
            }
        }
    }
    several::sort(&mut records, args.sort);
    match global.json {
        true => records.iter().try_for_each(|record| line(record.json()))?,
        false if records.is_empty() => {}
        false => several::show(&records)?,
    }
    if failed > 0 {
        anyhow::bail!("{failed} of {} could not be shown", dirs.len());
    }
    Ok(())
}

/// The runs and models in a folder, by name.
fn runs_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut runs: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| record::is_one(path)).collect();
    runs.sort();
    runs
}

/// Makes a run's event file from its metrics.
fn write_events(record: &Record, global: &Global) -> anyhow::Result<()> {
    let (dir, lock) = (&record.path, run::lock(&record.path));
    // Whoever trains the run may be writing it; and nobody may begin to in between.
    let _lock = match lock.parent().is_some_and(Path::is_dir) {
        true => Some(Lock::take(&lock).with_context(|| lock.display().to_string())?.map_err(|_| {
            anyhow::anyhow!(
                "{}: is being trained; its event file is written by `pretrain --tensorboard`, or here once it stops",
                dir.display()
            )
        })?),
        false => None,
    };
    let metrics = dir.join("metrics.jsonl");
    let logged = std::fs::metadata(&metrics).and_then(|metadata| metadata.modified());
    let file = EventFile::write(dir, &record.metrics, logged.unwrap_or_else(|_| SystemTime::now()))
        .with_context(|| tensorboard::folder(dir).display().to_string())?;
    say(global, format!("{}: {} steps", file.path().display(), record.metrics.len()));
    Ok(())
}
