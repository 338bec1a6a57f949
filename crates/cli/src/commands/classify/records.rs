//! Records as inputs: all their fields, and the label.

use crate::config::did_you_mean;
use crate::exit::usage;
use crate::named::store;
use firebrand_corpus::datasets::{LabelSet, SplitName};
use firebrand_corpus::records::{Field, Format, Record, RecordReader};
use firebrand_corpus::sources::{FormatChoice, Lines};
use firebrand_prompt::{Example, Fields};
use std::path::{Path, PathBuf};

/// What datasets are named behind.
const PREFIX: &str = "dataset:";

/// Inputs, and the names of their fields.
#[derive(Default)]
pub(crate) struct Inputs {
    pub(crate) examples: Vec<Example>,
    pub(crate) fields: Vec<String>,
}

/// Where labels are, and what they are called in the prompt.
struct Labels<'a> {
    field: String,
    /// Of a dataset, what numbers and names its labels have.
    set: Option<&'a LabelSet>,
    names: &'a [String],
}

/// Reads files, which are what `format` says, and datasets. `label` is the field of the label (of a dataset, which set of labels), and `labels` are the prompt's.
pub(crate) fn read(
    paths: &[PathBuf],
    label: Option<&str>,
    labels: &[String],
    limit: Option<usize>,
    format: FormatChoice,
) -> anyhow::Result<Inputs> {
    let mut inputs = Inputs::default();
    for path in paths {
        match path.to_str().and_then(|path| path.strip_prefix(PREFIX)) {
            Some(name) => read_dataset(name, label, labels, limit, &mut inputs)?,
            None if format.of(path) == Format::Text => match label {
                Some(label) => {
                    return Err(usage(format!(
                        "{}: is plain text, whose lines have no field `{label}`: labels are in .csv, .tsv, .jsonl and .parquet",
                        path.display()
                    )));
                }
                None => read_lines(path, limit, &mut inputs)?,
            },
            None => {
                let labels = Labels { field: label.unwrap_or("label").to_owned(), set: None, names: labels };
                let reader = RecordReader::open(path, format.of(path))?;
                // A field that was named is to be there.
                read_file(reader, None, &labels, label.is_some(), limit, &mut inputs)?;
            }
        }
    }
    match inputs.examples.is_empty() {
        true => Err(usage("there is no record to classify: the data are empty")),
        false => Ok(inputs),
    }
}

/// A text a line.
fn read_lines(path: &Path, limit: Option<usize>, inputs: &mut Inputs) -> anyhow::Result<()> {
    for line in Lines::open(path)? {
        if limit.is_some_and(|limit| inputs.examples.len() == limit) {
            break;
        }
        let text = line?;
        inputs.examples.push(Example { fields: [("text".to_owned(), text)].into(), label: None });
    }
    if !inputs.fields.iter().any(|known| known == "text") {
        inputs.fields.push("text".to_owned());
    }
    Ok(())
}

fn read_dataset(
    name: &str,
    label: Option<&str>,
    labels: &[String],
    limit: Option<usize>,
    inputs: &mut Inputs,
) -> anyhow::Result<()> {
    let (name, split) = name.split_once('/').unwrap_or((name, SplitName::Test.name()));
    let Some(split) = SplitName::ALL.into_iter().find(|known| known.name() == split) else {
        return Err(usage(format!(
            "{PREFIX}{name}/{split}: there is no split `{split}`; write train, validation or test"
        )));
    };
    let dataset = store(None).open(name)?;
    let split = dataset.split(split)?;
    let set = dataset.manifest.label_set(label)?;
    let Some(Field::Name(field)) = split.spec.labels.get(&set.name) else {
        return Err(usage(format!(
            "{PREFIX}{name}: its labels are in a column without a name, which is not read here"
        )));
    };
    let text = match &split.spec.text {
        Some(Field::Name(text)) => Some(text.as_str()),
        _ => None,
    };
    let labels = Labels { field: field.clone(), set: Some(set), names: labels };
    for path in &split.paths {
        let reader = match split.spec.header {
            true => RecordReader::open(path, split.spec.format)?,
            false => RecordReader::open_without_header(path, split.spec.format)?,
        };
        read_file(reader, text, &labels, true, limit, inputs)?;
    }
    Ok(())
}

/// `text` is the field that is the text, which is called so then.
fn read_file(
    mut reader: RecordReader,
    text: Option<&str>,
    labels: &Labels<'_>,
    needs_label: bool,
    limit: Option<usize>,
    inputs: &mut Inputs,
) -> anyhow::Result<()> {
    while limit.is_none_or(|limit| inputs.examples.len() < limit) {
        let Some(record) = reader.next_record()? else { break };
        let mut fields = Fields::new();
        for name in record.fields() {
            let value = record.get(name).unwrap_or_default().to_owned();
            let name = if Some(name.as_str()) == text { "text" } else { name };
            if !inputs.fields.iter().any(|known| known == name) {
                inputs.fields.push(name.to_owned());
            }
            fields.insert(name.to_owned(), value);
        }
        let label = match record.get(&labels.field) {
            Some(value) => Some(number(value, labels, &record)?),
            None if needs_label => {
                return Err(record
                    .error(format!("there is no label: the field `{}` is missing or null", labels.field))
                    .into());
            }
            None => None,
        };
        inputs.examples.push(Example { fields, label });
    }
    Ok(())
}

/// The number of a label among those of the prompt.
fn number(value: &str, labels: &Labels<'_>, record: &Record) -> anyhow::Result<usize> {
    let of_set = labels.set.and_then(|set| Some(set.names[set.index(value)?].as_str()));
    let name = of_set.unwrap_or(value);
    labels.names.iter().position(|known| known == name).ok_or_else(|| {
        let known: Vec<&str> = labels.names.iter().map(String::as_str).collect();
        let reason = format!(
            "`{name}` is no label of the template: {}{}",
            known.join(", "),
            did_you_mean(name, &known)
        );
        record.error(reason).into()
    })
}
