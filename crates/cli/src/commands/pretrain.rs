//! `firebrand pretrain`.

use crate::args::{Global, PretrainArgs};
use crate::config::{self, ObjectiveName, PretrainConfig};
use crate::exit::{Interrupted, usage};
use crate::interrupt;
use crate::output::{bar, complain, line, say, thousands};
use crate::run::{self, RunFile};
use crate::text::{self, HashedTokenizer};
use anyhow::Context;
use burn::tensor::Device;
use firebrand_corpus::batches::WindowOrder;
use firebrand_corpus::shards::Shards;
use firebrand_corpus::sources::Split;
use firebrand_durable::Lock;
use firebrand_pretrain::Causal;
use firebrand_tokenizer::Tokenizer;
use firebrand_training::{Checkpoints, Data, Event, Outcome, Trainer, TrainingError};
use firebrand_transformer::hugging_face::{self, Architecture};
use firebrand_transformer::{Decoder, ModelConfig};
use indicatif::ProgressBar;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(crate) fn run(args: &PretrainArgs, global: &Global) -> anyhow::Result<()> {
    let dir = args.out.clone().unwrap_or_else(|| default_dir(args.config.as_deref().unwrap_or("run")));
    let config = read_config(args, &dir)?;
    config.validate()?;
    let (device_name, device) = run::device(global)?;
    let device = device.autodiff();
    if args.dry_run {
        return dry_run(&config, &device_name, global);
    }
    start_or_resume(args.resume, &dir)?;
    make_folder(&dir)?;
    let _lock = lock(&dir)?;
    // Another process may have made and ended a run between the two.
    start_or_resume(args.resume, &dir)?;

    let (tokenizer, shards) = text::load(&config.data, global)?;
    let model_config = config.model.resolve(tokenizer.tokenizer.vocab_size(), config.training.seq_len);
    check_context(&config, &model_config)?;
    let train = shards.split(Split::Train)?;
    let order = WindowOrder::new(train.len(), config.training.seq_len, config.seed, config.data.order)?;
    let run_file = RunFile::new(
        global,
        &device_name,
        tokenizer.sha256.clone(),
        shards.provenance().map_or(String::new(), |provenance| provenance.key.clone()),
        args.from.clone(),
        config.clone(),
    );
    if RunFile::path(&dir).exists() {
        let started = RunFile::read(&dir)?;
        check_same_run(&started, &run_file, &dir)?;
        if (&started.device, started.threads) != (&run_file.device, run_file.threads) {
            complain(format_args!(
                "warning: started on {} (threads: {}), continued on {} (threads: {}): the result will differ in its last bits",
                started.device, started.threads, run_file.device, run_file.threads
            ));
        }
    }
    let model = new_model(args.from.as_deref(), &model_config, &tokenizer, config.seed, &device)?;
    // Only now is anything written: a refused command leaves a run as it was.
    tokenizer.tokenizer.save(&dir)?;
    run_file.write(&dir)?;

    let objective = match config.objective {
        ObjectiveName::Causal => {
            Causal { dropout: model_config.dropout, end_of_text: tokenizer.tokenizer.end_of_text() }
        }
    };
    let mut trainer = Trainer::new(
        objective,
        model,
        config.training.clone(),
        config.optimizer.clone(),
        config.schedule.clone(),
        config.seed,
        &device,
        &dir,
    )?;
    let (checkpoint, damaged) = Checkpoints::new(&dir).load_latest()?;
    for error in damaged {
        complain(format_args!("warning: {error}; using the checkpoint before it, or else starting anew"));
    }
    if let Some(checkpoint) = checkpoint {
        say(global, format!("going on after step {}", checkpoint.progress.step));
        trainer = trainer.resume(checkpoint)?;
    }
    introduce(&model_config, &tokenizer, &shards, &device_name, &config, global);

    let held_out = shards.get(Split::HeldOut);
    let data = Data { train, order: &order, held_out, held_out_bytes: target_bytes(&shards, &tokenizer)? };
    let stop = interrupt::heed()?;
    let mut view = View::new(global, &config, trainer.progress().step);
    let outcome = trainer.run(data, stop, &mut |event| view.show(&event));
    view.bar.finish_and_clear();
    let outcome = outcome.map_err(|error| match error {
        // Going on would only diverge again.
        TrainingError::NotFinite { .. } => error.into(),
        error => anyhow::Error::new(error).context(format!(
            "stopped after step {}; go on, once this is put right, with: firebrand pretrain --out {} --resume",
            trainer.progress().step,
            dir.display()
        )),
    })?;
    let progress = trainer.progress();
    match outcome {
        Outcome::Interrupted => Err(Interrupted(format!(
            "stopped after step {}; everything is saved. Go on with: firebrand pretrain --out {} --resume",
            progress.step,
            dir.display()
        ))
        .into()),
        Outcome::Finished(evaluation) => {
            let val_loss = evaluation.map(|evaluation| evaluation.loss);
            report(&dir, val_loss, progress.best_step, progress.seconds, &view, global)
        }
    }
}

