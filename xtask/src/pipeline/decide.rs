//! Whether a stage has anything to do, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::digest::Hashes;
use super::expand::{Instance, OutputKind, Places};
use super::state::{Key, Record, State};
use crate::failure::Failure;
use crate::paths;

/// What a stage does.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// Nothing: everything is as it was when it was made, in so many seconds.
    Skip { seconds: f64 },
    /// It runs.
    Run(Box<Start>),
}

/// Why and how a stage runs.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) why: String,
    pub(super) key: Key,
    /// Whether it goes on where it stopped. Otherwise what it made before is removed first.
    pub(super) goes_on: bool,
    /// What is known from before.
    pub(super) before: Option<Record>,
}

/// What decisions are made from.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    pub(super) out: &'a Path,
    pub(super) root: &'a Path,
    pub(super) state: &'a State,
    /// The binary's hash.
    pub(super) binary: String,
    /// Stages that run even if nothing has changed.
    pub(super) forced: BTreeSet<usize>,
    /// Everything that some stage makes now.
    pub(super) current: BTreeSet<String>,
    pub(super) hashes: Mutex<Hashes>,
}

impl Judge<'_> {
    /// Where the placeholders lie.
    pub(super) fn places(&self) -> Places<'_> {
        Places { out: self.out, root: self.root }
    }

    /// `path` with its placeholders in place.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.places().resolve(path).into()
    }

    /// What `instance` does, now that what it needs is there.
    pub(super) fn decide(&self, instance: &Instance) -> Result<Decision> {
        let key = self.key(instance)?;
        let before = self.state.record(&instance.file_name);
        let forced = self.forced.contains(&instance.stage);
        let start =
            |why: String, key, goes_on, before| Decision::Run(Box::new(Start { why, key, goes_on, before }));
        let run = |why, key, before| start(why, key, false, before);
        let Some(record) = before else { return Ok(run("it has not run yet".to_owned(), key, None)) };
        let Some(old) = &record.key else {
            return Ok(run("it was stopped before it began".to_owned(), key, Some(record)));
        };
        if let Some(why) = difference(old, &key) {
            return Ok(run(why, key, Some(record)));
        }
        if forced {
            return Ok(run("you asked for it".to_owned(), key, Some(record)));
        }
        let Some(outputs) = &record.outputs else {
            if instance.run().is_some() && record.arguments != instance.arguments(self.places()) {
                return Err(Failure::Usage(format!(
                    "stage {name} was stopped on its way, under other paths than those it has from here;\n\
                     run the pipeline from the folder and with the --out it was started with, or start it anew: --from {stage}",
                    name = instance.name,
                    stage = instance.name.split(' ').next().unwrap_or_default()
                ))
                .into());
            }
            let why = "it was stopped on its way".to_owned();
            return Ok(start(why, key, true, Some(record)));
        };
        match self.changed_output(instance, outputs)? {
            Some(why) => Ok(run(why, key, Some(record))),
            None => Ok(Decision::Skip { seconds: record.seconds }),
        }
    }

    fn key(&self, instance: &Instance) -> Result<Key> {
        let mut inputs = BTreeMap::new();
        for input in &instance.inputs {
            let path = self.resolve(input);
            let hash = self.hashes().of(&path)?;
            let missing = || {
                Failure::Usage(format!(
                    "{}: no such file or folder ({} reads it)",
                    paths::shown(&path),
                    instance.name
                ))
            };
            inputs.insert(input.clone(), hash.ok_or_else(missing)?);
        }
        Ok(Key { command: instance.abstract_arguments(), binary: self.binary.clone(), inputs })
    }

    /// The hashes of what `instance` has made.
    ///
    /// # Errors
    /// When something is missing.
    pub(super) fn outputs(&self, instance: &Instance) -> Result<BTreeMap<String, String>> {
        let mut outputs = BTreeMap::new();
        for output in &instance.outputs {
            let path = self.resolve(&output.path);
            let hash = self.hash_of(&path, output.kind)?;
            let hash = hash.with_context(|| {
                format!("stage {} ended well, but did not make {}", instance.name, paths::shown(&path))
            })?;
            outputs.insert(output.path.clone(), hash);
        }
        Ok(outputs)
    }

    /// The hashes, one user at a time: no file is read by two at once.
    pub(super) fn hashes(&self) -> std::sync::MutexGuard<'_, Hashes> {
        // A user that panicked leaves them whole.
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash_of(&self, path: &Path, kind: OutputKind) -> Result<Option<String>> {
        match kind {
            OutputKind::Run => self.hashes().of_run(path),
            _ => self.hashes().of(path),
        }
    }

    fn changed_output(
        &self,
        instance: &Instance,
        recorded: &BTreeMap<String, String>,
    ) -> Result<Option<String>> {
        for output in &instance.outputs {
            let path = self.resolve(&output.path);
            match (self.hash_of(&path, output.kind)?, recorded.get(&output.path)) {
                (None, _) => return Ok(Some(format!("its output {} is missing", paths::shown(&path)))),
                (Some(now), Some(then)) if now == *then => {}
                _ => return Ok(Some(format!("its output {} has been changed", paths::shown(&path)))),
            }
        }
        Ok(None)
    }

    /// Whether `path`, which an earlier form of a stage has made, belongs to another stage by now, or has something of
    /// another stage in it.
    pub(super) fn has_other_owner(&self, path: &str) -> bool {
        let inside = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.current.iter().any(|current| inside(current, path) || inside(path, current))
    }

    /// Refuses to write over what this pipeline has not made.
    pub(super) fn check_foreign(&self, instances: &[Instance]) -> Result<()> {
        let made = self.state.made();
        for instance in instances {
            for path in instance.outputs.iter().flat_map(super::expand::Output::paths) {
                let there = self.resolve(&path);
                if !made.contains(&path) && there.symlink_metadata().is_ok() {
                    return Err(Failure::Usage(format!(
                        "{} exists and was not made by this pipeline (stage {} would write it);\n\
                         move it away, or choose another --out",
                        paths::shown(&there),
                        instance.name
                    ))
                    .into());
                }
            }
        }
        Ok(())
    }
}

