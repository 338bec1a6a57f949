//! The examples of a task: from files, from datasets by name, or made by the built-in grammar.

use crate::args::{MeasureName, ShotsBy};
use crate::commands::classify::records;
use crate::commands::prompting;
use crate::config::did_you_mean;
use crate::exit::usage;
use crate::named;
use anyhow::Context;
use clap::ValueEnum;
use firebrand_corpus::datasets::{
    Dataset, DatasetSplit, Kind as DatasetKind, Layout, MinimalPair, SplitName,
};
use firebrand_corpus::datasets::{DatasetError, Example, Examples as Reader};
use firebrand_corpus::generator::{Grammar, Kind, Split, write_labelled};
use firebrand_corpus::records::{Field, Format};
use firebrand_corpus::sources::{FormatChoice, source_files};
use firebrand_evaluation::items::{Choice, Cloze, choices, cloze, drawn};
use firebrand_evaluation::suite::{DataSource, Shots, Task, TaskKind};
use firebrand_prompt::{Example as Input, Measure, Prompt, ShotChoice};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How many documents the built-in grammar makes if nobody says.
const MADE: usize = 1000;

/// What is asked about.
pub(super) enum Examples {
    /// Texts, with the nats below which no model comes in the mean, where they are known.
    Texts(Vec<(String, Option<f64>)>),
    Pairs(Vec<MinimalPair>),
    Choices(Vec<Choice>),
    Cloze(Vec<Cloze>),
    Labelled(Labelled),
}

/// Inputs of a template, with their labels.
pub(super) struct Labelled {
    pub(super) prompts: Vec<Prompt>,
    pub(super) inputs: Vec<Input>,
    /// What accuracy is of.
    pub(super) measure: Measure,
    pub(super) shots: Option<Demonstrations>,
}

/// What is shown before an input.
pub(super) struct Demonstrations {
    pool: Vec<Input>,
    count: usize,
    choice: ShotChoice,
    seed: u64,
}

impl Demonstrations {
    pub(super) fn shots(&self) -> firebrand_prompt::Shots<'_> {
        let Self { pool, count, choice, seed } = self;
        firebrand_prompt::Shots { pool, count: *count, choice: *choice, seed: *seed }
    }
}

/// Some of the data of a task.
enum Part {
    Files(Vec<PathBuf>),
    Dataset(Box<Dataset>, SplitName),
    /// JSON lines in a folder of their own, which goes when they are read.
    BuiltIn(Kind, TempDir),
}

/// The examples of a task; files are looked for in `base`.
pub(super) fn read(task: &Task, base: &Path, seed: u64) -> anyhow::Result<Examples> {
    let parts = parts(&task.data, task, task.limit, base, seed)?;
    let examples = match &task.kind {
        TaskKind::Perplexity => {
            let mut texts = Vec::new();
            for part in &parts {
                let floor = |text: &str| match part {
                    Part::BuiltIn(kind, _) => {
                        Grammar::built_in().log_prob(*kind, text).map(|log_prob| -log_prob)
                    }
                    Part::Files(_) | Part::Dataset(..) => None,
                };
                for example in all(part, task)? {
                    texts.push((floor(&example.text), example.text));
                }
            }
            Examples::Texts(
                drawn(texts, task.limit, seed).into_iter().map(|(floor, text)| (text, floor)).collect(),
            )
        }
        TaskKind::MinimalPairs { .. } => {
            let mut pairs = Vec::new();
            for part in &parts {
                for reader in readers(part, task)? {
                    pairs.extend(MinimalPair::all(reader).collect::<Result<Vec<_>, DatasetError>>()?);
                }
            }
            Examples::Pairs(drawn(pairs, task.limit, seed))
        }
        TaskKind::MultipleChoice { context, choices: fields, answer } => {
            let mut all = Vec::new();
            for part in &parts {
                all.extend(choices(&files_with_fields(part, task)?, context.as_deref(), fields, answer)?);
            }
            Examples::Choices(drawn(all, task.limit, seed))
        }
        TaskKind::Cloze { .. } => {
            let mut all_texts = Vec::new();
            for part in &parts {
                all_texts.extend(all(part, task)?);
            }
            let drawn = drawn(all_texts, task.limit, seed);
            Examples::Cloze(drawn.iter().map(last_word).collect::<anyhow::Result<_>>()?)
        }
        TaskKind::Classification { template, label, measure, shots } => {
            // Beside the suite, or one that is built in.
            let beside = base.join(template);
            let template = if beside.is_file() { &beside } else { template };
            let prompt = prompting::prompt(&template.display().to_string())?;
            let measure =
                measure.as_deref().map(|name| named_value::<MeasureName>("measure", name)).transpose()?;
            let label = label.as_deref();
            let inputs = drawn(labelled(&parts, task, label, &prompt)?, task.limit, seed);
            let shots = shots.as_ref().map(|Shots { count, pool, by, seed: own }| {
                let by = by.as_deref().map(|name| named_value::<ShotsBy>("shots_by", name)).transpose()?;
                let pool = labelled(&self::parts(pool, task, None, base, seed)?, task, label, &prompt)?;
                let shown = Demonstrations {
                    pool,
                    count: *count,
                    choice: by.map_or_else(ShotChoice::default, ShotChoice::from),
                    seed: own.unwrap_or(seed),
                };
                shown.shots().check().map_err(prompting::explained)?;
                Ok::<_, anyhow::Error>(shown)
            });
            Examples::Labelled(Labelled {
                prompts: vec![prompt],
                inputs,
                measure: measure.map_or(Measure::Sum, Measure::from),
                shots: shots.transpose()?,
            })
        }
    };
    if examples.len() == 0 {
        return Err(usage("there are no examples"));
    }
    Ok(examples)
}