fn default_dir(config: &str) -> PathBuf {
    let name = Path::new(config).file_stem().unwrap_or_default();
    Path::new("runs").join(name)
}

/// The config of the command line, or that of the run that is resumed.
fn read_config(args: &PretrainArgs, dir: &Path) -> anyhow::Result<PretrainConfig> {
    match &args.config {
        Some(name) => config::load(name, &args.set),
        None if !args.set.is_empty() => Err(usage("--set changes a --config; a resumed run keeps its own")),
        None if RunFile::path(dir).exists() => Ok(RunFile::read(dir)?.config),
        None => Err(usage(format!("{}: holds no run to go on with; start one with --config", dir.display()))),
    }
}

fn make_folder(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() && !dir.is_dir() {
        return Err(usage(format!("--out {}: is a file; a run needs a folder", dir.display())));
    }
    std::fs::create_dir_all(dir).map_err(|error| {
        let message = format!("--out {}: the folder cannot be made: {error}", dir.display());
        match error.kind() {
            // Another path would do; a full or failing disk is nobody's wrong usage.
            ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::ReadOnlyFilesystem => {
                usage(message)
            }
            _ => anyhow::anyhow!(message),
        }
    })
}

/// Keeps a second process from training the same run.
fn lock(dir: &Path) -> anyhow::Result<Lock> {
    let checkpoints = dir.join("checkpoints");
    let path = checkpoints.join("lock");
    let taken = std::fs::create_dir_all(&checkpoints).and_then(|()| Lock::take(&path));
    taken.with_context(|| path.display().to_string())?.map_err(|holder| {
        let holder = holder.map_or("another process".to_string(), |holder| format!("process {holder}"));
        anyhow::anyhow!("{}: {holder} is training this run; wait for it, or stop it by Ctrl-C", dir.display())
    })
}

fn start_or_resume(resume: bool, dir: &Path) -> anyhow::Result<()> {
    if resume || !RunFile::path(dir).exists() {
        return Ok(());
    }
    Err(usage(format!(
        "{}: holds a run already; go on with it by --resume, or choose another --out",
        dir.display()
    )))
}

fn check_context(config: &PretrainConfig, model: &ModelConfig) -> anyhow::Result<()> {
    model.validate()?;
    if config.training.seq_len > model.seq_len {
        return Err(usage(format!(
            "training.seq_len {} is longer than the model's context, model.seq_len {}",
            config.training.seq_len, model.seq_len
        )));
    }
    Ok(())
}

/// Refuses to go on with a run under another config, data or tokenizer; lists what differs.
fn check_same_run(old: &RunFile, new: &RunFile, dir: &Path) -> anyhow::Result<()> {
    let mut differences = Vec::new();
    let flat = |run: &RunFile| -> anyhow::Result<Vec<(String, String)>> {
        let mut keys = Vec::new();
        flatten("", &toml::Value::try_from(&run.config).context("run.toml")?, &mut keys);
        keys.push(("tokenizer".into(), run.tokenizer_sha256.clone()));
        keys.push(("data".into(), run.data_key.clone()));
        Ok(keys)
    };
    let (old, new) = (flat(old)?, flat(new)?);
    for (key, value) in &new {
        let before = old.iter().find(|(old_key, _)| old_key == key).map(|(_, value)| value.as_str());
        if before != Some(value) {
            differences.push(format!("{key}: {} → {value}", before.unwrap_or("absent")));
        }
    }
    for (key, value) in &old {
        if !new.iter().any(|(new_key, _)| new_key == key) {
            differences.push(format!("{key}: {value} → absent"));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(usage(format!(
        "{}: the run was started differently; use its own config (leave --config out) or another --out\n  {}",
        dir.display(),
        differences.join("\n  ")
    )))
}

fn flatten(prefix: &str, value: &toml::Value, into: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, into);
            }
        }
        other => into.push((prefix.to_string(), other.to_string())),
    }
}

