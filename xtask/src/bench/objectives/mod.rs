//! What each pretraining objective learns from the same text with as many parameters.

mod learned;
mod probe;
mod table;
mod text;
mod trials;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::figure::{Figure, TargetIs};
use super::kept::{self, Kept};
use super::{Bench as Name, Options, json};
use crate::{process, run_directory, workspace};
use learned::{Bench, Learned};
use text::{CORPUS, HELD_OUT, LABELLED, TASKS, TESTED, VOCAB_SIZE};
use trials::{BIDIRECTIONAL, FIRST, HALF, TRIALS, Trial};

const STEPS: u32 = 1200;
/// Those of which the speed is measured.
const TIMED_STEPS: u32 = 40;

/// The forward half of a bidirectional model may have so many bits per byte more than a causal model of its size.
const MOST_OF_HALF: f64 = 1.02;

/// What `firebrand pretrain --json` prints.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Speed {
    tokens_per_s: f64,
    peak_bytes: f64,
}

/// A model's figures.
struct Row {
    name: &'static str,
    learned: Learned,
    speed: Option<Speed>,
}

/// Trains every objective, and looks at what it has learned.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let wanted: Vec<Trial> = TRIALS.into_iter().filter(|trial| options.wants(trial.name)).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let folder = folder()?;
    let corpus = text::corpus(firebrand, &folder)?;
    let bench = Bench { firebrand, folder: &folder, corpus: &corpus, threads: options.threads };
    let kept = Kept::new(folder.join("results"), key(firebrand)?)?;
    let settings = |trial: &Trial| {
        let flops = if options.flops { " of the first, in operations" } else { "" };
        format!("{trial:?}, {} steps{flops}", options.steps.unwrap_or(STEPS))
    };
    let mut looked_at = None;
    for trial in &wanted {
        kept.get_or(trial.name, &settings(trial), || {
            let (tasks, blimp) = match &mut looked_at {
                Some(made) => made,
                none => none.insert((
                    TASKS
                        .map(|task| text::task(firebrand, &folder, task))
                        .into_iter()
                        .collect::<Result<Vec<_>>>()?,
                    text::minimal_pairs(&folder)?,
                )),
            };
            let size = bench.size(trial)?;
            let steps = options.steps.unwrap_or(STEPS);
            let steps = match options.flops {
                false => steps,
                true => {
                    let first = bench.size(&first())?.step_flops();
                    (f64::from(steps) * first / size.step_flops()).round() as u32
                }
            };
            bench.learn(trial, size, steps, tasks, blimp.as_deref())
        })?;
    }
    let timed = |trial: &Trial| format!("{trial:?} on {} threads", options.threads);
    for trial in wanted.iter().filter(|_| !options.no_speed) {
        kept.get_or(&format!("{}-speed", trial.name), &timed(trial), || {
            speed(&bench, trial, options.rounds)
        })?;
    }
    // What was wanted, and whatever else is there: the table grows with every part.
    let rows: Vec<Row> = TRIALS
        .iter()
        .filter_map(|trial| {
            let learned = kept.get(trial.name, &settings(trial))?;
            let speed = kept.get(&format!("{}-speed", trial.name), &timed(trial));
            Some(Row { name: trial.name, learned, speed })
        })
        .collect();
    let table = folder.join("table.md");
    fs::write(&table, table::markdown(&rows)).with_context(|| format!("cannot write {}", table.display()))?;
    eprintln!("All rows so far: {}", crate::paths::shown(&table));
    let half = rows.iter().find(|row| row.name == HALF).and_then(|row| row.learned.bits_per_byte);
    let wanted = rows.iter().filter(|row| wanted.iter().any(|trial| trial.name == row.name));
    Ok(wanted.flat_map(|row| figures(row, half)).collect())
}

fn first() -> Trial {
    *TRIALS.iter().find(|trial| trial.name == FIRST).unwrap_or(&TRIALS[0])
}

