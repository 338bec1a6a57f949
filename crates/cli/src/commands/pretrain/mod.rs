//! `firebrand pretrain`.

mod checks;
mod dry_run;
mod teacher;

use crate::args::{Global, PretrainArgs};
use crate::commands::training::{self, Finished, Heading, Pace, Plan};
use crate::config::{self, MASK, ObjectiveName, PretrainConfig};
use crate::exit::usage;
use crate::output::{duration, line, say, thousands};
use crate::run::{self, RunFile};
use crate::screen;
use crate::text;
use burn::tensor::Device;
use firebrand_corpus::batches::TokenBatch;
use firebrand_corpus::batches::WindowOrder;
use firebrand_corpus::shards::Shards;
use firebrand_corpus::sources::Split;
use firebrand_pretrain::{
    BidirectionalLm, Causal, Denoising, Distillation, DistillationConfig, EncoderDecoderLm, FillInTheMiddle,
    MaskedLm, Masking, MiddleTokens, Mixture, ModeTokens, NextSentence, Noising, PermutationLm, PrefixLm,
    ReplacedToken, Sentinels, SpanCorruption,
};
use firebrand_tokenizer::Tokenizer;
use firebrand_training::{Objective, Rates, Windows};
use firebrand_transformer::hugging_face::Architecture;
use firebrand_transformer::{Model, ModelConfig, ModelKind, Spellings};
use std::path::{Path, PathBuf};

use checks::{check_checkpointing, check_context, new_model};
use teacher::Teacher;

pub(crate) fn run(args: &PretrainArgs, global: &Global) -> anyhow::Result<()> {
    let dir = args.out.clone().unwrap_or_else(|| default_dir(args.config.as_deref().unwrap_or("run")));
    let config = read_config(args, &dir)?;
    config.validate()?;
    let (device_name, device) = run::device(global)?;
    config
        .training
        .precision
        .check(&device)
        .map_err(|error| usage(format!("training.precision: {error}")))?;
    let device = device.autodiff();
    check_checkpointing(&config, &device_name)?;
    let teacher = config.distillation.as_ref();
    let teacher = teacher.map(|teacher| Teacher::find(teacher, config.training.seq_len, &dir)).transpose()?;
    if args.dry_run {
        return dry_run::run(&config, teacher.as_ref(), &device_name, global);
    }
    if args.tui {
        // Before data is read, which may take its time.
        screen::check(global)?;
    }
    let _lock = training::enter(&dir, args.resume)?;

    let (tokenizer, shards) = text::load(&config.data, global)?;
    teacher.as_ref().map_or(Ok(()), |teacher| teacher.check_tokenizer(&tokenizer))?;
    let run_file = RunFile::new(
        global,
        &device_name,
        tokenizer.sha256.clone(),
        shards.provenance().map_or(String::new(), |provenance| provenance.key.clone()),
        args.from.clone(),
        config.clone(),
    );
    let hashes = teacher.as_ref().map(Teacher::hashes).transpose()?;
    let run_file = RunFile { teacher: hashes, ..run_file };
    // What the objective marks is not in any text.
    let special = config.special_tokens();
    let tokenizer =
        tokenizer.tokenizer.with_special_tokens(&special).map_err(|error| usage(error.to_string()))?;
    let mut model = config.model(tokenizer.vocab_size());
    check_context(&config, &model)?;
    spell(&mut model, &tokenizer);
    let (dropout, end_of_text) = (model.dropout, tokenizer.end_of_text());
    let opened = teacher.as_ref().map(|teacher| teacher.open(&device)).transpose()?;
    let job = Job {
        args,
        dir: &dir,
        config: &config,
        run_file,
        tokenizer,
        shards,
        model,
        device_name: &device_name,
        device: &device,
        global,
    };
    match (config.objective, teacher.zip(opened)) {
        (ObjectiveName::Causal, None) => train(Causal { dropout, end_of_text }, job),
        (ObjectiveName::Causal, Some((Teacher { distillation, model }, teacher))) => {
            introduce_teacher(distillation, &model, global);
            train(Distillation::new(Causal { dropout, end_of_text }, teacher, distillation), job)
        }
        (ObjectiveName::FillInTheMiddle, _) => {
            let probability = config.fill_in_the_middle.clone().unwrap_or_default().probability;
            let id = |name: &str| job.tokenizer.token_to_id(name);
            let tokens =
                MiddleTokens::of(id, end_of_text).expect("the objective's tokens were put in just now");
            train(FillInTheMiddle { probability, tokens, causal: Causal { dropout, end_of_text } }, job)
        }
        (ObjectiveName::Permutation, _) => {
            let predict = config.permutation.clone().unwrap_or_default().predict;
            train(PermutationLm { predict, dropout, end_of_text }, job)
        }
        (ObjectiveName::Prefix, _) => train(PrefixLm { dropout, end_of_text }, job),
        (ObjectiveName::Bidirectional, _) => train(BidirectionalLm { dropout, end_of_text }, job),
        (ObjectiveName::SpanCorruption, _) => {
            let spans = config.span_corruption.unwrap_or_default().spans();
            let (sentinels, end_of_text) = (job.sentinels(), job.end_of_text());
            train_pairs(SpanCorruption { spans, sentinels, end_of_text }, job)
        }
        (ObjectiveName::Denoising, _) => {
            let config = config.denoising.unwrap_or_default();
            let ends_sentence = ends_sentence(&job.tokenizer).into();
            let (mask, end_of_text) = (job.special(MASK), job.end_of_text());
            train_pairs(Denoising { config, mask, end_of_text, ends_sentence }, job)
        }
        (ObjectiveName::Mixture, _) => {
            let config = config.mixture.clone().unwrap_or_default();
            let modes = ModeTokens::of(|name| Some(job.special(name))).expect("all of them are there");
            let (sentinels, end_of_text) = (job.sentinels(), job.end_of_text());
            train_pairs(Mixture { config, modes, sentinels, end_of_text }, job)
        }
        (ObjectiveName::Masked, _) => {
            let options = config.masked.unwrap_or_default();
            let masking = options.rates(job.masking()?);
            let next_sentence = options.next_sentence.then(|| job.next_sentence()).transpose()?;
            train(MaskedLm { masking, next_sentence, dropout, end_of_text }, job)
        }
        (ObjectiveName::ReplacedToken, _) => {
            let options = config.replaced_token.unwrap_or_default();
            train(ReplacedToken::new(&options, job.masking()?, dropout, end_of_text), job)
        }
    }
}

