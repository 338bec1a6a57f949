//! The tokens of one split.

use std::ops::{Deref, Range};
use std::path::PathBuf;
use std::sync::Arc;

use super::manifest::Dtype;
use crate::error::CorpusError;

/// The tokens of one split: a stream of ids, in files that are read as they are asked for. Clones share the files.
#[derive(Clone)]
pub struct TokenSplit {
    parts: Arc<[Part]>,
    dtype: Dtype,
    vocab_size: usize,
    documents: u64,
    bytes: u64,
}

/// A run of consecutive tokens in one place.
pub(super) struct Part {
    /// The positions of its tokens in the split.
    pub(super) positions: Range<usize>,
    pub(super) ids: IdBytes,
    /// The file they are in, for messages; empty when they are in memory.
    pub(super) path: PathBuf,
}

/// Ids as little-endian bytes.
pub(super) enum IdBytes {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl Deref for IdBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl TokenSplit {
    pub(super) fn new(parts: Vec<Part>, dtype: Dtype, vocab_size: usize, documents: u64, bytes: u64) -> Self {
        Self { parts: parts.into(), dtype, vocab_size, documents, bytes }
    }

    /// A split in memory, of ids that come from elsewhere than shards; `bytes` are those of their text.
    ///
    /// # Errors
    /// An id that is not below `vocab_size`.
    pub fn from_ids(
        ids: Vec<u32>,
        vocab_size: usize,
        bytes: u64,
        documents: u64,
    ) -> Result<Self, CorpusError> {
        check(&ids, vocab_size, |index| format!("position {index}"))?;
        let positions = 0..ids.len();
        let ids = IdBytes::Owned(ids.into_iter().flat_map(u32::to_le_bytes).collect());
        let part = Part { positions, ids, path: PathBuf::new() };
        Ok(Self::new(vec![part], Dtype::U32, vocab_size, documents, bytes))
    }

    /// How many tokens there are, separators included.
    pub fn len(&self) -> usize {
        self.parts.last().map_or(0, |part| part.positions.end)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// UTF-8 bytes of the text, separators not counted: the denominator of bits per byte.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many documents there are.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Every id is below this.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Copies the tokens from position `start` on, as many as fit in `out`.
    ///
    /// # Errors
    /// An id outside the vocabulary, in a file that was changed after it had been written.
    ///
    /// # Panics
    /// If the split ends before `out` is full.
    pub fn fill(&self, start: usize, out: &mut [u32]) -> Result<(), CorpusError> {
        let end = start.saturating_add(out.len());
        assert!(end <= self.len(), "tokens {start}..{end} of a split of {}", self.len());
        let mut rest = out;
        let mut position = start;
        // The first part that ends behind `start`, and those after it.
        let first = self.parts.partition_point(|part| part.positions.end <= start);
        for part in &self.parts[first..] {
            if rest.is_empty() {
                break;
            }
            let (here, later) = rest.split_at_mut(rest.len().min(part.positions.end - position));
            let offset = position - part.positions.start;
            decode(&part.ids, self.dtype, offset, here);
            check(here, self.vocab_size, |index| {
                format!("{}, position {}", part.path.display(), offset + index)
            })?;
            position += here.len();
            rest = later;
        }
        Ok(())
    }

    /// The tokens at these positions.
    ///
    /// # Errors
    /// As [`TokenSplit::fill`].
    ///
    /// # Panics
    /// If the range is not inside the split.
    pub fn slice(&self, positions: Range<usize>) -> Result<Vec<u32>, CorpusError> {
        let mut ids = vec![0; positions.len()];
        self.fill(positions.start, &mut ids)?;
        Ok(ids)
    }
}

impl std::fmt::Debug for TokenSplit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSplit")
            .field("tokens", &self.len())
            .field("documents", &self.documents)
            .field("bytes", &self.bytes)
            .field("files", &self.parts.len())
            .finish()
    }
}

/// Reads ids from the `offset`-th on.
fn decode(bytes: &[u8], dtype: Dtype, offset: usize, out: &mut [u32]) {
    let bytes = &bytes[offset * dtype.width()..];
    match dtype {
        Dtype::U16 => {
            for (id, &bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *id = u16::from_le_bytes(bytes).into();
            }
        }
        Dtype::U32 => {
            for (id, &bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *id = u32::from_le_bytes(bytes);
            }
        }
    }
}

/// Checks that ids are below the vocabulary size, so that no model looks up an embedding that is not there.
fn check(ids: &[u32], vocab_size: usize, place: impl Fn(usize) -> String) -> Result<(), CorpusError> {
    match ids.iter().position(|&id| id as usize >= vocab_size) {
        None => Ok(()),
        Some(index) => {
            Err(CorpusError::IdOutsideVocabulary { id: ids[index], vocab_size, place: place(index) })
        }
    }
}
