//! Speed and memory of training steps on random tokens, against PyTorch on the same shapes.

mod cases;

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::Deserialize;

use super::figure::{Figure, TargetIs, median};
use super::peer::{PYTORCH, PYTORCH_COMPILED, Peer};
use super::{Bench, Options, json, without_overrides};
use crate::process;
use cases::{Case, Precision};

const BYTES_PER_MIB: f64 = (1u64 << 20) as f64;

/// The part of the GEMM rate on a step's own shapes that a step is to reach, in percent.
const LEAST_UTILIZATION: f64 = 75.0;

/// Peak memory as a part of PyTorch's, at most.
const MOST_MEMORY: f64 = 0.4;

/// Page faults of a step as a part of those with the C library's allocator as it comes, at most.
const MOST_FAULTS: f64 = 0.01;

/// How much faster two threads are to be than one.
const LEAST_SPEED_UP: f64 = 1.8;

/// What `firebrand bench-train --json` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    tokens_per_s: f64,
    seconds_per_step: Option<f64>,
    peak_bytes: Option<f64>,
    page_faults_per_step: Option<f64>,
    /// Of the rate of the step's own matrix products alone, between 0 and 1.
    mfu: Option<f64>,
    gemm_gflops: Option<f64>,
    loss_first: Option<f64>,
    loss_last: Option<f64>,
}

/// The speeds and peaks of one way to run the peer.
#[derive(Debug)]
struct Rival {
    name: &'static str,
    options: &'static [&'static str],
    speeds: Vec<f64>,
    /// MiB.
    peaks: Vec<f64>,
}

/// Measures every case, one side after the other in each round, so that a slow minute of the machine hits both.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let mut cases = cases::wanted(options);
    if !cases::has_bf16() && cases.iter().any(|case| case.precision == Precision::Bf16) {
        eprintln!("bf16 is skipped: this processor has no avx512_bf16");
        cases.retain(|case| case.precision != Precision::Bf16);
    }
    let peer = if cases.is_empty() { None } else { Peer::find()? };
    let mut figures = Vec::new();
    for case in cases {
        figures.extend(measure(firebrand, peer.as_ref(), &case, options)?);
    }
    Ok(figures)
}

fn measure(firebrand: &Path, peer: Option<&Peer>, case: &Case, options: &Options) -> Result<Vec<Figure>> {
    let rival = |name, options| Rival { name, options, speeds: Vec::new(), peaks: Vec::new() };
    let mut rivals = if peer.is_some() {
        vec![rival(PYTORCH, &[][..]), rival(PYTORCH_COMPILED, &["--compile"])]
    } else {
        Vec::new()
    };
    let mut runs = Runs::default();
    let name = &case.name;
    for round in 1..=options.rounds {
        let place = format!("{name} round {round}/{}", options.rounds);
        let measured = match ours(firebrand, case, options.threads, &[], options) {
            Err(error) if case.precision == Precision::Bf16 && process::interrupts() == 0 => {
                eprintln!("{name} is skipped: {error:#}");
                return Ok(Vec::new());
            }
            measured => measured?,
        };
        eprint!("{place}: {:.0} tokens/s", measured.tokens_per_s);
        if let (Some(first), Some(last)) = (measured.loss_first, measured.loss_last) {
            eprint!(", loss {first:.3} to {last:.3}");
        }
        eprintln!();
        runs.ours.push(measured);
        if let Some(peer) = peer {
            rivals.retain_mut(|rival| match race(peer, case, rival, options) {
                Ok(speed) => {
                    eprintln!("{place}: {speed:.0} tokens/s ({})", rival.name);
                    true
                }
                Err(error) if rival.options.is_empty() || process::interrupts() > 0 => {
                    runs.error.get_or_insert(error);
                    true
                }
                Err(error) => {
                    eprintln!("{} is left out: {error:#}", rival.name);
                    false
                }
            });
        }
        if let Some(error) = runs.error.take() {
            return Err(error);
        }
        if options.threads > 1 {
            let alone = ours(firebrand, case, 1, &["--no-gemm"], options)?;
            eprintln!("{place}: {:.0} tokens/s (one thread)", alone.tokens_per_s);
            runs.one_thread.push(alone.tokens_per_s);
        }
        if round == 1 {
            let plain = ["--no-gemm", "--plain-allocator"];
            let plain = ours(firebrand, case, options.threads, &plain, options)?;
            runs.plain_faults.extend(plain.page_faults_per_step);
        }
    }
    Ok(figures(case, &runs, &rivals, options))
}

