//! Training by the answers of a template: of the whole model or its adapters (pet, lora), of a prompt in front of it (soft-prompt, prefix).

mod encode;

use super::dry_run::Planned;
use super::measured::Of;
use super::report::Summary;
use super::train::{Job, Parts, Trained};
use super::write::Start;
use super::{judged, longest, model, record, run_file};
use crate::commands::prompting::{self, special_ids_of};
use crate::commands::training;
use crate::config::FinetuneConfig;
use crate::exit::usage;
use crate::output::{say, thousands};
use anyhow::Context;
use burn::module::Module;
use encode::{Encoder, asking, beginning, labels};
use firebrand_corpus::labelled::Loaded;
use firebrand_finetune::{AdaptersOf, Answering, BestBy, Cloze, MethodKind, Target, judge};
use firebrand_prompt::Prompt;
use firebrand_training::{Objective, Rates};
use firebrand_transformer::hugging_face::{self, Conventions};
use firebrand_transformer::lora::with_adapters;
use firebrand_transformer::{
    Body, HeadConfig, LayerGroups, ModelKind, Prompted, TaskKind, TrainedPrompt, tensor_handles,
};
use std::path::Path;

/// What the template of a run is called in its folder.
pub(crate) const TEMPLATE: &str = "template.toml";

/// A template to be trained by, and the text of its file.
pub(super) struct Template {
    pub(super) prompt: Prompt,
    source: String,
}

/// The template that a config asks for: of a run that goes on, the one that it has.
pub(super) fn template(
    config: &FinetuneConfig,
    dir: &Path,
    resume: bool,
) -> anyhow::Result<Option<Template>> {
    let Some(name) = &config.prompt.template else { return Ok(None) };
    let stored = dir.join(TEMPLATE);
    let (source, name) = match resume && stored.is_file() {
        true => (prompting::template(&stored.to_string_lossy())?, stored.display().to_string()),
        false => (prompting::template(name)?, name.clone()),
    };
    let prompt = Prompt::parse(&source, &name).map_err(|error| usage(error.to_string()))?;
    Ok(Some(Template { prompt, source }))
}

/// Trains, or shows what would be trained.
pub(super) fn run(
    start: Start<'_>,
    template: &Template,
    is_dataset: bool,
) -> anyhow::Result<Option<Summary>> {
    let Start { args, dir, mut config, from, device_name, device, body, tokenizer, loaded, .. } = start;
    let (read_as, runs, global) = (start.read_as, start.runs, start.global);
    let kind = config.method.kind;
    let prompt = &template.prompt;
    // A whole model is ours once it is written, and read as such.
    let is_ours = kind == MethodKind::Pet || Conventions::of(&from)?.is_ours;
    let special = special_ids_of(&body, Some(&tokenizer.tokenizer), is_ours);
    let training = config.training.resolve(1, body.seq_len)?;
    model::check_context(&training, &body)?;
    let at = || format!("--from {}", from.display());
    if !matches!(body.kind, ModelKind::Decoder | ModelKind::Encoder) {
        return Err(usage(format!(
            "{}: a template trains decoders and encoders of the objective masked, and this is a {} model",
            at(),
            body.kind.name()
        )));
    }
    let reader = Body::from(hugging_face::load_any(&from, &device).with_context(at)?);
    let trained = {
        let begins = match reader {
            Body::Encoder(_) => special.before,
            _ => special.end_of_text,
        };
        let beginning = || beginning(&config.prompt, prompt, &tokenizer.tokenizer, begins, config.seed);
        match kind {
            MethodKind::SoftPrompt => Some(TrainedPrompt::soft(&reader, &beginning()?, config.seed)),
            MethodKind::Prefix => {
                Some(TrainedPrompt::prefix(&reader, &beginning()?, config.prompt.mlp_width, config.seed))
            }
            _ => None,
        }
    };
    let trained = trained.transpose().map_err(|error| usage(format!("{}: {error}", at())))?;
    let asking = asking(&body, &special, training.seq_len, trained.as_ref())?;
    let model = Prompted::new(reader, trained).map_err(|error| usage(format!("{}: {error}", at())))?;
    let model = match kind {
        MethodKind::Lora => with_adapters(model, &config.lora.adapters(), config.seed)?,
        _ => model,
    }
    .with_checkpointing(config.training.activation_checkpointing);

    let labels = labels(loaded.labels.names(), prompt)?;
    let encoder = Encoder { prompt, tokenizer: &tokenizer.tokenizer, asking, labels, is_dataset };
    let part = |of: Of| {
        let (examples, files) = of.examples(&loaded);
        encoder.encode(examples, files)
    };
    let train = encoder.encode(&loaded.train, &loaded.files)?;
    let (held_out, test) = (part(Of::HeldOut)?, part(Of::Test)?);
    if train.is_empty() {
        return Err(usage("nothing to train on is left of the files"));
    }
    let training = config.training.resolve(train.len(), body.seq_len)?;
    record(&mut config.training, &training);
    let groups = LayerGroups::of(&model);
    if args.dry_run {
        let planned = Planned {
            config: &config,
            training: &training,
            body: &body,
            loaded: &loaded,
            rows: train.len(),
            longest: longest(&train),
            device: &device_name,
            runs,
        };
        planned.print(&model, &groups, global)?;
        return Ok(None);
    }
    let run_file = run_file(global, &device_name, &tokenizer, (&loaded, &read_as), &from, &config)?;
    training::check_started(&run_file, dir)?;
    // Only now is anything written: a refused command leaves a run as it was.
    tokenizer.tokenizer.save(dir)?;
    let path = dir.join(TEMPLATE);
    firebrand_durable::write(&path, template.source.as_bytes())
        .with_context(|| path.display().to_string())?;
    run_file.write(dir)?;

    let job = Job { args, dir, config: &config, training: &training, device: &device, global };
    let templates = prompt.templates.len();
    let trains = trained_numbers(&model, &config.method.rates(&groups, job.epoch(train.len())));
    say(
        global,
        format!(
            "{} texts in {templates} template{} to train on, {} held out; {} labels with {} answers: {}",
            thousands(loaded.train.len() as u64),
            if templates == 1 { "" } else { "s" },
            thousands(loaded.held_out.len() as u64),
            prompt.labels().len(),
            prompt.verbalizer.answers().len(),
            prompt.labels().join(", ")
        ),
    );
    let described = format!("{} parameters, {trains} trained", thousands(body.n_params() as u64));
    say(global, format!("{described}, on {device_name}; {} steps", thousands(training.steps)));
    let objective = Answering {
        labels: answers_of_labels(prompt),
        dropout: config.head.dropout,
        lm_weight: config.head.lm_weight,
        best_by: config.head.best_by.unwrap_or(BestBy::of(TaskKind::Classification)),
        base: from.clone(),
        end_of_text: tokenizer.tokenizer.end_of_text(),
    };
    let head = HeadConfig::for_body(&body, TaskKind::Classification, prompt.labels().to_vec());
    let parts = Parts { train: &train, held_out: &held_out, test: &test };
    let measured = if test.is_empty() { &held_out } else { &test };
    let ended = Ended { job, loaded: &loaded, measured, head };
    let model_is = format!("{described}, on {device_name}");
    if kind == MethodKind::Lora && !config.lora.merge {
        let (lora, end_of_text) = (config.lora.adapters(), objective.end_of_text);
        let adapters = AdaptersOf { objective: objective.clone(), base: from, lora, end_of_text };
        let trained = job.train(adapters, model, &groups, model_is, &parts)?;
        return ended.summary(&objective, &trained).map(Some);
    }
    let trained = job.train(objective.clone(), model, &groups, model_is, &parts)?;
    ended.summary(&objective, &trained).map(Some)
}