impl Examples {
    fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Pairs(pairs) => pairs.len(),
            Self::Choices(choices) => choices.len(),
            Self::Cloze(words) => words.len(),
            Self::Labelled(labelled) => labelled.inputs.len(),
        }
    }
}

fn last_word(example: &Example) -> anyhow::Result<Cloze> {
    match &example.text_b {
        Some(target) if target.trim().is_empty() => {
            Err(usage("a target is empty: there is no word to ask for"))
        }
        Some(target) => Ok(Cloze::of(&example.text, target)),
        None => cloze(&example.text).ok_or_else(|| {
            let shown: String = example.text.chars().take(40).collect();
            usage(format!("`{shown}` has no last word behind another one"))
        }),
    }
}

fn parts(
    data: &[DataSource],
    task: &Task,
    limit: Option<usize>,
    base: &Path,
    seed: u64,
) -> anyhow::Result<Vec<Part>> {
    data.iter().map(|data| part(data, task, limit, base, seed)).collect()
}

fn part(
    data: &DataSource,
    task: &Task,
    limit: Option<usize>,
    base: &Path,
    seed: u64,
) -> anyhow::Result<Part> {
    Ok(match data {
        DataSource::File(path) => Part::Files(source_files(&[base.join(path)], task.format)?),
        DataSource::Dataset { name, split } => {
            let dataset = named::store(None).open(name)?;
            dataset.split(*split)?;
            Part::Dataset(Box::new(dataset), *split)
        }
        DataSource::BuiltIn { kind, split } => {
            let folder = tempfile::tempdir().context("a folder for what the grammar makes")?;
            make(*kind, *split, seed, limit.unwrap_or(MADE), &made(*kind, &folder))?;
            Part::BuiltIn(*kind, folder)
        }
    })
}

/// The file of what the grammar makes.
fn made(kind: Kind, folder: &TempDir) -> PathBuf {
    folder.path().join(format!("built-in-{}.jsonl", kind.name()))
}

fn make(kind: Kind, split: Split, seed: u64, count: usize, path: &Path) -> anyhow::Result<()> {
    firebrand_durable::write_with(path, |out| -> anyhow::Result<()> {
        write_labelled(Grammar::built_in(), kind, split, seed, count as u64, out)?;
        Ok(())
    })
    .with_context(|| path.display().to_string())
}

/// The files of a part whose records have named fields, and their formats.
fn files_with_fields(part: &Part, task: &Task) -> anyhow::Result<Vec<(PathBuf, Format)>> {
    let files: Vec<(PathBuf, Format)> = match part {
        Part::Files(paths) => paths.iter().map(|path| (path.clone(), format(path, task))).collect(),
        Part::BuiltIn(kind, folder) => vec![(made(*kind, folder), Format::JsonLines)],
        Part::Dataset(dataset, split) => {
            let DatasetSplit { paths, spec, .. } = dataset.split(*split)?;
            if !spec.header {
                return Err(usage(format!("dataset {}: its columns have no names", dataset.manifest.name)));
            }
            paths.into_iter().map(|path| (path, spec.format)).collect()
        }
    };
    match files.iter().find(|(_, format)| *format == Format::Text) {
        Some((path, _)) => Err(usage(format!("{}: plain text has no fields", path.display()))),
        None => Ok(files),
    }
}

