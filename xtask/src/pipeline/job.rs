//! One run of a pipeline, from its name to its results.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};

use super::child::printable_command;
use super::decide::{Decision, Judge};
use super::digest::Hashes;
use super::expand::{Expansion, Instance, Places};
use super::file::Pipeline;
use super::graph::Graph;
use super::schedule::{Ended, Schedule};
use super::state::State;
use super::sweep::{self, Point};
use super::table::Results;
use super::values::{Key, Values, assignment, flat};
use super::view::{View, duration};
use super::{check, list};
use crate::failure::Failure;
use crate::nearest::did_you_mean;
use crate::{paths, process, workspace};

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// A name or a file.
    pub(crate) pipeline: String,
    /// `KEY=VALUE`.
    pub(crate) set: Vec<String>,
    /// `KEY=A,B,C`.
    pub(crate) sweep: Vec<String>,
    pub(crate) smoke: bool,
    /// The stage from which on everything runs again.
    pub(crate) from: Option<String>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) device: Option<String>,
    pub(crate) threads: Option<NonZeroUsize>,
    /// Everything runs again.
    pub(crate) anew: bool,
    /// A run is not replaced by one with other settings: that is an error.
    pub(crate) keep_runs: bool,
}

/// A pipeline that has passed every check.
#[derive(Debug)]
pub(crate) struct Job {
    pipeline: Pipeline,
    graph: Graph,
    values: Values,
    points: Vec<Point>,
    instances: Vec<Instance>,
    /// Stages that run even if nothing has changed.
    forced: BTreeSet<usize>,
    out: PathBuf,
    root: PathBuf,
    device: Option<String>,
    budget: usize,
    keep_runs: bool,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) struct Summary {
    results: Option<Results>,
    /// Seconds that making everything took, now or then.
    pub(crate) seconds: f64,
}

impl Summary {
    /// Prints the table of results, if the pipeline has one.
    pub(crate) fn print_table(&self, json: bool) -> Result<()> {
        let Some(results) = &self.results else { return Ok(()) };
        process::print(&if json { results.json_lines() } else { results.text() })
    }
}

