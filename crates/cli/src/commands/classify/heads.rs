//! Texts by the head of a fine-tuned model.

use super::columns::{Writer, format_of};
use super::input::{File, Given, Lines, Source, Text};
use super::said::Said;
use crate::args::{ClassifyArgs, Global};
use crate::commands::frame::frame;
use crate::config::FinetuneConfig;
use crate::exit::usage;
use crate::output::{line, say, thousands};
use crate::run::{self, RunFile, check_model_folder};
use anyhow::Context;
use firebrand_corpus::labelled::{Columns, EmptyTexts, Reading};
use firebrand_corpus::records::Field;
use firebrand_finetune::{Frame, predict};
use firebrand_tokenizer::Tokenizer;
use firebrand_transformer::{Classifier, HeadConfig, Sequence, hugging_face};
use rayon::prelude::*;
use serde_json::json;

/// How many batches of a file are read at once: texts of like lengths are put together.
const BATCHES: usize = 16;

pub(super) fn run(args: &ClassifyArgs, global: &Global) -> anyhow::Result<()> {
    let added =
        args.add_columns.as_ref().map(|path| Ok::<_, anyhow::Error>((path, format_of(path)?))).transpose()?;
    if added.is_some() && args.file.len() > 1 {
        return Err(usage("--add-columns: give one --file; its columns are written with more"));
    }
    let reader = Reader::open(args, global)?;
    let reading = reading(args)?;
    let batch = args.batch_size.get();
    let mut printer = Printer::new(reader.model.head_config(), global);
    if !args.file.is_empty() {
        for path in &args.file {
            let mut file = File::open(path, &reading)?;
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

/// A model that says something of texts.
struct Reader {
    model: Classifier,
    tokenizer: Tokenizer,
    frame: Frame,
    longest: usize,
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
        let longest = trained(args)?.map_or(body.seq_len, |config| config.training.seq_len);
        let frame = frame(body.kind, &tokenizer);
        Ok(Self { longest, frame, model, tokenizer })
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
            let framed: Vec<_> = texts
                .par_iter()
                .map(|text| {
                    let second = text.second.as_ref().map(|second| self.tokenizer.encode(second));
                    self.frame.compose(&self.tokenizer.encode(&text.first), second.as_deref(), self.longest)
                })
                .collect();
            if let Some(empty) = framed.iter().position(|framed| framed.ids.is_empty()) {
                return Err(usage(format!(
                    "text {}: the tokenizer makes no token of it",
                    count + empty as u64 + 1
                )));
            }
            let sequences: Vec<Sequence<'_>> =
                framed.iter().map(|framed| Sequence { ids: &framed.ids, second: framed.second }).collect();
            let outputs = predict(&self.model, &sequences, batch);
            for (text, outputs) in texts.iter().zip(&outputs) {
                each(text, &Said::new(self.model.head_config(), outputs))?;
            }
            count += texts.len() as u64;
        }
    }
}

/// What the run was fine-tuned with, if it is a run.
fn trained(args: &ClassifyArgs) -> anyhow::Result<Option<FinetuneConfig>> {
    match run::file(&args.run).exists() {
        true => Ok(Some(RunFile::<FinetuneConfig>::read(&args.run)?.config)),
        false => Ok(None),
    }
}

/// How files are read: as in training, where nothing else is said.
fn reading(args: &ClassifyArgs) -> anyhow::Result<Reading> {
    let trained = trained(args)?.map_or(Columns::default(), |config| config.data.columns);
    let column = |given: &Option<String>, trained: Option<Field>| given.clone().map(Field::Name).or(trained);
    let columns = Columns {
        text: column(&args.text, trained.text),
        text_b: column(&args.text_b, trained.text_b),
        ..Columns::default()
    };
    Ok(Reading { columns, empty_texts: EmptyTexts::Refuse, ..Reading::default() })
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
