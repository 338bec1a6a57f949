//! `firebrand finetune`.

mod data;
mod model;
mod report;

use crate::args::{FinetuneArgs, Global};
use crate::commands::frame::frame;
use crate::commands::training::{self, Heading, Plan};
use crate::config::{FinetuneConfig, load_finetune};
use crate::exit::usage;
use crate::named;
use crate::output::{say, thousands};
use crate::run::{self, ModelHashes, RunFile};
use crate::screen;
use crate::text::{HashedTokenizer, sha256};
use burn::tensor::Device;
use data::{Encoded, encode, introduce_data};
use firebrand_corpus::labelled::Loaded;
use firebrand_finetune::{ExampleData, Labelling};
use firebrand_training::TrainingConfig;
use firebrand_transformer::{Classifier, HeadConfig, ModelConfig, hugging_face};
use report::Summary;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &FinetuneArgs, global: &Global) -> anyhow::Result<()> {
    let dir = args.out.clone().unwrap_or_else(|| default_dir(args.from.as_deref()));
    let Some(seeds) = args.seeds else {
        let summary = one(args, &dir, 0, global)?;
        return summary.print(global);
    };
    let mut summaries = Vec::new();
    for offset in 0..seeds.get() as u64 {
        let dir = dir.join(format!("seed-{offset}"));
        let summary = one(args, &dir, offset, global)?;
        summary.say(global);
        summaries.push(summary);
    }
    report::several(&summaries, global)
}

/// Makes one run, with so much added to the config's seed.
fn one(args: &FinetuneArgs, dir: &Path, offset: u64, global: &Global) -> anyhow::Result<Summary> {
    let (mut config, from) = what_is_asked(args, dir)?;
    config.seed = config.seed.wrapping_add(offset);
    config.validate()?;
    let (device_name, device) = run::device(global)?;
    let precision = config.training.precision.check(&device);
    precision.map_err(|error| usage(format!("training.precision: {error}")))?;
    if config.training.activation_checkpointing && device_name != "cpu" {
        return Err(usage(format!(
            "training.activation_checkpointing works on the device cpu only, and this run is on {device_name}: leave it out"
        )));
    }
    let device = device.autodiff();
    let body = model::look(&from, &config)?;
    if args.tui {
        screen::check(global)?;
    }
    let _lock = training::enter(dir, args.resume)?;
    // The tokenizer as the run will hold it: another program's file is not the one we would write.
    let tokenizer = HashedTokenizer::as_written(model::tokenizer(&from, &body)?)?;

    let (labelled, known) = named::resolve_labelled(config.data.clone(), config.task.kind())?;
    named::check_files(&labelled)?;
    let loaded = labelled.load(config.task.kind(), config.split_seed, known.as_ref())?;
    let training = config.training.resolve(loaded.train.len(), body.seq_len)?;
    model::check_context(&training, &body)?;
    record(&mut config.training, &training);
    let frame = frame(body.kind, &tokenizer.tokenizer);
    let encoded = encode(&loaded, &labelled, &tokenizer.tokenizer, frame, training.seq_len)?;
    let head = HeadConfig::for_body(&body, config.task.head(), loaded.labels.names().to_vec());
    let class_weights = config.head.class_weights.resolve(&encoded.counts(head.outputs))?;
    let objective = Labelling {
        options: config.head.clone(),
        class_weights,
        end_of_text: tokenizer.tokenizer.end_of_text(),
    };

    let run_file = RunFile::new(
        global,
        &device_name,
        tokenizer.sha256.clone(),
        data_key(&loaded),
        Some(from.clone()),
        config.clone(),
    );
    let run_file = RunFile { from_hashes: Some(ModelHashes::of(&from)?), ..run_file };
    training::check_started(&run_file, dir)?;
    let classifier = model::open(&from, head, &config, &device)?;
    // Only now is anything written: a refused command leaves a run as it was.
    tokenizer.tokenizer.save(dir)?;
    run_file.write(dir)?;
    introduce_data(&loaded, &encoded, global);
    introduce(&classifier, &training, &encoded, &device_name, global);
    train(objective, classifier, &encoded, &config, &training, dir, (&device_name, &device), args, global)
}

