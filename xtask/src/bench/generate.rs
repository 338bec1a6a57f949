//! Speed of greedy generation with a cache, against transformers on the same checkpoint.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::figure::Figure;
use super::peer::python_and_script;
use super::{Bench, Options, json, without_overrides};
use crate::{process, workspace};

/// What the peer is called in tables.
const TRANSFORMERS: &str = "transformers";
/// Tokens of the prompt, and new ones.
const PROMPT: u32 = 64;
const NEW: u32 = 128;

/// A model to measure with.
struct Shape {
    name: &'static str,
    vocab: u32,
    seq: u32,
    layers: u32,
    heads: u32,
    d_model: u32,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "0.9m", vocab: 256, seq: 256, layers: 4, heads: 4, d_model: 128 },
    Shape { name: "11m", vocab: 512, seq: 256, layers: 6, heads: 6, d_model: 384 },
    Shape { name: "50m", vocab: 8192, seq: 512, layers: 8, heads: 10, d_model: 640 },
];
const WEIGHTS: [&str; 3] = ["f32", "bf16", "int8"];

/// What `firebrand bench-generate --json` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    /// New tokens by the time of prompt and generation together, as the peer counts.
    whole_tokens_per_s: f64,
    /// New tokens after the first.
    tokens_per_s: f64,
    prompt_tokens_per_s: f64,
    /// Of weights, while tokens are generated.
    gb_per_s: Option<f64>,
    /// Of anything, on all threads.
    memory_gb_per_s: f64,
    prompt_ids: String,
    ids: Vec<u32>,
}

/// Measures every case, one side after the other in each round.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let cases = SHAPES.iter().flat_map(|shape| WEIGHTS.map(|weights| (shape, weights)));
    let cases: Vec<_> = cases.filter(|(shape, weights)| options.wants(&case_name(shape, weights))).collect();
    let find = || python_and_script("generate_hf.py", "transformers", TRANSFORMERS);
    let peer = if cases.is_empty() { None } else { find()? };
    let mut figures = Vec::new();
    for (shape, weights) in cases {
        figures.extend(case(firebrand, peer.as_ref(), shape, weights, options)?);
    }
    Ok(figures)
}

fn case(
    firebrand: &Path,
    peer: Option<&(PathBuf, PathBuf)>,
    shape: &Shape,
    weights: &str,
    options: &Options,
) -> Result<Vec<Figure>> {
    let name = case_name(shape, weights);
    let checkpoint = workspace::root()?.join("target/bench/generate").join(shape.name);
    std::fs::create_dir_all(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let mut command = Command::new(firebrand);
        command.arg("bench-generate").args(arguments(shape, options));
        command.args(["--weights", weights, "--device", "cpu", "--json", "--save"]).arg(&checkpoint);
        without_overrides(&mut command);
        let measured: Measured = json(&process::output("measure generation", &mut command)?)?;
        let speed = measured.whole_tokens_per_s;
        eprintln!("{name} round {round}/{}: {speed:.0} tokens/s", options.rounds);
        if let Some((python, script)) = peer {
            let mut command = Command::new(python);
            command.arg(script).arg(&checkpoint).args(["--ids", &measured.prompt_ids]);
            command.args(["--new", &NEW.to_string(), "--threads", &options.threads.to_string()]);
            without_overrides(&mut command);
            let (speed, ids) = parse(&process::output("generate with transformers", &mut command)?)?;
            let same = ids.iter().zip(&measured.ids).take_while(|(a, b)| a == b).count();
            let rounds = options.rounds;
            eprintln!(
                "{name} round {round}/{rounds}: {speed:.0} tokens/s ({TRANSFORMERS}, f32), the same for {same} tokens"
            );
            theirs.push(speed);
        }
        ours.push(measured);
    }
    let values = |of: fn(&Measured) -> Option<f64>| ours.iter().filter_map(of).collect::<Vec<f64>>();
    let figure = |unit, of| Figure::new(Bench::Generate.name(), &name, unit, &values(of));
    let whole = figure("tokens/s", |measured| Some(measured.whole_tokens_per_s));
    let figures = [
        whole.map(|whole| whole.beside(TRANSFORMERS, &theirs)),
        figure("tokens/s after prompt", |measured| Some(measured.tokens_per_s)),
        figure("tokens/s prompt", |measured| Some(measured.prompt_tokens_per_s)),
        figure("GB/s of weights", |measured| measured.gb_per_s),
        figure("% of memory speed", |measured| Some(100.0 * measured.gb_per_s? / measured.memory_gb_per_s)),
    ];
    Ok(figures.into_iter().flatten().collect())
}

fn case_name(shape: &Shape, weights: &str) -> String {
    format!("gpt2-{}-{weights}", shape.name)
}

fn arguments(shape: &Shape, options: &Options) -> Vec<String> {
    let numbers = [
        ("--vocab", shape.vocab),
        ("--seq", shape.seq),
        ("--layers", shape.layers),
        ("--heads", shape.heads),
        ("--d-model", shape.d_model),
        ("--prompt", PROMPT),
        ("--new", NEW),
        ("--threads", options.threads),
    ];
    numbers.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_string()]).collect()
}

/// The speed and the ids that `generate_hf.py` printed.
fn parse(printed: &str) -> Result<(f64, Vec<u32>)> {
    let unexpected = || format!("generate_hf.py printed unexpected text: {printed}");
    let speed = printed.split_whitespace().find_map(|word| word.strip_prefix("tokens_per_s="));
    let speed = speed.and_then(|speed| speed.parse().ok()).with_context(unexpected)?;
    let ids = printed.lines().find(|line| line.contains(',')).with_context(unexpected)?;
    Ok((speed, ids.split(',').filter_map(|id| id.trim().parse().ok()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_peer_prints_is_understood() {
        let (speed, ids) = parse("3,1,4\ntokens_per_s=151.5\n").expect("as the script prints");
        assert_eq!((speed, ids), (151.5, vec![3, 1, 4]));
        parse("Traceback").expect_err("no speed");
    }

    #[test]
    fn cases_are_named_by_size_and_weights() {
        let options = Options::of_rounds(1);
        assert_eq!(case_name(&SHAPES[1], "int8"), "gpt2-11m-int8");
        assert!(
            arguments(&SHAPES[2], &options)
                .join(" ")
                .contains("--d-model 640 --prompt 64 --new 128 --threads 2")
        );
    }
}
