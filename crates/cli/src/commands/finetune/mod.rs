//! `firebrand finetune`.

mod adapt;
pub(crate) mod answers;
mod curve;
mod data;
mod dry_run;
mod judged;
mod measured;
mod model;
mod report;
mod tags;
mod train;
mod write;
mod writing;

use crate::args::{FinetuneArgs, Global};
use crate::commands::frame::frame;
use crate::commands::training;
use crate::config::{FinetuneConfig, load_finetune};
use crate::exit::usage;
use crate::interrupt;
use crate::named;
use crate::output::{say, thousands};
use crate::reading::{ReadAs, advised};
use crate::run::{self, ModelHashes, RunFile};
use crate::screen;
use crate::text::{HashedTokenizer, sha256};
use burn::module::Module;
pub(crate) use data::parts;
use data::{Encoded, encode, introduce_data};
use dry_run::Planned;
use firebrand_corpus::labelled::{FoldOf, Labels, Loaded};
use firebrand_finetune::{AdaptersOf, BestBy, Example, Examples, Item, Labelling, MethodKind, Tagging};
use firebrand_training::{Objective, TrainingConfig};
use firebrand_transformer::{Classifier, HeadConfig, LayerGroups, ModelConfig, TaskKind, hugging_face};
pub(crate) use judged::located;
use report::Summary;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use train::{Job, Parts};

pub(crate) fn run(args: &FinetuneArgs, global: &Global) -> anyhow::Result<()> {
    let dir = args.out.clone().unwrap_or_else(|| default_dir(args.from.as_deref()));
    if !args.curve.is_empty() {
        return curve::run(args, &dir, global);
    }
    let summaries = runs(args, &dir, Change::default(), global)?;
    if args.dry_run {
        return Ok(());
    }
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
    /// How many runs the command makes.
    runs: usize,
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
    let runs = planned.len();
    if args.dry_run {
        planned.truncate(1);
    }
    let run = |(dir, change): (PathBuf, Change)| {
        let summary = one(args, &dir, Change { runs, ..change }, global)?;
        if let Some(summary) = summary.as_ref().filter(|_| runs > 1) {
            summary.say(global);
        }
        Ok(summary)
    };
    planned.into_iter().map(run).filter_map(Result::transpose).collect()
}

/// Makes one run, or shows what it would be.
fn one(args: &FinetuneArgs, dir: &Path, change: Change, global: &Global) -> anyhow::Result<Option<Summary>> {
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
    let _lock = (!args.dry_run).then(|| training::enter(dir, args.resume)).transpose()?;
    // The tokenizer as the run will hold it: another program's file is not the one we would write.
    let tokenizer = HashedTokenizer::as_written(model::tokenizer(&from, &body)?)?;

    let (labelled, known) = named::resolve_labelled(config.data.clone(), config.task.kind())?;
    named::check_files(&labelled)?;
    let template = answers::template(&config, dir, args.resume)?;
    let is_dataset = known.is_some();
    let of_template = || template.as_ref().map(|template| Labels::new(template.prompt.labels().to_vec()));
    let known = known.or_else(of_template);
    let loaded = labelled.load(config.task.kind(), config.split_seed, known.as_ref()).map_err(|error| {
        advised(error, "remove this example, or leave all such out with data.empty_texts=skip")
    })?;
    let read_as = ReadAs::new(&labelled, &loaded);
    let task = match (config.task.head(), &template) {
        (Some(task), None) => task,
        _ => {
            let start = write::Start {
                args,
                dir,
                config,
                from,
                device_name,
                device,
                body,
                tokenizer,
                loaded,
                read_as,
                runs: change.runs,
                global,
            };
            return match &template {
                Some(template) => answers::run(start, template, is_dataset),
                None => write::run(start),
            };
        }
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

    if args.dry_run {
        introduce_data(&loaded, &encoded, global);
        let planned = Planned {
            config: &config,
            training: &training,
            body: &body,
            loaded: &loaded,
            rows: encoded.train.len(),
            longest: longest(&encoded.train),
            device: &device_name,
            runs: change.runs,
        };
        let classifier = model::open(&from, head, &config, &device)?;
        planned.print(&classifier, &LayerGroups::of_reader(&classifier), global)?;
        return Ok(None);
    }
    let run_file = run_file(global, &device_name, &tokenizer, (&loaded, &read_as), &from, &config)?;
    training::check_started(&run_file, dir)?;
    let mut classifier = model::open(&from, head.clone(), &config, &device)?;
    // Only now is anything written: a refused command leaves a run as it was.
    tokenizer.tokenizer.save(dir)?;
    run_file.write(dir)?;
    introduce_data(&loaded, &encoded, global);
    let mut base = from;
    if config.adapt.steps > 0 {
        base = adapt::adapted(&base, &loaded, &config, dir, go_on(args, dir), global)?;
        classifier = model::open(&base, head, &config, &device)?;
    }
    introduce(&classifier, &training, &encoded, &device_name, global);
    let job = Job { args, dir, config: &config, training: &training, device: &device, global };
    let reading = Reading { loaded: &loaded, encoded: &encoded, device_name: &device_name, job };
    let end_of_text = tokenizer.tokenizer.end_of_text();
    if task == TaskKind::Tagging {
        let best_by = config.head.best_by.unwrap_or(BestBy::of(task));
        let objective = Tagging { dropout: config.head.dropout, best_by, end_of_text };
        return train_or_adapt(objective, classifier, base, end_of_text, &reading).map(Some);
    }
    let objective = Labelling { options: config.head.clone(), class_weights, end_of_text };
    train_or_adapt(objective, classifier, base, end_of_text, &reading).map(Some)
}

/// The tokens of the longest example.
fn longest<E: Item>(examples: &[E]) -> usize {
    examples.iter().map(Item::tokens).max().unwrap_or(0)
}

/// What is recorded of a run.
fn run_file(
    global: &Global,
    device_name: &str,
    tokenizer: &HashedTokenizer,
    (loaded, read_as): (&Loaded, &ReadAs),
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
    let (from_hashes, reading) = (Some(ModelHashes::of(from)?), Some(read_as.clone()));
    Ok(RunFile { from_hashes, reading, ..run_file })
}

/// Trains all of a model, or adapters of the one in `base` that are kept alone.
fn train_or_adapt<O>(
    objective: O,
    classifier: Classifier,
    base: PathBuf,
    end_of_text: Option<u32>,
    reading: &Reading<'_>,
) -> anyhow::Result<Summary>
where
    O: Objective<Model = Classifier, Rows = Examples<Example>>,
{
    let config = reading.job.config;
    if config.method.kind == MethodKind::Lora && !config.lora.merge {
        let lora = config.lora.adapters();
        return reading.train(AdaptersOf { objective, base, lora, end_of_text }, classifier);
    }
    reading.train(objective, classifier)
}

/// A run of a head before its first step.
struct Reading<'a> {
    loaded: &'a Loaded,
    encoded: &'a Encoded,
    device_name: &'a str,
    job: Job<'a>,
}