/// A run that came to its end.
struct Ended<'a> {
    job: Job<'a>,
    loaded: &'a Loaded,
    /// Of the part that it is measured on each text in each template: all texts in the first one, then all in the next.
    measured: &'a [Cloze],
    head: HeadConfig,
}

impl Ended<'_> {
    /// Judges the weights that were kept; what several templates say of a text is the mean.
    fn summary<O: Objective<Model = Prompted>>(
        &self,
        objective: &Answering,
        trained: &Trained<O>,
    ) -> anyhow::Result<Summary> {
        let Self { job, loaded, measured, head } = self;
        let Job { args, dir, config, global, .. } = *job;
        let texts = Of::report(loaded).examples(loaded).0.len();
        let report = (texts > 0).then(|| {
            let trainer = &trained.finished.trainer;
            let said = objective.answers(&trainer.model().valid(), measured, trainer.rows_at_once());
            let by_text = |of: usize| (0..measured.len() / texts).map(move |template| template * texts + of);
            let order: Vec<usize> = (0..texts).flat_map(by_text).collect();
            let of: Vec<usize> = order.iter().map(|place| place % texts).collect();
            let said: Vec<Vec<f32>> = order.iter().map(|&place| said[place].clone()).collect();
            let targets: Vec<Target> =
                order.iter().map(|&place| Target::Class(measured[place].label)).collect();
            judge(head, &said, targets.iter(), &of)
        });
        if let Some((report, basis)) = report.as_ref().zip(trained.basis()) {
            // Of several runs the figures are printed side by side.
            let alone = args.seeds.is_none() && args.folds.is_none() && args.curve.is_empty();
            judged::tell(dir, report, basis, loaded, alone, global)?;
        }
        Ok(Summary::new(dir, config, trained, loaded.train.len(), report.as_ref()))
    }
}

/// For each label its answers, with the logarithms of their weights.
fn answers_of_labels(prompt: &Prompt) -> Vec<Vec<(usize, f64)>> {
    let answers = prompt.verbalizer.answers();
    let of = |label: usize| {
        let own = answers.iter().enumerate().filter(|(_, answer)| answer.label == label);
        own.map(|(number, answer)| (number, answer.weight.ln())).collect()
    };
    (0..prompt.labels().len()).map(of).collect()
}

/// How many numbers are trained.
fn trained_numbers(model: &Prompted, rates: &Rates) -> String {
    let trained = tensor_handles(model).into_iter().filter(|tensor| rates.of(&tensor.name).factor > 0.0);
    thousands(trained.map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum())
}
