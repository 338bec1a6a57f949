//! `firebrand data list`: what there is, and what is here.

use crate::args::{Global, ListDataArgs};
use crate::named;
use crate::output::{line, say, size, thousands};
use firebrand_corpus::datasets::{Manifest, Receipt, Store, built_in};
use serde_json::{Value, json};

pub(crate) fn run(args: &ListDataArgs, global: &Global) -> anyhow::Result<()> {
    let store = named::store(args.store.dir.as_deref());
    if !args.names.is_empty() {
        for name in &args.names {
            let manifest = store.manifest(name)?;
            let receipt = store.receipt(name)?;
            match global.json {
                true => line(as_json(&manifest, receipt.as_ref(), &store))?,
                false => card(&manifest, receipt.as_ref(), &store)?,
            }
        }
        return Ok(());
    }
    let mut manifests = built_in().to_vec();
    manifests.extend(own(&store));
    let mut rows = Vec::new();
    for manifest in &manifests {
        // One damaged receipt must not hide the rest.
        let receipt = store.receipt(&manifest.name);
        if global.json {
            line(as_json(manifest, receipt.ok().flatten().as_ref(), &store))?;
            continue;
        }
        let here = match receipt {
            Ok(Some(receipt)) => receipt.variant.map_or("yes".into(), |variant| format!("yes ({variant})")),
            Ok(None) => "-".into(),
            Err(_) => "damaged".into(),
        };
        rows.push([
            manifest.name.clone(),
            manifest.kind.name().into(),
            total(manifest),
            shortened(&manifest.licence, 34),
            splits(manifest),
            here,
        ]);
    }
    if !global.json {
        table(["name", "kind", "size", "licence", "splits", "here"], &rows)?;
        say(global, format!("in {}; fetch one with: firebrand data fetch NAME", store.root().display()));
    }
    Ok(())
}

/// Datasets in the store that came by a manifest of the user's own.
fn own(store: &Store) -> Vec<Manifest> {
    let entries = std::fs::read_dir(store.root()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !built_in().iter().any(|manifest| manifest.name == *name));
    names.sort();
    names.iter().filter_map(|name| store.manifest(name).ok()).collect()
}

fn total(manifest: &Manifest) -> String {
    let (bytes, all) = manifest.bytes();
    match (bytes, all) {
        (0, false) => "?".into(),
        (bytes, true) => size(bytes),
        (bytes, false) => format!("{} +", size(bytes)),
    }
}

fn splits(manifest: &Manifest) -> String {
    let names: Vec<&str> = manifest.splits.keys().map(|name| name.name()).collect();
    names.join(", ")
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Prints rows under a heading, in columns as wide as what is in them. Sizes are aligned at their ends.
fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> anyhow::Result<()> {
    let heading = heading.map(str::to_owned);
    let all = || std::iter::once(&heading).chain(rows);
    let widths: Vec<usize> =
        (0..N).map(|i| all().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
    for row in all() {
        let cells: Vec<String> = (0..N)
            .map(|i| match heading[i].as_str() {
                "size" => format!("{:>width$}", row[i], width = widths[i]),
                _ => format!("{:<width$}", row[i], width = widths[i]),
            })
            .collect();
        line(cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// Prints all that is known about one dataset.
fn card(manifest: &Manifest, receipt: Option<&Receipt>, store: &Store) -> anyhow::Result<()> {
    let fact = |key: &str, value: &str| -> anyhow::Result<()> {
        for (i, text) in wrapped(value, 80).iter().enumerate() {
            line(format!("  {:<10} {text}", if i == 0 { key } else { "" }))?;
        }
        Ok(())
    };
    line(format!("{}: {}", manifest.name, manifest.title))?;
    for text in wrapped(&manifest.description, 90) {
        line(format!("  {text}"))?;
    }
    line("")?;
    let licence = match manifest.licence_note.as_str() {
        "" => manifest.licence.clone(),
        note => format!("{} ({note})", manifest.licence),
    };
    fact("kind", manifest.kind.name())?;
    fact("size", &total(manifest))?;
    fact("licence", &licence)?;
    fact("homepage", &manifest.homepage)?;
    fact("cite", &manifest.citation)?;
    for (name, split) in &manifest.splits {
        let files = match split.files.as_slice() {
            [file] => file.clone(),
            files => format!("{} files", files.len()),
        };
        fact(name.name(), &format!("{files} ({})", split.format.name()))?;
    }
    for set in &manifest.labels {
        let names =
            if set.names.len() > 12 { format!("{} labels", set.names.len()) } else { set.names.join(", ") };
        fact("labels", &format!("{}: {names}", set.name))?;
    }
    let unpinned = manifest.files.iter().filter(|file| file.sha256.is_none()).count();
    fact(
        "checksums",
        &match unpinned {
            0 => "published".to_owned(),
            n if n == manifest.files.len() => "none published; that of the first fetch is kept".to_owned(),
            n => format!("published, but for {n} files"),
        },
    )?;
    for variant in &manifest.variants {
        fact("--variant", &format!("{}: {}", variant.name, variant.description))?;
    }
    match receipt {
        None => fact("here", &format!("no; firebrand data fetch {}", manifest.name)),
        Some(receipt) => {
            let bytes: u64 = receipt.files.iter().map(|file| file.bytes).sum();
            let form = receipt.variant.as_ref().map_or(String::new(), |variant| format!(", form {variant}"));
            let folder = store.data(&manifest.name);
            let text =
                format!("{} ({} bytes, {}{form})", folder.display(), thousands(bytes), receipt.fetched);
            fact("here", &text)
        }
    }
}

/// Lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn as_json(manifest: &Manifest, receipt: Option<&Receipt>, store: &Store) -> Value {
    let (bytes, complete) = manifest.bytes();
    json!({
        "name": manifest.name,
        "title": manifest.title,
        "kind": manifest.kind.name(),
        "bytes": complete.then_some(bytes),
        "licence": manifest.licence,
        "licence_note": manifest.licence_note,
        "homepage": manifest.homepage,
        "citation": manifest.citation,
        "splits": manifest.splits.keys().map(|name| name.name()).collect::<Vec<_>>(),
        "labels": manifest.labels.iter().map(|set| json!({"name": set.name, "names": set.names})).collect::<Vec<_>>(),
        "fetched": receipt.is_some(),
        "variant": receipt.and_then(|receipt| receipt.variant.clone()),
        "folder": receipt.map(|_| store.data(&manifest.name)),
    })
}
