//! Text that has been looked through once: what there is of it, and which part belongs to which split.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use super::memory::Memory;
use super::pieces::Pieces;
use super::scan::scan_files;
use super::{
    DocumentBoundary, DocumentReader, HeldOut, InvalidUtf8, Parts, SourceFile, Sources, Split, source_files,
};
use crate::error::CorpusError;
use crate::input::Compression;
use crate::progress::Progress;
use crate::records::Format;

/// Text whose files have been checked, counted and hashed, and divided into splits.
#[derive(Clone, Debug)]
pub struct Corpus {
    boundary: DocumentBoundary,
    field: String,
    held_out: HeldOut,
    invalid_utf8: InvalidUtf8,
    files: Vec<SourceFile>,
    shares: [Vec<Share>; Split::ALL.len()],
}

/// The part of a file that belongs to one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Index into `Corpus::files`.
    pub(super) file: usize,
    /// Which of the file's units: characters of a file that is one document, else documents.
    pub(super) units: Range<u64>,
}

impl Sources {
    /// Reads all the text once: checks that it is UTF-8, counts and hashes it, and decides what is held out.
    ///
    /// # Errors
    /// Files that are missing, empty, unreadable or not UTF-8; records that are malformed or lack the field; a fraction
    /// outside (0, 1); a split without text.
    pub fn scan(&self, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Corpus, CorpusError> {
        self.scan_remembering(&Memory::none(self), progress)
    }

    /// [`Sources::scan`], with the memory of an earlier one that was cut off.
    pub(crate) fn scan_remembering(
        &self,
        memory: &Memory,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Corpus, CorpusError> {
        if let HeldOut::Fraction(fraction) = self.held_out
            && !(fraction > 0.0 && fraction < 1.0)
        {
            return Err(CorpusError::InvalidFraction(fraction));
        }
        let mut paths = source_files(&self.texts, self.format)?;
        let mut held_out_paths = Vec::new();
        if let HeldOut::Files(held_out) = &self.held_out {
            held_out_paths = source_files(held_out, self.format)?;
            let given = paths.len();
            paths = without(paths, &held_out_paths)?;
            if paths.is_empty() {
                let found = format!("{given} files given, all of them held out");
                return Err(CorpusError::EmptySplit { split: Split::Train, found });
            }
        }
        let n_texts = paths.len();
        paths.append(&mut held_out_paths);
        self.check_mixture(&paths)?;
        let files = scan_files(self, &paths, memory, progress)?;
        let (texts, held_out) = files.split_at(n_texts);
        let whole = |file: usize| Share { file, units: 0..files[file].units(self.boundary) };
        let shares = match self.held_out {
            HeldOut::Fraction(fraction) => divide(texts, self.boundary, fraction)?,
            HeldOut::Files(_) | HeldOut::None => {
                [(0..n_texts).map(whole).collect(), (n_texts..n_texts + held_out.len()).map(whole).collect()]
            }
        };
        let (boundary, field, held_out) = (self.boundary, self.field.clone(), self.held_out.clone());
        Ok(Corpus { boundary, field, held_out, invalid_utf8: self.invalid_utf8, files, shares })
    }

    /// Files that are one document each and files of many do not go together: what would a fraction of both be?
    fn check_mixture(&self, paths: &[PathBuf]) -> Result<(), CorpusError> {
        let of = |text: bool| paths.iter().find(|path| (self.format.of(path) == Format::Text) == text);
        match (of(true), of(false)) {
            (Some(text), Some(records))
                if self.boundary == DocumentBoundary::File
                    && matches!(self.held_out, HeldOut::Fraction(_)) =>
            {
                Err(CorpusError::TextAndRecords { text: text.clone(), records: records.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Corpus {
    /// Where documents end in plain text.
    pub fn boundary(&self) -> DocumentBoundary {
        self.boundary
    }

    /// The field of records that is their text, where there are records.
    pub fn field(&self) -> Option<&str> {
        let has_records = self.files.iter().any(|file| file.format != Format::Text);
        has_records.then_some(self.field.as_str())
    }

    /// What is held out.
    pub fn held_out(&self) -> &HeldOut {
        &self.held_out
    }

    /// Whether every document is a whole file (or that part of it which is in one split).
    pub fn is_whole_files(&self) -> bool {
        self.files.iter().all(|file| file.is_one_document(self.boundary))
    }

    /// The files, those to train on first, in the order they are read in.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Bytes in all the files together, as they lie on disk.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes of text in all their documents together.
    pub fn text_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.text_bytes).sum()
    }

    /// How often bytes that are no UTF-8 were replaced in all the files.
    pub fn replaced(&self) -> u64 {
        self.files.iter().map(|file| file.replaced).sum()
    }

    /// Whether a split has any text.
    pub fn has(&self, split: Split) -> bool {
        !self.shares[split as usize].is_empty()
    }

    /// Reads the text of a split in order, as it is asked for. Documents longer than a quarter of a MiB or so come in
    /// parts: `cut` says of the beginning of a document where it may be cut, as late as possible; while it gives `None`
    /// the part grows.
    pub fn parts<C: Fn(&str) -> Option<usize>>(&self, split: Split, cut: C) -> Parts<'_, C> {
        Parts::new(Pieces::new(self, &self.shares[split as usize]), cut)
    }

    /// Opens one of the files.
    pub(super) fn open(&self, file: usize) -> Result<DocumentReader, CorpusError> {
        let file = &self.files[file];
        DocumentReader::open_as(&file.path, file.format, self.boundary, &self.field, self.invalid_utf8)
    }

    /// Everything that decides what the documents of every split are, as text: for hashing.
    pub(crate) fn fingerprint(&self) -> String {
        let mut lines = format!("boundary {}\n", self.boundary.name());
        if let Some(field) = self.field() {
            lines += &format!("field {field:?}\n");
        }
        for split in Split::ALL {
            for Share { file, units } in &self.shares[split as usize] {
                let file = &self.files[*file];
                lines += &format!("{split} {} {}..{}", file.sha256, units.start, units.end);
                // The same bytes mean something else when they are read as something else.
                let compression = Compression::of(&file.path).0;
                if (file.format, compression) != (Format::Text, Compression::None) {
                    lines += &format!(" {} {}", compression.name(), file.format.name());
                }
                lines.push('\n');
            }
        }
        lines
    }
}

/// `paths` without those that are the same file as one of `others`, whatever way they are written.
fn without(paths: Vec<PathBuf>, others: &[PathBuf]) -> Result<Vec<PathBuf>, CorpusError> {
    let canonical = |path: &PathBuf| fs::canonicalize(path).map_err(CorpusError::io("read", path));
    let others: Vec<PathBuf> = others.iter().map(canonical).collect::<Result<_, _>>()?;
    let mut kept = Vec::with_capacity(paths.len());
    for path in paths {
        if !others.contains(&canonical(&path)?) {
            kept.push(path);
        }
    }
    Ok(kept)
}

/// Divides the files, one after the other, into a first part to train on and a last part that is held out.
fn divide(
    files: &[SourceFile],
    boundary: DocumentBoundary,
    fraction: f64,
) -> Result<[Vec<Share>; 2], CorpusError> {
    let total: u64 = files.iter().map(|file| file.units(boundary)).sum();
    let n_train = HeldOut::train_units(fraction, total);
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    let mut before = 0;
    for (index, file) in files.iter().enumerate() {
        let n = file.units(boundary);
        let here = n_train.saturating_sub(before).min(n);
        if here > 0 {
            train.push(Share { file: index, units: 0..here });
        }
        if here < n {
            held_out.push(Share { file: index, units: here..n });
        }
        before += n;
    }
    let unit = if files.iter().all(|file| file.is_one_document(boundary)) { "character" } else { "document" };
    let found = format!("{total} {unit}{} in all", if total == 1 { "" } else { "s" });
    if train.is_empty() {
        return Err(CorpusError::EmptySplit { split: Split::Train, found });
    }
    if held_out.is_empty() {
        return Err(CorpusError::EmptySplit { split: Split::HeldOut, found });
    }
    Ok([train, held_out])
}

#[cfg(test)]
#[path = "corpus_tests.rs"]
mod tests;
