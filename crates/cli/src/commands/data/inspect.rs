//! `firebrand data inspect`: what is in datasets and files.

use crate::args::{DataSplit, Global, InspectDataArgs};
use crate::exit::usage;
use crate::named;
use crate::output::{bar, line, thousands};
use firebrand_corpus::datasets::{
    Dataset, Examples, Inspection, Kind, Layout, Part, PartStats, Sample, SplitName, Store, inspect,
};
use firebrand_corpus::records::{Field, Format};
use firebrand_corpus::sources::DocumentBoundary;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Rows of a histogram, about.
const ROWS: u64 = 12;
/// Labels that are shown; JSON has all.
const LABELS: usize = 20;
/// Columns of a bar at its longest.
const WIDTH: usize = 32;
/// Characters of an example that are shown.
const SHOWN: usize = 240;

/// What is inspected.
struct Subject {
    /// What to call it.
    title: String,
    parts: Vec<Part>,
    /// Bytes on disk.
    bytes: u64,
}

pub(crate) fn run(args: &InspectDataArgs, global: &Global) -> anyhow::Result<()> {
    let store = named::store(args.store.dir.as_deref());
    let files: Vec<PathBuf> = args.what.iter().map(PathBuf::from).filter(|path| path.is_file()).collect();
    if files.len() == args.what.len() {
        return show(of_files(&files, args)?, args, global);
    }
    if let Some(path) = args.what.iter().map(Path::new).find(|path| looks_like_path(path)) {
        return Err(usage(format!("{}: there is no such file", path.display())));
    }
    let mut subjects = Vec::new();
    for name in &args.what {
        subjects.push(of_dataset(name, &store, args)?);
    }
    for (i, subject) in subjects.into_iter().enumerate() {
        if i > 0 && !global.json {
            line("")?;
        }
        show(subject, args, global)?;
    }
    Ok(())
}

/// Whether somebody who typed this meant a file.
fn looks_like_path(path: &Path) -> bool {
    path.components().count() > 1 || path.extension().is_some() || path.exists()
}

fn of_files(paths: &[PathBuf], args: &InspectDataArgs) -> anyhow::Result<Subject> {
    if !args.split.is_empty() {
        return Err(usage("--split is for datasets; a file has no splits"));
    }
    let mut subject = Subject { title: String::new(), parts: Vec::new(), bytes: 0 };
    for path in paths {
        let layout = Layout {
            format: args.format.map_or_else(|| Format::of(path), Format::from),
            header: !args.no_header,
            boundary: args.boundary.map_or(DocumentBoundary::Line, DocumentBoundary::from),
            text: Field::Name(args.field.clone().unwrap_or_else(|| "text".into())),
            text_b: args.field_b.clone().map(Field::Name),
            label: args.label.clone().map(Field::Name),
        };
        if layout.format == Format::Text && (args.field.is_some() || args.label.is_some()) {
            return Err(usage(format!(
                "{}: plain text has no fields; --format says what the file is if it is none",
                path.display()
            )));
        }
        subject.bytes += std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        subject.parts.push(Part {
            name: path.display().to_string(),
            examples: Examples::new(vec![path.clone()], layout),
        });
    }
    Ok(subject)
}

fn of_dataset(name: &str, store: &Store, args: &InspectDataArgs) -> anyhow::Result<Subject> {
    if args.format.is_some() || args.field.is_some() || args.field_b.is_some() || args.no_header {
        return Err(usage(format!(
            "{name}: its manifest says what the fields of a dataset are; --format, --field, --field-b and \
             --no-header are for files"
        )));
    }
    let dataset = store.open(name)?;
    let form = dataset.receipt.variant.as_ref().map_or(String::new(), |form| format!(" (form `{form}`)"));
    let mut subject =
        Subject { title: format!("{name}{form}: {}", dataset.manifest.title), parts: Vec::new(), bytes: 0 };
    let splits: Vec<SplitName> = match args.split.is_empty() {
        true => dataset.receipt.splits.keys().copied().collect(),
        false => args.split.iter().map(|split| split_name(*split)).collect(),
    };
    for split in splits {
        subject.parts.push(part(&dataset, split, args, &mut subject.bytes)?);
    }
    Ok(subject)
}

