//! Speed of training steps on random tokens, against PyTorch on the same shapes.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::Deserialize;

use super::figure::{Figure, TargetIs};
use super::peer::{PYTORCH, Peer};
use super::{Bench, Options, json, without_overrides};
use crate::process;

const BYTES_PER_MIB: f64 = (1u64 << 20) as f64;

/// A model and batch to measure with; both sides take these as options of the same names.
struct Shape {
    name: &'static str,
    vocab: u32,
    seq: u32,
    layers: u32,
    heads: u32,
    d_model: u32,
    batch: u32,
    /// Steps that are timed: enough for a median, a few seconds each side.
    steps: u32,
    /// The least speed, as a part of PyTorch's.
    target: f64,
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "11m",
        vocab: 512,
        seq: 256,
        layers: 6,
        heads: 6,
        d_model: 384,
        batch: 8,
        steps: 8,
        target: 0.8,
    },
    Shape {
        name: "0.9m",
        vocab: 256,
        seq: 64,
        layers: 4,
        heads: 4,
        d_model: 128,
        batch: 12,
        steps: 100,
        target: 0.6,
    },
];

const ARCHITECTURES: [&str; 2] = ["gpt2", "llama"];

/// What `firebrand bench-train --json` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    tokens_per_s: f64,
    peak_bytes: Option<f64>,
    /// Of the measured peak of matrix multiplication, between 0 and 1.
    mfu: Option<f64>,
    gemm_gflops: Option<f64>,
    loss_first: Option<f64>,
    loss_last: Option<f64>,
}

/// Measures every case, one side after the other in each round, so that a slow minute of the machine hits both.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let cases = SHAPES.iter().flat_map(|shape| ARCHITECTURES.map(|arch| (shape, arch)));
    let cases: Vec<_> = cases.filter(|(shape, arch)| options.wants(&case_name(shape, arch))).collect();
    let peer = if cases.is_empty() { None } else { Peer::find()? };
    let mut figures = Vec::new();
    for (shape, arch) in cases {
        figures.extend(case(firebrand, peer.as_ref(), shape, arch, options)?);
    }
    Ok(figures)
}

fn case(
    firebrand: &Path,
    peer: Option<&Peer>,
    shape: &Shape,
    arch: &str,
    options: &Options,
) -> Result<Vec<Figure>> {
    let name = case_name(shape, arch);
    let arguments = arguments(shape, arch, options);
    let (mut ours, mut peer_speeds, mut peer_peaks) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut command = Command::new(firebrand);
        // The peer computes on the CPU, whatever else there is.
        command.arg("bench-train").args(&arguments).args(["--device", "cpu", "--json"]);
        without_overrides(&mut command);
        let measured: Measured = json(&process::output("measure training", &mut command)?)?;
        eprint!("{name} round {round}/{}: {:.0} tokens/s", options.rounds, measured.tokens_per_s);
        if let (Some(first), Some(last)) = (measured.loss_first, measured.loss_last) {
            eprint!(", loss {first:.3} to {last:.3}");
        }
        eprintln!();
        ours.push(measured);
        if let Some(peer) = peer {
            let theirs = peer.train(&arguments, None)?;
            peer_speeds.push(theirs.number("tokens_per_s")?);
            peer_peaks.push(theirs.number("peak_rss_mib")?);
            eprintln!(
                "{name} round {round}/{}: {:.0} tokens/s ({PYTORCH})",
                options.rounds,
                peer_speeds[peer_speeds.len() - 1]
            );
        }
    }
    let values = |of: fn(&Measured) -> Option<f64>| ours.iter().filter_map(of).collect::<Vec<f64>>();
    let figure = |unit, of| Figure::new(Bench::Train.name(), &name, unit, &values(of));
    let speed = figure("tokens/s", |measured| Some(measured.tokens_per_s));
    let peak = figure("MiB peak", |measured| measured.peak_bytes.map(|bytes| bytes / BYTES_PER_MIB));
    let utilization = figure("% of GEMM peak", |measured| measured.mfu.map(|part| 100.0 * part));
    let gemm = figure("GFLOP/s GEMM", |measured| measured.gemm_gflops);
    let speed = speed
        .map(|speed| speed.beside(PYTORCH, &peer_speeds).with_target(TargetIs::LeastRatio, shape.target));
    let peak = peak.map(|peak| peak.beside(PYTORCH, &peer_peaks));
    Ok([speed, peak, utilization, gemm].into_iter().flatten().collect())
}

fn case_name(shape: &Shape, arch: &str) -> String {
    format!("{arch}-{}", shape.name)
}

/// The options both sides understand.
fn arguments(shape: &Shape, arch: &str, options: &Options) -> Vec<String> {
    let numbers = [
        ("--vocab", shape.vocab),
        ("--seq", shape.seq),
        ("--layers", shape.layers),
        ("--heads", shape.heads),
        ("--d-model", shape.d_model),
        ("--batch", shape.batch),
        ("--steps", options.steps.unwrap_or(shape.steps)),
        ("--threads", options.threads),
    ];
    let numbers = numbers.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_string()]);
    ["--arch".to_owned(), arch.to_owned()].into_iter().chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_get_the_shapes_of_the_issue() {
        let options = Options { rounds: 3, steps: None, threads: 2, only: None };
        let [large, small] = SHAPES.map(|shape| arguments(&shape, "llama", &options).join(" "));
        assert_eq!(
            large,
            "--arch llama --vocab 512 --seq 256 --layers 6 --heads 6 --d-model 384 --batch 8 --steps 8 --threads 2"
        );
        assert_eq!(
            small,
            "--arch llama --vocab 256 --seq 64 --layers 4 --heads 4 --d-model 128 --batch 12 --steps 100 --threads 2"
        );
    }
}
