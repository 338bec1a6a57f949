//! `firebrand show`: what a run is, how it was made, its curve.

use crate::args::{Global, ShowArgs};
use crate::exit::usage;
use crate::output::{line, thousands};
use crate::run::RunFile;
use firebrand_training::read_metrics;
use firebrand_transformer::hugging_face::{self, Architecture};

pub(crate) fn run(args: &ShowArgs, global: &Global) -> anyhow::Result<()> {
    let dir = &args.run;
    let run = RunFile::path(dir).exists().then(|| RunFile::read(dir)).transpose()?;
    let model = hugging_face::is_model_folder(dir).then(|| hugging_face::load_config(dir)).transpose()?;
    if run.is_none() && model.is_none() {
        return Err(usage(format!("{}: holds neither a run nor a model", dir.display())));
    }
    let metrics = read_metrics(&dir.join("metrics.jsonl"))?;
    let curve =
        |key: &str| -> Vec<f64> { metrics.iter().filter_map(|line| line.get(key)?.as_f64()).collect() };
    let (train, held_out) = (curve("train_loss"), curve("val_loss"));
    let best = held_out.iter().copied().reduce(f64::min);
    if global.json {
        let step = metrics.last().and_then(|line| line.get("step").cloned());
        return line(serde_json::json!({
            "run": run, "model": model, "n_params": model.as_ref().map(|model| model.n_params()),
            "step": step, "finished": model.is_some(), "best_val_loss": best,
            "train_loss": train.last(), "tokens_per_s": curve("tokens_per_s").last(),
        }));
    }
    if let Some(model) = &model {
        line(format!(
            "model       {}, {} parameters: {} layers, d_model {}, {} heads, context {}, vocabulary {}",
            Architecture::of(model).class(),
            thousands(model.n_params() as u64),
            model.n_layers,
            model.d_model,
            model.n_heads,
            model.seq_len,
            thousands(model.vocab_size as u64)
        ))?;
    }
    if let Some(run) = &run {
        let paths = run.config.data.shards.iter().chain(&run.config.data.texts);
        let paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
        line(format!(
            "made by     Firebrand {} on {} (threads: {}, seed: {})",
            run.version, run.device, run.threads, run.config.seed
        ))?;
        line(format!(
            "data        {} (tokenizer {})",
            paths.join(", "),
            &run.tokenizer_sha256[..12.min(run.tokenizer_sha256.len())]
        ))?;
        if let Some(from) = &run.from {
            line(format!("from        {}", from.display()))?;
        }
        let steps = metrics.last().and_then(|line| line.get("step")?.as_u64()).unwrap_or(0);
        let state = if model.is_some() { "finished" } else { "not finished: go on with --resume" };
        line(format!("steps       {steps} of {} ({state})", run.config.training.steps))?;
    }
    for (name, curve) in [("train loss", &train), ("held out", &held_out)] {
        if let (Some(first), Some(last)) = (curve.first(), curve.last()) {
            line(format!("{name:<11} {first:.3} {} {last:.3}", sparkline(curve, 48)))?;
        }
    }
    if let Some(best) = best {
        line(format!("best        held-out loss {best:.4}, perplexity {:.3}", best.exp()))?;
    }
    Ok(())
}

/// A curve in one line of at most `width` characters, lowest to highest.
fn sparkline(curve: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let columns = width.min(curve.len());
    let means: Vec<f64> = (0..columns)
        .map(|column| {
            let part = &curve[column * curve.len() / columns..((column + 1) * curve.len() / columns)];
            part.iter().sum::<f64>() / part.len() as f64
        })
        .collect();
    let (low, high) = means.iter().fold((f64::MAX, f64::MIN), |(low, high), &x| (low.min(x), high.max(x)));
    let bar =
        |x: f64| if high > low { BARS[((x - low) / (high - low) * 7.0).round() as usize] } else { BARS[0] };
    means.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_curve_falls() {
        assert_eq!(sparkline(&[8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 8), "█▇▆▅▄▃▂▁");
        assert_eq!(sparkline(&[8.0, 8.0, 1.0, 1.0], 2), "█▁");
        assert_eq!(sparkline(&[1.0, 1.0], 8), "▁▁");
    }
}
