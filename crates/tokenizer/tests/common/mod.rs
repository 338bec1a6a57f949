//! What several test files need.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file needs some of it, and a test may panic")]

use firebrand_tokenizer::Tokenizer;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A part of the shared data, which is not of this project: nothing, said aloud, where it is absent.
pub(crate) fn shared_data(part: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(part);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

/// A Python that has this module.
pub(crate) fn python_with(module: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let found = [home.join(".venvs/peers/bin/python"), PathBuf::from("python3")].into_iter().find(|python| {
        let imported = Command::new(python).args(["-c", &format!("import {module}")]).output();
        imported.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        eprintln!("skipped: no python with {module}");
    }
    found
}

/// The tokenizer as another file says it, which `change` makes of ours.
pub(crate) fn changed(tokenizer: &Tokenizer, change: impl FnOnce(&mut serde_json::Value)) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let path = dir.path().join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(&path, json.to_string()).unwrap();
    Tokenizer::load(dir.path()).unwrap()
}
