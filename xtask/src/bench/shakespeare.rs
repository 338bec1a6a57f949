//! What training learns: tinyshakespeare by character, with nanoGPT's settings for a CPU.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::figure::{Figure, TargetIs};
use super::peer::{PYTORCH, Peer};
use super::{Bench, Options, without_overrides};
use crate::{machine, process, run_directory, workspace};

/// Presets of the model with the loss over the whole held-out part, in nats a character, that the median must not exceed.
const PRESETS: [(&str, f64); 2] = [("gpt2", 1.90), ("llama", 1.71)];

const SEEDS: [u64; 3] = [0, 1, 2];

/// The steps of `configs/pretrain/shakespeare-char.toml`; the peer is told the same.
const STEPS: u32 = 2_000;

/// Trains every preset with three seeds, and the peer once.
pub(super) fn run(firebrand: &Path, options: &Options) -> Result<Vec<Figure>> {
    let presets: Vec<_> = PRESETS.into_iter().filter(|(preset, _)| options.wants(preset)).collect();
    if presets.is_empty() {
        return Ok(Vec::new());
    }
    let text = match machine::shared("data/tinyshakespeare/input.txt")? {
        Ok(text) => text,
        Err(reason) => bail!("cannot measure what is learned of tinyshakespeare: {reason}"),
    };
    let peer = Peer::find()?;
    let mut figures = Vec::new();
    for (preset, target) in presets {
        let mut losses = Vec::new();
        for seed in SEEDS {
            let loss = train(firebrand, preset, seed, &text, options)?;
            eprintln!("{preset} seed {seed}: {loss:.4} nats a character");
            losses.push(loss);
        }
        let mut peer_losses = Vec::new();
        if let Some(peer) = &peer {
            // The script has one seed of its own.
            let loss = peer.train(&peer_arguments(preset, options), Some(&text))?.number("val_loss")?;
            eprintln!("{preset}: {loss:.4} nats a character ({PYTORCH})");
            peer_losses.push(loss);
        }
        let figure = Figure::new(Bench::Shakespeare.name(), preset, "nats/character", &losses);
        figures.extend(
            figure.map(|it| it.beside(PYTORCH, &peer_losses).with_target(TargetIs::MostValue, target)),
        );
    }
    Ok(figures)
}

/// Trains one model and returns its last loss, over the whole held-out part.
fn train(firebrand: &Path, preset: &str, seed: u64, text: &Path, options: &Options) -> Result<f64> {
    let run = workspace::root()?.join("runs").join("bench").join(format!("shakespeare-{preset}-{seed}"));
    run_directory::remove(&run)?;
    let mut command = command(firebrand, preset, seed, text, &run, options);
    without_overrides(&mut command);
    process::run_step("train on tinyshakespeare", &mut command)?;
    let evaluations = run_directory::evaluations(&run)?;
    let last = evaluations
        .last()
        .with_context(|| format!("no validation loss was recorded in {}", run.display()))?;
    Ok(last.val_loss)
}

fn command(
    firebrand: &Path,
    preset: &str,
    seed: u64,
    text: &Path,
    run: &PathBuf,
    options: &Options,
) -> Command {
    let text = toml::Value::Array(vec![toml::Value::String(text.to_string_lossy().into_owned())]);
    let mut command = Command::new(firebrand);
    command.args(["pretrain", "--config", "shakespeare-char"]);
    command.arg("--set").arg(format!("data.texts={text}"));
    command.arg("--set").arg(format!("model.preset=\"{preset}\""));
    command.arg("--set").arg(format!("seed={seed}"));
    command.args(["--device", "cpu", "--threads", &options.threads.to_string(), "--quiet"]);
    command.arg("--out").arg(run);
    command
}

fn peer_arguments(preset: &str, options: &Options) -> Vec<String> {
    let line = format!(
        "--arch {preset} --seq 64 --layers 4 --heads 4 --d-model 128 --batch 12 --steps {STEPS} --threads {}",
        options.threads
    );
    line.split(' ').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_preset_seed_and_text() {
        let options = Options::of_rounds(3);
        let run = PathBuf::from("runs/x");
        let command =
            command(Path::new("firebrand"), "llama", 1, Path::new("/data/input.txt"), &run, &options);
        let expected = "firebrand pretrain --config shakespeare-char --set 'data.texts=[\"/data/input.txt\"]' \
            --set 'model.preset=\"llama\"' --set seed=1 --device cpu --threads 2 --quiet --out runs/x";
        assert_eq!(process::command_line(&command), expected);
    }
}