fn format(path: &Path, task: &Task) -> Format {
    task.format.forced().unwrap_or_else(|| Format::of(path))
}

fn all(part: &Part, task: &Task) -> anyhow::Result<Vec<Example>> {
    let mut all = Vec::new();
    for reader in readers(part, task)? {
        all.extend(reader.collect::<Result<Vec<_>, DatasetError>>()?);
    }
    Ok(all)
}

/// Readers of the texts of a part, in the fields that the task or the dataset's manifest names.
fn readers(part: &Part, task: &Task) -> anyhow::Result<Vec<Reader>> {
    if let Part::Dataset(dataset, split) = part {
        let split = dataset.split(*split)?;
        let kind = match &task.kind {
            TaskKind::MinimalPairs { .. } if split.spec.good.is_none() => {
                let problem = "holds no minimal pairs: give a file, or a dataset such as blimp";
                return Err(usage(format!("dataset {}: {problem}", dataset.manifest.name)));
            }
            TaskKind::MinimalPairs { .. } => DatasetKind::Pairs,
            _ => DatasetKind::Text,
        };
        let mut layout = Layout::of_split(split.spec, kind, None);
        layout.boundary = task.boundary.unwrap_or(layout.boundary);
        if let Some(fields) = fields(task, split.spec.text.is_none()) {
            (layout.text, layout.text_b) = fields;
        }
        return Ok(vec![Reader::new(split.paths, layout)]);
    }
    let (paths, forced) = match part {
        Part::Files(paths) => (paths.clone(), None),
        Part::BuiltIn(kind, folder) => (vec![made(*kind, folder)], Some(Format::JsonLines)),
        Part::Dataset(..) => unreachable!("returned above"),
    };
    let reader = |path: PathBuf| {
        let format = forced.unwrap_or_else(|| format(&path, task));
        let (text, text_b) = fields(task, true).unwrap_or((Field::Name("text".into()), None));
        if format == Format::Text && text_b.is_some() {
            return Err(usage(format!("{}: plain text has no fields", path.display())));
        }
        let label = match &task.kind {
            TaskKind::MinimalPairs { group, .. } => group.clone().map(Field::Name),
            _ => None,
        };
        let boundary = task.boundary.unwrap_or_default();
        Ok(Reader::new(vec![path], Layout { format, header: true, boundary, text, text_b, label }))
    };
    paths.into_iter().map(reader).collect()
}

/// The fields that the task names, or that its kind usually has where `usual` asks for them.
fn fields(task: &Task, usual: bool) -> Option<(Field, Option<Field>)> {
    let name = |name: &String| Field::Name(name.clone());
    match &task.kind {
        TaskKind::MinimalPairs { good, bad, .. } => usual.then(|| (name(good), Some(name(bad)))),
        TaskKind::Cloze { fields: Some((context, target)) } => Some((name(context), Some(name(target)))),
        _ => task.text.as_ref().map(|text| (name(text), None)),
    }
}

/// The value of this name, which an option of the command line knows too.
fn named_value<T: ValueEnum>(key: &str, name: &str) -> anyhow::Result<T> {
    T::from_str(name, false).map_err(|_| {
        let all: Vec<_> = T::value_variants().iter().filter_map(T::to_possible_value).collect();
        let names: Vec<&str> = all.iter().map(clap::builder::PossibleValue::get_name).collect();
        let hint = did_you_mean(name, &names);
        usage(format!("{key} = \"{name}\"{hint}: write {}", names.join(", ")))
    })
}

/// Inputs of a template with the numbers of their labels. `label` is the field, of a dataset the label set.
fn labelled(parts: &[Part], task: &Task, label: Option<&str>, prompt: &Prompt) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for part in parts {
        // The field is named, so that it has to be there.
        let field = Some(label.unwrap_or("label"));
        let (paths, label, format) = match part {
            Part::Files(paths) => (paths.clone(), field, task.format),
            Part::BuiltIn(kind, folder) => (vec![made(*kind, folder)], field, FormatChoice::Auto),
            Part::Dataset(dataset, split) => {
                let name = format!("dataset:{}/{}", dataset.manifest.name, split.name());
                (vec![name.into()], label, FormatChoice::Auto)
            }
        };
        let read = records::read(&paths, label, prompt.labels(), None, format)?;
        prompt
            .check_fields(&read.fields.iter().map(String::as_str).collect::<Vec<_>>())
            .map_err(prompting::explained)?;
        inputs.extend(read.examples);
    }
    Ok(inputs)
}
