//! Sources outside `crates/backend` name no backend of burn.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::levels::BACKEND;

/// Words that only appear in code that has chosen a backend.
const BACKEND_WORDS: [&str; 9] = [
    "Device::flex",
    "Device::ndarray",
    "Device::wgpu",
    "burn_flex",
    "burn_ndarray",
    "burn_wgpu",
    "burn_cubecl",
    "cubecl::",
    "burn::backend",
];

/// Every line of code in `crates` that names a backend outside the crate for that; empty when all is well.
pub(super) fn breaches(crates: &Path) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    for entry in entries(crates)? {
        if entry.file_name().is_some_and(|name| name != BACKEND) {
            search(&entry, &mut breaches)?;
        }
    }
    Ok(breaches)
}

fn search(path: &Path, breaches: &mut Vec<String>) -> Result<()> {
    if path.is_dir() {
        return entries(path)?.iter().try_for_each(|entry| search(entry, breaches));
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return Ok(());
    }
    let source = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    for (number, line) in (1..).zip(source.lines()) {
        if let Some(word) = backend_word(line) {
            let place = format!("{}:{number}", path.display());
            breaches.push(format!(
                "{place} names a backend (`{word}`): only crates/{BACKEND} does, use its functions"
            ));
        }
    }
    Ok(())
}

/// The first backend named in a line of code; comments may speak of them.
fn backend_word(line: &str) -> Option<&'static str> {
    let code = line.split("//").next().unwrap_or_default();
    BACKEND_WORDS.into_iter().find(|word| code.contains(word))
}

/// What lies in `folder`, in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot_read = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(cannot_read)?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(cannot_read)?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_named_in_their_crate_and_in_comments_alone() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let write = |file: &str, text: &str| {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("created");
            fs::write(file, text).expect("written");
        };
        write("backend/src/device.rs", "let device = Device::wgpu(0);");
        write("training/src/lib.rs", "// burn_flex is fast\nuse burn::tensor::Tensor;");
        write("training/src/notes.md", "burn_flex");
        assert_eq!(breaches(folder.path()).expect("readable"), [""; 0]);

        write("training/tests/deep/er.rs", "fn f() {}\nlet device = Device::flex(); // fast");
        let breaches = breaches(folder.path()).expect("readable");
        assert!(
            matches!(breaches.as_slice(), [one] if one.contains("er.rs:2 names a backend (`Device::flex`)")),
            "{breaches:?}"
        );
    }
}