impl Reading<'_> {
    fn train<O>(&self, objective: O, classifier: Classifier) -> anyhow::Result<Summary>
    where
        O: Objective<Model = Classifier, Rows = Examples<Example>>,
    {
        let Self { loaded, encoded, device_name, job } = self;
        let parts = Parts {
            train: &encoded.train,
            held_out: &encoded.held_out.examples,
            test: &encoded.test.examples,
        };
        let parameters = thousands(classifier.body().config().n_params() as u64);
        let model_is = format!("{}, {parameters} parameters, on {device_name}", class(&classifier));
        let groups = LayerGroups::of_reader(&classifier);
        let trained = job.train(objective, classifier, &groups, model_is, &parts)?;
        let trainer = &trained.finished.trainer;
        let judged = judged::judged(&trainer.model().valid(), loaded, encoded, trainer.rows_at_once());
        if let Some((judged, basis)) = judged.as_ref().zip(trained.basis()) {
            // Of several runs the figures are printed side by side.
            let Job { args, dir, global, .. } = *job;
            let alone = args.seeds.is_none() && args.folds.is_none() && args.curve.is_empty();
            judged::tell(dir, judged, basis, loaded, alone, global)?;
        }
        Ok(Summary::new(job.dir, job.config, &trained, loaded.train.len(), judged.as_ref()))
    }
}

/// The command that goes on with all that was asked for: of several runs the same once more, for those that were not begun are in no
/// folder yet.
fn go_on(args: &FinetuneArgs, dir: &Path) -> String {
    match args.seeds.is_some() || args.folds.is_some() || !args.curve.is_empty() {
        true => interrupt::same_command("--resume"),
        false => format!("firebrand finetune --out {} --resume", dir.display()),
    }
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
        || args.template.is_some()
        || [&args.text, &args.text_b, &args.label].into_iter().any(Option::is_some);
    let started =
        (args.resume && run::file(dir).exists()).then(|| RunFile::<FinetuneConfig>::read(dir)).transpose()?;
    if let Some(adapters) = started.as_ref().and_then(|run| run.merged_from.as_ref()) {
        return Err(usage(format!(
            "{}: was merged from {}, and has nothing to go on with; train it further by --from {0} --data FILE --out RUN",
            dir.display(),
            adapters.display()
        )));
    }
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
    let list: String = loaded.all_files().map(|file| format!("{}\n", file.sha256)).collect();
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