impl Job {
    /// Reads and checks everything that can be checked before anything runs.
    ///
    /// # Errors
    /// The first mistake, in the file or the request.
    pub(crate) fn new(request: &Request) -> Result<Self> {
        let root = workspace::root()?;
        let mut pipeline = list::find(&request.pipeline)?;
        check::check(&pipeline)?;
        let mut values = Values::defaults(&pipeline, &root)?;
        if request.smoke {
            for (text, value) in flat(&pipeline.smoke.set) {
                let key = check::key(&pipeline, "smoke", &text)?;
                values.set(&key, value).map_err(|wrong| pipeline.wrong(format!("[smoke] {wrong}")))?;
            }
            pipeline = pipeline.into_smoke();
        }
        let graph = check::check(&pipeline)?;
        let points = sweep::points(&pipeline, &request.sweep, &values)?;
        for option in &request.set {
            let (text, typed) = assignment("--set", option, "KEY=VALUE, such as --set seed=1")?;
            let wrong = |wrong: String| Failure::Usage(format!("--set {option}: {wrong}"));
            let key = Key::parse(&pipeline, text).map_err(wrong)?;
            if points.iter().flatten().any(|(swept, _)| *swept == key) {
                return Err(wrong(format!(
                    "the pipeline sweeps `{key}`; other values: --sweep {key}={typed}"
                ))
                .into());
            }
            values.typed(&key, typed).and_then(|value| values.set(&key, value)).map_err(wrong)?;
        }
        let forced = match &request.from {
            _ if request.anew => (0..pipeline.stages.len()).collect(),
            None => BTreeSet::new(),
            Some(name) => graph.dependants(pipeline.stage(name).ok_or_else(|| {
                let near = did_you_mean(name, pipeline.stage_names());
                let names = pipeline.stage_names().collect::<Vec<_>>().join(", ");
                Failure::Usage(format!("--from {name}: no stage is called so{near} (there are: {names})"))
            })?),
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let budget = request.threads.map_or_else(cores, usize::from);
        let default_out = || paths::relative(&root.join("runs").join(&pipeline.name));
        let out = request.out.clone().unwrap_or_else(default_out);
        if out.to_str().is_none() {
            return Err(Failure::Usage(format!("--out {}: the path must be UTF-8", out.display())).into());
        }
        let device = request.device.clone();
        let expansion = Expansion {
            pipeline: &pipeline,
            graph: &graph,
            values: &values,
            points: &points,
            device: device.as_deref(),
            all_threads: budget,
        };
        let instances = expansion.instances()?;
        let keep_runs = request.keep_runs && !request.anew;
        let root = paths::relative(&root);
        let root = if std::env::current_dir().is_ok_and(|here| here == root) { PathBuf::new() } else { root };
        let job =
            Self { pipeline, graph, values, points, instances, forced, out, root, device, budget, keep_runs };
        job.check_inputs()?;
        job.state().check_owner(&job.pipeline.name)?;
        job.judge(&job.state(), String::new(), Hashes::default()).check_foreign(&job.instances)?;
        job.check_table()?;
        Ok(job)
    }

    /// Inputs that no stage makes must be there already.
    fn check_inputs(&self) -> Result<()> {
        for instance in &self.instances {
            let stage = &self.pipeline.stages[instance.stage];
            for input in instance.inputs.iter().filter(|input| !input.starts_with(super::template::OUT)) {
                let path = self.places().resolve(input);
                if !Path::new(&path).exists() {
                    let setting = self.pipeline.settings.iter().map(|(name, _)| name).find(|name| {
                        let is_input = stage.body.inputs.contains(&format!("{{{name}}}"));
                        is_input
                            && self.values.setting(name).is_some_and(|value| value.as_str() == Some(input))
                    });
                    let hint =
                        setting.map_or_else(String::new, |name| format!("; give one by --set {name}=PATH"));
                    let wrong = format!("its input {path} does not exist, and no stage makes it{hint}");
                    return Err(self.pipeline.wrong_stage(stage, wrong));
                }
            }
        }
        Ok(())
    }

    /// The table must not go over something that is not ours.
    fn check_table(&self) -> Result<()> {
        let is_ours = self.pipeline.table.is_none() || super::is_at_home(&self.out);
        let foreign = [super::table::JSON, super::table::MARKDOWN].map(|name| self.out.join(name));
        match foreign.iter().find(|path| !is_ours && path.exists()) {
            Some(path) => Err(Failure::Usage(format!(
                "{} exists and was not made by this pipeline; move it away, or choose another --out",
                paths::shown(path)
            ))
            .into()),
            None => Ok(()),
        }
    }

    fn places(&self) -> Places<'_> {
        Places { out: &self.out, root: &self.root }
    }

    fn state(&self) -> State {
        State::of(&self.out)
    }

    fn judge<'a>(&'a self, state: &'a State, binary: String, hashes: Hashes) -> Judge<'a> {
        let forced = self.forced.clone();
        let outputs = self.instances.iter().flat_map(|instance| &instance.outputs);
        let current = outputs.flat_map(super::expand::Output::paths).collect();
        Judge { out: &self.out, root: &self.root, state, binary, forced, current, hashes: Mutex::new(hashes) }
    }

