//! A vocabulary: which id has which text and which bytes.
//!
//! It knows nothing of how texts become ids.

use crate::TokenizerError;
use rustc_hash::FxHashMap;

/// One token. Its *text* is what files call it (stand-ins of bytes for byte-level tokens), its *bytes* what it
/// decodes to.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
}

/// How many bytes are copied at once when decoding.
const CHUNK: usize = 16;

/// Whether a vocabulary of so many tokens cannot sensibly have this id. Files may skip some ids, but a few damaged digits
/// must not take all memory.
pub(crate) fn is_far_above(id: usize, n_tokens: usize) -> bool {
    id > 2 * n_tokens + (1 << 16)
}

/// Tokens by id and ids by text. An id may be unused when the file it was read from left a gap.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    texts: Vec<Option<Box<str>>>,
    ids: FxHashMap<Box<str>, u32>,
    /// The bytes of all tokens, one after the other, and [`CHUNK`] zeros; those of `id` lie from `starts[id]` to
    /// `starts[id + 1]`.
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Vocabulary {
    /// From the tokens in the order of their ids, `None` for an unused one.
    pub(crate) fn new(tokens: impl IntoIterator<Item = Option<Token>>) -> Self {
        let mut new =
            Self { texts: Vec::new(), ids: FxHashMap::default(), bytes: Vec::new(), starts: vec![0] };
        for (id, token) in (0..).zip(tokens) {
            let text = token.map(|token| {
                new.bytes.extend_from_slice(&token.bytes);
                let text = token.text.into_boxed_str();
                new.ids.insert(text.clone(), id);
                text
            });
            new.texts.push(text);
            new.starts.push(new.bytes.len());
        }
        new.bytes.extend([0; CHUNK]);
        new
    }

    /// This one with further tokens behind its last, which decode to what they are called.
    pub(crate) fn with<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Self {
        let here = (0..).zip(&self.texts).map(|(id, text)| {
            text.as_deref().map(|text| Token { text: text.to_owned(), bytes: self.slice(id).to_vec() })
        });
        Self::new(here.chain(texts.map(|text| Some(Token { text: text.to_owned(), bytes: text.into() }))))
    }

    /// One more than the largest id.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    pub(crate) fn text(&self, id: u32) -> Option<&str> {
        self.texts.get(id as usize)?.as_deref()
    }

    /// Every used id with its text, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..).zip(&self.texts).filter_map(|(id, text)| Some((id, text.as_deref()?)))
    }

    /// The number of bytes of each id's token.
    pub(crate) fn lengths(&self) -> Vec<u32> {
        // No token has 2³² bytes: what it was read from would be larger than any memory.
        self.starts.windows(2).map(|range| (range[1] - range[0]) as u32).collect()
    }

    /// The bytes that tokens decode to, one after the other.
    ///
    /// # Errors
    /// When no token has one of the ids.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<Vec<u8>, TokenizerError> {
        let mut length = 0;
        for &id in ids {
            length += self.bytes(id)?.len();
        }
        let mut decoded = vec![0; length + CHUNK];
        let mut at = 0;
        for &id in ids {
            let (start, end) = (self.starts[id as usize], self.starts[id as usize + 1]);
            // Nearly all tokens are shorter than a chunk: copying a whole one takes no call and no loop, and what it has
            // too much is overwritten by the next.
            decoded[at..at + CHUNK].copy_from_slice(&self.bytes[start..start + CHUNK]);
            if end - start > CHUNK {
                decoded[at..at + (end - start)].copy_from_slice(&self.bytes[start..end]);
            }
            at += end - start;
        }
        decoded.truncate(length);
        Ok(decoded)
    }

    /// The bytes that a token decodes to.
    ///
    /// # Errors
    /// When no token has this id.
    pub(crate) fn bytes(&self, id: u32) -> Result<&[u8], TokenizerError> {
        match self.texts.get(id as usize) {
            Some(Some(_)) => Ok(self.slice(id)),
            Some(None) => Err(TokenizerError::UnusedId { id }),
            None => Err(TokenizerError::UnknownId { id, vocab_size: self.len() }),
        }
    }

    fn slice(&self, id: u32) -> &[u8] {
        &self.bytes[self.starts[id as usize]..self.starts[id as usize + 1]]
    }
}