/// Why two keys are not the same, if they are not.
fn difference(old: &Key, new: &Key) -> Option<String> {
    for (path, hash) in &new.inputs {
        match old.inputs.get(path) {
            Some(before) if before == hash => {}
            Some(_) => return Some(format!("its input {path} has changed")),
            None => return Some(format!("{path} is a new input")),
        }
    }
    if old.command != new.command {
        let mut pairs = old.command.iter().zip(&new.command);
        let differing =
            pairs.find(|(old, new)| old != new).filter(|_| old.command.len() == new.command.len());
        return Some(match differing {
            Some((old, new)) => format!("its command has changed: {old} is now {new}"),
            None => "its command has changed".to_owned(),
        });
    }
    if old.binary != new.binary {
        return Some("the firebrand binary has changed".to_owned());
    }
    (old.inputs != new.inputs).then(|| "it has fewer inputs than before".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_named() {
        let key = |command: &str, binary: &str, inputs: &[(&str, &str)]| Key {
            command: command.split(' ').map(str::to_owned).collect(),
            binary: binary.to_owned(),
            inputs: inputs.iter().map(|&(path, hash)| (path.to_owned(), hash.to_owned())).collect(),
        };
        let old = key("train --size 1", "b", &[("{out}/a", "1")]);
        let said = |new: &Key| difference(&old, new);
        assert_eq!(said(&old), None);
        for (new, why) in [
            (key("train --size 2", "b", &[("{out}/a", "1")]), "its command has changed: 1 is now 2"),
            (key("train", "b", &[("{out}/a", "1")]), "its command has changed"),
            (key("train --size 1", "c", &[("{out}/a", "1")]), "the firebrand binary has changed"),
            (key("train --size 1", "b", &[("{out}/a", "2")]), "its input {out}/a has changed"),
            (key("train --size 1", "b", &[("{out}/a", "1"), ("x", "1")]), "x is a new input"),
            (key("train --size 1", "b", &[]), "it has fewer inputs than before"),
        ] {
            assert_eq!(said(&new).as_deref(), Some(why));
        }
    }
}
