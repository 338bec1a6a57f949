//! Texts by the head of a fine-tuned model.

use super::columns::{Writer, format_of};
use super::input::{File, Given, Lines, Source, Text};
use super::said::Said;
use super::{judged, tagged};
use crate::args::{ClassifyArgs, Global};
use crate::commands::frame::frame;
use crate::config::FinetuneConfig;
use crate::exit::usage;
use crate::output::{line, say, thousands};
use crate::reading::ReadAs;
use crate::run::{self, RunFile, check_model_folder};
use anyhow::Context;
use firebrand_corpus::labelled::{Columns, Kind, Reading};
use firebrand_corpus::records::Field;
use firebrand_finetune::{Frame, Framed, LongTexts, predict};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{Classifier, HeadConfig, Sequence, TaskKind, hugging_face};
use rayon::prelude::*;
use serde_json::json;
use std::path::Path;

/// How many batches of a file are read at once: texts of like lengths are put together.
const BATCHES: usize = 16;

pub(super) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    let added =
        args.add_columns.as_ref().map(|path| Ok::<_, anyhow::Error>((path, format_of(path)?))).transpose()?;
    if added.is_some() && args.file.len() > 1 {
        return Err(usage("--add-columns: give one --file; its columns are written with more"));
    }
    let reader = Reader::open(args, global)?;
    let readings = Readings::new(args)?;
    let batch = args.batch_size.get();
    if args.label.is_some() && args.file.is_empty() {
        return Err(usage("--label: give the --file that has this column"));
    }
    if args.label.is_some() {
        return judged::run(&reader, &readings, args, global);
    }
    if reader.model.head_config().task == TaskKind::Tagging {
        if added.is_some() {
            return Err(usage("--add-columns: the tags of words are no column; --json has them"));
        }
        return tag(&reader, &readings, args, global);
    }
    let mut printer = Printer::new(reader.model.head_config(), global);
    if !args.file.is_empty() {
        for path in &args.file {
            let reading = readings.of(path);
            let mut file = File::open(path, &reading, Kind::None)?;
            match &added {
                Some((out, format)) => {
                    let texts = firebrand_durable::write_with(out, |to| {
                        let mut writer = Writer::new(to, *format, reader.model.head_config());
                        reader.read(&mut file, batch * BATCHES, batch, &mut |text, said| {
                            writer.write(text, said)
                        })
                    });
                    let texts = texts.with_context(|| out.display().to_string())?;
                    say(global, format!("{}: {} texts", out.display(), thousands(texts)));
                }
                None => {
                    let texts = reader.read(&mut file, batch * BATCHES, batch, &mut |text, said| {
                        printer.print(text, said)
                    })?;
                    if texts == 0 {
                        return Err(usage(format!(
                            "{}: is empty; there is nothing to classify",
                            path.display()
                        )));
                    }
                }
            }
        }
        return Ok(());
    }
    let mut source: Box<dyn Source> = match args.texts.is_empty() {
        true => Box::new(Lines::of_stdin()),
        false => Box::new(Given::new(args.texts.clone())),
    };
    reader.read(&mut *source, batch, batch, &mut |text, said| printer.print(text, said))?;
    Ok(())
}

/// Prints the tags of all texts.
fn tag(reader: &Reader, readings: &Readings, args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    let batch = args.batch_size.get();
    for path in &args.file {
        let reading = readings.of(path);
        if tagged::run(reader, &mut File::open(path, &reading, Kind::Words)?, batch, global)? == 0 {
            return Err(usage(format!("{}: is empty; there is nothing to tag", path.display())));
        }
    }
    match (args.file.is_empty(), args.texts.is_empty()) {
        (false, _) => Ok(()),
        (true, true) => tagged::run(reader, &mut Lines::of_stdin(), batch, global).map(|_| ()),
        (true, false) => tagged::run(reader, &mut Given::new(args.texts.clone()), batch, global).map(|_| ()),
    }
}

/// A model that says something of texts.
pub(super) struct Reader {
    pub(super) model: Classifier,
    pub(super) tokenizer: Tokenizer,
    pub(super) frame: Frame,
    /// The most ids that are read of a text at once.
    pub(super) longest: usize,
    /// What becomes of longer ones.
    pub(super) long: LongTexts,
}

impl Reader {
    fn open(args: &ClassifyArgs, global: &Global) -> anyhow::Result<Self> {
        let dir = &args.run;
        check_model_folder(dir)?;
        if hugging_face::load_head(dir)?.is_none() {
            return Err(usage(format!(
                "{}: has no head that says something of texts: `firebrand finetune --from {0} --data FILE` trains one",
                dir.display()
            )));
        }
        let (_, device) = run::device(global)?;
        let model = hugging_face::load_classifier(dir, &device)?;
        if !dir.join("tokenizer.json").exists() {
            return Err(usage(format!("{}: has no tokenizer.json to read texts with", dir.display())));
        }
        let tokenizer = Tokenizer::load(dir)?;
        let body = model.body().config();
        // Texts are cut where they were cut in training.
        let training = trained(args)?.map(|run| run.config.training);
        let longest = training.as_ref().map_or(body.seq_len, |training| training.seq_len);
        let long = training.map_or(LongTexts::default(), |training| training.long_texts);
        let frame = frame(body.kind, &tokenizer);
        Ok(Self { longest, long, frame, model, tokenizer })
    }

