//! Speculation with models trained on the built-in stories: how fast it is, and that it changes nothing.

use super::folder;
use crate::bench::figure::{Figure, TargetIs, median};
use crate::bench::{Bench, Options, json, without_overrides};
use crate::process;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

const SPECULATION: &str = "speculation";
const EXACT: &str = "exact";
/// What texts begin with, of which there are many in the stories.
const PROMPTS: [&str; 4] = ["Once", "The old", "A little", "One day"];
const NEW_SPECULATED: u32 = 200;
/// Prompts whose continuations are compared: 10,000 tokens in all.
const PROMPTS_COMPARED: usize = 50;

/// A line of `firebrand generate --draft … --compare --json`.
#[derive(Debug, Deserialize)]
struct Generated {
    speculation: Speculated,
}

#[derive(Debug, Deserialize)]
struct Speculated {
    seconds: f64,
    plain_seconds: f64,
    speedup: f64,
    predicted_speedup: f64,
    acceptance: Option<f64>,
    tokens_per_round: Option<f64>,
}

/// A line of `firebrand generate --json`.
#[derive(Debug, Deserialize)]
struct Written {
    ids: Vec<u32>,
}

/// Measures what is asked for, with models that are trained once.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if !options.wants(SPECULATION) && !options.wants(EXACT) {
        return Ok(figures);
    }
    let folder = folder("speculation")?;
    train(firebrand, &folder)?;
    if options.wants(SPECULATION) {
        figures.extend(speed(firebrand, options, &folder)?);
    }
    if options.wants(EXACT) {
        figures.extend(exact(firebrand, options, &folder)?);
    }
    Ok(figures)
}

/// How many of 10,000 greedy tokens are those of plain decoding, with each kind of draft.
fn exact(firebrand: &Path, options: &Options, folder: &Path) -> Result<Vec<Figure>> {
    let text = std::fs::read_to_string(folder.join("s.txt")).context("the stories")?;
    // Stories begin in many ways: the first words of each, once.
    let mut prompts: Vec<String> = Vec::new();
    for story in text.split("\n\n") {
        let words: Vec<&str> = story.split(' ').take(4).collect();
        let prompt = words.join(" ");
        if words.len() == 4 && !prompts.contains(&prompt) {
            prompts.push(prompt);
        }
        if prompts.len() == PROMPTS_COMPARED {
            break;
        }
    }
    let write = |draft: &[&str]| -> Result<Vec<Vec<u32>>> {
        let mut command = Command::new(firebrand);
        let new = NEW_SPECULATED.to_string();
        command.current_dir(folder).args(["generate", "main", "--json", "--quiet"]).args(draft);
        command.args(["--max-new-tokens", &new, "--min-new-tokens", &new]);
        prompts.iter().for_each(|prompt| _ = command.args(["--prompt", prompt]));
        command.args(["--device", "cpu", "--threads", &options.threads.to_string()]);
        without_overrides(&mut command);
        let printed = process::output("generate greedily", &mut command)?;
        printed.lines().map(|line| Ok(json::<Written>(line)?.ids)).collect()
    };
    let plain = write(&[])?;
    let all = plain.iter().map(Vec::len).sum::<usize>();
    let mut figures = Vec::new();
    for draft in ["draft --draft-length 4", "draft --draft-length 7", "ngram", "ngram:s.txt", "self:3"] {
        let arguments: Vec<&str> = std::iter::once("--draft").chain(draft.split(' ')).collect();
        let speculated = write(&arguments)?;
        let same: usize = plain
            .iter()
            .zip(&speculated)
            .map(|(plain, other)| plain.iter().zip(other).take_while(|(a, b)| a == b).count())
            .sum();
        eprintln!("{EXACT}, --draft {draft}: {same} of {all} tokens");
        let figure = Figure::new(
            Bench::Decode.name(),
            &format!("{EXACT}, --draft {draft}"),
            "greedy tokens as without a draft",
            &[same as f64],
        );
        figures.extend(figure.map(|figure| figure.with_target(TargetIs::LeastValue, all as f64)));
    }
    Ok(figures)
}

fn speed(firebrand: &Path, options: &Options, folder: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (name, draft) in [("small model", "draft"), ("n-grams", "ngram"), ("corpus n-grams", "ngram:s.txt")] {
        let mut measured = Vec::new();
        for round in 1..=options.rounds {
            let mut lines = Vec::new();
            for prompt in PROMPTS {
                let mut command = Command::new(firebrand);
                command.current_dir(folder).args(["generate", "main", "--prompt", prompt, "--draft", draft]);
                let new = NEW_SPECULATED.to_string();
                command.args([
                    "--max-new-tokens",
                    &new,
                    "--min-new-tokens",
                    &new,
                    "--compare",
                    "--json",
                    "--quiet",
                ]);
                command.args(["--device", "cpu", "--threads", &options.threads.to_string()]);
                without_overrides(&mut command);
                let generated: Generated = json(&process::output("generate with a draft", &mut command)?)?;
                lines.push(generated.speculation);
            }
            let all = |of: fn(&Speculated) -> f64| lines.iter().map(of).sum::<f64>();
            let speedup = all(|line| line.plain_seconds) / all(|line| line.seconds);
            eprintln!(
                "{SPECULATION}, {name}, round {round}/{}: {speedup:.2} x plain decoding",
                options.rounds
            );
            let of_prompts = |of: fn(&Speculated) -> f64| median(&lines.iter().map(of).collect::<Vec<_>>());
            measured.push([
                speedup,
                of_prompts(|line| line.predicted_speedup / line.speedup).unwrap_or(f64::NAN),
                100.0 * of_prompts(|line| line.acceptance.unwrap_or(0.0)).unwrap_or(f64::NAN),
                of_prompts(|line| line.tokens_per_round.unwrap_or(1.0)).unwrap_or(f64::NAN),
            ]);
        }
        let case = format!("{SPECULATION}, {name}");
        let figure = |unit, which: usize| {
            let values: Vec<f64> = measured.iter().map(|measured| measured[which]).collect();
            Figure::new(Bench::Decode.name(), &case, unit, &values)
        };
        let speedup = figure("× plain decoding", 0);
        figures.extend(match name {
            "small model" => speedup.map(|figure| figure.with_target(TargetIs::LeastValue, 2.0)),
            _ => speedup,
        });
        figures.extend(figure("predicted of the measured", 1));
        figures.extend(figure("% accepted", 2));
        figures.extend(figure("tokens a round", 3));
    }
    Ok(figures)
}

/// Trains the model and its draft, once.
fn train(firebrand: &Path, folder: &Path) -> Result<()> {
    let run = |what: &str, arguments: &str| {
        let mut command = Command::new(firebrand);
        command.current_dir(folder).args(arguments.split(' '));
        process::run_step(what, &mut command)
    };
    if !folder.join("tok/tokenizer.json").exists() {
        run("generate stories", "data generate --kind stories --bytes 20MB --out s.txt")?;
        run("train a tokenizer", "tokenizer train s.txt --out tok --vocab-size 4096")?;
    }
    for (name, config, steps) in [("draft", "draft-stories", 1500), ("main", "stories", 200)] {
        if folder.join(name).join("model.safetensors").exists() {
            continue;
        }
        let arguments = match folder.join(name).join("checkpoints").exists() {
            true => format!("pretrain --out {name} --device cpu --resume"),
            false => format!(
                "pretrain --config {config} --set data.texts=s.txt --set data.tokenizer=tok --set training.steps={steps} \
                 --out {name} --device cpu"
            ),
        };
        run(&format!("train {name}, once"), &arguments)?;
    }
    Ok(())
}
