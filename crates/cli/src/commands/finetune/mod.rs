//! `firebrand finetune`.

mod adapt;
mod curve;
mod data;
mod judged;
mod model;
mod report;
mod tags;
mod write;
mod writing;

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
use burn::module::Module;
use burn::tensor::Device;
pub(crate) use data::parts;
use data::{Encoded, encode, introduce_data};
use firebrand_corpus::labelled::{FoldOf, Loaded};
use firebrand_finetune::{
    AdaptersOf, BestBy, Example, ExampleData, Examples, Labelling, MethodKind, Tagging,
};
use firebrand_training::{Objective, TrainingConfig};
use firebrand_transformer::{Classifier, HeadConfig, LayerGroups, ModelConfig, TaskKind, hugging_face};
pub(crate) use judged::located;
use report::Summary;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &FinetuneArgs, global: &Global) -> anyhow::Result<()> {
    let dir = args.out.clone().unwrap_or_else(|| default_dir(args.from.as_deref()));
    if !args.curve.is_empty() {
        return curve::run(args, &dir, global);
    }
    let summaries = runs(args, &dir, Change::default(), global)?;
    match (args.seeds, args.folds, summaries.as_slice()) {
        (None, None, [summary]) => summary.print(global),
        _ => report::several(&summaries, global),
    }
}

/// What one of several runs has otherwise than its config says.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    /// Added to the seed.
    seed: u64,
    /// What is held out.
    fold: Option<FoldOf>,
    /// How many examples are trained on.
    examples: Option<usize>,
}

/// A run, or one for each fold and each seed.
fn runs(args: &FinetuneArgs, dir: &Path, change: Change, global: &Global) -> anyhow::Result<Vec<Summary>> {
    let mut planned = vec![(dir.to_path_buf(), change)];
    if let Some(of) = args.folds.map(NonZeroUsize::get) {
        planned = (0..of)
            .map(|number| {
                (dir.join(format!("fold-{number}")), Change { fold: Some(FoldOf { number, of }), ..change })
            })
            .collect();
    }
    if let Some(seeds) = args.seeds {
        let of_seed = |seed: u64| {
            planned
                .iter()
                .map(move |(dir, change)| (dir.join(format!("seed-{seed}")), Change { seed, ..*change }))
        };
        planned = (0..seeds.get() as u64).flat_map(of_seed).collect();
    }
    let several = planned.len() > 1;
    let run = |(dir, change): (PathBuf, Change)| {
        let summary = one(args, &dir, change, global)?;
        if several {
            summary.say(global);
        }
        Ok(summary)
    };
    planned.into_iter().map(run).collect()
}