/// What all results depend on.
fn key(firebrand: &Path) -> Result<String> {
    let binary = kept::binary(firebrand)?;
    Ok(format!(
        "{binary}; {CORPUS}, {VOCAB_SIZE} tokens, {HELD_OUT} held out, {TESTED} of {LABELLED} texts tested"
    ))
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::root()?.join("target").join("bench").join("objectives");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// The median speed of some rounds of few steps, and the most memory.
fn speed(bench: &Bench<'_>, trial: &Trial, rounds: u32) -> Result<Speed> {
    let run = bench.folder.join("timed");
    let (mut speeds, mut peak_bytes) = (Vec::new(), 0.0);
    for round in 1..=rounds {
        run_directory::remove(&run)?;
        let mut command = bench.pretrain(trial);
        command.args(["--set", &format!("training.steps={TIMED_STEPS}")]);
        command.args(["--set", "data.held_out=none"]).arg("--out").arg(&run);
        let timed: Speed = json(&process::output(&format!("time {}", trial.name), &mut command)?)?;
        eprintln!("{} round {round}/{rounds}: {:.0} tokens/s", trial.name, timed.tokens_per_s);
        speeds.push(timed.tokens_per_s);
        peak_bytes = f64::max(peak_bytes, timed.peak_bytes);
    }
    run_directory::remove(&run)?;
    let tokens_per_s = super::figure::median(&speeds).context("there is one round at least")?;
    Ok(Speed { tokens_per_s, peak_bytes })
}

/// The figures of a row; `half` is what the causal model of the size of a half needs.
fn figures(row: &Row, half: Option<f64>) -> Vec<Figure> {
    let Learned { loss, bits_per_byte, forward, ngram, scored, probed, blimp, flops, size, .. } =
        &row.learned;
    let new = |unit, value: f64| Figure::new(Name::Objectives.name(), row.name, unit, &[value]);
    let mut figures = Vec::new();
    figures.extend(new("parameters", size.n_params as f64));
    figures.extend(new("10¹² operations of training", flops / 1e12));
    figures.extend(new("nats a target, held out", *loss));
    let ngram: Vec<f64> = ngram.iter().copied().collect();
    if let Some(figure) = bits_per_byte.and_then(|bits| new("bits per byte, held out", bits)) {
        figures.push(figure.beside("5-gram model", &ngram).with_target(TargetIs::MostRatio, 1.0));
    }
    if let Some(figure) = scored.filter(|_| bits_per_byte.is_none()) {
        figures.extend(
            new("bits per byte, read from left to right", figure)
                .map(|figure| figure.beside("5-gram model", &ngram)),
        );
    }
    if let Some(figure) = forward.filter(|_| row.name == BIDIRECTIONAL) {
        let half: Vec<f64> = half.into_iter().collect();
        let figure =
            new("bits per byte of the forward half", figure).map(|figure| figure.beside(HALF, &half));
        figures.extend(figure.map(|figure| figure.with_target(TargetIs::MostRatio, MOST_OF_HALF)));
    }
    for (probed, units) in probed.iter().zip([
        [
            "of the reviews right, last layer",
            "of the reviews right, best layer",
            "of the reviews right, mix",
            "of the reviews more by the mix than by the best layer",
            "of the reviews right by any layer",
        ],
        [
            "of the pairs right, last layer",
            "of the pairs right, best layer",
            "of the pairs right, mix",
            "of the pairs more by the mix than by the best layer",
            "of the pairs right by any layer",
        ],
    ]) {
        let best = probed.layers.iter().copied().fold(0.0, f64::max);
        let last = probed.layers.last().copied().unwrap_or(f64::NAN);
        let values = [last, best, probed.mix, probed.gain, probed.any];
        figures.extend(units.into_iter().zip(values).filter_map(|(unit, value)| new(unit, value)));
    }
    figures.extend(blimp.and_then(|right| new("of BLiMP's pairs right", right)));
    if let Some(Speed { tokens_per_s, peak_bytes }) = row.speed {
        figures.extend(new("tokens/s of training", tokens_per_s));
        figures.extend(new("MiB at the peak", peak_bytes / f64::from(1u32 << 20)));
    }
    figures
}