/// A model with new weights, or with those of `from`, which must be the same model for the same tokens.
fn new_model(
    from: Option<&Path>,
    config: &ModelConfig,
    tokenizer: &HashedTokenizer,
    seed: u64,
    device: &Device,
) -> anyhow::Result<Decoder> {
    let Some(from) = from else {
        return Ok(Decoder::new(config, seed, device)?);
    };
    if !hugging_face::is_model_folder(from) {
        return Err(usage(format!("--from {}: holds no model (no config.json)", from.display())));
    }
    let model = hugging_face::load(from, device).with_context(|| format!("--from {}", from.display()))?;
    let (there, here) = (serde_json::to_value(model.config())?, serde_json::to_value(config)?);
    let differences: Vec<String> = here
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| there.get(key) != Some(value))
        .map(|(key, value)| format!("{key}: {} there, {value} here", there.get(key).unwrap_or(&Value::Null)))
        .collect();
    if !differences.is_empty() {
        return Err(usage(format!(
            "--from {}: its model is not the one of this config\n  {}",
            from.display(),
            differences.join("\n  ")
        )));
    }
    if from.join("tokenizer.json").exists() {
        let (theirs, ours) = (Tokenizer::load(from)?, &tokenizer.tokenizer);
        let differing =
            (0..ours.vocab_size() as u32).find(|&id| theirs.id_to_token(id) != ours.id_to_token(id));
        if let Some(id) = differing {
            return Err(usage(format!(
                "--from {0}: its tokenizer is another one (id {id} is {1:?} there, {2:?} here); use it by \
                 --set data.tokenizer={0}",
                from.display(),
                theirs.id_to_token(id).unwrap_or(""),
                ours.id_to_token(id).unwrap_or("")
            )));
        }
    }
    Ok(model)
}

/// UTF-8 bytes of the held-out targets: all but the first token's.
fn target_bytes(shards: &Shards, tokenizer: &HashedTokenizer) -> anyhow::Result<u64> {
    let Some(held_out) = shards.get(Split::HeldOut).filter(|split| !split.is_empty()) else {
        return Ok(0);
    };
    let first = held_out.slice(0..1)?[0];
    Ok(held_out.bytes().saturating_sub(tokenizer.tokenizer.token_table().byte_len(first) as u64))
}

fn introduce(
    model: &ModelConfig,
    tokenizer: &HashedTokenizer,
    shards: &Shards,
    device: &str,
    config: &PretrainConfig,
    global: &Global,
) {
    let architecture = Architecture::of(model);
    say(
        global,
        format!(
            "{} parameters ({} layers, d_model {}), {} tokens of vocabulary, on {device}",
            thousands(model.n_params() as u64),
            model.n_layers,
            model.d_model,
            thousands(tokenizer.tokenizer.vocab_size() as u64),
        ),
    );
    if architecture == Architecture::Firebrand {
        say(global, "this architecture is Firebrand's own: transformers will not load the run");
    }
    let train = shards.get(Split::Train).map_or(0, |split| split.len()) as u64;
    let step = (config.training.batch_size * config.training.seq_len) as u64;
    say(
        global,
        format!(
            "{} steps of {} tokens over {} training tokens ({:.1} epochs)",
            thousands(config.training.steps),
            thousands(step),
            thousands(train),
            (config.training.steps * step) as f64 / train.max(1) as f64
        ),
    );
}