/// Tells a model that computes its embeddings from bytes what those of the tokens are.
fn spell(model: &mut ModelConfig, tokenizer: &Tokenizer) {
    if model.characters.is_some() {
        let table = tokenizer.token_table();
        model.spellings = Some(Spellings::new((0..table.len() as u32).map(|id| table.bytes(id))));
    }
}

/// Trains an encoder–decoder.
fn train_pairs<N: Noising>(noising: N, job: Job<'_>) -> anyhow::Result<()> {
    let (dropout, end_of_text) = (job.model.dropout, job.end_of_text());
    train(EncoderDecoderLm { noising, dropout, end_of_text }, job)
}

/// For each id, whether a sentence ends with it: a full stop, a question or exclamation mark, perhaps with quotes, brackets or
/// space behind.
fn ends_sentence(tokenizer: &Tokenizer) -> Vec<bool> {
    let table = tokenizer.token_table();
    let ends = |id: u32| {
        let bytes = table.bytes(id);
        let text = bytes.trim_ascii_end();
        let end = text.iter().rposition(|byte| !b"\"')]}".contains(byte));
        end.is_some_and(|end| b".!?".contains(&text[end]))
    };
    (0..tokenizer.vocab_size() as u32).map(|id| !table.is_special(id) && ends(id)).collect()
}

/// A run before its first step.
struct Job<'a> {
    args: &'a PretrainArgs,
    dir: &'a Path,
    config: &'a PretrainConfig,
    run_file: RunFile<PretrainConfig>,
    /// With the special tokens of the objective.
    tokenizer: Tokenizer,
    shards: Shards,
    model: ModelConfig,
    device_name: &'a str,
    /// With autodiff.
    device: &'a Device,
    global: &'a Global,
}

impl Job<'_> {
    /// The end of text, for objectives that ask for one.
    fn end_of_text(&self) -> u32 {
        self.tokenizer.end_of_text().expect("the objective's tokens were put in just now")
    }

    /// The sentinels of the tokenizer.
    fn sentinels(&self) -> Sentinels {
        Sentinels::of(|name| self.tokenizer.token_to_id(name))
    }

    /// The id of a special token of the objective.
    fn special(&self, name: &str) -> u32 {
        self.tokenizer.token_to_id(name).expect("the objective's tokens were put in just now")
    }

    /// How tokens are hidden.
    fn masking(&self) -> anyhow::Result<Masking> {
        let table = self.tokenizer.token_table();
        match !(0..table.len() as u32).any(|id| table.is_ordinary(id)) {
            true => {
                Err(usage("the tokenizer has special tokens only: there is nothing to hide and to predict"))
            }
            false => Ok(Masking::new(&table, self.special(MASK))),
        }
    }

    /// Where the segments of next-sentence prediction come from.
    fn next_sentence(&self) -> anyhow::Result<NextSentence> {
        let [cls, sep] = NextSentence::TOKENS.map(|name| self.special(name));
        let training = self.shards.split(Split::Train)?.clone();
        let held_out = self.shards.get(Split::HeldOut).filter(|split| !split.is_empty());
        Ok(NextSentence {
            cls,
            sep,
            context: self.config.training.seq_len,
            evaluation: held_out.unwrap_or(&training).clone(),
            training,
        })
    }
}

