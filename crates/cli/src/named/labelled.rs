//! Datasets where labelled files are asked for.

use super::{Named, held_out, replace, store};
use crate::config::did_you_mean;
use crate::exit::usage;
use firebrand_corpus::datasets::{LabelSet, SplitSpec, built_in};
use firebrand_corpus::labelled::{Kind, LabelledData, Labels};
use firebrand_corpus::records::Field;
use firebrand_corpus::sources::{FormatChoice, HeldOut};

/// Labelled data with the files of the datasets that are named in their places, and the labels that they have by their manifest.
///
/// Which columns are text and label is as the manifest says, unless something else was chosen; of several label sets the one that
/// `columns.label` names, else the first. A name may go without its prefix where no file is called so. Where a fraction would be
/// held out and the dataset has a validation split, that is held out instead.
pub(crate) fn resolve(mut data: LabelledData, kind: Kind) -> anyhow::Result<(LabelledData, Option<Labels>)> {
    for path in &mut data.files {
        let name =
            path.to_str().filter(|_| !path.exists()).map(|name| name.split('/').next().unwrap_or(name));
        if name.is_some_and(|name| store(None).open(name).is_ok()) {
            *path = format!("{}{}", super::PREFIX, path.display()).into();
        }
    }
    let mut found: Vec<Named> = Vec::new();
    let files = data.files.len();
    data.files = replace(&data.files, &mut found)?;
    data.held_out = held_out(data.held_out, &found)?;
    if let HeldOut::Files(paths) = &data.test {
        data.test = HeldOut::Files(replace(paths, &mut Vec::new())?);
    }
    let Some((text, dataset, split)) = found.first() else { return Ok((data, None)) };
    if files > 1 {
        return Err(usage(format!("{text}: a dataset has labels of its own; use it alone")));
    }
    let split = dataset.split(*split)?;
    let wanted = match &data.columns.label {
        Some(Field::Name(name)) => dataset.manifest.labels.iter().find(|set| set.name == *name),
        _ => None,
    };
    let set = match kind {
        Kind::Class | Kind::Classes if data.columns.label.is_none() || wanted.is_some() => match wanted {
            Some(set) => Some(set),
            None => Some(dataset.manifest.label_set(None)?),
        },
        _ => None,
    };
    describe(&mut data, split.spec, set);
    Ok((data, set.map(|set| Labels::new(set.names.iter().cloned()))))
}

/// What the manifest says of the files, where nothing else was said.
fn describe(data: &mut LabelledData, spec: &SplitSpec, set: Option<&LabelSet>) {
    if data.format == FormatChoice::default() {
        data.format = spec.format.into();
    }
    data.no_header = !spec.header;
    let columns = &mut data.columns;
    columns.text.get_or_insert_with(|| spec.text_field());
    if columns.text_b.is_none() {
        columns.text_b = spec.text_b.clone();
    }
    let Some(set) = set else { return };
    columns.label = spec.labels.get(&set.name).cloned();
    if columns.values.is_empty() {
        columns.values = set.values.clone();
    }
}

/// Whether something is to be found where labelled data is asked for, before anything is read.
pub(crate) fn check_files(data: &LabelledData) -> anyhow::Result<()> {
    for path in &data.files {
        if !path.exists() {
            let known: Vec<&str> = built_in().iter().map(|manifest| manifest.name.as_str()).collect();
            return Err(usage(format!(
                "--data {}: there is no such file or folder, and no dataset of this name is here{}",
                path.display(),
                did_you_mean(&path.to_string_lossy(), &known)
            )));
        }
    }
    Ok(())
}
