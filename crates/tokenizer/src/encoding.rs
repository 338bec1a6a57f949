//! More than plain encoding: special tokens refused, offsets, no more than so many tokens.

use crate::added::Part;
use crate::longest_prefix::Unknown;
use crate::normalization::original;
use crate::tokenizer::Algorithm;
use crate::{Normalization, Tokenizer, TokenizerError};
use std::ops::Range;

/// How much text is encoded at a time where only the first ids are wanted, in bytes for each of them. Tokens are rarely
/// longer.
const BYTES_PER_ID: usize = 8;
/// And at least.
const FEWEST_BYTES: usize = 4096;

impl Tokenizer {
    /// The ids of a text that must not spell a special token: for text of users where it would be read as one later.
    /// [`encode`](Self::encode) makes ordinary tokens of it, [`encode_with_special`](Self::encode_with_special) the special one.
    ///
    /// # Errors
    /// When the text spells one; the message says where.
    pub fn encode_refusing_special(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let (added, mut found) = (&self.parts().added, None);
        let mut look = |part: Part<'_>, offset| {
            if let Part::Token(id) = part
                && found.is_none()
                && added.is_special(id)
            {
                let token = self.id_to_token(id).unwrap_or_default().to_owned();
                found = Some(TokenizerError::SpecialTokenInText { token, offset });
            }
        };
        added.for_each_raw_part(text, true, |part, range| match part {
            Part::Token(_) => look(part, range.start),
            // A special token that is looked for in normalized text: where it stands is not known more exactly.
            Part::Text(text) => added.for_each_part(text, true, |part| look(part, range.start)),
        });
        match found {
            Some(error) => Err(error),
            None => Ok(self.encode(text)),
        }
    }

    /// The ids of a text, and which of its bytes each stands for. Together they are all of the text, in order. A token of a
    /// byte-level vocabulary may begin or end inside a character. Where normalization changes characters, their tokens have
    /// the bytes of all of them. A space that the tokenizer puts before every text (llama2.c's) is no byte of it.
    ///
    /// ```
    /// # use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
    /// # let config = ByteLevelConfig { vocab_size: 260, ..ByteLevelConfig::default() };
    /// let tokenizer = Tokenizer::train_byte_level(["the the the"], &config)?;
    /// let (ids, ranges) = tokenizer.encode_with_offsets("the end");
    /// assert_eq!(ids.len(), ranges.len());
    /// assert_eq!(&"the end"[ranges[0].clone()], "the");
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
    pub fn encode_with_offsets(&self, text: &str) -> (Vec<u32>, Vec<Range<usize>>) {
        let normalization = self.parts().added.normalization();
        if normalization == Normalization::None {
            return self.offsets_in_normalized(text);
        }
        let (mut ids, mut ranges) = (Vec::new(), Vec::new());
        self.parts().added.for_each_raw_part(text, false, |part, place| match part {
            Part::Token(id) => {
                ids.push(id);
                ranges.push(place);
            }
            Part::Text(text) => {
                let (normalized, parts) = normalization.apply_with_parts(text);
                let (more, normalized_ranges) = self.offsets_in_normalized(&normalized);
                let from = |range| original(&parts, &range);
                let moved = |range: Range<usize>| place.start + range.start..place.start + range.end;
                ids.extend(more);
                ranges.extend(normalized_ranges.into_iter().map(from).map(moved));
            }
        });
        (ids, ranges)
    }

    /// Of a text that normalization leaves alone.
    fn offsets_in_normalized(&self, text: &str) -> (Vec<u32>, Vec<Range<usize>>) {
        let ids = self.encode(text);
        let parts = self.parts();
        let unknown = match &parts.algorithm {
            Algorithm::LongestPrefix(algorithm) => match algorithm.unknown() {
                Unknown::Token(id) => Some(*id),
                Unknown::Bytes(_) => None,
            },
            Algorithm::ByteLevel(_) | Algorithm::Scored(_) => None,
        };
        let (mut end, mut previous) = (0, None);
        let range = |&id: &u32| {
            let start = end;
            let before = previous.replace(id);
            // A text cannot spell the unknown token: it stands for one character.
            end += if Some(id) == unknown {
                text[start..].chars().next().map_or(0, char::len_utf8)
            } else {
                parts.piece(before, id).map_or(0, <[u8]>::len)
            };
            start..end
        };
        let ranges = ids.iter().map(range).collect();
        debug_assert_eq!(end, text.len(), "the tokens are the text");
        (ids, ranges)
    }

    /// The first ids of a text, at most `most`: those that [`encode`](Self::encode) begins with. Of a long text no more is
    /// read than it takes, if it has places where it may be cut ([`safe_cut`](Self::safe_cut)).
    pub fn encode_at_most(&self, text: &str, most: usize) -> Vec<u32> {
        let (mut ids, mut rest) = (Vec::new(), text);
        while ids.len() < most && !rest.is_empty() {
            let wanted = (most - ids.len()).saturating_mul(BYTES_PER_ID).max(FEWEST_BYTES);
            let window = &rest[..rest.floor_char_boundary(wanted)];
            let part = match self.safe_cut(window) {
                Some(cut) if window.len() < rest.len() => &rest[..cut],
                _ => rest,
            };
            ids.extend(self.encode(part));
            rest = &rest[part.len()..];
        }
        ids.truncate(most);
        ids
    }
}
