//! Datasets where text is asked for: `dataset:NAME` or `dataset:NAME/SPLIT` in the place of a path.

mod labelled;

pub(crate) use labelled::{check_files, resolve as resolve_labelled};

use crate::exit::usage;
use crate::text::cache_dir;
use firebrand_corpus::datasets::{Dataset, SplitName, SplitSpec, Store};
use firebrand_corpus::records::{Field, Format};
use firebrand_corpus::sources::{DocumentBoundary, HeldOut, Sources};
use std::path::{Path, PathBuf};

/// What the name of a dataset stands behind.
const PREFIX: &str = "dataset:";

/// Where the datasets are: the folder that was named, or that of the environment, of the project, of the user.
pub(crate) fn store(named: Option<&Path>) -> Store {
    let from_environment = std::env::var_os("FIREBRAND_DATA").filter(|value| !value.is_empty());
    let project = Path::new("datasets");
    let root = named
        .map(Path::to_path_buf)
        .or_else(|| from_environment.map(PathBuf::from))
        .or_else(|| project.is_dir().then(|| project.to_path_buf()))
        .unwrap_or_else(|| cache_dir().with_file_name("datasets"));
    Store::new(root)
}

/// Puts the files of the datasets that are named in their places: of the split that is named, else of train.
///
/// What their files are, which field is the text and where documents end is as the manifest says, unless something else
/// was chosen. Where a fraction would be held out and the datasets have validation splits, these are held out instead.
pub(crate) fn resolve(mut sources: Sources) -> anyhow::Result<Sources> {
    let mut found = Vec::new();
    sources.texts = replace(&sources.texts, &mut found)?;
    let mut readings = Vec::new();
    for (text, dataset, split) in &found {
        readings.push(reading(text, dataset.split(*split)?.spec)?);
    }
    let Some(first) = readings.first() else {
        sources.held_out = held_out(sources.held_out, &found)?;
        return Ok(sources);
    };
    let defaults = Sources::default();
    let as_chosen = Reading {
        format: Format::Text,
        field: (sources.field != defaults.field).then(|| sources.field.clone()),
        boundary: sources.boundary,
    };
    let alone = sources.texts.iter().all(|text| is_of(text, &found));
    let alike = readings.iter().all(|reading| reading == first);
    let is_free = (sources.format, &sources.field, sources.boundary)
        == (defaults.format, &defaults.field, defaults.boundary);
    if !is_free {
        // Somebody knows better than the manifest.
    } else if alike && alone {
        sources.format = first.format.into();
        sources.boundary = first.boundary;
        sources.field = first.field.clone().unwrap_or(defaults.field);
    } else if readings.iter().any(|reading| *reading != as_chosen) {
        return Err(usage(format!(
            "{}: is not read like the other texts (it is {}): set format, field and boundary for all of them, or \
             use it alone",
            found[0].0, first
        )));
    }
    sources.held_out = held_out(sources.held_out, &found)?;
    Ok(sources)
}

/// How the text of a dataset is read.
#[derive(PartialEq)]
struct Reading {
    format: Format,
    /// The field of the text, when it is not called as usual.
    field: Option<String>,
    boundary: DocumentBoundary,
}

impl std::fmt::Display for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.format, &self.field) {
            (Format::Text, _) => write!(f, "text, boundary {}", self.boundary.name()),
            (format, field) => write!(f, "{}, field {}", format.name(), field.as_deref().unwrap_or("text")),
        }
    }
}

fn reading(text: &str, spec: &SplitSpec) -> anyhow::Result<Reading> {
    let field = match &spec.text {
        None => None,
        Some(Field::Name(name)) => Some(name.clone()),
        Some(_) => {
            return Err(usage(format!(
                "{text}: its text is in columns without names, which are not read as text here"
            )));
        }
    };
    let is_text = spec.format == Format::Text;
    if !is_text && !spec.header || spec.good.is_some() {
        return Err(usage(format!("{text}: it has no field that is a text by itself")));
    }
    // Records have no boundary of their own.
    let boundary = if is_text { spec.boundary.unwrap_or_default() } else { DocumentBoundary::default() };
    Ok(Reading { format: spec.format, field: field.filter(|_| !is_text), boundary })
}

/// Whether a path is one of the files of these datasets.
fn is_of(path: &Path, found: &[Named]) -> bool {
    found.iter().any(|(_, dataset, _)| path.starts_with(&dataset.folder))
}

/// A dataset that was named: as it was written, opened, and which split of it.
type Named = (String, Dataset, SplitName);

fn replace(texts: &[PathBuf], found: &mut Vec<Named>) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for text in texts {
        let Some(name) = text.to_str().and_then(|text| text.strip_prefix(PREFIX)) else {
            paths.push(text.clone());
            continue;
        };
        let (name, split) = name.split_once('/').unwrap_or((name, SplitName::Train.name()));
        let text = text.display().to_string();
        let Some(split) = SplitName::ALL.into_iter().find(|known| known.name() == split) else {
            return Err(usage(format!(
                "{text}: there is no split `{split}`; write train, validation or test"
            )));
        };
        let dataset = store(None).open(name)?;
        paths.extend(dataset.split(split)?.paths);
        found.push((text, dataset, split));
    }
    Ok(paths)
}

fn held_out(held_out: HeldOut, found: &[Named]) -> anyhow::Result<HeldOut> {
    match held_out {
        HeldOut::Fraction(_) if !found.is_empty() => {
            let mut paths = Vec::new();
            for (_, dataset, _) in found.iter().filter(|named| named.2 == SplitName::Train) {
                if dataset.receipt.splits.contains_key(&SplitName::Validation) {
                    paths.extend(dataset.split(SplitName::Validation)?.paths);
                }
            }
            Ok(if paths.is_empty() { held_out } else { HeldOut::Files(paths) })
        }
        HeldOut::Files(paths) => Ok(HeldOut::Files(replace(&paths, &mut Vec::new())?)),
        other => Ok(other),
    }
}
