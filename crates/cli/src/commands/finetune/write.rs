//! The tasks in which texts are written: seq2seq and instruction.

use super::data::introduce_files;
use super::dry_run::Planned;
use super::report::Summary;
use super::train::{Job, Parts};
use super::writing::Room;
use super::{longest, model, record, run_file, writing};
use crate::args::{FinetuneArgs, Global};
use crate::chat::{self, Chat};
use crate::commands::generate::Knows;
use crate::commands::training;
use crate::config::{FinetuneConfig, Learn, TaskName};
use crate::exit::usage;
use crate::output::{say, thousands};
use crate::reading::ReadAs;
use crate::text::HashedTokenizer;
use anyhow::Context;
use burn::module::Module;
use burn::tensor::Device;
use firebrand_corpus::labelled::Loaded;
use firebrand_finetune::{Examples, Item, MethodKind, Rewriting, Side, Writing, pack};
use firebrand_training::{Objective, TrainingConfig};
use firebrand_transformer::lora::with_adapters;
use firebrand_transformer::{
    AnyModel, Decoder, EncoderDecoder, LayerGroups, Model, ModelConfig, ModelKind, hugging_face,
};
use std::path::{Path, PathBuf};

/// A run before anything of it is written.
pub(super) struct Start<'a> {
    pub(super) args: &'a FinetuneArgs,
    pub(super) dir: &'a Path,
    pub(super) config: FinetuneConfig,
    pub(super) from: PathBuf,
    pub(super) device_name: String,
    /// With autodiff.
    pub(super) device: Device,
    pub(super) body: ModelConfig,
    pub(super) tokenizer: HashedTokenizer,
    pub(super) loaded: Loaded,
    pub(super) read_as: ReadAs,
    /// How many runs the command makes.
    pub(super) runs: usize,
    pub(super) global: &'a Global,
}

pub(super) fn run(start: Start<'_>) -> anyhow::Result<Option<Summary>> {
    match (start.body.kind, start.config.task) {
        (ModelKind::Decoder, _) => start.decoder(),
        (ModelKind::EncoderDecoder, TaskName::Seq2seq) => start.encoder_decoder(),
        (ModelKind::EncoderDecoder, _) => {
            Err(start.unfit("an encoder–decoder learns to write by --task seq2seq"))
        }
        _ => Err(start.unfit("only decoders and encoder–decoders write; this model reads")),
    }
}

