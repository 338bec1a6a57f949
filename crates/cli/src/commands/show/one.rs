//! One run, line by line.

use super::record::{Record, State};
use super::sparkline::sparkline;
use crate::output::{duration, line, thousands};
use firebrand_transformer::LayerKind;
use firebrand_transformer::hugging_face::Architecture;

pub(super) fn show(record: &Record) -> anyhow::Result<()> {
    if let Some(model) = &record.model {
        line(format!(
            "model       {}, {} parameters: {} layers, d_model {}, {}, context {}, vocabulary {}",
            Architecture::of(model).class(),
            thousands(model.n_params() as u64),
            model.n_layers,
            model.d_model,
            match model.layers {
                LayerKind::Transformer => match model.d_head {
                    Some(width) => format!("{} heads of {width}", model.n_heads),
                    None => format!("{} heads", model.n_heads),
                },
                LayerKind::Lstm => format!("LSTM cells of {}", model.d_ff),
            },
            model.seq_len,
            thousands(model.vocab_size as u64)
        ))?;
    }
    if let Some(run) = &record.run {
        let paths: Vec<String> = run.config.data().iter().map(|path| path.display().to_string()).collect();
        line(format!(
            "made by     Firebrand {} on {} (threads: {}, seed: {})",
            run.version,
            run.device,
            run.threads,
            run.config.seed()
        ))?;
        line(format!(
            "data        {} (tokenizer {})",
            paths.join(", "),
            &run.tokenizer_sha256[..12.min(run.tokenizer_sha256.len())]
        ))?;
        if let Some(from) = &run.from {
            line(format!("from        {}", from.display()))?;
        }
        if let Some(adapters) = &run.merged_from {
            line(format!("merged      from {}", adapters.display()))?;
        }
        if let (Some(distillation), Some(teacher)) = (run.config.distillation(), &run.teacher) {
            line(format!(
                "teacher     {} (weights {}), weight {}, temperature {}",
                distillation.teacher.display(),
                &teacher.weights_sha256[..12.min(teacher.weights_sha256.len())],
                distillation.weight,
                distillation.temperature
            ))?;
        }
        let state = match record.state {
            State::Running => "running now",
            State::Finished | State::Model => "finished",
            State::Stopped => "not finished: go on with --resume",
        };
        line(format!("steps       {} of {} ({state})", record.step(), run.config.steps()))?;
    }
    if let (Some(seconds), Some(speed)) = (record.last("seconds"), record.tokens_per_s()) {
        let tokens =
            record.tokens().map_or(String::new(), |tokens| format!(" for {} tokens", thousands(tokens)));
        line(format!("time        {}{tokens}, {} tokens/s", duration(seconds), thousands(speed as u64)))?;
    }
    for (name, key) in [("train loss", "train_loss"), ("held out", "val_loss")] {
        let curve: Vec<f64> = record.curve(key).into_iter().map(|(_, value)| value).collect();
        if let (Some(first), Some(last)) = (curve.first(), curve.last()) {
            line(format!("{name:<11} {first:.3} {} {last:.3}", sparkline(&curve, 48)))?;
        }
    }
    if let Some(best) = record.best() {
        let bits = record.bits_per_byte().map_or(String::new(), |bits| format!(", {bits:.4} bits per byte"));
        let perplexity =
            record.perplexity().map_or(String::new(), |perplexity| format!(", perplexity {perplexity:.3}"));
        let figures = record.figures().into_iter();
        let figures: String =
            figures.map(|(name, value)| format!(", {} {value:.4}", name.replace('_', " "))).collect();
        line(format!("best        held-out loss {best:.4}{perplexity}{bits}{figures}"))?;
    }
    Ok(())
}
