//! The records of a dataset as examples: text, perhaps a second text, perhaps a label.

use std::path::{Path, PathBuf};

use super::error::DatasetError;
use super::manifest::{Kind, LabelSet, SplitSpec};
use super::store::DatasetSplit;
use crate::error::CorpusError;
use crate::records::{Field, Format, Record, RecordReader};
use crate::sources::{DocumentBoundary, DocumentReader};

/// What is where in the records of some files.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The format of the files.
    pub format: Format,
    /// CSV and TSV: whether the first line names the columns.
    pub header: bool,
    /// Plain text: where documents end.
    pub boundary: DocumentBoundary,
    /// The text.
    pub text: Field,
    /// A second text.
    pub text_b: Option<Field>,
    /// The label.
    pub label: Option<Field>,
}

/// A record as an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The second text.
    pub text_b: Option<String>,
    /// The number of the label, among those of [`Examples::labels`].
    pub label: Option<usize>,
}

/// Reads the examples of some files in order, one at a time.
pub struct Examples {
    layout: Layout,
    paths: std::vec::IntoIter<PathBuf>,
    reader: Option<Reader>,
    labels: Labels,
    /// Bytes of the files that are done.
    before: u64,
}

enum Reader {
    Text(Box<DocumentReader>),
    Records(Box<RecordReader>),
}

/// The labels there can be.
enum Labels {
    /// These and no others.
    Known(LabelSet),
    /// Whatever comes.
    Open(Vec<String>),
}

impl Layout {
    /// That of a split, as its manifest says; with the labels of one set, if any.
    pub fn of_split(spec: &SplitSpec, kind: Kind, label_set: Option<&str>) -> Self {
        let (text, text_b, label) = match kind {
            Kind::Pairs => (spec.good.clone(), spec.bad.clone(), spec.group.clone()),
            Kind::Text => (spec.text.clone(), None, None),
            Kind::Labelled => {
                let label = label_set.and_then(|set| spec.labels.get(set)).cloned();
                (spec.text.clone(), spec.text_b.clone(), label)
            }
        };
        Self {
            format: spec.format,
            header: spec.header,
            boundary: spec.boundary.unwrap_or_default(),
            text: text.unwrap_or_else(|| Field::Name("text".into())),
            text_b,
            label,
        }
    }
}

impl Examples {
    /// The examples of files whose labels may be anything.
    pub fn new(paths: Vec<PathBuf>, layout: Layout) -> Self {
        Self::with(paths, layout, Labels::Open(Vec::new()))
    }

    /// The examples of a split; `label_set` says which labels.
    pub fn of_split(split: &DatasetSplit<'_>, kind: Kind, label_set: Option<&LabelSet>) -> Self {
        let layout = Layout::of_split(split.spec, kind, label_set.map(|set| set.name.as_str()));
        let labels = label_set.map_or(Labels::Open(Vec::new()), |set| Labels::Known(set.clone()));
        Self::with(split.paths.clone(), layout, labels)
    }

    fn with(paths: Vec<PathBuf>, layout: Layout, labels: Labels) -> Self {
        Self { layout, paths: paths.into_iter(), reader: None, labels, before: 0 }
    }

    /// The names of the labels; where any may come, of those that have come so far.
    pub fn labels(&self) -> &[String] {
        match &self.labels {
            Labels::Known(set) => &set.names,
            Labels::Open(names) => names,
        }
    }

    /// How many bytes of the files have been read.
    pub fn bytes_read(&self) -> u64 {
        let here = match &self.reader {
            None => 0,
            Some(Reader::Text(reader)) => reader.bytes_read(),
            Some(Reader::Records(reader)) => reader.bytes_read(),
        };
        self.before + here
    }

    /// The next example, `None` after the last one of the last file.
    ///
    /// # Errors
    /// A file that cannot be read, a record without the fields it should have, a label that is none.
    pub fn next_example(&mut self) -> Result<Option<Example>, DatasetError> {
        loop {
            let next = match &mut self.reader {
                None => match self.paths.next() {
                    None => return Ok(None),
                    Some(path) => {
                        self.reader = Some(open(&path, &self.layout)?);
                        continue;
                    }
                },
                Some(Reader::Text(reader)) => {
                    reader.next_document()?.map(|text| Ok(Example { text, text_b: None, label: None }))
                }
                Some(Reader::Records(reader)) => {
                    reader.next_record()?.map(|record| example(&record, &self.layout, &mut self.labels))
                }
            };
            if let Some(example) = next {
                return example.map(Some);
            }
            self.before = self.bytes_read();
            self.reader = None;
        }
    }
}

impl Iterator for Examples {
    type Item = Result<Example, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_example().transpose()
    }
}

fn open(path: &Path, layout: &Layout) -> Result<Reader, CorpusError> {
    if layout.format == Format::Text {
        return Ok(Reader::Text(Box::new(DocumentReader::open(path, layout.boundary)?)));
    }
    let reader = match layout.header {
        true => RecordReader::open(path, layout.format)?,
        false => RecordReader::open_without_header(path, layout.format)?,
    };
    let fields: Vec<String> = [Some(&layout.text), layout.text_b.as_ref(), layout.label.as_ref()]
        .into_iter()
        .flatten()
        .flat_map(Field::names)
        .collect();
    let reader = reader.only(&fields.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(Reader::Records(Box::new(reader)))
}

fn example(record: &Record, layout: &Layout, labels: &mut Labels) -> Result<Example, DatasetError> {
    let label = match &layout.label {
        None => None,
        Some(field) => Some(label(record, field, labels)?),
    };
    let text_b = layout.text_b.as_ref().map(|field| field.text(record)).transpose()?;
    Ok(Example { text: layout.text.text(record)?, text_b, label })
}

fn label(record: &Record, field: &Field, labels: &mut Labels) -> Result<usize, CorpusError> {
    let names = field.names();
    let values: Vec<&str> = names.iter().filter_map(|name| record.get(name)).collect();
    if values.len() < names.len() {
        return Err(
            record.error(format!("there is no label: the field `{}` is missing or null", names.join("`, `")))
        );
    }
    let value = values.join(" ");
    match labels {
        Labels::Known(set) => set.index(&value).ok_or_else(|| {
            const SHOWN: usize = 12;
            let mut known = set.names[..set.names.len().min(SHOWN)].join(", ");
            if set.names.len() > SHOWN {
                known += ", …";
            }
            record.error(format!("`{value}` is no label of `{}`: {known}", set.name))
        }),
        Labels::Open(names) => Ok(names.iter().position(|name| *name == value).unwrap_or_else(|| {
            names.push(value);
            names.len() - 1
        })),
    }
}
