//! `--label`: how good what is said of labelled files is.

use super::heads::Reader;
use crate::args::{ClassifyArgs, Global};
use crate::commands::finetune::{located, parts};
use crate::commands::tags;
use crate::output::line;
use crate::report;
use firebrand_corpus::labelled::{Kind, Known, Labels, Reading, read};
use firebrand_finetune::{Example, judge, predict};
use firebrand_transformer::{Sequence, TaskKind};

/// Prints the report on the files of the command line.
pub(super) fn run(
    reader: &Reader,
    reading: &Reading,
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
    let found = read(&args.file, reading, kind, &mut Known::Only(&labels))?;
    let Reader { tokenizer, frame, longest, long, .. } = reader;
    let (mut examples, mut texts): (Vec<Example>, Vec<usize>) = (Vec::new(), Vec::new());
    for (text, example) in found.examples.iter().enumerate() {
        match head.task {
            TaskKind::Tagging => examples.extend(tags::examples(example, tokenizer, *frame, *longest)),
            _ => examples.extend(parts(example, &found.files, tokenizer, *frame, *longest, *long)?.0),
        }
        texts.resize(examples.len(), text);
    }
    let sequences: Vec<Sequence<'_>> = examples.iter().map(Example::sequence).collect();
    let outputs = predict(&reader.model, &sequences, args.batch_size.get());
    let judged = judge(head, &outputs, examples.iter().map(|example| &example.target), &texts);
    if global.json {
        return line(serde_json::to_value(&judged)?);
    }
    let text = |example: usize| Some(located(found.examples.get(example)?, &found.files));
    report::lines(&judged, None, &text).into_iter().try_for_each(line)
}
