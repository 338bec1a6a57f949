//! `../shared/peers/train_gpt.py`: the same training in PyTorch, if it can run here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::without_overrides;
use crate::{machine, process};

/// What the peer is called in tables.
pub(super) const PYTORCH: &str = "PyTorch";

/// And when it compiles the model first, for which it needs a C++ compiler.
pub(super) const PYTORCH_COMPILED: &str = "PyTorch --compile";

/// A Python with `module` and a script of `../shared/peers`, or `None` after saying why `who` is skipped.
pub(super) fn python_and_script(script: &str, module: &str, who: &str) -> Result<Option<(PathBuf, PathBuf)>> {
    match (machine::shared(&format!("peers/{script}"))?, machine::python_with(module)) {
        (Ok(script), Ok(python)) => Ok(Some((python, script))),
        (Err(reason), _) | (_, Err(reason)) => {
            eprintln!("{who} is skipped: {reason}");
            Ok(None)
        }
    }
}

/// The peer, ready to run.
pub(super) struct Peer {
    python: PathBuf,
    script: PathBuf,
}

impl Peer {
    /// The peer, or `None` after saying why not.
    pub(super) fn find() -> Result<Option<Self>> {
        let found = python_and_script("train_gpt.py", "torch", PYTORCH)?;
        Ok(found.map(|(python, script)| Self { python, script }))
    }

    /// Trains with these options of the script and returns what it printed.
    pub(super) fn train(&self, arguments: &[String], text: Option<&Path>) -> Result<PeerResult> {
        let mut command = Command::new(&self.python);
        command.arg(&self.script).args(arguments);
        if let Some(text) = text {
            command.arg("--text").arg(text);
        }
        without_overrides(&mut command);
        let printed = process::output("train with PyTorch", &mut command)?;
        Ok(PeerResult::of("train_gpt.py", printed))
    }
}

/// `name=value` pairs between white space.
pub(super) struct PeerResult {
    script: &'static str,
    printed: String,
}

impl PeerResult {
    /// What `script` printed.
    pub(super) fn of(script: &'static str, printed: String) -> Self {
        Self { script, printed }
    }

    /// The number printed as `name`.
    pub(super) fn number(&self, name: &str) -> Result<f64> {
        let pair = |word: &str| {
            word.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        let value = self.printed.split_whitespace().find_map(pair);
        let value = value.with_context(|| format!("{} printed no {name}: {}", self.script, self.printed))?;
        value.parse().with_context(|| format!("{} printed {name}={value}, which is no number", self.script))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_name() {
        let printed =
            "val_loss=1.8934 train_s=70.2\nparams=861696 tokens_per_s=2317 loss=4.1 peak_rss_mib=812\n"
                .to_owned();
        let result = PeerResult::of("train_gpt.py", printed);
        assert_eq!(result.number("val_loss").expect("it is there"), 1.8934);
        assert_eq!(result.number("loss").expect("it is there"), 4.1);
        result.number("mfu").expect_err("it is not there");
    }
}