#[allow(clippy::too_many_arguments, reason = "a run has this many parts, each its own concept")]
fn train(
    objective: Labelling,
    classifier: Classifier,
    encoded: &Encoded,
    config: &FinetuneConfig,
    training: &TrainingConfig,
    dir: &Path,
    (device_name, device): (&str, &Device),
    args: &FinetuneArgs,
    global: &Global,
) -> anyhow::Result<Summary> {
    let data = ExampleData {
        train: &encoded.train,
        held_out: &encoded.held_out,
        seed: config.seed,
        group_by_length: config.training.group_by_length,
    };
    let body = classifier.body().config().clone();
    let plan = Plan {
        command: "finetune",
        dir,
        training,
        optimizer: &config.optimizer,
        schedule: &config.schedule,
        seed: config.seed,
        device,
        heading: Heading {
            run: dir.display().to_string(),
            model: format!(
                "{}, {} parameters, on {device_name}",
                class(&classifier),
                thousands(body.n_params() as u64)
            ),
            steps: training.steps,
        },
        tui: args.tui,
        tensorboard: args.tensorboard,
        global,
    };
    let finished = training::drive(objective, classifier, &data, plan)?;
    Ok(Summary::new(dir, config, &finished))
}

fn default_dir(from: Option<&Path>) -> PathBuf {
    let name = from.and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    Path::new("runs").join(format!("{name}-finetuned"))
}

/// The config, and the run to start from: those of the command line, or of the run that is gone on with.
fn what_is_asked(args: &FinetuneArgs, dir: &Path) -> anyhow::Result<(FinetuneConfig, PathBuf)> {
    let asked = args.config.is_some()
        || !args.data.is_empty()
        || !args.set.is_empty()
        || args.task.is_some()
        || [&args.text, &args.text_b, &args.label].into_iter().any(Option::is_some);
    let started =
        (args.resume && run::file(dir).exists()).then(|| RunFile::<FinetuneConfig>::read(dir)).transpose()?;
    let started_from = started.as_ref().and_then(|run| run.from.clone());
    let from = args.from.clone().or(started_from).ok_or_else(|| {
        usage(format!("{}: holds no run to go on with; start one with --from RUN --data FILE", dir.display()))
    })?;
    match started {
        Some(started) if !asked => {
            // The seed of this folder is in its file already.
            let offset = args.seeds.map_or(0, |_| seed_of(dir));
            let config = FinetuneConfig { seed: started.config.seed.wrapping_sub(offset), ..started.config };
            Ok((config, from))
        }
        _ => Ok((load_finetune(args)?, from)),
    }
}

/// What was added to the seed for a folder called `seed-N`.
fn seed_of(dir: &Path) -> u64 {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix("seed-").and_then(|seed| seed.parse().ok()).unwrap_or(0)
}

/// A run records what epochs and contexts came to.
fn record(config: &mut firebrand_finetune::FinetuneTraining, resolved: &TrainingConfig) {
    config.steps = resolved.steps;
    config.seq_len = resolved.seq_len;
    config.eval_every = resolved.eval_every;
    config.checkpoint_every = resolved.checkpoint_every;
}

/// What all files that are read hold.
fn data_key(loaded: &Loaded) -> String {
    let files = loaded.files.iter().chain(&loaded.held_out_files);
    let list: String = files.map(|file| format!("{}\n", file.sha256)).collect();
    sha256(list.as_bytes())
}

fn class(classifier: &Classifier) -> &'static str {
    let own = hugging_face::OWN_CLASSIFIER;
    classifier.head_config().class(classifier.body().config()).unwrap_or(own)
}

fn introduce(
    classifier: &Classifier,
    training: &TrainingConfig,
    encoded: &Encoded,
    device: &str,
    global: &Global,
) {
    let body: &ModelConfig = classifier.body().config();
    say(
        global,
        format!(
            "{} parameters ({} layers, d_model {}), {} of {} outputs, on {device}",
            thousands(body.n_params() as u64),
            body.n_layers,
            body.d_model,
            class(classifier),
            classifier.head_config().outputs
        ),
    );
    let epochs = (training.steps * training.batch_size as u64) as f64 / encoded.train.len().max(1) as f64;
    say(
        global,
        format!(
            "{} steps of {} examples ({epochs:.1} epochs)",
            thousands(training.steps),
            thousands(training.batch_size as u64)
        ),
    );
}