/// What was measured of ours.
#[derive(Debug, Default)]
struct Runs {
    ours: Vec<Measured>,
    /// Tokens/s.
    one_thread: Vec<f64>,
    plain_faults: Vec<f64>,
    /// Why the peer, which is there, does not run.
    error: Option<anyhow::Error>,
}

fn ours(firebrand: &Path, case: &Case, threads: u32, more: &[&str], options: &Options) -> Result<Measured> {
    let mut command = Command::new(firebrand);
    // The peer computes on the CPU, whatever else there is.
    command.arg("bench-train").args(case.arguments(threads, options)).args(["--device", "cpu", "--json"]);
    if case.precision == Precision::Bf16 {
        command.args(["--precision", "bf16"]);
    }
    command.args(more);
    without_overrides(&mut command);
    json(&process::output("measure training", &mut command)?)
}

fn race(peer: &Peer, case: &Case, rival: &mut Rival, options: &Options) -> Result<f64> {
    let mut arguments = case.arguments(options.threads, options);
    arguments.extend(rival.options.iter().map(ToString::to_string));
    if case.precision == Precision::Bf16 {
        arguments.push("--bf16".to_owned());
    }
    let theirs = peer.train(&arguments, None)?;
    let speed = theirs.number("tokens_per_s")?;
    rival.speeds.push(speed);
    rival.peaks.push(theirs.number("peak_rss_mib")?);
    Ok(speed)
}

fn figures(case: &Case, runs: &Runs, rivals: &[Rival], options: &Options) -> Vec<Figure> {
    let values = |of: fn(&Measured) -> Option<f64>| runs.ours.iter().filter_map(of).collect::<Vec<f64>>();
    let figure = |unit, values: &[f64]| Figure::new(Bench::Train.name(), &case.name, unit, values);
    let mut figures = Vec::new();

    // The better of the peer's two ways comes first and is the one that counts.
    let mut rivals: Vec<&Rival> = rivals.iter().collect();
    rivals.sort_by(|a, b| median(&b.speeds).unwrap_or(0.0).total_cmp(&median(&a.speeds).unwrap_or(0.0)));
    let speeds = values(|measured| Some(measured.tokens_per_s));
    let (best, other) = (rivals.first(), rivals.get(1));
    let (name, theirs) = best.map_or((PYTORCH, &[][..]), |rival| (rival.name, &rival.speeds));
    figures.extend(figure("tokens/s", &speeds).map(|speed| {
        let speed = speed.beside(name, theirs).with_target(TargetIs::LeastRatio, case.target);
        speed.with_goal(case.goal)
    }));
    if let Some(other) = other {
        figures.extend(figure("tokens/s", &speeds).map(|speed| speed.beside(other.name, &other.speeds)));
    }
    figures.extend(figure("s/step", &values(|measured| measured.seconds_per_step)));

    // The one that needs less: it is the harder to beat.
    let least = rivals
        .iter()
        .min_by(|a, b| median(&a.peaks).unwrap_or(f64::MAX).total_cmp(&median(&b.peaks).unwrap_or(f64::MAX)));
    let (name, theirs) = least.map_or((PYTORCH, &[][..]), |rival| (rival.name, &rival.peaks));
    let peaks = values(|measured| measured.peak_bytes.map(|bytes| bytes / BYTES_PER_MIB));
    figures.extend(
        figure("MiB peak", &peaks)
            .map(|peak| peak.beside(name, theirs).with_target(TargetIs::MostRatio, MOST_MEMORY)),
    );

    figures.extend(
        figure("% of GEMM rate", &values(|measured| measured.mfu.map(|part| 100.0 * part)))
            .map(|utilization| utilization.with_target(TargetIs::LeastValue, LEAST_UTILIZATION)),
    );
    figures.extend(figure("GFLOP/s GEMM", &values(|measured| measured.gemm_gflops)));
    figures.extend(figure("faults/step", &values(|measured| measured.page_faults_per_step)).map(|faults| {
        faults.beside("plain allocator", &runs.plain_faults).with_target(TargetIs::MostRatio, MOST_FAULTS)
    }));
    if let (Some(several), Some(one)) = (median(&speeds), median(&runs.one_thread)) {
        let target = (options.threads == 2).then_some(LEAST_SPEED_UP);
        figures.extend(figure("× one thread", &[several / one]).map(|speed_up| match target {
            Some(target) => speed_up.with_target(TargetIs::LeastValue, target),
            None => speed_up,
        }));
    }
    figures
}
