//! Whether a manifest makes sense, beyond being well-formed.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::{Convert, Kind, Manifest, Source, SplitName, SplitSpec, Unpack};
use super::source::is_address;
use crate::records::Format;

/// What is wrong, and a text that stands on the line to blame.
pub(super) struct Problem {
    pub(super) message: String,
    culprit: String,
}

impl Problem {
    fn new(culprit: &str, message: impl Into<String>) -> Self {
        Self { message: message.into(), culprit: culprit.to_owned() }
    }

    /// The line that holds the culprit, from 1: a checked manifest no longer knows its lines.
    pub(super) fn line_in(&self, text: &str) -> Option<usize> {
        let found = text.lines().position(|line| line.contains(&self.culprit));
        found.filter(|_| !self.culprit.is_empty()).map(|line| line + 1)
    }
}

impl Manifest {
    pub(super) fn check(&self) -> Result<(), Problem> {
        if !is_name(&self.name) {
            let message = format!(
                "name `{}` cannot be the name of a folder: use a-z, 0-9, `-`, `_`, `.`, and begin with a letter or digit",
                self.name
            );
            return Err(Problem::new("name", message));
        }
        if self.files.is_empty() {
            return Err(Problem::new("files", "files is empty: say what there is to download"));
        }
        let mut installed = BTreeSet::new();
        for file in &self.files {
            self.check_source(file)?;
            for name in file.installs() {
                if !installed.insert(name.clone()) {
                    return Err(Problem::new(&file.name, format!("two files would become `{name}`")));
                }
            }
        }
        for base in &self.base_urls {
            check_address(base)?;
        }
        self.check_splits(&self.splits, |name| installed.contains(name))?;
        for variant in &self.variants {
            if variant.name == "original" {
                return Err(Problem::new(
                    "original",
                    "a variant cannot be called `original`: that is what is downloaded",
                ));
            }
            self.check_splits(&variant.splits, |name| is_file_name(name) || is_pattern(name))?;
        }
        if self.kind == Kind::Labelled && self.labels.is_empty() {
            return Err(Problem::new("kind", "labelled data needs [[labels]] with the names of the labels"));
        }
        for set in &self.labels {
            for (value, name) in &set.values {
                if !set.names.contains(name) {
                    let message =
                        format!("values.{value}: `{name}` is not among the names of `{}`", set.name);
                    return Err(Problem::new(name, message));
                }
            }
        }
        Ok(())
    }

    fn check_source(&self, file: &Source) -> Result<(), Problem> {
        let problem =
            |message: String| Err(Problem::new(&file.name, format!("file `{}`: {message}", file.name)));
        if !is_file_name(&file.name) {
            return problem("its name must be a plain file name, without folders".into());
        }
        for url in &file.urls {
            check_address(url)?;
        }
        if file.generate.is_none() && file.urls.is_empty() && self.base_urls.is_empty() {
            return problem("has no urls, and there are no base_urls".into());
        }
        if let Some(sha256) = &file.sha256
            && !(sha256.len() == 64
                && sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
        {
            return problem(format!("sha256 `{sha256}` is not 64 digits of 0-9, a-f"));
        }
        let archive = matches!(file.unpack, Unpack::Zip | Unpack::Tar | Unpack::TarGz);
        if archive == file.members.is_empty() {
            return problem("members says which files of an archive are wanted: give both or neither".into());
        }
        for member in &file.members {
            if !is_inside(member) {
                return problem(format!("member `{member}` would lead out of the archive"));
            }
        }
        if matches!(&file.convert, Some(Convert::Separated(line)) if line.trim().is_empty()) {
            return problem("convert: the separating line must not be blank".into());
        }
        Ok(())
    }

    fn check_splits(
        &self,
        splits: &BTreeMap<SplitName, SplitSpec>,
        known: impl Fn(&str) -> bool,
    ) -> Result<(), Problem> {
        if splits.is_empty() {
            return Err(Problem::new("splits", "there is no split: add [splits.train], validation or test"));
        }
        for (name, split) in splits {
            self.check_split(*name, split, &known)?;
        }
        Ok(())
    }

    fn check_split(
        &self,
        name: SplitName,
        split: &SplitSpec,
        known: &impl Fn(&str) -> bool,
    ) -> Result<(), Problem> {
        let section = format!("splits.{name}]");
        let problem = |message: &str| Err(Problem::new(&section, format!("splits.{name}: {message}")));
        if split.files.is_empty() {
            return problem("files is empty");
        }
        if let Some(missing) = split.files.iter().find(|file| !known(file)) {
            let message =
                format!("splits.{name}: `{missing}` is none of the files (as they are called once unpacked)");
            return Err(Problem::new(missing, message));
        }
        match split.format {
            Format::Text if split.boundary.is_none() => {
                return problem("text needs a boundary: file, blank-line or line");
            }
            Format::Text if self.kind != Kind::Text => return problem("plain text has no labels or pairs"),
            _ => {}
        }
        let fields_ok = match self.kind {
            Kind::Text => split.labels.is_empty() && split.good.is_none(),
            Kind::Labelled => !split.labels.is_empty(),
            Kind::Pairs => split.good.is_some() && split.bad.is_some(),
        };
        if !fields_ok {
            return problem(match self.kind {
                Kind::Text => "text has no labels, good or bad",
                Kind::Labelled => "say where the labels are, as labels = { sentiment = \"label\" }",
                Kind::Pairs => "say where the two sentences are: good = …, bad = …",
            });
        }
        for set in split.labels.keys() {
            if !self.labels.iter().any(|known| known.name == *set) {
                return Err(Problem::new(
                    set,
                    format!("splits.{name}: there is no [[labels]] with name = \"{set}\""),
                ));
            }
        }
        Ok(())
    }
}

fn check_address(url: &str) -> Result<(), Problem> {
    match is_address(url) {
        true => Ok(()),
        false => Err(Problem::new(url, format!("`{url}` is not an http or https address"))),
    }
}

pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(plain) && name.len() <= 64 && name.chars().all(|c| plain(c) || "-_.".contains(c))
}

/// Whether a name can only ever mean a file in the folder it is put in.
pub(super) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(['/', '\\', ':', '*', '\0'])
        // What the store itself puts beside the files.
        && !["fetched.toml", "dataset.toml"].contains(&name)
}

/// `*.jsonl`: every file with this ending.
pub(super) fn is_pattern(name: &str) -> bool {
    name.strip_prefix('*').is_some_and(|ending| ending.starts_with('.') && is_file_name(&ending[1..]))
}

/// Whether a path in an archive stays in it.
fn is_inside(path: &str) -> bool {
    !path.contains('\\')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && is_file_name(super::source::last_name(path))
}
