//! Copies that are on disk already: which form of the dataset they are, and bringing them into the store.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::check::is_pattern;
use super::error::{DatasetError, Rejection};
use super::fetch::{Event, Expected, received};
use super::manifest::{Manifest, Source, SplitName, SplitSpec, Variant};
use super::store::{Receipt, ReceivedFile};
use crate::digest;

/// The name of the form that is downloaded.
const ORIGINAL: &str = "original";

/// What the files in a folder are.
pub(super) enum Form<'a> {
    /// The files that would be downloaded.
    Original,
    /// Another cut, of which these splits are there.
    Variant { variant: &'a Variant, splits: BTreeMap<SplitName, Vec<String>> },
}

/// Finds out which form of a dataset a folder holds: the first whose files are there, or the one that is `wanted`.
pub(super) fn form<'a>(
    manifest: &'a Manifest,
    folder: &Path,
    wanted: Option<&str>,
) -> Result<Form<'a>, DatasetError> {
    // A folder that cannot be read would only look as if it held nothing.
    fs::read_dir(folder).map_err(DatasetError::io("read", folder))?;
    let is_wanted = |name: &str| wanted.is_none_or(|wanted| wanted == name);
    let mut forms = Vec::new();
    if is_wanted(ORIGINAL) {
        let missing = missing(manifest.files.iter().map(|file| file.name.as_str()), folder);
        if missing.is_empty() {
            return Ok(Form::Original);
        }
        forms.push(lacks(ORIGINAL, &missing));
    }
    for variant in manifest.variants.iter().filter(|variant| is_wanted(&variant.name)) {
        let splits = found_splits(&variant.splits, folder)?;
        if !splits.is_empty() {
            return Ok(Form::Variant { variant, splits });
        }
        let files = variant.splits.values().flat_map(|split| &split.files);
        forms.push(lacks(&variant.name, &files.map(String::as_str).collect::<Vec<_>>()));
    }
    if let Some(wanted) = wanted.filter(|_| forms.is_empty()) {
        let known = manifest.variants.iter().map(|variant| variant.name.clone());
        return Err(DatasetError::NoVariant {
            name: manifest.name.clone(),
            wanted: wanted.to_owned(),
            known: std::iter::once(ORIGINAL.to_owned()).chain(known).collect(),
        });
    }
    Err(DatasetError::NoForm { name: manifest.name.clone(), folder: folder.to_path_buf(), forms })
}

fn missing<'a>(names: impl Iterator<Item = &'a str>, folder: &Path) -> Vec<&'a str> {
    names.filter(|name| !folder.join(name).is_file()).collect()
}

fn lacks(form: &str, missing: &[&str]) -> String {
    const SHOWN: usize = 4;
    let mut names = missing[..missing.len().min(SHOWN)].join(", ");
    if missing.len() > SHOWN {
        names += &format!(" and {} more", missing.len() - SHOWN);
    }
    format!("  {form}: there is no {names}")
}

/// The splits all of whose files are in the folder, with what patterns stand for.
fn found_splits(
    splits: &BTreeMap<SplitName, SplitSpec>,
    folder: &Path,
) -> Result<BTreeMap<SplitName, Vec<String>>, DatasetError> {
    let mut found = BTreeMap::new();
    for (&name, split) in splits {
        let mut files = Vec::new();
        let mut complete = true;
        for file in &split.files {
            if is_pattern(file) {
                let matching = with_ending(folder, &file[1..])?;
                complete &= !matching.is_empty();
                files.extend(matching);
            } else {
                complete &= folder.join(file).is_file();
                files.push(file.clone());
            }
        }
        if complete {
            found.insert(name, files);
        }
    }
    Ok(found)
}

fn with_ending(folder: &Path, ending: &str) -> Result<Vec<String>, DatasetError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(DatasetError::io("read", folder))? {
        let entry = entry.map_err(DatasetError::io("read", folder))?;
        // A name that is no text is none that a manifest could mean.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(ending) && super::check::is_file_name(&name) && entry.path().is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Copies a file of the original form into `work`, and holds it to its checksum.
pub(super) fn copy_verified(
    manifest: &Manifest,
    source: &Source,
    expected: Expected<'_>,
    folder: &Path,
    work: &Path,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<ReceivedFile, DatasetError> {
    let (from, to) = (folder.join(&source.name), work.join(&source.name));
    let (bytes, sha256) = copy(&from, &to, &source.name, report)?;
    if let Some(wanted) = expected.sha256.filter(|wanted| **wanted != sha256) {
        // The copy is of no use; the file itself is the user's.
        let _ = fs::remove_file(&to);
        let fits =
            |variant: &&Variant| found_splits(&variant.splits, folder).is_ok_and(|found| !found.is_empty());
        return Err(DatasetError::Rejected(Box::new(Rejection {
            file: from,
            expected: wanted.to_owned(),
            found: sha256,
            authority: expected.authority(),
            kept: None,
            pinned_in: None,
            variants: manifest.variants.iter().filter(fits).map(|variant| variant.name.clone()).collect(),
        })));
    }
    Ok(received(source, bytes, sha256, absolute(&from)))
}

/// Copies the files of another cut to where they are read.
pub(super) fn copy_variant(
    manifest: &Manifest,
    variant: &Variant,
    splits: BTreeMap<SplitName, Vec<String>>,
    folder: &Path,
    install: &Path,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Receipt, DatasetError> {
    let mut receipt = Receipt::new(&manifest.name, Some(&variant.name));
    for name in splits.values().flatten() {
        if receipt.files.iter().any(|file| file.name == *name) {
            continue;
        }
        let from = folder.join(name);
        let (bytes, sha256) = copy(&from, &install.join(name), name, report)?;
        let origin = Some(absolute(&from));
        receipt.files.push(ReceivedFile {
            name: name.clone(),
            bytes,
            sha256,
            origin,
            published: Some(false),
        });
    }
    receipt.sources = receipt.files.clone();
    receipt.splits = splits;
    Ok(receipt)
}

/// Copies and syncs a file; gives its size and checksum.
fn copy(
    from: &Path,
    to: &Path,
    name: &str,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<(u64, String), DatasetError> {
    let mut input = File::open(from).map_err(DatasetError::io("read", from))?;
    let total = input.metadata().map_err(DatasetError::io("read", from))?.len();
    report(Event::Begin { action: "copying", file: name, total: Some(total) });
    let mut output = File::create(to).map_err(DatasetError::io("create", to))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(DatasetError::io("read", from)(error)),
        };
        hasher.update(&buffer[..count]);
        output.write_all(&buffer[..count]).map_err(DatasetError::io("write", to))?;
        bytes += count as u64;
        report(Event::At(bytes));
    }
    output.sync_all().map_err(DatasetError::io("write", to))?;
    Ok((bytes, digest::finish(hasher)))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}
