//! Writing shards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::manifest::{Dtype, FORMAT_VERSION, MANIFEST, Manifest, Provenance, ShardFile, TOKEN_TABLE};
use super::staging::Staging;
use super::{Shards, TokenizerInfo};
use crate::digest;
use crate::error::CorpusError;
use crate::sources::Split;

/// A token file is closed with the document that brings it to this many tokens.
pub const SHARD_TOKENS: u64 = 1 << 27;

/// Writes token shards, document by document. Nothing is visible in the folder before [`ShardWriter::finish`], and
/// nothing remains of a writer that was dropped before it.
pub struct ShardWriter {
    target: PathBuf,
    staging: Staging,
    tokenizer: TokenizerInfo,
    made_from: Option<Provenance>,
    dtype: Dtype,
    shard_tokens: u64,
    /// The file being written of each split that has begun.
    open: BTreeMap<Split, OpenFile>,
    closed: BTreeMap<Split, Vec<ShardFile>>,
    /// Reused for the bytes of a document's ids.
    buffer: Vec<u8>,
}

struct OpenFile {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Sha256,
    /// What the manifest will say of it; the hash comes at the end.
    entry: ShardFile,
}

impl ShardWriter {
    /// Starts writing shards that will be the folder `dir`.
    ///
    /// # Errors
    /// Something is at `dir` already (an empty folder does not count), the folder cannot be written, or the
    /// tokenizer's end-of-text id is outside its vocabulary.
    pub fn create(dir: &Path, tokenizer: TokenizerInfo) -> Result<Self, CorpusError> {
        Self::create_with(dir, tokenizer, None, SHARD_TOKENS)
    }

    pub(crate) fn create_with(
        dir: &Path,
        tokenizer: TokenizerInfo,
        made_from: Option<Provenance>,
        shard_tokens: u64,
    ) -> Result<Self, CorpusError> {
        let vocab_size = tokenizer.vocab_size;
        if let Some(id) = tokenizer.end_of_text
            && id as usize >= vocab_size
        {
            let place = "the end-of-text token of the tokenizer".to_owned();
            return Err(CorpusError::IdOutsideVocabulary { id, vocab_size, place });
        }
        if dir.exists() && !is_empty_folder(dir) {
            return Err(CorpusError::OutputExists(dir.to_path_buf()));
        }
        Ok(Self {
            target: dir.to_path_buf(),
            staging: Staging::create(dir)?,
            tokenizer,
            made_from,
            dtype: Dtype::for_vocabulary(vocab_size),
            shard_tokens,
            open: BTreeMap::new(),
            closed: BTreeMap::new(),
            buffer: Vec::new(),
        })
    }

    /// Appends a document, given as the ids of its text (separators are added here) and the text's length in UTF-8
    /// bytes.
    ///
    /// # Errors
    /// An id outside the vocabulary, or a file that cannot be written.
    pub fn write_document(
        &mut self,
        split: Split,
        ids: &[u32],
        text_bytes: usize,
    ) -> Result<(), CorpusError> {
        let vocab_size = self.tokenizer.vocab_size;
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            let place = format!("document {} of the {split} split", self.documents(split) + 1);
            return Err(CorpusError::IdOutsideVocabulary { id, vocab_size, place });
        }
        let is_first = !self.open.contains_key(&split) && !self.closed.contains_key(&split);
        let separator = self.tokenizer.end_of_text;
        let all_ids = separator.iter().filter(|_| is_first).chain(ids).chain(&separator);
        self.buffer.clear();
        match self.dtype {
            Dtype::U16 => self.buffer.extend(all_ids.flat_map(|&id| (id as u16).to_le_bytes())),
            Dtype::U32 => self.buffer.extend(all_ids.flat_map(|&id| id.to_le_bytes())),
        }
        let file = match self.open.entry(split) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let number = self.closed.get(&split).map_or(0, Vec::len);
                entry.insert(OpenFile::create(&self.staging, split, number)?)
            }
        };
        file.append(&self.buffer)?;
        file.entry.tokens += (self.buffer.len() / self.dtype.width()) as u64;
        file.entry.documents += 1;
        file.entry.bytes += text_bytes as u64;
        if file.entry.tokens >= self.shard_tokens {
            self.close(split)?;
        }
        Ok(())
    }

    /// Tokens written so far, separators included.
    pub fn tokens(&self) -> u64 {
        Split::ALL.iter().flat_map(|&split| self.files(split)).map(|file| file.tokens).sum()
    }

    /// Makes the folder appear, synced to disk, and opens it.
    ///
    /// # Errors
    /// A file that cannot be written, or something that has appeared at the folder's place in the meantime.
    pub fn finish(mut self) -> Result<Shards, CorpusError> {
        for split in Split::ALL {
            self.close(split)?;
        }
        let token_table = to_json(&self.tokenizer.token_table);
        self.staging.write(TOKEN_TABLE, &token_table)?;
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            tokenizer_sha256: self.tokenizer.sha256,
            vocab_size: self.tokenizer.vocab_size,
            dtype: self.dtype,
            end_of_text: self.tokenizer.end_of_text,
            token_table_sha256: digest::of_bytes(&token_table),
            made_from: self.made_from,
            splits: self.closed,
        };
        self.staging.write(MANIFEST, &to_json(&manifest))?;
        self.staging.commit()?;
        Shards::open(&self.target)
    }

    fn files(&self, split: Split) -> impl Iterator<Item = &ShardFile> {
        let open = self.open.get(&split).map(|file| &file.entry);
        self.closed.get(&split).into_iter().flatten().chain(open)
    }

    fn documents(&self, split: Split) -> u64 {
        self.files(split).map(|file| file.documents).sum()
    }

    /// Completes the file being written of a split, if there is one.
    fn close(&mut self, split: Split) -> Result<(), CorpusError> {
        if let Some(file) = self.open.remove(&split) {
            let entry = file.close()?;
            self.closed.entry(split).or_default().push(entry);
        }
        Ok(())
    }
}

impl OpenFile {
    fn create(staging: &Staging, split: Split, number: usize) -> Result<Self, CorpusError> {
        let name = format!("{split}-{number:05}.bin");
        let path = staging.path(&name);
        let file = File::create(&path).map_err(CorpusError::io("create", &path))?;
        let entry = ShardFile { name, tokens: 0, documents: 0, bytes: 0, sha256: String::new() };
        Ok(Self { path, file: BufWriter::with_capacity(1 << 18, file), hasher: Sha256::new(), entry })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CorpusError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(CorpusError::io("write", &self.path))
    }

    fn close(mut self) -> Result<ShardFile, CorpusError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(CorpusError::io("write", &self.path))?;
        self.entry.sha256 = digest::finish(self.hasher);
        Ok(self.entry)
    }
}

fn is_empty_folder(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut json =
        serde_json::to_vec_pretty(value).expect("these values have string keys and no failing fields");
    json.push(b'\n');
    json
}
