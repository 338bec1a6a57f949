//! Text that has been looked through once: what there is of it, and which part belongs to which split.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{DocumentBoundary, DocumentReader, HeldOut, Sources, Split, text_files};
use crate::error::CorpusError;
use crate::progress::{Progress, REPORT_EVERY, Stage};

/// A text file that has been read through once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// sha256 of its contents, in hexadecimal.
    pub sha256: String,
    /// Documents in it.
    pub documents: u64,
    /// Characters (Unicode scalars) in its documents.
    pub characters: u64,
}

/// Text whose files have been checked, counted and hashed, and divided into splits.
#[derive(Clone, Debug)]
pub struct Corpus {
    boundary: DocumentBoundary,
    held_out: HeldOut,
    files: Vec<SourceFile>,
    pieces: [Vec<Piece>; Split::ALL.len()],
}

/// A part of a file that belongs to one split.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    /// Index into `Corpus::files`.
    file: usize,
    /// Which of the file's units: characters of a whole file, else documents.
    units: Range<u64>,
}

impl Sources {
    /// Reads all the text once: checks that it is UTF-8, counts and hashes it, and decides what is held out.
    ///
    /// # Errors
    /// Files that are missing, empty, unreadable or not UTF-8; a fraction outside (0, 1); a split without text.
    pub fn scan(&self, progress: &mut dyn FnMut(Progress)) -> Result<Corpus, CorpusError> {
        if let HeldOut::Fraction(fraction) = self.held_out
            && !(fraction > 0.0 && fraction < 1.0)
        {
            return Err(CorpusError::InvalidFraction(fraction));
        }
        let mut paths = text_files(&self.texts)?;
        let mut held_out_paths = Vec::new();
        if let HeldOut::Files(held_out) = &self.held_out {
            held_out_paths = text_files(held_out)?;
            let given = paths.len();
            paths = without(paths, &held_out_paths)?;
            if paths.is_empty() {
                let found = format!("{given} files given, all of them held out");
                return Err(CorpusError::EmptySplit { split: Split::Train, found });
            }
        }
        let n_texts = paths.len();
        paths.append(&mut held_out_paths);
        let files = scan_files(&paths, self.boundary, progress)?;
        let (texts, held_out) = files.split_at(n_texts);
        let whole = |file: usize| Piece { file, units: 0..units(&files[file], self.boundary) };
        let pieces = match self.held_out {
            HeldOut::Fraction(fraction) => cut(texts, self.boundary, fraction)?,
            HeldOut::Files(_) | HeldOut::None => {
                [(0..n_texts).map(whole).collect(), (n_texts..n_texts + held_out.len()).map(whole).collect()]
            }
        };
        Ok(Corpus { boundary: self.boundary, held_out: self.held_out.clone(), files, pieces })
    }
}

impl Corpus {
    /// Where documents end.
    pub fn boundary(&self) -> DocumentBoundary {
        self.boundary
    }

    /// What is held out.
    pub fn held_out(&self) -> &HeldOut {
        &self.held_out
    }

    /// The files, those to train on first, in the order they are read in.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Bytes in all the files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Whether a split has any text.
    pub fn has(&self, split: Split) -> bool {
        !self.pieces[split as usize].is_empty()
    }

