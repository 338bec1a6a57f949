//! From stages to what is run: one instance of a stage for each point of a sweep that it can tell from others.
//!
//! What a swept key reaches, directly or through an input, is made once for each value, in a folder of `{out}` that is
//! named by the value; everything else is made once, in `{out}` itself. So two points share what they have in common,
//! and no two write the same file. `{out}/PATH` means the folder of the stage that makes PATH.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use toml::Value;

use super::file::{Body, Pipeline, Stage, Threads, Word};
use super::graph::Graph;
use super::sweep::{Point, label};
use super::template::{self, OUT, Piece, ROOT};
use super::values::{Key, Values, plain};
use crate::run_directory;

/// A stage as it runs.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// The number of its stage.
    pub(super) stage: usize,
    /// The stage's name, and the values that tell it from its siblings.
    pub(super) name: String,
    /// The name in the names of files.
    pub(super) file_name: String,
    /// Numbers of the instances that must end before it.
    pub(super) needs: BTreeSet<usize>,
    /// Paths it reads, with `{out}` and `{root}` in them.
    pub(super) inputs: Vec<String>,
    /// Paths it writes, with `{out}` in them.
    pub(super) outputs: Vec<Output>,
    pub(super) threads: usize,
    words: Vec<String>,
    set: Vec<(String, Value)>,
}

/// Something that a stage makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    /// With `{out}` in it.
    pub(super) path: String,
    pub(super) kind: OutputKind,
}

/// How an output comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputKind {
    /// The command writes it.
    Written,
    /// The command prints it.
    Printed,
    /// The command trains it.
    Run,
}

impl Output {
    /// The paths that belong to it: of a run directory, the files of the run.
    pub(super) fn paths(&self) -> Vec<String> {
        match self.kind {
            OutputKind::Run => {
                run_directory::FILES.iter().map(|file| format!("{}/{file}", self.path)).collect()
            }
            _ => vec![self.path.clone()],
        }
    }
}

/// Where the placeholders of paths lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    pub(super) out: &'a Path,
    pub(super) root: &'a Path,
}

impl Places<'_> {
    /// `text` with the folders in their places.
    pub(super) fn resolve(&self, text: &str) -> String {
        // An empty path is the folder we are in.
        let root = if self.root.as_os_str().is_empty() { ".".into() } else { self.root.to_string_lossy() };
        text.replace(OUT, &self.out.to_string_lossy()).replace(ROOT, &root)
    }
}

impl Instance {
    /// The arguments of the binary.
    pub(super) fn arguments(&self, places: Places<'_>) -> Vec<String> {
        let mut arguments: Vec<String> = self.words.iter().map(|word| places.resolve(word)).collect();
        for (key, value) in &self.set {
            arguments.extend(["--set".to_owned(), format!("{key}={}", resolved(value, places))]);
        }
        arguments.extend(["--threads".to_owned(), self.threads.to_string()]);
        arguments
    }

    /// The arguments wherever the folders are: what tells one command from another.
    pub(super) fn abstract_arguments(&self) -> Vec<String> {
        self.arguments(Places { out: Path::new(OUT), root: Path::new(ROOT) })
    }

    /// The file that what it prints goes into.
    pub(super) fn printed(&self) -> Option<&str> {
        self.outputs
            .iter()
            .find(|output| output.kind == OutputKind::Printed)
            .map(|output| output.path.as_str())
    }

    /// The run directory it trains.
    pub(super) fn run(&self) -> Option<&str> {
        self.outputs.iter().find(|output| output.kind == OutputKind::Run).map(|output| output.path.as_str())
    }
}

fn resolved(value: &Value, places: Places<'_>) -> Value {
    match value {
        Value::String(text) => Value::String(places.resolve(text)),
        Value::Array(values) => Value::Array(values.iter().map(|value| resolved(value, places)).collect()),
        other => other.clone(),
    }
}

/// What an expansion is made from.
pub(super) struct Expansion<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) graph: &'a Graph,
    /// The values without those of points.
    pub(super) values: &'a Values,
    /// At least one.
    pub(super) points: &'a [Point],
    pub(super) device: Option<&'a str>,
    /// Threads for a stage that takes all.
    pub(super) all_threads: usize,
}