/// Trains a model for an objective, whichever that is.
fn train<O: Objective<Rows = TokenBatch>>(objective: O, job: Job<'_>) -> anyhow::Result<()>
where
    O::Model: Model,
{
    let Job {
        args,
        dir,
        config,
        run_file,
        tokenizer,
        shards,
        model: model_config,
        device_name,
        device,
        global,
    } = job;
    let train = shards.split(Split::Train)?;
    let order = WindowOrder::new(train.len(), config.training.seq_len, config.seed, config.data.order)?;
    training::check_started(&run_file, dir)?;
    let model: O::Model = new_model(args.from.as_deref(), &model_config, &tokenizer, config.seed, device)?;
    let model = model.with_checkpointing(config.training.activation_checkpointing);
    // Only now is anything written: a refused command leaves a run as it was.
    tokenizer.save(dir)?;
    run_file.write(dir)?;
    introduce(&model_config, &tokenizer, &shards, device_name, config, global);
    let held_out_bytes = target_bytes(&shards, &tokenizer)?;
    let seq_len = config.training.seq_len;
    let data =
        Windows { train, order: &order, seq_len, held_out: shards.get(Split::HeldOut), held_out_bytes };
    let plan = Plan {
        go_on: args
            .go_on
            .clone()
            .unwrap_or_else(|| format!("firebrand pretrain --out {} --resume", dir.display())),
        dir,
        training: &config.training,
        optimizer: &config.optimizer,
        schedule: &config.schedule,
        seed: config.seed,
        rates: Rates::default(),
        device,
        heading: heading(dir, &model_config, device_name, config),
        tui: args.tui,
        tensorboard: args.tensorboard,
        global,
    };
    let Finished { evaluation, progress, pace, .. } = training::drive(objective, model, &data, plan)?;
    let val_loss = evaluation.map(|evaluation| evaluation.loss);
    report(config, dir, val_loss, progress.best_step, progress.seconds, &pace, global)
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
        None if run::file(dir).exists() => Ok(RunFile::read(dir)?.config),
        None => Err(usage(format!("{}: holds no run to go on with; start one with --config", dir.display()))),
    }
}

/// UTF-8 bytes of the held-out targets: all but the first token's.
fn target_bytes(shards: &Shards, tokenizer: &Tokenizer) -> anyhow::Result<u64> {
    let Some(held_out) = shards.get(Split::HeldOut).filter(|split| !split.is_empty()) else {
        return Ok(0);
    };
    let first = held_out.slice(0..1)?[0];
    Ok(held_out.bytes().saturating_sub(tokenizer.token_table().byte_len(first) as u64))
}

fn introduce(
    model: &ModelConfig,
    tokenizer: &Tokenizer,
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
            match model.kind {
                ModelKind::EncoderDecoder => format!("{} + {}", model.n_layers, model.decoder_layers()),
                _ if model.n_stacks() > 1 => format!("{} × {}", model.n_stacks(), model.n_layers),
                _ => model.n_layers.to_string(),
            },
            model.d_model,
            thousands(tokenizer.vocab_size() as u64),
        ),
    );
    if !architecture.is_in_transformers() {
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

fn introduce_teacher(distillation: &DistillationConfig, teacher: &ModelConfig, global: &Global) {
    say(
        global,
        format!(
            "distilled from {} ({} parameters): weight {}, temperature {}",
            distillation.teacher.display(),
            thousands(teacher.n_params() as u64),
            distillation.weight,
            distillation.temperature
        ),
    );
}

fn heading(dir: &Path, model: &ModelConfig, device: &str, config: &PretrainConfig) -> Heading {
    Heading {
        run: dir.display().to_string(),
        model: format!(
            "{}, {} parameters, on {device}",
            Architecture::of(model).class(),
            thousands(model.n_params() as u64)
        ),
        steps: config.training.steps,
    }
}

fn report(
    config: &PretrainConfig,
    dir: &Path,
    val_loss: Option<f64>,
    best_step: u64,
    seconds: f64,
    pace: &Pace,
    global: &Global,
) -> anyhow::Result<()> {
    if global.json {
        return line(serde_json::json!({
            "run": dir, "val_loss": val_loss, "best_step": best_step, "seconds": seconds,
            "tokens_per_s": pace.tokens_per_s().round(),
            "peak_bytes": firebrand_backend::memory::peak_bytes(),
        }));
    }
    let loss = val_loss.map_or("nothing was held out".to_string(), |loss| {
        let perplexity = match config.has_perplexity() {
            true => format!(" (perplexity {:.2})", loss.exp()),
            false => String::new(),
        };
        format!("held-out loss {loss:.4}{perplexity} at step {best_step}")
    });
    say(global, format!("{}: {loss}; {} of training", dir.display(), duration(seconds)));
    Ok(())
}
