//! Pretraining that goes on, on the texts that are to be trained on: the run's own objective, before any label is looked at.

use crate::args::{Global, PretrainArgs};
use crate::commands::pretrain;
use crate::config::{AdaptConfig, DataConfig, FinetuneConfig, PretrainConfig};
use crate::exit::usage;
use crate::output::say;
use crate::run::RunFile;
use anyhow::Context;
use firebrand_corpus::labelled::Loaded;
use firebrand_corpus::sources::HeldOut;
use firebrand_training::{OptimizerConfig, OptimizerKind, ScheduleConfig, ScheduleKind};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Refuses to go on with the pretraining of what does not say how it was pretrained.
pub(super) fn check(from: &Path, config: &FinetuneConfig) -> anyhow::Result<()> {
    if config.adapt.steps == 0 {
        return Ok(());
    }
    if config.method.scratch {
        return Err(usage(
            "adapt.steps goes on with pretraining, and method.scratch forgets it: leave one of them out",
        ));
    }
    pretraining(from, Path::new("adapt.jsonl"), config)?.validate()
}

/// The run that the texts were read in, `DIR/adapted`: it is made, gone on with, or there already. What is held out is not among them.
pub(super) fn adapted(
    from: &Path,
    loaded: &Loaded,
    config: &FinetuneConfig,
    dir: &Path,
    go_on: String,
    global: &Global,
) -> anyhow::Result<PathBuf> {
    let out = dir.join("adapted");
    let texts = dir.join("adapt.jsonl");
    let pretraining = pretraining(from, &texts, config)?;
    if firebrand_transformer::hugging_face::is_model_folder(&out) {
        return Ok(out);
    }
    let both = loaded.train.iter().flat_map(|example| [Some(&example.text), example.text_b.as_ref()]);
    let lines: String = both.flatten().map(|text| format!("{}\n", json!({"text": text}))).collect();
    write(&texts, &lines)?;
    let file = dir.join("adapt.toml");
    write(&file, &toml::to_string(&pretraining).context("adapt.toml")?)?;
    say(global, format!("reading the texts first: {} steps of pretraining", pretraining.training.steps));
    let args = PretrainArgs {
        config: Some(file.display().to_string()),
        set: Vec::new(),
        out: Some(out.clone()),
        from: Some(from.to_path_buf()),
        resume: true,
        dry_run: false,
        tui: false,
        tensorboard: false,
        go_on: Some(go_on),
    };
    // The result of the command is that of fine-tuning.
    pretrain::run(&args, &Global { json: false, ..global.clone() })?;
    Ok(out)
}

/// How the model in `from` was pretrained, on other texts and for fewer steps.
fn pretraining(from: &Path, texts: &Path, config: &FinetuneConfig) -> anyhow::Result<PretrainConfig> {
    let run = RunFile::<PretrainConfig>::read(from).map_err(|error| {
        usage(format!(
            "adapt.steps {}: {} does not say what it was pretrained for, as a run of `firebrand pretrain` does ({error}); start \
             from such a run, or set adapt.steps=0",
            config.adapt.steps,
            from.display()
        ))
    })?;
    let AdaptConfig { steps, lr, batch_size } = config.adapt;
    let before = run.config;
    let mut training = before.training.clone();
    if batch_size > 0 {
        (training.batch_size, training.grad_accum_steps) = (batch_size, 1);
    }
    training.steps = steps;
    training.precision = config.training.precision;
    training.activation_checkpointing = config.training.activation_checkpointing;
    (training.eval_every, training.checkpoint_every) = (0, 0);
    let data = DataConfig {
        texts: vec![texts.to_path_buf()],
        tokenizer: from.display().to_string(),
        held_out: HeldOut::None,
        ..DataConfig::default()
    };
    let optimizer = OptimizerConfig { kind: OptimizerKind::Adamw, lr, ..before.optimizer.clone() };
    let schedule =
        ScheduleConfig { kind: ScheduleKind::Cosine, warmup_steps: steps / 10, ..ScheduleConfig::default() };
    Ok(PretrainConfig {
        seed: config.seed,
        data,
        training,
        optimizer,
        schedule,
        distillation: None,
        ..before
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    firebrand_durable::write(path, text.as_bytes()).with_context(|| path.display().to_string())
}