impl Expansion<'_> {
    /// All instances, each after those it needs.
    pub(super) fn instances(&self) -> Result<Vec<Instance>> {
        let stages = &self.pipeline.stages;
        let mut instances: Vec<Instance> = Vec::new();
        // [stage][point]: the instance.
        let mut numbers = vec![vec![0; self.points.len()]; stages.len()];
        for &stage in self.graph.order() {
            for (number, point) in self.points.iter().enumerate() {
                let part = self.part(stage, point);
                let name = match part.is_empty() {
                    true => stages[stage].name.clone(),
                    false => format!("{} {}", stages[stage].name, label(&part)),
                };
                let same = instances.iter().position(|it| it.stage == stage && it.name == name);
                let index = match same {
                    Some(index) => index,
                    None => {
                        let instance = self.instance(stage, name, point);
                        instances.push(
                            instance.map_err(|wrong| self.pipeline.wrong_stage(&stages[stage], wrong))?,
                        );
                        instances.len() - 1
                    }
                };
                numbers[stage][number] = index;
                let needs = self.graph.needs(stage).iter().map(|&need| numbers[need][number]);
                instances[index].needs.extend(needs);
            }
        }
        Ok(instances)
    }

    /// A cell of the table, `FILE:KEY`, for one point, with `{out}` in it.
    pub(super) fn cell(&self, template: &str, point: &Point) -> Result<String, String> {
        let values = self.values_at(point)?;
        let folder = |from: &str| match self.graph.maker_of(self.pipeline, from) {
            Some(maker) => folder(&self.part(maker, point)),
            None => folder(point),
        };
        Ok(render(template, &values, &folder)?.0)
    }

    /// The part of `point` that reaches `stage`.
    fn part(&self, stage: usize, point: &Point) -> Point {
        point.iter().filter(|(key, _)| self.reaches(key, stage)).cloned().collect()
    }

    fn reaches(&self, key: &Key, stage: usize) -> bool {
        let Stage { name, body, .. } = &self.pipeline.stages[stage];
        let directly = match key {
            Key::Config { stage, .. } => stage == name,
            Key::Setting(setting) => body.templates().any(|text| {
                template::pieces(text).unwrap_or_default().contains(&Piece::Name(setting.as_str()))
            }),
        };
        directly || self.graph.makers(stage).iter().any(|&maker| self.reaches(key, maker))
    }

    fn values_at(&self, point: &Point) -> Result<Values, String> {
        let mut values = self.values.clone();
        point.iter().try_for_each(|(key, value)| values.set(key, value.clone()))?;
        Ok(values)
    }

    fn instance(&self, number: usize, name: String, point: &Point) -> Result<Instance, String> {
        let stage = &self.pipeline.stages[number];
        let Body { run, inputs, outputs, stdout, trains, threads, set, device, .. } = &stage.body;
        let values = self.values_at(point)?;
        let own = folder(&self.part(number, point));
        let place = |from: &str| match self.graph.maker_of(self.pipeline, from) {
            Some(maker) if maker != number => folder(&self.part(maker, point)),
            _ => own.clone(),
        };
        let render = |text: &str| render(text, &values, &place);

        let mut words = Vec::new();
        for word in run {
            let rendered = word.words().iter().map(|word| render(word)).collect::<Result<Vec<_>, _>>()?;
            let left_out = matches!(word, Word::Group(_)) && rendered.iter().any(|(_, has_empty)| *has_empty);
            words.extend(rendered.into_iter().filter(|_| !left_out).map(|(word, _)| word));
        }
        let config = set.iter().map(|(key, value)| (key.as_str(), value));
        let mut keys: Vec<(String, Value)> = Vec::new();
        for (key, value) in config {
            keys.extend(rendered_value(value, &values, &render)?.map(|value| (key.to_owned(), value)));
        }
        for (key, value) in values.config_of(stage) {
            keys.retain(|(other, _)| other != key);
            keys.push((key.to_owned(), value.clone()));
        }
        if let Some(device) = self.device.filter(|_| *device) {
            words.extend(["--device".to_owned(), device.to_owned()]);
        }
        let mut read = Vec::new();
        for input in inputs {
            let (path, has_empty) = render(input)?;
            if !has_empty {
                read.push(path);
            }
        }
        let mut made = Vec::new();
        for (path, kind) in outputs
            .iter()
            .map(|path| (path, OutputKind::Written))
            .chain(stdout.iter().map(|path| (path, OutputKind::Printed)))
            .chain(trains.iter().map(|path| (path, OutputKind::Run)))
        {
            made.push(Output { path: render(path)?.0, kind });
        }
        let threads = match threads {
            Threads::Count(count) => *count,
            Threads::Text(text) => match render(text)?.0.as_str() {
                "all" => self.all_threads,
                count => count.parse().ok().filter(|&count| count > 0).ok_or_else(|| {
                    format!(
                        "threads = \"{text}\" comes to `{count}`; it takes a number of threads or \"all\""
                    )
                })?,
            },
        };
        let file_name = name.replacen(' ', "@", 1);
        Ok(Instance {
            stage: number,
            name,
            file_name,
            needs: BTreeSet::new(),
            inputs: read,
            outputs: made,
            threads,
            words,
            set: keys,
        })
    }
}

/// The folder of what has these values, with `{out}` in it.
fn folder(part: &Point) -> String {
    if part.is_empty() { OUT.to_owned() } else { format!("{OUT}/{}", label(part)) }
}

/// `template` with its settings in place, and whether one of them is empty. `folder` says which one is meant by the
/// `{out}` that a text begins with.
fn render(
    template: &str,
    values: &Values,
    folder: &dyn Fn(&str) -> String,
) -> Result<(String, bool), String> {
    let (mut text, mut has_empty) = (String::new(), false);
    for piece in template::pieces(template)? {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Out(from) => text.push_str(&folder(from)),
            Piece::Name("root") => text.push_str(ROOT),
            Piece::Name(name) => {
                let value = values
                    .setting(name)
                    .map(plain)
                    .ok_or_else(|| format!("no setting is called `{name}`"))?;
                has_empty |= value.is_empty();
                text.push_str(&value);
            }
        }
    }
    Ok((text, has_empty))
}

/// [`render`] with the values and folders of one instance.
type Render<'a> = dyn Fn(&str) -> Result<(String, bool), String> + 'a;

/// A value for `--set`: a lone placeholder keeps its setting's kind. `None` where a setting in it is empty.
fn rendered_value(value: &Value, values: &Values, render: &Render<'_>) -> Result<Option<Value>, String> {
    Ok(match value {
        Value::String(text) => match template::pieces(text)?.as_slice() {
            [Piece::Name(name)] if values.setting(name).is_some_and(|value| !value.is_str()) => {
                values.setting(name).cloned()
            }
            _ => Some(render(text)?).filter(|(_, has_empty)| !has_empty).map(|(text, _)| Value::String(text)),
        },
        Value::Array(array) => {
            let rendered = array.iter().map(|value| rendered_value(value, values, render));
            rendered.collect::<Result<Option<Vec<_>>, _>>()?.map(Value::Array)
        }
        plain => Some(plain.clone()),
    })
}
