//! Ids to text and back to bytes, whole or one at a time.

use crate::tokenizer::{Algorithm, Parts};
use crate::{StreamDecoder, Tokenizer, TokenizerError};

impl Tokenizer {
    /// The text of ids. Special tokens are spelled out. Bytes that are no UTF-8 become `U+FFFD`.
    ///
    /// # Errors
    /// When no token has one of the ids.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.decode_behind(&[], ids)
    }

    /// The text of ids that go on the text of other ids: what [`decode`](Self::decode) of all of them ends with. That differs from
    /// `decode` of these alone only for tokenizers that begin every text with a space of their own, which decoding
    /// takes off, as those of llama2.c do; and where a character stands across the two.
    ///
    /// # Errors
    /// When no token has one of the ids.
    pub fn decode_behind(&self, before: &[u32], ids: &[u32]) -> Result<String, TokenizerError> {
        let bytes = self.bytes_behind(before.last().copied(), ids)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The bytes of ids. Special tokens are spelled out.
    ///
    /// # Errors
    /// When no token has one of the ids.
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>, TokenizerError> {
        self.bytes_behind(None, ids)
    }

    fn bytes_behind(&self, mut previous: Option<u32>, ids: &[u32]) -> Result<Vec<u8>, TokenizerError> {
        let parts = self.parts();
        if !matches!(*parts.algorithm, Algorithm::Scored(_)) {
            return parts.vocabulary.decode(ids);
        }
        let mut decoded = Vec::new();
        for &id in ids {
            decoded.extend_from_slice(parts.piece(previous, id)?);
            previous = Some(id);
        }
        Ok(decoded)
    }

    /// Decodes ids one at a time.
    pub fn stream_decoder(&self) -> StreamDecoder<'_> {
        StreamDecoder::new(self, None)
    }

    /// Decodes ids one at a time that go on the text of other ids, as what a model adds to a prompt does; see
    /// [`decode_behind`](Self::decode_behind).
    pub fn stream_decoder_behind(&self, before: &[u32]) -> StreamDecoder<'_> {
        StreamDecoder::new(self, before.last().copied())
    }
}

impl Parts {
    /// The bytes that a token adds to a text behind another token; none at the beginning.
    pub(crate) fn piece(&self, previous: Option<u32>, id: u32) -> Result<&[u8], TokenizerError> {
        let bytes = self.vocabulary.bytes(id)?;
        let Algorithm::Scored(algorithm) = &*self.algorithm else { return Ok(bytes) };
        let begins = previous.is_none_or(|previous| self.added.is_special(previous));
        if begins && !self.added.is_special(id) && !algorithm.is_byte(id) {
            return Ok(bytes.strip_prefix(b" ").unwrap_or(bytes));
        }
        Ok(bytes)
    }
}