    /// Gives every text and what is said of it to `each`, in order; returns how many there were.
    fn read(
        &self,
        source: &mut dyn Source,
        chunk: usize,
        batch: usize,
        each: &mut dyn FnMut(&Text, &Said<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let mut count = 0;
        loop {
            let texts = source.next_chunk(chunk)?;
            if texts.is_empty() {
                return Ok(count);
            }
            if let Some(empty) = texts.iter().position(|text| text.first.trim().is_empty()) {
                return Err(usage(format!(
                    "text {} is empty: there is nothing to classify",
                    count + empty as u64 + 1
                )));
            }
            let framed: Vec<Vec<Framed>> = texts
                .par_iter()
                .map(|text| {
                    let second = text.second.as_ref().map(|second| self.tokenizer.encode(second));
                    let first = self.tokenizer.encode(&text.first);
                    self.frame.parts(&first, second.as_deref(), self.longest, self.long)
                })
                .collect();
            if let Some(empty) =
                framed.iter().position(|parts| parts.iter().any(|framed| framed.ids.is_empty()))
            {
                return Err(usage(format!(
                    "text {}: the tokenizer makes no token of it",
                    count + empty as u64 + 1
                )));
            }
            let sequences: Vec<Sequence<'_>> = framed
                .iter()
                .flatten()
                .map(|framed| Sequence { ids: &framed.ids, second: framed.second })
                .collect();
            let outputs = predict(&self.model, &sequences, batch);
            let mut outputs = outputs.iter().map(Vec::as_slice);
            for (text, parts) in texts.iter().zip(&framed) {
                let of_text = outputs.by_ref().take(parts.len());
                each(text, &Said::new(self.model.head_config(), of_text))?;
            }
            count += texts.len() as u64;
        }
    }
}

/// What the run was fine-tuned with, if it is a run.
fn trained(args: &ClassifyArgs) -> anyhow::Result<Option<RunFile<FinetuneConfig>>> {
    run::file(&args.run).exists().then(|| RunFile::<FinetuneConfig>::read(&args.run)).transpose()
}

/// How files are read: as in training, where nothing else is said.
pub(super) struct Readings {
    trained: ReadAs,
    /// The columns that are named on the command line.
    named: Columns,
}

impl Readings {
    fn new(args: &ClassifyArgs) -> anyhow::Result<Self> {
        let named = |name: &Option<String>| name.clone().map(Field::Name);
        let [text, text_b, label] = [&args.text, &args.text_b, &args.label].map(named);
        let named = Columns { text, text_b, label, ..Columns::default() };
        Ok(Self { trained: trained(args)?.as_ref().map(ReadAs::of).unwrap_or_default(), named })
    }

    /// How a file is read. Labels are looked at where their column is named.
    pub(super) fn of(&self, path: &Path) -> Reading {
        let Columns { text, text_b, label, .. } = self.named.clone();
        let mut reading = self.trained.reading(path);
        reading.columns.text = text.or(reading.columns.text);
        reading.columns.text_b = text_b.or(reading.columns.text_b);
        reading.columns.label = label;
        reading
    }

    /// How a file with labels is read.
    pub(super) fn with_labels(&self, path: &Path) -> Reading {
        Reading { empty_texts: self.trained.empty_texts(), ..self.of(path) }
    }
}

/// Prints a line a text.
struct Printer<'a> {
    json: bool,
    /// The longest label.
    width: usize,
    head: &'a HeadConfig,
}

impl<'a> Printer<'a> {
    fn new(head: &'a HeadConfig, global: &Global) -> Self {
        let width = head.labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        Self { json: global.json, width, head }
    }

    fn print(&mut self, text: &Text, said: &Said<'_>) -> anyhow::Result<()> {
        if self.json {
            let mut all = serde_json::Map::new();
            all.insert("text".into(), json!(text.first));
            if let Some(second) = &text.second {
                all.insert("text_b".into(), json!(second));
            }
            all.extend(said.json());
            return line(serde_json::Value::Object(all));
        }
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = match &text.second {
            Some(second) => format!("{} | {}", one_line(&text.first), one_line(second)),
            None => one_line(&text.first),
        };
        match self.head.labels.is_empty() {
            true => line(format!("{:>10}  {shown}", said.short())),
            false => {
                line(format!("{:<width$}  {:<5}  {shown}", said.short(), said.sure(), width = self.width))
            }
        }
    }
}
