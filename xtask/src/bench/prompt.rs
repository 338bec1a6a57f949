//! Speed of scoring four answers behind each of a thousand inputs, against reading every filled text anew and against transformers.

use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::figure::{Figure, TargetIs};
use super::peer::PeerResult;
use super::{Bench, Options, json, tokenizer_peers, without_overrides};
use crate::{machine, process, workspace};

/// What the peers are called in tables.
const TRANSFORMERS: &str = "transformers";
const ANEW: &str = "each text anew";
/// How many times as fast both have to be.
const TARGET: f64 = 3.0;

/// A model and the texts, as options of `firebrand bench-prompt`.
const CASES: [(&str, &str); 3] = [
    ("gpt2-1m", "--vocab 2048 --layers 4 --heads 4 --d-model 128"),
    ("gpt2-11m", "--vocab 2048 --layers 6 --heads 6 --d-model 384"),
    ("gpt2-1m-shots", "--vocab 2048 --layers 4 --heads 4 --d-model 128 --shared 120"),
];

/// What `firebrand bench-prompt --json` prints.
#[derive(Deserialize)]
struct Measured {
    texts_per_s: f64,
    texts_per_s_anew: f64,
    largest_difference: f64,
    log_prob: f64,
}

/// Measures every case, one side after the other in each round.
pub(super) fn run(firebrand: &std::path::Path, options: &Options) -> Result<Vec<Figure>> {
    let python = match machine::python_with("transformers") {
        Ok(python) => Some(python),
        Err(reason) => {
            eprintln!("{TRANSFORMERS} is skipped: {reason}");
            None
        }
    };
    let mut figures = Vec::new();
    for (name, shape) in CASES.iter().filter(|(name, _)| options.wants(name)) {
        let folder = workspace::root()?.join("target/bench/prompt").join(name);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let (mut ours, mut anew, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            let mut command = Command::new(firebrand);
            command.arg("bench-prompt").args(shape.split(' ')).arg("--save").arg(&folder);
            command.args(["--threads", &options.threads.to_string(), "--device", "cpu", "--json"]);
            without_overrides(&mut command);
            let measured: Measured = json(&process::output("score answers", &mut command)?)?;
            eprintln!(
                "{name} round {round}/{}: {:.0} texts/s, {:.0} anew, at most {:.1e} apart",
                options.rounds, measured.texts_per_s, measured.texts_per_s_anew, measured.largest_difference
            );
            if let Some(python) = &python {
                let mut command = Command::new(python);
                command.arg(tokenizer_peers::folder().join("score_hf.py")).arg(&folder);
                command.args(["--threads", &options.threads.to_string()]);
                without_overrides(&mut command);
                let printed = process::output("score answers with transformers", &mut command)?;
                let printed = PeerResult::of("score_hf.py", printed);
                let speed = printed.number("texts_per_s")?;
                let apart = (printed.number("log_prob")? - measured.log_prob).abs();
                eprintln!(
                    "{name} round {round}/{}: {speed:.0} texts/s ({TRANSFORMERS}), sums {apart:.3} nats apart",
                    options.rounds
                );
                theirs.push(speed);
            }
            ours.push(measured.texts_per_s);
            anew.push(measured.texts_per_s_anew);
        }
        for (peer, values) in [(ANEW, &anew), (TRANSFORMERS, &theirs)] {
            let figure = Figure::new(Bench::Prompt.name(), name, "texts/s", &ours);
            let figure = figure.map(|figure| figure.beside(peer, values));
            figures.extend(figure.map(|figure| figure.with_target(TargetIs::LeastRatio, TARGET)));
        }
    }
    Ok(figures)
}
