//! The folder of a run before it is touched: its lock, and the config it was started with.

use crate::exit::usage;
use crate::output::complain;
use crate::run::{self, RunConfig, RunFile};
use anyhow::Context;
use firebrand_durable::Lock;
use std::io::ErrorKind;
use std::path::Path;

/// Makes the folder of a run and locks it, so that no second process trains the same run. A folder that holds a run already is
/// refused, unless that is to be gone on with.
pub(in crate::commands) fn enter(dir: &Path, resume: bool) -> anyhow::Result<Lock> {
    start_or_resume(resume, dir)?;
    make_folder(dir)?;
    let lock = lock(dir)?;
    // Another process may have made and ended a run between the two.
    start_or_resume(resume, dir)?;
    Ok(lock)
}

fn make_folder(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() && !dir.is_dir() {
        return Err(usage(format!("--out {}: is a file; a run needs a folder", dir.display())));
    }
    std::fs::create_dir_all(dir).map_err(|error| {
        let message = format!("--out {}: the folder cannot be made: {error}", dir.display());
        match error.kind() {
            // Another path would do; a full or failing disk is nobody's wrong usage.
            ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::ReadOnlyFilesystem => {
                usage(message)
            }
            _ => anyhow::anyhow!(message),
        }
    })
}

fn lock(dir: &Path) -> anyhow::Result<Lock> {
    let path = run::lock(dir);
    let taken = std::fs::create_dir_all(firebrand_durable::parent(&path)).and_then(|()| Lock::take(&path));
    taken.with_context(|| path.display().to_string())?.map_err(|holder| {
        let holder = holder.map_or("another process".to_string(), |holder| format!("process {holder}"));
        anyhow::anyhow!("{}: {holder} is training this run; wait for it, or stop it by Ctrl-C", dir.display())
    })
}

fn start_or_resume(resume: bool, dir: &Path) -> anyhow::Result<()> {
    if resume || !run::file(dir).exists() {
        return Ok(());
    }
    Err(usage(format!(
        "{}: holds a run already; go on with it by --resume, or choose another --out",
        dir.display()
    )))
}

/// Looks at the run that `dir` holds, if there is one: it must be the one that `new` describes. Says so where it will differ in its
/// last bits.
pub(in crate::commands) fn check_started<C: RunConfig>(new: &RunFile<C>, dir: &Path) -> anyhow::Result<()> {
    if !run::file(dir).exists() {
        return Ok(());
    }
    let started = RunFile::<C>::read(dir)?;
    check_same_run(&started, new, dir)?;
    if (&started.device, started.threads) != (&new.device, new.threads) {
        complain(format_args!(
            "warning: started on {} (threads: {}), continued on {} (threads: {}): the result will differ in its last bits",
            started.device, started.threads, new.device, new.threads
        ));
    }
    Ok(())
}

/// Refuses to go on with a run under another config, data or tokenizer; lists what differs.
fn check_same_run<C: RunConfig>(old: &RunFile<C>, new: &RunFile<C>, dir: &Path) -> anyhow::Result<()> {
    let mut differences = Vec::new();
    let (old, new) = (old.keys()?, new.keys()?);
    for (key, value) in &new {
        let before = old.iter().find(|(old_key, _)| old_key == key).map(|(_, value)| value.as_str());
        if before != Some(value) {
            differences.push(format!("{key}: {} → {value}", before.unwrap_or("absent")));
        }
    }
    for (key, value) in &old {
        if !new.iter().any(|(new_key, _)| new_key == key) {
            differences.push(format!("{key}: {value} → absent"));
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(usage(format!(
        "{}: the run was started differently; use its own config (leave --config out) or another --out\n  {}",
        dir.display(),
        differences.join("\n  ")
    )))
}
