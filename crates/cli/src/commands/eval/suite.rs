//! Suites, found by path or name.

use crate::config::{explain, find};
use crate::exit::usage;
use firebrand_evaluation::suite::{Suite, SuiteFile};
use std::path::{Path, PathBuf};

/// The suites in the binary, by name.
pub(crate) const BUILT_IN: [(&str, &str); 3] = [
    ("smoke", include_str!("../../../../../configs/suites/smoke.toml")),
    ("built-in", include_str!("../../../../../configs/suites/built-in.toml")),
    ("blimp", include_str!("../../../../../configs/suites/blimp.toml")),
];

/// A suite, and what to know of where it was found.
pub(super) struct Asked {
    /// As it was named.
    pub(super) name: String,
    /// What messages call it.
    pub(super) origin: String,
    /// Where its files are looked for.
    pub(super) base: PathBuf,
    pub(super) suite: Suite,
}

pub(super) fn load(name: &str) -> anyhow::Result<Asked> {
    let (text, origin) = find("suite", &BUILT_IN, name)?;
    let file: SuiteFile = toml::from_str(&text).map_err(|error| usage(explain(&origin, &error)))?;
    let suite = file.check().map_err(|error| usage(format!("{origin}: {error}")))?;
    let is_file = !BUILT_IN.iter().any(|(built_in, _)| *built_in == name);
    let folder = Path::new(name).parent().filter(|_| is_file).unwrap_or(Path::new(""));
    Ok(Asked { name: name.into(), origin, base: folder.into(), suite })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_suite_can_be_read() {
        for (name, _) in BUILT_IN {
            let asked = load(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!asked.suite.title.is_empty(), "{name} says what it is about");
        }
    }
}
