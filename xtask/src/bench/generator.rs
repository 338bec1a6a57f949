//! Speed of writing the built-in corpus, on one core.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::Deserialize;

use super::figure::{Figure, TargetIs};
use super::{Bench, Options, json, without_overrides};
use crate::process;

/// Megabytes (10⁶ bytes) a second on one core that the issue asks for.
const TARGET_MB_PER_S: f64 = 20.0;

/// What `firebrand bench-generator --json` prints.
#[derive(Deserialize)]
struct Measured {
    mb_per_s: f64,
}

/// Measures in several rounds.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    const CASE: &str = "stories";
    if !options.wants(CASE) {
        return Ok(Vec::new());
    }
    let mut speeds = Vec::new();
    for round in 1..=options.rounds {
        let mut command = Command::new(firebrand);
        command.args(["bench-generator", "--json"]);
        without_overrides(&mut command);
        let measured: Measured = json(&process::output("measure the generator", &mut command)?)?;
        eprintln!("{CASE} round {round}/{}: {:.1} MB/s", options.rounds, measured.mb_per_s);
        speeds.push(measured.mb_per_s);
    }
    let figure = Figure::new(Bench::Generator.name(), CASE, "MB/s", &speeds);
    Ok(figure.map(|figure| figure.with_target(TargetIs::LeastValue, TARGET_MB_PER_S)).into_iter().collect())
}
