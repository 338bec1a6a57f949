//! Datasets where text is asked for: `dataset:NAME` or `dataset:NAME/SPLIT` in the place of a path.

use crate::exit::usage;
use crate::text::cache_dir;
use firebrand_corpus::datasets::{Dataset, SplitName, SplitSpec, Store};
use firebrand_corpus::sources::{DocumentBoundary, HeldOut, Sources};
use std::path::{Path, PathBuf};

/// What the name of a dataset stands behind.
const PREFIX: &str = "dataset:";

/// Where the datasets are: the folder that was named, or that of the environment, of the project, of the user.
pub(crate) fn store(named: Option<&Path>) -> Store {
    let from_environment = std::env::var_os("FIREBRAND_DATA").filter(|value| !value.is_empty());
    let project = Path::new("datasets");
    let root = named
        .map(Path::to_path_buf)
        .or_else(|| from_environment.map(PathBuf::from))
        .or_else(|| project.is_dir().then(|| project.to_path_buf()))
        .unwrap_or_else(|| cache_dir().with_file_name("datasets"));
    Store::new(root)
}

/// Puts the files of the datasets that are named in their places: of the split that is named, else of train.
///
/// Documents end where the manifest says, unless the boundary was chosen. Where a fraction would be held out and the
/// datasets have validation splits, these are held out instead.
pub(crate) fn resolve(mut sources: Sources) -> anyhow::Result<Sources> {
    let mut found = Vec::new();
    sources.texts = replace(&sources.texts, &mut found)?;
    let mut boundaries: Vec<DocumentBoundary> = Vec::new();
    for (text, dataset, split) in &found {
        boundaries.push(boundary(text, dataset.split(*split)?.spec)?);
    }
    let chosen = sources.boundary != DocumentBoundary::default();
    if let (Some(&first), false) = (boundaries.first(), chosen) {
        let mixed = found.len() < sources.texts.len() && first != sources.boundary;
        if mixed || boundaries.iter().any(|&boundary| boundary != first) {
            return Err(usage(format!(
                "{}: its documents end at {}, and those of the other texts do not; set the boundary for all of them",
                found[0].0,
                first.name()
            )));
        }
        sources.boundary = first;
    }
    sources.held_out = held_out(sources.held_out, &found)?;
    Ok(sources)
}

/// A dataset that was named: as it was written, opened, and which split of it.
type Named = (String, Dataset, SplitName);

fn replace(texts: &[PathBuf], found: &mut Vec<Named>) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for text in texts {
        let Some(name) = text.to_str().and_then(|text| text.strip_prefix(PREFIX)) else {
            paths.push(text.clone());
            continue;
        };
        let (name, split) = name.split_once('/').unwrap_or((name, SplitName::Train.name()));
        let text = text.display().to_string();
        let Some(split) = SplitName::ALL.into_iter().find(|known| known.name() == split) else {
            return Err(usage(format!(
                "{text}: there is no split `{split}`; write train, validation or test"
            )));
        };
        let dataset = store(None).open(name)?;
        paths.extend(dataset.split(split)?.paths);
        found.push((text, dataset, split));
    }
    Ok(paths)
}

fn boundary(text: &str, spec: &SplitSpec) -> anyhow::Result<DocumentBoundary> {
    spec.boundary.ok_or_else(|| {
        usage(format!("{text}: its files are {}, and only plain text is read here", spec.format.name()))
    })
}

fn held_out(held_out: HeldOut, found: &[Named]) -> anyhow::Result<HeldOut> {
    match held_out {
        HeldOut::Fraction(_) if !found.is_empty() => {
            let mut paths = Vec::new();
            for (_, dataset, _) in found.iter().filter(|named| named.2 == SplitName::Train) {
                if dataset.receipt.splits.contains_key(&SplitName::Validation) {
                    paths.extend(dataset.split(SplitName::Validation)?.paths);
                }
            }
            Ok(if paths.is_empty() { held_out } else { HeldOut::Files(paths) })
        }
        HeldOut::Files(paths) => Ok(HeldOut::Files(replace(&paths, &mut Vec::new())?)),
        other => Ok(other),
    }
}
