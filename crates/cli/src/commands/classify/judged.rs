//! `--label`: how good what is said of labelled files is.

use super::heads::{Reader, Readings};
use super::input::NOTHING_TO_SAY;
use crate::args::{ClassifyArgs, Global};
use crate::commands::finetune::{located, parts};
use crate::commands::tags;
use crate::output::{line, say, thousands};
use crate::reading::advised;
use crate::report;
use firebrand_corpus::labelled::{Example as Labelled, Kind, Known, LabelledFile, Labels, read};
use firebrand_finetune::{Example, judge, predict};
use firebrand_transformer::{Sequence, TaskKind};

/// Prints the report on the files of the command line.
pub(super) fn run(
    reader: &Reader,
    readings: &Readings,
    args: &ClassifyArgs,
    global: &Global,
) -> anyhow::Result<()> {
    let head = reader.model.head_config();
    let kind = match head.task {
        TaskKind::Classification => Kind::Class,
        TaskKind::MultiLabel => Kind::Classes,
        TaskKind::Regression => Kind::Number,
        TaskKind::Tagging => Kind::Tags,
    };
    let labels = Labels::new(head.labels.iter().cloned());
    let (mut files, mut found): (Vec<LabelledFile>, Vec<Labelled>) = (Vec::new(), Vec::new());
    for path in &args.file {
        let read =
            read(std::slice::from_ref(path), &readings.with_labels(path), kind, &mut Known::Only(&labels));
        let read = read.map_err(|error| advised(error, NOTHING_TO_SAY))?;
        let before = files.len();
        found.extend(read.examples.into_iter().map(|mut example| {
            example.place.file += before;
            example
        }));
        files.extend(read.files);
    }
    let skipped: u64 = files.iter().map(|file| file.skipped).sum();
    if skipped > 0 {
        say(global, format!("{} examples without a text were left out", thousands(skipped)));
    }
    let Reader { tokenizer, frame, longest, long, .. } = reader;
    let (mut examples, mut texts): (Vec<Example>, Vec<usize>) = (Vec::new(), Vec::new());
    for (text, example) in found.iter().enumerate() {
        match head.task {
            TaskKind::Tagging => examples.extend(tags::examples(example, tokenizer, *frame, *longest)),
            _ => examples.extend(parts(example, &files, tokenizer, *frame, *longest, *long)?.0),
        }
        texts.resize(examples.len(), text);
    }
    let sequences: Vec<Sequence<'_>> = examples.iter().map(Example::sequence).collect();
    let outputs = predict(&reader.model, &sequences, args.batch_size.get());
    let judged = judge(head, &outputs, examples.iter().map(|example| &example.target), &texts);
    if global.json {
        return line(serde_json::to_value(&judged)?);
    }
    let text = |example: usize| Some(located(found.get(example)?, &files));
    report::lines(&judged, None, &text).into_iter().try_for_each(line)
}