fn part(dataset: &Dataset, name: SplitName, args: &InspectDataArgs, bytes: &mut u64) -> anyhow::Result<Part> {
    let manifest = &dataset.manifest;
    let mut split = dataset.split(name)?;
    let mut spec = split.spec.clone();
    if let Some(boundary) = args.boundary {
        spec.boundary = Some(boundary.into());
    }
    split.spec = &spec;
    let labels = match manifest.kind {
        Kind::Labelled => Some(manifest.label_set(args.label.as_deref())?),
        Kind::Text | Kind::Pairs => None,
    };
    *bytes += split.paths.iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum::<u64>();
    Ok(Part { name: name.name().to_owned(), examples: Examples::of_split(&split, manifest.kind, labels) })
}

fn split_name(split: DataSplit) -> SplitName {
    match split {
        DataSplit::Train => SplitName::Train,
        DataSplit::Validation => SplitName::Validation,
        DataSplit::Test => SplitName::Test,
    }
}

fn show(subject: Subject, args: &InspectDataArgs, global: &Global) -> anyhow::Result<()> {
    let bar =
        bar(global, subject.bytes, "reading {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left");
    let inspection = inspect(subject.parts, args.examples, args.seed, &mut |bytes| bar.set_position(bytes));
    bar.finish_and_clear();
    let inspection = inspection?;
    if global.json {
        for part in &inspection.parts {
            line(as_json(part, &subject.title, inspection.contradictions))?;
        }
        return Ok(());
    }
    if !subject.title.is_empty() {
        line(&subject.title)?;
        line("")?;
    }
    print(&inspection)
}

fn print(inspection: &Inspection) -> anyhow::Result<()> {
    counts(&inspection.parts)?;
    for part in &inspection.parts {
        lengths(part)?;
        labels(part)?;
    }
    duplicates(inspection)?;
    for part in inspection.parts.iter().filter(|part| !part.samples.is_empty()) {
        line(format!("\nexamples of {}", part.name))?;
        for sample in &part.samples {
            example(sample)?;
        }
    }
    Ok(())
}

fn counts(parts: &[PartStats]) -> anyhow::Result<()> {
    let heading = ["", "examples", "words", "characters", "bytes", "empty"].map(str::to_owned);
    let row = |part: &PartStats| {
        let numbers = [part.documents, part.words, part.characters, part.bytes, part.empty].map(thousands);
        let [documents, words, characters, bytes, empty] = numbers;
        [part.name.clone(), documents, words, characters, bytes, empty]
    };
    let rows: Vec<[String; 6]> = std::iter::once(heading).chain(parts.iter().map(row)).collect();
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    for row in &rows {
        let cells = (1..row.len()).map(|i| format!("{:>width$}", row[i], width = width(i)));
        let name = format!("{:<width$}", row[0], width = width(0));
        line(std::iter::once(name).chain(cells).collect::<Vec<_>>().join("  "))?;
    }
    Ok(())
}

/// A histogram; one document has none.
fn lengths(part: &PartStats) -> anyhow::Result<()> {
    if part.documents < 2 {
        return Ok(());
    }
    let lengths = &part.lengths;
    let words = [0.5, 0.95].map(|share| thousands(lengths.quantile(share)));
    line(format!(
        "\nwords of {}: median {}, 95 % have at most {}, the longest {}",
        part.name,
        words[0],
        words[1],
        thousands(lengths.longest())
    ))?;
    let bins = lengths.bins(ROWS);
    let most = bins.iter().map(|bin| bin.2).max().unwrap_or(1);
    let name = |&(first, last, _): &(u64, u64, u64)| match first == last {
        true => thousands(first),
        false => format!("{}–{}", thousands(first), thousands(last)),
    };
    let width = bins.iter().map(|bin| name(bin).chars().count()).max().unwrap_or(0);
    for bin in &bins {
        line(format!("  {:>width$}  {:<WIDTH$}  {}", name(bin), blocks(bin.2, most), thousands(bin.2)))?;
    }
    Ok(())
}