/// Makes one run.
fn one(args: &FinetuneArgs, dir: &Path, change: Change, global: &Global) -> anyhow::Result<Summary> {
    let (mut config, from) = what_is_asked(args, dir)?;
    config.seed = config.seed.wrapping_add(change.seed);
    config.data.fold = change.fold.or(config.data.fold);
    config.data.examples = change.examples.unwrap_or(config.data.examples);
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
    adapt::check(&from, &config)?;
    if args.tui {
        screen::check(global)?;
    }
    let _lock = training::enter(dir, args.resume)?;
    // The tokenizer as the run will hold it: another program's file is not the one we would write.
    let tokenizer = HashedTokenizer::as_written(model::tokenizer(&from, &body)?)?;

    let (labelled, known) = named::resolve_labelled(config.data.clone(), config.task.kind())?;
    named::check_files(&labelled)?;
    let loaded = labelled.load(config.task.kind(), config.split_seed, known.as_ref())?;
    let Some(task) = config.task.head() else {
        let start =
            write::Start { args, dir, config, from, device_name, device, body, tokenizer, loaded, global };
        return write::run(start);
    };
    let training = config.training.resolve(loaded.train.len(), body.seq_len)?;
    model::check_context(&training, &body)?;
    let frame = frame(body.kind, &tokenizer.tokenizer);
    let encoded = match task {
        TaskKind::Tagging => tags::encode(&loaded, &tokenizer.tokenizer, frame, training.seq_len)?,
        _ => {
            let long = config.training.long_texts;
            encode(&loaded, &labelled, &tokenizer.tokenizer, frame, training.seq_len, long)?
        }
    };
    // A text that is read in parts is as many examples.
    let training = config.training.resolve(encoded.train.len(), body.seq_len)?;
    record(&mut config.training, &training);
    let head = HeadConfig::for_body(&body, task, loaded.labels.names().to_vec());
    let head = match config.head.pooling {
        Some(pooling) => head.with_pooling(pooling),
        None => head,
    };
    let class_weights = config.head.class_weights.resolve(&encoded.counts(head.outputs))?;

    let run_file = run_file(global, &device_name, &tokenizer, &loaded, &from, &config)?;
    training::check_started(&run_file, dir)?;
    let mut classifier = model::open(&from, head.clone(), &config, &device)?;
    // Only now is anything written: a refused command leaves a run as it was.
    tokenizer.tokenizer.save(dir)?;
    run_file.write(dir)?;
    introduce_data(&loaded, &encoded, global);
    let mut base = from;
    if config.adapt.steps > 0 {
        base = adapt::adapted(&base, &loaded, &config, dir, global)?;
        classifier = model::open(&base, head, &config, &device)?;
    }
    introduce(&classifier, &training, &encoded, &device_name, global);
    let job = Job {
        loaded: &loaded,
        encoded: &encoded,
        config: &config,
        training: &training,
        dir,
        device_name: &device_name,
        device: &device,
        args,
        global,
    };
    let end_of_text = tokenizer.tokenizer.end_of_text();
    if task == TaskKind::Tagging {
        let best_by = config.head.best_by.unwrap_or(BestBy::of(task));
        let objective = Tagging { dropout: config.head.dropout, best_by, end_of_text };
        return train_or_adapt(objective, classifier, base, end_of_text, &job);
    }
    let objective = Labelling { options: config.head.clone(), class_weights, end_of_text };
    train_or_adapt(objective, classifier, base, end_of_text, &job)
}

/// What is recorded of a run.
fn run_file(
    global: &Global,
    device_name: &str,
    tokenizer: &HashedTokenizer,
    loaded: &Loaded,
    from: &Path,
    config: &FinetuneConfig,
) -> anyhow::Result<RunFile<FinetuneConfig>> {
    let run_file = RunFile::new(
        global,
        device_name,
        tokenizer.sha256.clone(),
        data_key(loaded),
        Some(from.to_path_buf()),
        config.clone(),
    );
    Ok(RunFile { from_hashes: Some(ModelHashes::of(from)?), ..run_file })
}

/// Trains all of a model, or adapters of the one in `base` that are kept alone.
fn train_or_adapt<O>(
    objective: O,
    classifier: Classifier,
    base: PathBuf,
    end_of_text: Option<u32>,
    job: &Job<'_>,
) -> anyhow::Result<Summary>
where
    O: Objective<Model = Classifier, Rows = Examples<Example>>,
{
    if job.config.method.kind == MethodKind::Lora && !job.config.lora.merge {
        let lora = job.config.lora.adapters();
        return train(AdaptersOf { objective, base, lora, end_of_text }, classifier, job);
    }
    train(objective, classifier, job)
}

/// A run before its first step.
struct Job<'a> {
    loaded: &'a Loaded,
    encoded: &'a Encoded,
    config: &'a FinetuneConfig,
    training: &'a TrainingConfig,
    dir: &'a Path,
    device_name: &'a str,
    /// With autodiff.
    device: &'a Device,
    args: &'a FinetuneArgs,
    global: &'a Global,
}

fn train<O>(objective: O, classifier: Classifier, job: &Job<'_>) -> anyhow::Result<Summary>
where
    O: Objective<Model = Classifier, Rows = Examples<Example>>,
{
    let Job { loaded, encoded, config, training, dir, device_name, device, args, global } = *job;
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
        rates: config.method.rates(
            &LayerGroups::of_reader(&classifier),
            encoded.train.len().div_ceil(training.batch_size).max(1) as u64,
        ),
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
    let rows = finished.trainer.rows_at_once();
    let judged = judged::on_held_out(&finished.trainer.model().valid(), encoded, rows);
    if let Some(judged) = &judged {
        // Of several runs the figures are printed side by side.
        let alone = args.seeds.is_none() && args.folds.is_none() && args.curve.is_empty();
        judged::tell(dir, judged, loaded, alone, global)?;
    }
    Ok(Summary::new(dir, config, &finished, loaded.train.len(), judged.as_ref()))
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
