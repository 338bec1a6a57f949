//! Writing shards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::journal::{Journal, Written};
use super::manifest::{Dtype, FORMAT_VERSION, MANIFEST, Manifest, Provenance, ShardFile, TOKEN_TABLE};
use super::workspace::Workspace;
use super::{Shards, TokenizerInfo};
use crate::digest;
use crate::error::CorpusError;
use crate::sources::{Position, Split};

/// A token file is closed with the document that brings it to this many tokens.
pub const SHARD_TOKENS: u64 = 1 << 27;

/// Writes token shards, document by document. Nothing is visible in the folder before [`ShardWriter::finish`], and
/// nothing remains of a writer that was dropped before it, unless it has kept a journal.
pub struct ShardWriter {
    target: PathBuf,
    workspace: Workspace,
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
    /// Something is at `dir` already (an empty folder does not count), another process is making it, the folder cannot
    /// be written, or the tokenizer's end-of-text id is outside its vocabulary.
    pub fn create(dir: &Path, tokenizer: TokenizerInfo) -> Result<Self, CorpusError> {
        if is_taken(dir) {
            return Err(CorpusError::OutputExists(dir.to_path_buf()));
        }
        Self::in_workspace(dir, Workspace::claim(dir)?, tokenizer, None, SHARD_TOKENS)
    }

    /// The same in a workspace, going on with what is in it if that has the same key.
    pub(crate) fn in_workspace(
        dir: &Path,
        workspace: Workspace,
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
        let journal = made_from.as_ref().and_then(|made_from| workspace.journal(&made_from.key));
        let mut writer = Self {
            target: dir.to_path_buf(),
            workspace,
            tokenizer,
            made_from,
            dtype: Dtype::for_vocabulary(vocab_size),
            shard_tokens,
            open: BTreeMap::new(),
            closed: BTreeMap::new(),
            buffer: Vec::new(),
        };
        if !journal.is_some_and(|journal| writer.go_on(journal)) {
            writer.open.clear();
            writer.closed.clear();
            writer.workspace.begin(&[])?;
        }
        Ok(writer)
    }

    /// Takes up what a journal speaks of; false if the files are not what it says.
    fn go_on(&mut self, journal: Journal) -> bool {
        for (split, Written { closed, open }) in journal.splits {
            let size = |entry: &ShardFile| entry.tokens * self.dtype.width() as u64;
            let on_disk =
                |entry: &ShardFile| self.workspace.path(&entry.name).metadata().map(|file| file.len());
            if !closed.iter().all(|entry| on_disk(entry).is_ok_and(|found| found == size(entry))) {
                return false;
            }
            if let Some(entry) = open {
                let size = size(&entry);
                match OpenFile::go_on(&self.workspace, entry, size) {
                    Ok(file) => self.open.insert(split, file),
                    Err(_) => return false,
                };
            }
            if !closed.is_empty() {
                self.closed.insert(split, closed);
            }
        }
        let files = Split::ALL.iter().flat_map(|&split| self.files(split));
        let names: Vec<String> = files.map(|file| file.name.clone()).collect();
        !names.is_empty()
            && self.workspace.begin(&names.iter().map(String::as_str).collect::<Vec<_>>()).is_ok()
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
        self.write_part(split, ids, text_bytes, true)
    }