    /// Reads the documents of a split in order, each when it is asked for.
    pub fn documents(&self, split: Split) -> Documents<'_> {
        Documents { corpus: self, pieces: self.pieces[split as usize].iter(), current: None }
    }

    /// Everything that decides what the documents of every split are, as text: for hashing.
    pub(crate) fn fingerprint(&self) -> String {
        let mut lines = format!("boundary {}\n", self.boundary.name());
        for split in Split::ALL {
            for Piece { file, units } in &self.pieces[split as usize] {
                lines += &format!("{split} {} {}..{}\n", self.files[*file].sha256, units.start, units.end);
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

fn scan_files(
    paths: &[PathBuf],
    boundary: DocumentBoundary,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<SourceFile>, CorpusError> {
    let mut total_bytes = 0;
    for path in paths {
        total_bytes += fs::metadata(path).map_err(CorpusError::io("read", path))?.len();
    }
    let mut done = Progress { stage: Stage::Scan, bytes: 0, total_bytes, documents: 0, tokens: 0 };
    let mut next_report = REPORT_EVERY;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes_before = done.bytes;
        let file = scan_file(path, boundary, &mut |bytes| {
            done.documents += 1;
            done.bytes = (bytes_before + bytes).min(total_bytes);
            if done.bytes >= next_report {
                next_report = done.bytes + REPORT_EVERY;
                progress(done);
            }
        })?;
        done.bytes = bytes_before + file.bytes;
        files.push(file);
    }
    done.bytes = total_bytes;
    progress(done);
    Ok(files)
}

/// Reads one file through; `each` gets the bytes read so far after each document.
fn scan_file(
    path: &Path,
    boundary: DocumentBoundary,
    each: &mut dyn FnMut(u64),
) -> Result<SourceFile, CorpusError> {
    let mut reader = DocumentReader::open(path, boundary)?;
    let (mut documents, mut characters) = (0, 0);
    while let Some(document) = reader.next_document()? {
        documents += 1;
        characters += document.chars().count() as u64;
        each(reader.bytes_read());
    }
    if documents == 0 {
        return Err(CorpusError::EmptyFile(path.to_path_buf()));
    }
    let (bytes, sha256) = (reader.bytes_read(), reader.sha256());
    Ok(SourceFile { path: path.to_path_buf(), bytes, sha256, documents, characters })
}

/// What a file is divided by: characters when it is one document, documents otherwise.
fn units(file: &SourceFile, boundary: DocumentBoundary) -> u64 {
    match boundary {
        DocumentBoundary::File => file.characters,
        DocumentBoundary::BlankLine | DocumentBoundary::Line => file.documents,
    }
}

/// Divides the files, one after the other, into a first part to train on and a last part that is held out.
fn cut(
    files: &[SourceFile],
    boundary: DocumentBoundary,
    fraction: f64,
) -> Result<[Vec<Piece>; 2], CorpusError> {
    let total: u64 = files.iter().map(|file| units(file, boundary)).sum();
    let n_train = HeldOut::train_units(fraction, total);
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    let mut before = 0;
    for (index, file) in files.iter().enumerate() {
        let n = units(file, boundary);
        let here = n_train.saturating_sub(before).min(n);
        if here > 0 {
            train.push(Piece { file: index, units: 0..here });
        }
        if here < n {
            held_out.push(Piece { file: index, units: here..n });
        }
        before += n;
    }
    let unit = if boundary == DocumentBoundary::File { "character" } else { "document" };
    let found = format!("{total} {unit}{} in all", if total == 1 { "" } else { "s" });
    if train.is_empty() {
        return Err(CorpusError::EmptySplit { split: Split::Train, found });
    }
    if held_out.is_empty() {
        return Err(CorpusError::EmptySplit { split: Split::HeldOut, found });
    }
    Ok([train, held_out])
}

/// The documents of one split, read as they are asked for; see [`Corpus::documents`].
///
/// Gives an error and then nothing more when a file can no longer be read or has changed since it was scanned.
pub struct Documents<'a> {
    corpus: &'a Corpus,
    pieces: std::slice::Iter<'a, Piece>,
    current: Option<OpenPiece<'a>>,
}

struct OpenPiece<'a> {
    piece: &'a Piece,
    reader: DocumentReader,
    /// Units of the file read so far.
    read: u64,
}

impl Documents<'_> {
    fn next_document(&mut self) -> Result<Option<String>, CorpusError> {
        loop {
            let Some(open) = &mut self.current else {
                let Some(piece) = self.pieces.next() else { return Ok(None) };
                let reader = DocumentReader::open(&self.corpus.files[piece.file].path, self.corpus.boundary)?;
                self.current = Some(OpenPiece { piece, reader, read: 0 });
                continue;
            };
            let file = &self.corpus.files[open.piece.file];
            let units = &open.piece.units;
            let reads_to_the_end = units.end == self::units(file, self.corpus.boundary);
            if open.read >= units.end && !reads_to_the_end {
                self.current = None;
                continue;
            }
            let Some(mut document) = open.reader.next_document()? else {
                // Whatever is read to its end is compared with what was scanned.
                if open.reader.sha256() != file.sha256 {
                    return Err(CorpusError::FileChanged(file.path.clone()));
                }
                self.current = None;
                continue;
            };
            if self.corpus.boundary == DocumentBoundary::File {
                keep_characters(&mut document, units);
                open.read = file.characters;
                return Ok(Some(document));
            }
            open.read += 1;
            if open.read > units.end {
                return Err(CorpusError::FileChanged(file.path.clone()));
            }
            if open.read > units.start {
                return Ok(Some(document));
            }
        }
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<String, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        let document = self.next_document().transpose();
        if matches!(document, Some(Err(_)) | None) {
            self.pieces = [].iter();
            self.current = None;
        }
        document
    }
}

/// Cuts a text down to the given range of its characters.
fn keep_characters(text: &mut String, range: &Range<u64>) {
    let end = byte_of_character(text, range.end);
    text.truncate(end);
    let start = byte_of_character(text, range.start);
    text.drain(..start);
}

/// Where the character of this index begins: the length of the text when there is none.
fn byte_of_character(text: &str, index: u64) -> usize {
    usize::try_from(index)
        .ok()
        .and_then(|index| text.char_indices().nth(index))
        .map_or(text.len(), |(byte, _)| byte)
}

#[cfg(test)]
#[path = "corpus_tests.rs"]
mod tests;
