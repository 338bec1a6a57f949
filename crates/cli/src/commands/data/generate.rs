//! `firebrand data generate`: the built-in corpus.

use crate::args::{DataKind, DataSplit, GenerateDataArgs, Global};
use crate::output::{line, say};
use anyhow::Context;
use firebrand_corpus::generator::{Floor, Grammar, Kind, Split, write_labelled, write_stories};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

pub(super) fn run(args: &GenerateDataArgs, global: &Global) -> anyhow::Result<()> {
    let grammar = Grammar::built_in();
    let Some(path) = &args.out else {
        let floor = write(grammar, args, &mut BufWriter::new(std::io::stdout().lock()))?;
        say(global, describe(&floor));
        return Ok(());
    };
    let floor = write_file(path, |out| write(grammar, args, out))?;
    if global.json {
        return line(serde_json::json!({
            "path": path, "documents": floor.documents, "bytes": floor.bytes, "nats": floor.nats,
            "floor_bits_per_byte": floor.bits_per_byte(), "grammar": grammar.hash(),
        }));
    }
    say(global, format!("{}: {}", path.display(), describe(&floor)));
    Ok(())
}

fn describe(floor: &Floor) -> String {
    let (documents, bytes) =
        (crate::output::thousands(floor.documents), crate::output::thousands(floor.bytes));
    format!(
        "{documents} documents, {bytes} bytes; no model can do better than {:.4} bits per byte",
        floor.bits_per_byte()
    )
}

fn write(grammar: &Grammar, args: &GenerateDataArgs, out: &mut impl Write) -> anyhow::Result<Floor> {
    let split = match args.split {
        DataSplit::Train => Split::Train,
        DataSplit::Validation => Split::Validation,
        DataSplit::Test => Split::Test,
    };
    let floor = match args.kind {
        DataKind::Stories => write_stories(grammar, split, args.seed, args.bytes, out)?,
        DataKind::Reviews => write_labelled(grammar, Kind::Reviews, split, args.seed, args.count, out)?,
        DataKind::Pairs => write_labelled(grammar, Kind::Pairs, split, args.seed, args.count, out)?,
    };
    out.flush()?;
    Ok(floor)
}

/// Writes a whole file, whose folders are made.
fn write_file<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let folder = firebrand_durable::parent(path);
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    firebrand_durable::write_with(path, fill).with_context(|| path.display().to_string())
}