impl Start<'_> {
    /// The error for a model that cannot do the task.
    fn unfit(&self, reason: &str) -> anyhow::Error {
        let (from, task) = (self.from.display(), self.config.task.name());
        usage(format!("--from {from}: does not fit the task {task}: {reason}"))
    }

    /// The longest texts that are read.
    fn seq_len(&self) -> anyhow::Result<usize> {
        let training = self.config.training.resolve(1, self.body.seq_len)?;
        model::check_context(&training, &self.body)?;
        Ok(training.seq_len)
    }

    fn room(&self, seq_len: usize) -> Room {
        Room { seq_len, context: self.body.seq_len }
    }

    fn decoder(mut self) -> anyhow::Result<Option<Summary>> {
        let seq_len = self.seq_len()?;
        let source = self.template()?;
        let AnyModel::Decoder(decoder) = self.load()? else {
            unreachable!("the config says that it is a decoder")
        };
        let decoder: Decoder = self.adapted(*decoder)?;
        let writing = self.config.writing.clone();
        let found = {
            let chat = Chat::new(&source, &self.tokenizer.tokenizer)?;
            writing::documents(&self.loaded, &chat, writing.learn, self.room(seq_len))?
        };
        let alone = |documents: &[firebrand_finetune::Written]| -> Vec<Side> {
            documents.iter().map(|document| Side(vec![document.clone()])).collect()
        };
        let train = match writing.pack && decoder.can_pack() {
            true => pack(&found.train, seq_len, self.config.seed),
            false => alone(&found.train),
        };
        let (held_out, test) = (alone(&found.held_out), alone(&found.test));
        let training = self.resolve(train.len())?;
        self.write(Some(&source))?;
        found.introduce(seq_len, self.global);
        introduce_files(&self.loaded, self.global);
        if train.len() < found.train.len() {
            let rows = thousands(train.len() as u64);
            say(self.global, format!("packed into {rows} rows of at most {seq_len} tokens"));
        }
        let end_of_text = self.tokenizer.tokenizer.end_of_text();
        let objective = Writing { dropout: self.config.head.dropout, end_of_text };
        let parts = Parts { train: &train, held_out: &held_out, test: &test };
        self.train(objective, decoder, &parts, &training)
    }

    fn encoder_decoder(mut self) -> anyhow::Result<Option<Summary>> {
        if self.config.writing.template.is_some() {
            return Err(self.unfit("writing.template is for chats of decoders"));
        }
        if self.config.writing.learn != Learn::default() {
            return Err(
                self.unfit("writing.learn=all is for decoders: an encoder reads prompts and learns none")
            );
        }
        let seq_len = self.seq_len()?;
        let AnyModel::EncoderDecoder(model) = self.load()? else {
            unreachable!("the config says that it is an encoder–decoder")
        };
        let model: EncoderDecoder = self.adapted(*model)?;
        let knows = Knows::new(&model, Some(&self.tokenizer.tokenizer))?;
        let found = writing::pairs(&self.loaded, &knows, &self.tokenizer.tokenizer, self.room(seq_len))?;
        let training = self.resolve(found.train.len())?;
        self.write(None)?;
        found.introduce(seq_len, self.global);
        introduce_files(&self.loaded, self.global);
        let end_of_text = self.tokenizer.tokenizer.end_of_text();
        let objective = Rewriting { dropout: self.config.head.dropout, start: knows.start, end_of_text };
        let parts = Parts { train: &found.train, held_out: &found.held_out, test: &found.test };
        self.train(objective, model, &parts, &training)
    }

    /// The template of chats: the one that is asked for, the model's own, or the plain one.
    fn template(&self) -> anyhow::Result<String> {
        if let Some(path) = &self.config.writing.template {
            return std::fs::read_to_string(path)
                .map_err(|error| usage(format!("writing.template {}: {error}", path.display())));
        }
        Ok(chat::source_in(&self.from)?.unwrap_or_else(|| chat::DEFAULT.to_owned()))
    }

    fn load(&self) -> anyhow::Result<AnyModel> {
        let from = &self.from;
        hugging_face::load_any(from, &self.device).with_context(|| format!("--from {}", from.display()))
    }

    /// The model as the method trains it.
    fn adapted<M: Model>(&self, model: M) -> anyhow::Result<M> {
        let model = model.with_checkpointing(self.config.training.activation_checkpointing);
        Ok(match self.config.method.kind {
            MethodKind::Lora => with_adapters(model, &self.config.lora.adapters(), self.config.seed)?,
            _ => model,
        })
    }

    /// The training for so many rows; the config records what it came to.
    fn resolve(&mut self, rows: usize) -> anyhow::Result<TrainingConfig> {
        let training = self.config.training.resolve(rows, self.body.seq_len)?;
        record(&mut self.config.training, &training);
        Ok(training)
    }

    /// Writes what a run has before its first step. Until now a refused command left everything as it was.
    fn write(&self, template: Option<&str>) -> anyhow::Result<()> {
        if self.args.dry_run {
            return Ok(());
        }
        let Self { dir, config, from, device_name, tokenizer, loaded, read_as, global, .. } = self;
        let run_file = run_file(global, device_name, tokenizer, (loaded, read_as), from, config)?;
        training::check_started(&run_file, dir)?;
        tokenizer.tokenizer.save(dir)?;
        if let Some(template) = template {
            chat::save(dir, template)?;
        }
        run_file.write(dir)
    }

    fn train<O, E>(
        &self,
        objective: O,
        model: O::Model,
        parts: &Parts<'_, E>,
        training: &TrainingConfig,
    ) -> anyhow::Result<Option<Summary>>
    where
        E: Item,
        O: Objective<Rows = Examples<E>, Model: Module>,
    {
        let Self { args, dir, config, device_name, device, body, global, .. } = self;
        let job = Job { args, dir, config, training, device, global };
        let parameters = thousands(body.n_params() as u64);
        let epochs = training.steps as f64 / job.epoch(parts.train.len()) as f64;
        say(
            global,
            format!(
                "{parameters} parameters on {device_name}; {} steps ({epochs:.1} epochs)",
                thousands(training.steps)
            ),
        );
        let groups = LayerGroups::of(&model);
        if self.config.method.kind == MethodKind::Frozen && !groups.has_head() {
            return Err(usage(
                "method.kind=frozen trains the head alone, and that of this model is its token embedding: use full or lora",
            ));
        }
        if args.dry_run {
            let planned = Planned {
                config,
                training,
                body,
                loaded: &self.loaded,
                rows: parts.train.len(),
                longest: longest(parts.train),
                device: device_name,
                runs: self.runs,
            };
            planned.print(&model, &groups, global)?;
            return Ok(None);
        }
        let model_is = format!("{parameters} parameters, on {device_name}");
        let trained = job.train(objective, model, &groups, model_is, parts)?;
        Ok(Some(Summary::new(dir, config, &trained, self.loaded.train.len(), None)))
    }
}
