//! What is scored: texts as ids, and how many bytes they stand for.

use crate::args::ScoreArgs;
use crate::exit::usage;
use crate::run::{self, AnyConfig, RunFile, Trained, parse_ids};
use anyhow::Context;
use firebrand_corpus::generator::{Grammar, floor_of};
use firebrand_corpus::sources::{DocumentBoundary, DocumentReader};
use firebrand_tokenizer::{TokenTable, Tokenizer};
use std::path::Path;

/// Ids to score; all but the first are targets.
pub(super) struct Scored {
    pub(super) ids: Vec<u32>,
    /// Special ids that stand for no text, and do not end one: of ids that were given as ids.
    marks: Vec<u32>,
    /// The end of text that was put in front of the text, but not behind it.
    begin: Option<u32>,
    /// UTF-8 bytes of the text that the targets stand for.
    pub(super) bytes: u64,
}

/// What the command line names, and bits per byte below which no model comes, where they are known.
pub(super) fn asked_for(args: &ScoreArgs, trained: &Trained) -> anyhow::Result<(Vec<Scored>, Option<f64>)> {
    match (&args.text, &args.file, &args.ids) {
        (Some(text), _, _) => Ok((vec![document(text, trained, false)?], None)),
        (_, Some(path), _) => {
            let text = read(path, args, trained)?;
            let floor = floor_of(Grammar::built_in(), &text.whole).ok().filter(|_| text.blank_lines);
            Ok((text.documents, floor.map(|floor| floor.bits_per_byte())))
        }
        (_, _, Some(ids)) => {
            let ids = parse_ids(ids)?;
            trained.check_ids(&ids)?;
            let table = trained.tokenizer.as_ref().map(|tokenizer| tokenizer.token_table());
            let bytes =
                table.as_ref().map_or(0, |table| ids.iter().skip(1).map(|&id| bytes_of(table, id)).sum());
            let marks = ids.iter().copied().filter(|&id| is_mark(id, table.as_ref(), trained)).collect();
            Ok((vec![Scored { ids, marks, begin: None, bytes }], None))
        }
        _ => Err(usage("nothing to score: give --text, --file or --ids")),
    }
}

/// A text after an end of text, where the model knows one.
fn document(text: &str, trained: &Trained, with_end: bool) -> anyhow::Result<Scored> {
    let tokenizer = trained.tokenizer()?;
    let end = trained.end_of_text();
    let mut ids: Vec<u32> = end.into_iter().collect();
    ids.extend(tokenizer.encode(text));
    if with_end {
        ids.extend(end);
    }
    let bytes = match end {
        Some(_) => text.len() as u64,
        // The first token is given, not predicted; it may stand for more than is in the text, such as a space in front.
        None => {
            let table = tokenizer.token_table();
            ids.iter().skip(1).map(|&id| bytes_of(&table, id)).sum()
        }
    };
    Ok(Scored { ids, marks: Vec::new(), begin: end.filter(|_| !with_end), bytes })
}

/// Whether an id among ids is special and ends no document: it has no bytes, whatever it stands for.
fn is_mark(id: u32, table: Option<&TokenTable>, trained: &Trained) -> bool {
    let is_special = table.is_some_and(|table| (id as usize) < table.len() && table.is_special(id));
    // Where no token ends documents, what begins one stands between them.
    let begins = || trained.tokenizer.as_ref().and_then(Tokenizer::begin_of_text);
    let ends = trained.end_of_text().or_else(begins);
    is_special && Some(id) != ends && !trained.conventions.ends.contains(&id)
}

/// The bytes of a token; a model may have ids that its tokenizer has not.
fn bytes_of(tokens: &TokenTable, id: u32) -> u64 {
    if (id as usize) < tokens.len() { tokens.byte_len(id) as u64 } else { 0 }
}

impl Scored {
    /// Whether the nats of an id count for bits per byte: those of text do, and those of the ends of documents. An `<unk>` in a text is
    /// text, as its bytes count; among ids nothing is known of what it stands for, and it counts for nothing.
    pub(super) fn counts(&self, id: u32) -> bool {
        !self.marks.contains(&id)
    }

    /// The same for a model that reads from the end: an end of text in front stands behind the text now.
    pub(super) fn reversed(&self, tokens: Option<&TokenTable>) -> Self {
        let mut ids = self.ids.clone();
        ids[usize::from(self.begin.is_some())..].reverse();
        // What is given is another token now.
        let given = |ids: &[u32]| match (tokens, ids.first()) {
            (Some(tokens), Some(&first)) => bytes_of(tokens, first),
            _ => 0,
        };
        let bytes = (self.bytes + given(&self.ids)).saturating_sub(given(&ids));
        Self { ids, marks: self.marks.clone(), begin: self.begin, bytes }
    }
}

struct FileText {
    whole: String,
    blank_lines: bool,
    documents: Vec<Scored>,
}

/// Where the documents of a file end.
fn boundary(args: &ScoreArgs) -> anyhow::Result<DocumentBoundary> {
    Ok(match args.boundary {
        Some(boundary) => boundary.into(),
        None if run::file(&args.run).exists() => match RunFile::read_any(&args.run)?.config {
            AnyConfig::Pretrain(config) => config.data.boundary,
            AnyConfig::Finetune(_) => DocumentBoundary::File,
        },
        None => DocumentBoundary::File,
    })
}

/// The documents of a file.
pub(super) fn reader(path: &Path, args: &ScoreArgs) -> anyhow::Result<DocumentReader> {
    Ok(DocumentReader::open(path, boundary(args)?)?)
}

fn read(path: &Path, args: &ScoreArgs, trained: &Trained) -> anyhow::Result<FileText> {
    let boundary = boundary(args)?;
    let mut reader = DocumentReader::open(path, boundary)?;
    let mut documents = Vec::new();
    while let Some(text) = reader.next_document()? {
        documents.push(document(&text, trained, true)?);
    }
    if documents.is_empty() {
        return Err(usage(format!("{}: is empty; there is nothing to score", path.display())));
    }
    let whole = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(FileText { whole, blank_lines: boundary == DocumentBoundary::BlankLine, documents })
}
