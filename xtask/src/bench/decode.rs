//! Speed of decoding: a llama of 13.8 M parameters against transformers and llama.cpp, beams, long contexts; what decoding costs by
//! the formulas; and speculation with models trained on the built-in stories.

mod cost;
mod speculation;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::figure::{Figure, TargetIs};
use super::peer::{PeerResult, python_and_script};
use super::{Bench, Options, json, tokenizer_peers, without_overrides};
use crate::{machine, process, workspace};

const LLAMA: &str = "llama-14m";
/// Of ../shared and of PyPI.
const TRANSFORMERS: &str = "transformers";
const LLAMA_CPP: &str = "llama.cpp";
const NEW: u32 = 128;
const BEAMS: u32 = 4;
const CONTEXTS: [usize; 5] = [64, 256, 512, 1024, 1920];

/// What `firebrand bench-generate` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    whole_tokens_per_s: f64,
    tokens_per_s: f64,
    prompt_tokens_per_s: f64,
    memory_gb_per_s: f64,
    /// Of weights, while tokens are generated, and at most.
    gb_per_s: f64,
    read_gb_per_s: f64,
    prompt_ids: String,
    ids: Vec<u32>,
    beam_step: f64,
    contexts: Vec<(usize, f64)>,
    /// Of a token, in all layers.
    key_value_bytes: f64,
}

/// What a peer reached.
#[derive(Debug)]
struct Peer {
    tokens_per_s: f64,
    prompt_tokens_per_s: Option<f64>,
}

/// Measures, one side after the other in each round.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if options.wants(LLAMA) {
        figures.extend(llama(firebrand, options)?);
    }
    if options.wants(cost::COST) {
        figures.extend(cost::run(firebrand, options)?);
    }
    figures.extend(speculation::run(firebrand, options)?);
    Ok(figures)
}

fn llama(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let checkpoint = folder("llama")?;
    let transformers = python_and_script("generate_hf.py", "transformers", TRANSFORMERS)?;
    let llama_cpp = match machine::python_with("llama_cpp") {
        Ok(python) => Some((python, tokenizer_peers::folder().join("llama_cpp.py"))),
        Err(reason) => {
            eprintln!("{LLAMA_CPP} is skipped: {reason}");
            None
        }
    };
    let (mut ours, mut hugging_face, mut cpp) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut command = Command::new(firebrand);
        command.args("bench-generate --arch llama --tied --vocab 8192 --layers 6 --heads 6".split(' '));
        command.args(["--d-model", "384", "--seq", "2048", "--prompt", "64", "--new", &NEW.to_string()]);
        command.args(["--contexts", &CONTEXTS.map(|context| context.to_string()).join(",")]);
        command.args(["--beams", &BEAMS.to_string(), "--threads", &options.threads.to_string()]);
        command.args(["--device", "cpu", "--json", "--save"]).arg(&checkpoint);
        without_overrides(&mut command);
        let measured: Measured = json(&process::output("measure generation", &mut command)?)?;
        for (python_and_script, name, peers) in
            [(&transformers, TRANSFORMERS, &mut hugging_face), (&llama_cpp, LLAMA_CPP, &mut cpp)]
        {
            let Some((python, script)) = python_and_script else { continue };
            let mut command = Command::new(python);
            command.arg(script).arg(&checkpoint).args(["--ids", &measured.prompt_ids]);
            command.args(["--new", &NEW.to_string(), "--threads", &options.threads.to_string()]);
            without_overrides(&mut command);
            let printed = process::output(&format!("generate with {name}"), &mut command)?;
            let ids = printed.lines().find(|line| line.contains(',')).unwrap_or_default();
            let ids: Vec<u32> = ids.split(',').filter_map(|id| id.trim().parse().ok()).collect();
            let same = ids.iter().zip(&measured.ids).take_while(|(a, b)| a == b).count();
            let printed = PeerResult::of("generate_hf.py or llama_cpp.py", printed);
            let peer = Peer {
                tokens_per_s: printed.number("tokens_per_s")?,
                prompt_tokens_per_s: printed.number("prompt_tokens_per_s").ok(),
            };
            eprintln!("{LLAMA} round {round}/{}: {name} has the same {same} of {NEW} tokens", options.rounds);
            peers.push(peer);
        }
        eprintln!("{LLAMA} round {round}/{}: {:.0} tokens/s", options.rounds, measured.tokens_per_s);
        ours.push(measured);
    }
    let values = |of: fn(&Measured) -> f64| ours.iter().map(of).collect::<Vec<f64>>();
    let figure = |unit, of| Figure::new(Bench::Decode.name(), LLAMA, unit, &values(of));
    let peers = |peers: &[Peer]| peers.iter().map(|peer| peer.tokens_per_s).collect::<Vec<f64>>();
    let prompts: Vec<f64> = cpp.iter().filter_map(|peer| peer.prompt_tokens_per_s).collect();
    let figures = [
        figure("tokens/s with the prompt", |ours| ours.whole_tokens_per_s).map(|figure| {
            figure.beside(TRANSFORMERS, &peers(&hugging_face)).with_target(TargetIs::LeastRatio, 8.0)
        }),
        figure("tokens/s after the prompt", |ours| ours.tokens_per_s)
            .map(|figure| figure.beside(LLAMA_CPP, &peers(&cpp)).with_target(TargetIs::LeastRatio, 2.0)),
        figure("tokens/s if nothing but reading weights took time", |ours| {
            ours.tokens_per_s * ours.read_gb_per_s / ours.gb_per_s
        }),
        figure("% of the speed of reading weights", |ours| 100.0 * ours.gb_per_s / ours.read_gb_per_s),
        figure("tokens/s of the prompt", |ours| ours.prompt_tokens_per_s)
            .map(|figure| figure.beside(LLAMA_CPP, &prompts).with_target(TargetIs::LeastRatio, 1.5)),
        figure("× a greedy step, 4 beams", |ours| ours.beam_step)
            .map(|figure| figure.with_target(TargetIs::MostValue, 2.0)),
        figure("µs more for 1,000 tokens of context", |ours| 1e9 * line(&ours.contexts).0),
        figure("× reading keys and values from memory", |ours| {
            line(&ours.contexts).0 / (ours.key_value_bytes / ours.memory_gb_per_s / 1e9)
        })
        .map(|figure| figure.with_target(TargetIs::MostValue, 1.0)),
        figure("of the variance in a line over the context", |ours| line(&ours.contexts).1),
    ];
    Ok(figures.into_iter().flatten().collect())
}

/// The slope of the line nearest to the points, and how much of their variance it explains.
fn line(points: &[(usize, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 as f64 / n, y + point.1 / n));
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        points.iter().map(|point| of(point.0 as f64 - x, point.1 - y)).sum::<f64>()
    };
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    (xy / xx, xy * xy / (xx * yy))
}

fn folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::root()?.join("target/bench/decode").join(name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_through_points() {
        let (slope, explained) = line(&[(0, 1.0), (10, 3.0), (20, 5.0)]);
        assert!((slope - 0.2).abs() < 1e-12 && (explained - 1.0).abs() < 1e-12);
        assert!(line(&[(0, 1.0), (10, 3.0), (20, 1.0)]).1 < 0.1);
    }
}