fn labels(part: &PartStats) -> anyhow::Result<()> {
    if part.labels.is_empty() {
        return Ok(());
    }
    let mut labels = part.labels.clone();
    labels.sort_by_key(|label| std::cmp::Reverse(label.1));
    line(format!("\nlabels of {}: {}", part.name, labels.len()))?;
    let most = labels[0].1;
    let width = labels.iter().take(LABELS).map(|label| label.0.chars().count()).max().unwrap_or(0);
    for (name, count) in labels.iter().take(LABELS) {
        let share = 100.0 * *count as f64 / part.documents.max(1) as f64;
        line(format!(
            "  {name:<width$}  {:<WIDTH$}  {} ({share:.1} %)",
            blocks(*count, most),
            thousands(*count)
        ))?;
    }
    if labels.len() > LABELS {
        let least = labels[labels.len() - 1].1;
        line(format!("  and {} more, down to {}", labels.len() - LABELS, thousands(least)))?;
    }
    Ok(())
}

/// A bar of eighths of a column; what is not nothing is seen.
fn blocks(count: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (count as f64 / most.max(1) as f64 * (WIDTH * 8) as f64).round() as usize;
    let eighths = if count > 0 { eighths.max(1) } else { 0 };
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

fn duplicates(inspection: &Inspection) -> anyhow::Result<()> {
    line("\nduplicates (the same words in the same order)")?;
    for part in &inspection.parts {
        let share = 100.0 * part.duplicates as f64 / part.documents.max(1) as f64;
        line(format!("  within {}: {} ({share:.1} %)", part.name, thousands(part.duplicates)))?;
        for (earlier, count) in &part.overlaps {
            let (count, all) = (thousands(*count), thousands(part.documents));
            line(format!("  in {} as well as in {earlier}: {count} of {all}", part.name))?;
        }
    }
    if inspection.contradictions > 0 {
        let count = thousands(inspection.contradictions);
        line(format!("  texts that bear different labels in different places: {count}"))?;
    }
    Ok(())
}

fn example(sample: &Sample) -> anyhow::Result<()> {
    let label = sample.label.as_ref().map_or(String::new(), |label| format!(" [{label}]"));
    line(format!("  {}{label} {}", thousands(sample.number), one_line(&sample.text)))?;
    match &sample.text_b {
        Some(text) => line(format!("    | {}", one_line(text))),
        None => Ok(()),
    }
}

/// The beginning of a text, on one line of a terminal whatever is in it.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if words.chars().count() > SHOWN { shown + "…" } else { shown }
}

fn as_json(part: &PartStats, title: &str, contradictions: u64) -> Value {
    let bins = part.lengths.bins(ROWS);
    json!({
        "dataset": if title.is_empty() { Value::Null } else { json!(title.split([':', ' ']).next()) },
        "part": part.name,
        "examples": part.documents,
        "empty": part.empty,
        "bytes": part.bytes,
        "characters": part.characters,
        "words": part.words,
        "words_median": part.lengths.quantile(0.5),
        "words_p95": part.lengths.quantile(0.95),
        "words_longest": part.lengths.longest(),
        "words_bins": bins.iter().map(|(from, to, count)| json!({"from": from, "to": to, "count": count})).collect::<Vec<_>>(),
        "labels": part.labels.iter().map(|(name, count)| (name.clone(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "duplicates": part.duplicates,
        "overlaps": part.overlaps.iter().map(|(name, count)| (name.clone(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "contradictions": contradictions,
        "samples": part.samples.iter().map(|sample| json!({
            "number": sample.number, "text": sample.text, "text_b": sample.text_b, "label": sample.label,
        })).collect::<Vec<_>>(),
    })
}