    /// Appends a part of a document.
    ///
    /// # Errors
    /// An id outside the vocabulary, or a file that cannot be written.
    pub fn write_part(
        &mut self,
        split: Split,
        ids: &[u32],
        text_bytes: usize,
        ends_document: bool,
    ) -> Result<(), CorpusError> {
        let vocab_size = self.tokenizer.vocab_size;
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= vocab_size) {
            let place = format!("document {} of the {split} split", self.position(split).documents + 1);
            return Err(CorpusError::IdOutsideVocabulary { id, vocab_size, place });
        }
        let is_first = !self.open.contains_key(&split) && !self.closed.contains_key(&split);
        let separator = self.tokenizer.end_of_text;
        let before = separator.iter().filter(|_| is_first);
        let after = separator.iter().filter(|_| ends_document);
        let all_ids = before.chain(ids).chain(after);
        self.buffer.clear();
        match self.dtype {
            Dtype::U16 => self.buffer.extend(all_ids.flat_map(|&id| (id as u16).to_le_bytes())),
            Dtype::U32 => self.buffer.extend(all_ids.flat_map(|&id| id.to_le_bytes())),
        }
        let file = match self.open.entry(split) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let number = self.closed.get(&split).map_or(0, Vec::len);
                entry.insert(OpenFile::create(&self.workspace, split, number)?)
            }
        };
        file.append(&self.buffer)?;
        file.entry.tokens += (self.buffer.len() / self.dtype.width()) as u64;
        file.entry.documents += u64::from(ends_document);
        file.entry.bytes += text_bytes as u64;
        if ends_document && file.entry.tokens >= self.shard_tokens {
            self.close(split)?;
        }
        Ok(())
    }

    /// Tokens written so far, separators included.
    pub fn tokens(&self) -> u64 {
        Split::ALL.iter().flat_map(|&split| self.files(split)).map(|file| file.tokens).sum()
    }

    /// How much of the text of a split has been written.
    pub(crate) fn position(&self, split: Split) -> Position {
        self.files(split).fold(Position::default(), |position, file| Position {
            documents: position.documents + file.documents,
            bytes: position.bytes + file.bytes,
        })
    }

    /// Makes sure that what has been written is on disk, and that a later writer can go on from here.
    pub(crate) fn keep_journal(&mut self) -> Result<(), CorpusError> {
        let Some(made_from) = &self.made_from else { return Ok(()) };
        let key = made_from.key.clone();
        for file in self.open.values_mut() {
            file.sync()?;
        }
        let written = |split: Split| Written {
            closed: self.closed.get(&split).cloned().unwrap_or_default(),
            open: self.open.get(&split).map(|file| file.entry.clone()),
        };
        let splits = Split::ALL.iter().map(|&split| (split, written(split))).collect();
        self.workspace.write_journal(&Journal { key, splits })
    }

    /// Removes everything, the journal too.
    pub(crate) fn discard(self) {
        self.workspace.discard();
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
        self.write_file(TOKEN_TABLE, &token_table)?;
        let manifest = Manifest {
            format_version: FORMAT_VERSION,
            tokenizer_sha256: self.tokenizer.sha256.clone(),
            vocab_size: self.tokenizer.vocab_size,
            dtype: self.dtype,
            end_of_text: self.tokenizer.end_of_text,
            token_table_sha256: digest::of_bytes(&token_table),
            made_from: self.made_from.take(),
            splits: std::mem::take(&mut self.closed),
        };
        self.write_file(MANIFEST, &to_json(&manifest))?;
        self.workspace.commit()?;
        Shards::open(&self.target)
    }

    fn write_file(&self, name: &str, contents: &[u8]) -> Result<(), CorpusError> {
        let path = self.workspace.path(name);
        firebrand_durable::write(&path, contents).map_err(CorpusError::io("write", &path))
    }

    fn files(&self, split: Split) -> impl Iterator<Item = &ShardFile> {
        let open = self.open.get(&split).map(|file| &file.entry);
        self.closed.get(&split).into_iter().flatten().chain(open)
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
    fn create(workspace: &Workspace, split: Split, number: usize) -> Result<Self, CorpusError> {
        let name = format!("{split}-{number:05}.bin");
        let path = workspace.path(&name);
        let file = File::create(&path).map_err(CorpusError::io("create", &path))?;
        let entry = ShardFile { name, tokens: 0, documents: 0, bytes: 0, sha256: String::new() };
        Ok(Self { path, file: BufWriter::with_capacity(1 << 18, file), hasher: Sha256::new(), entry })
    }

    /// Opens a file whose first `size` bytes are those of `entry`; what is behind them goes.
    fn go_on(workspace: &Workspace, entry: ShardFile, size: u64) -> std::io::Result<Self> {
        let path = workspace.path(&entry.name);
        let mut file = File::options().read(true).write(true).open(&path)?;
        if file.metadata()?.len() < size {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        file.set_len(size)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 18, file), hasher, entry })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), CorpusError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(CorpusError::io("write", &self.path))
    }

    fn sync(&mut self) -> Result<(), CorpusError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(CorpusError::io("write", &self.path))
    }

    fn close(mut self) -> Result<ShardFile, CorpusError> {
        self.sync()?;
        self.entry.sha256 = digest::finish(self.hasher);
        Ok(self.entry)
    }
}

/// Whether there is something at the place of shards to be: anything but an empty folder.
pub(crate) fn is_taken(path: &Path) -> bool {
    path.exists() && !std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut json =
        serde_json::to_vec_pretty(value).expect("these values have string keys and no failing fields");
    json.push(b'\n');
    json
}
