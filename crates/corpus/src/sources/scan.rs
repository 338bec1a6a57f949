//! Reading all text once: is it text, how much is there, what does it hash to?

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::{DocumentBoundary, DocumentReader, Sources};
use crate::error::CorpusError;
use crate::progress::{Progress, REPORT_EVERY, Stage};
use crate::records::Format;

/// A file that has been read through once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it was read as.
    pub format: Format,
    /// Its size in bytes.
    pub bytes: u64,
    /// sha256 of its contents, in hexadecimal.
    pub sha256: String,
    /// Documents in it.
    pub documents: u64,
    /// Bytes of text (UTF-8) in its documents.
    pub text_bytes: u64,
    /// Characters (Unicode scalars) in its documents.
    pub characters: u64,
    /// How often bytes that are no UTF-8 were replaced in it.
    pub replaced: u64,
}

impl SourceFile {
    /// What the file is divided by: characters when it is one document, documents otherwise.
    pub(super) fn units(&self, boundary: DocumentBoundary) -> u64 {
        if self.is_one_document(boundary) { self.characters } else { self.documents }
    }

    /// Whether it is text, all of it one document.
    pub(super) fn is_one_document(&self, boundary: DocumentBoundary) -> bool {
        self.format == Format::Text && boundary == DocumentBoundary::File
    }
}

/// Reads the files through, several at a time, on rayon's current pool.
pub(super) fn scan_files(
    sources: &Sources,
    paths: &[PathBuf],
    memory: &Memory,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<SourceFile>, CorpusError> {
    let sizes = paths
        .iter()
        .map(|path| Ok(fs::metadata(path).map_err(CorpusError::io("read", path))?.len()))
        .collect::<Result<Vec<u64>, CorpusError>>()?;
    let total_bytes = sizes.iter().sum();
    let done = Progress { stage: Stage::Scan, total_bytes, ..Progress::default() };
    let done = Mutex::new((done, progress));
    let report = |bytes: u64, documents: u64| {
        let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (done, progress) = &mut *done;
        done.bytes = (done.bytes + bytes).min(total_bytes);
        done.documents += documents;
        progress(*done);
    };
    let scan = |path: &PathBuf| {
        if let Some(file) = memory.recall(path) {
            report(file.bytes, file.documents);
            return Ok(file);
        }
        let before = Memory::state(path);
        let file = scan_file(path, sources, &report)?;
        memory.keep(&file, before);
        Ok(file)
    };
    // All of them, so that the error of the first file is the one that is told, whichever thread met one first.
    let files: Vec<Result<SourceFile, CorpusError>> = paths.par_iter().with_max_len(1).map(scan).collect();
    let files = files.into_iter().collect::<Result<Vec<SourceFile>, CorpusError>>()?;
    let (mut done, progress) = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.bytes = total_bytes;
    progress(done);
    Ok(files)
}

/// Reads one file through; `report` gets the bytes and documents read since its last call.
fn scan_file(path: &Path, sources: &Sources, report: &dyn Fn(u64, u64)) -> Result<SourceFile, CorpusError> {
    let format = sources.format.of(path);
    let mut reader =
        DocumentReader::open_as(path, format, sources.boundary, &sources.field, sources.invalid_utf8)?;
    let (mut documents, mut text_bytes, mut characters) = (0, 0, 0);
    let mut reported = (0, 0);
    while let Some(piece) = reader.next_piece()? {
        documents += u64::from(piece.ends_document);
        text_bytes += piece.text.len() as u64;
        characters += piece.text.chars().count() as u64;
        let read = reader.bytes_read();
        if read >= reported.0 + REPORT_EVERY {
            report(read - reported.0, documents - reported.1);
            reported = (read, documents);
        }
    }
    if documents == 0 {
        return Err(CorpusError::EmptyFile(path.to_path_buf()));
    }
    let (bytes, sha256, replaced) = (reader.bytes_read(), reader.sha256()?, reader.replaced());
    report(bytes - reported.0, documents - reported.1);
    Ok(SourceFile {
        path: path.to_path_buf(),
        format,
        bytes,
        sha256,
        documents,
        text_bytes,
        characters,
        replaced,
    })
}