    /// Says on stdout what would run and why, with the commands.
    pub(crate) fn dry_run(&self, firebrand: &Path) -> Result<()> {
        let state = self.state();
        let mut hashes = Hashes::open(&state.hashes(), false);
        let binary = hash_of_binary(&mut hashes, firebrand)?;
        let judge = self.judge(&state, binary, hashes);
        let mut runs: Vec<bool> = Vec::new();
        for instance in &self.instances {
            let first = instance.needs.iter().find(|&&need| runs[need]);
            let decision = match first {
                Some(&need) => {
                    let was_done =
                        state.record(&instance.file_name).is_some_and(|record| record.outputs.is_some());
                    let may_skip = was_done && !self.forced.contains(&instance.stage);
                    let unless = if may_skip { ", unless that makes the same as before" } else { "" };
                    Some(format!("after {}{unless}", self.instances[need].name))
                }
                None => match judge.decide(instance)? {
                    Decision::Skip { .. } => None,
                    Decision::Run(start) => Some(start.why),
                },
            };
            process::print(&match &decision {
                None => format!("skip  {}: unchanged", instance.name),
                Some(why) => format!("run   {}: {why}", instance.name),
            })?;
            if decision.is_some() {
                process::print(&format!("      {}", printable_command(firebrand, instance, self.places())))?;
            }
            runs.push(decision.is_some());
        }
        Ok(())
    }

    /// Runs what is to be run.
    ///
    /// # Errors
    /// Those of the stages that failed, as one; what does not depend on them is done.
    pub(crate) fn run(&self, firebrand: &Path) -> Result<Summary> {
        let state = self.state();
        let _lock = state.take(&self.pipeline.name)?;
        let mut hashes = Hashes::open(&state.hashes(), true);
        let binary = hash_of_binary(&mut hashes, firebrand)?;
        let judge = self.judge(&state, binary, hashes);
        let records = self.instances.iter().map(|instance| state.record(&instance.file_name));
        let expected: Vec<Option<f64>> = records.map(|record| record?.expected).collect();
        let schedule = Schedule {
            judge: &judge,
            firebrand,
            instances: &self.instances,
            budget: self.budget,
            may_replace_runs: !self.keep_runs,
        };
        let mut view = View::new(&self.instances, &expected, self.budget);
        let ended = schedule.run(&mut view);
        view.close();
        judge.hashes().save()?;
        self.summarize(ended)
    }

    fn summarize(&self, mut ended: Ended) -> Result<Summary> {
        let results = match &self.pipeline.table {
            Some(table) => {
                let expansion = Expansion {
                    pipeline: &self.pipeline,
                    graph: &self.graph,
                    values: &self.values,
                    points: &self.points,
                    device: self.device.as_deref(),
                    all_threads: self.budget,
                };
                Some(Results::read(table, &expansion, self.places())?)
            }
            None => None,
        };
        let summary = Summary { results, seconds: ended.seconds };
        if let Some(last) = ended.errors.pop() {
            if let Some(results) = summary.results.as_ref().filter(|_| self.points.len() > 1) {
                say(&format!("\nWhat is there so far:\n{}\n", results.text()));
            }
            // Interruption decides the exit code, whatever else went wrong.
            let errors = ended.errors.into_iter().chain([last]);
            let (interrupted, others): (Vec<_>, Vec<_>) =
                errors.partition(|error| matches!(error.downcast_ref(), Some(Failure::Interrupted { .. })));
            let mut errors: Vec<_> = interrupted.into_iter().take(1).chain(others).collect();
            let first = errors.remove(0);
            errors.iter().for_each(|error| say(&format!("error: {error:#}")));
            return Err(first);
        }
        if let Some(results) = &summary.results {
            results.save(&self.out)?;
        }
        let (out, stages) = (paths::shown(&self.out), self.instances.len());
        let seconds = duration(ended.seconds);
        say(&match ended.ran {
            0 => format!("{out}: nothing to do; all {stages} stages are as they were made, in {seconds}"),
            ran => format!("{out}: {ran} of {stages} stages ran; making all of it took {seconds}"),
        });
        Ok(summary)
    }
}

fn hash_of_binary(hashes: &mut Hashes, firebrand: &Path) -> Result<String> {
    hashes.of(firebrand)?.with_context(|| format!("{}: no such file", firebrand.display()))
}

/// A line on stderr; that nobody reads it any more does no harm.
fn say(text: &str) {
    use std::io::Write;
    writeln!(std::io::stderr().lock(), "{text}").ok();
}
