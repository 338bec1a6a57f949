//! Reading shards.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::de::DeserializeOwned;

use super::TokenSplit;
use super::manifest::{MANIFEST, Manifest, Provenance, ShardFile, TOKEN_TABLE};
use super::split::{IdBytes, Part};
use crate::digest;
use crate::error::CorpusError;
use crate::sources::Split;

/// A folder of token shards, opened.
#[derive(Debug)]
pub struct Shards {
    dir: PathBuf,
    manifest: Manifest,
    splits: BTreeMap<Split, TokenSplit>,
}

impl Shards {
    /// Opens a folder of shards and maps its token files. Sizes are compared with the manifest here, contents in
    /// [`Shards::verify`].
    ///
    /// # Errors
    /// No manifest, a malformed one or one of another format version; files that are missing or cut short.
    pub fn open(dir: &Path) -> Result<Self, CorpusError> {
        let path = dir.join(MANIFEST);
        if dir.is_dir() && !path.exists() {
            return Err(CorpusError::NotShards(dir.to_path_buf()));
        }
        let manifest = Manifest::read(&path)?;
        let splits = manifest
            .splits
            .iter()
            .map(|(&split, files)| Ok((split, open_split(dir, &manifest, files)?)))
            .collect::<Result<_, CorpusError>>()?;
        Ok(Self { dir: dir.to_path_buf(), manifest, splits })
    }

    /// Where the shards are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The sha256 of the tokenizer that made them.
    pub fn tokenizer_sha256(&self) -> &str {
        &self.manifest.tokenizer_sha256
    }

    /// Every id is below this.
    pub fn vocab_size(&self) -> usize {
        self.manifest.vocab_size
    }

    /// The id that separates documents, if the tokenizer had one.
    pub fn end_of_text(&self) -> Option<u32> {
        self.manifest.end_of_text
    }

    /// What the shards were made from; `None` when not by [`prepare`](crate::prepare::prepare).
    pub fn provenance(&self) -> Option<&Provenance> {
        self.manifest.made_from.as_ref()
    }

    /// The tokenizer's token table.
    ///
    /// # Errors
    /// A file that is missing, has changed, or holds something else than a `T`.
    pub fn token_table<T: DeserializeOwned>(&self) -> Result<T, CorpusError> {
        let path = self.dir.join(TOKEN_TABLE);
        let json = std::fs::read(&path).map_err(CorpusError::io("read", &path))?;
        check_digest(&path, &self.manifest.token_table_sha256, digest::of_bytes(&json))?;
        serde_json::from_slice(&json)
            .map_err(|error| CorpusError::Manifest { path, reason: error.to_string() })
    }

    /// The tokens of a split.
    ///
    /// # Errors
    /// The shards have no such split.
    pub fn split(&self, split: Split) -> Result<&TokenSplit, CorpusError> {
        self.get(split).ok_or_else(|| CorpusError::MissingSplit { path: self.dir.clone(), split })
    }

    /// The tokens of a split, if the shards have it.
    pub fn get(&self, split: Split) -> Option<&TokenSplit> {
        self.splits.get(&split)
    }

    /// Checks that the shards were made by the tokenizer with this sha256.
    ///
    /// # Errors
    /// They were made by another one.
    pub fn expect_tokenizer(&self, sha256: &str) -> Result<(), CorpusError> {
        if self.manifest.tokenizer_sha256 == sha256 {
            return Ok(());
        }
        Err(CorpusError::WrongTokenizer {
            path: self.dir.clone(),
            expected: sha256.to_owned(),
            found: self.manifest.tokenizer_sha256.clone(),
        })
    }

    /// Bytes of the token files on disk.
    pub fn disk_bytes(&self) -> u64 {
        let width = self.manifest.dtype.width() as u64;
        self.manifest.splits.values().flatten().map(|file| file.tokens * width).sum()
    }

    /// Reads every file and compares it with its sha256 in the manifest.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else than was written.
    pub fn verify(&self) -> Result<(), CorpusError> {
        self.verify_reporting(&|_| {})
    }

    /// [`Shards::verify`], several files at a time; `report` is told of bytes that have been read.
    ///
    /// # Errors
    /// As [`Shards::verify`].
    pub fn verify_reporting(&self, report: &(dyn Fn(u64) + Sync)) -> Result<(), CorpusError> {
        let files = self.manifest.splits.values().flatten().map(|file| (file.name.as_str(), &file.sha256));
        let files: Vec<_> = files.chain([(TOKEN_TABLE, &self.manifest.token_table_sha256)]).collect();
        let check = |&(name, expected): &(&str, &String)| {
            let path = self.dir.join(name);
            check_digest(&path, expected, digest::of_file(&path, report)?)
        };
        // The error of the first file is the one that is told, whichever thread met one first.
        let checked: Vec<_> = files.par_iter().with_max_len(1).map(check).collect();
        checked.into_iter().collect()
    }
}

fn check_digest(path: &Path, expected: &str, found: String) -> Result<(), CorpusError> {
    if expected == found {
        return Ok(());
    }
    Err(CorpusError::WrongChecksum { path: path.to_path_buf(), expected: expected.to_owned(), found })
}

fn open_split(dir: &Path, manifest: &Manifest, files: &[ShardFile]) -> Result<TokenSplit, CorpusError> {
    let mut parts = Vec::with_capacity(files.len());
    let (mut documents, mut bytes) = (0_u64, 0_u64);
    let mut first = 0;
    for entry in files {
        let path = dir.join(&entry.name);
        let expected = entry.tokens * manifest.dtype.width() as u64;
        let ids = map(&path, expected)?;
        let end = first + ids.len() / manifest.dtype.width();
        parts.push(Part { positions: first..end, ids, path });
        first = end;
        documents = documents.saturating_add(entry.documents);
        bytes = bytes.saturating_add(entry.bytes);
    }
    Ok(TokenSplit::new(parts, manifest.dtype, manifest.vocab_size, documents, bytes))
}

/// Maps a file that must have `expected` bytes.
fn map(path: &Path, expected: u64) -> Result<IdBytes, CorpusError> {
    let file = File::open(path).map_err(CorpusError::io("read", path))?;
    let found = file.metadata().map_err(CorpusError::io("read", path))?.len();
    if found != expected {
        return Err(CorpusError::WrongSize { path: path.to_path_buf(), expected, found });
    }
    if expected == 0 {
        return Ok(IdBytes::Owned(Vec::new())); // There is nothing to map.
    }
    #[allow(
        unsafe_code,
        reason = "a memory map is the only way to read corpora larger than memory at random places"
    )]
    // SAFETY: the bytes of a map must not change while they are borrowed. Firebrand never writes to a token file
    // once its folder has been renamed into place, and ids are copied out of the map and checked before use; another
    // program that changes the file can make ids wrong (an error), one that cuts it short ends the process (SIGBUS).
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(CorpusError::io("map", path))?;
    Ok(IdBytes::Mapped(map))
}

#[cfg(test)]
#[path = "shards_tests.rs"]
mod tests;