fn dry_run(config: &PretrainConfig, device: &str, global: &Global) -> anyhow::Result<()> {
    // The vocabulary is known once there is a tokenizer; one that is there already is looked at.
    let dir = Path::new(&config.data.tokenizer);
    let known = dir.exists().then(|| Tokenizer::load(dir)).transpose()?;
    let vocab_size = known.as_ref().map_or(256, Tokenizer::vocab_size);
    let model = config.model.resolve(vocab_size, config.training.seq_len);
    check_context(config, &model)?;
    if global.json {
        return line(
            serde_json::json!({"model": model, "n_params": model.n_params(), "device": device, "config": config}),
        );
    }
    line(format!(
        "# {} parameters at a vocabulary of {vocab_size}{}, on {device}",
        thousands(model.n_params() as u64),
        if known.is_none() { " (assumed: the tokenizer isn't there yet)" } else { "" }
    ))?;
    line(toml::to_string(config)?.trim_end())
}

/// Progress in the terminal.
struct View<'a> {
    global: &'a Global,
    bar: ProgressBar,
    started: Instant,
    first_step: u64,
    tokens: u64,
    smoothed: Option<f64>,
    val_loss: Option<f64>,
}

impl<'a> View<'a> {
    fn new(global: &'a Global, config: &PretrainConfig, step: u64) -> Self {
        let steps = config.training.steps;
        let bar = bar(global, steps, "{wide_bar} {pos}/{len} {msg}");
        bar.set_position(step);
        Self {
            global,
            bar,
            started: Instant::now(),
            first_step: step,
            tokens: 0,
            smoothed: None,
            val_loss: None,
        }
    }

    fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Step(report) => {
                self.tokens += report.tokens;
                // A mean over about the last twenty steps (over all of the first ones): single steps jump too much.
                let weight = 1.0 / (report.step - self.first_step).min(20) as f64;
                let smoothed = self.smoothed.map_or(report.loss, |mean| mean + (report.loss - mean) * weight);
                self.smoothed = Some(smoothed);
                self.bar.set_position(report.step);
                let left = self.bar.length().unwrap_or(0).saturating_sub(report.step) as f64;
                let per_step = self.started.elapsed().as_secs_f64() / (report.step - self.first_step) as f64;
                let val_loss = self.val_loss.map_or(String::new(), |loss| format!(", held out {loss:.3}"));
                self.bar.set_message(format!(
                    "loss {smoothed:.3}{val_loss}, {} tokens/s, {} left",
                    thousands(self.tokens_per_s() as u64),
                    duration(left * per_step)
                ));
                // Where there is no terminal to draw in, a line now and then says the same.
                let twentieth = (self.bar.length().unwrap_or(0) / 20).max(1);
                if self.bar.is_hidden() && report.step.is_multiple_of(twentieth) {
                    say(self.global, format!("step {}: {}", report.step, self.bar.message()));
                }
            }
            Event::Evaluated { step, evaluation, best } => {
                self.val_loss = Some(evaluation.loss);
                let mark = if *best { " (best so far)" } else { "" };
                self.say(format!("step {step}: held-out loss {:.4}{mark}", evaluation.loss));
            }
            Event::Saved(step) => {
                if self.global.verbose {
                    self.say(format!("step {step}: checkpoint written"));
                }
            }
        }
    }

    /// A line above the bar, or alone where there is none.
    fn say(&self, text: String) {
        match self.bar.is_hidden() {
            true => say(self.global, text),
            false => self.bar.println(text),
        }
    }

    fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

fn report(
    dir: &Path,
    val_loss: Option<f64>,
    best_step: u64,
    seconds: f64,
    view: &View<'_>,
    global: &Global,
) -> anyhow::Result<()> {
    if global.json {
        return line(serde_json::json!({
            "run": dir, "val_loss": val_loss, "best_step": best_step, "seconds": seconds,
            "tokens_per_s": view.tokens_per_s().round(),
            "peak_bytes": firebrand_backend::memory::peak_bytes(),
        }));
    }
    let loss = val_loss.map_or("nothing was held out".to_string(), |loss| {
        format!("held-out loss {loss:.4} (perplexity {:.2}) at step {best_step}", loss.exp())
    });
    say(global, format!("{}: {loss}; {} of training", dir.display(), duration(seconds)));
    Ok(())
}
