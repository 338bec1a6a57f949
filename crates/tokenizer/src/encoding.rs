//! More than plain encoding: special tokens refused, offsets, no more than so many tokens.

use crate::added::Part;
use crate::longest_prefix::Unknown;
use crate::piece_map::Seen;
use crate::tokenizer::Algorithm;
use crate::{Tokenizer, TokenizerError};
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
        let (mut offset, mut found) = (0, None);
        self.parts().added.for_each_part(text, true, |part| match part {
            Part::Text(text) => offset += text.len(),
            Part::Token(id) => {
                let token = self.id_to_token(id).unwrap_or_default();
                if found.is_none() && self.parts().added.is_special(id) {
                    found = Some(TokenizerError::SpecialTokenInText { token: token.to_owned(), offset });
                }
                offset += token.len();
            }
        });
        match found {
            Some(error) => Err(error),
            None => Ok(self.encode(text)),
        }
    }

    /// The ids of a text, and which of its bytes each stands for. Together they are all of the text, in order. A token of a
    /// byte-level vocabulary may begin or end inside a character.
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
        let whole = text;
        let unknown = match &self.parts().algorithm {
            Algorithm::LongestPrefix(algorithm) => match algorithm.unknown() {
                Unknown::Token(id) => Some(*id),
                Unknown::Bytes(_) => None,
            },
            Algorithm::ByteLevel(_) => None,
        };
        let (mut ids, mut seen) = (Vec::new(), Seen::default());
        let (mut ranges, mut end) = (Vec::new(), 0);
        self.parts().added.for_each_part(text, false, |part| {
            let first = ids.len();
            match part {
                // Spelled out: also where it is the unknown token.
                Part::Token(id) => {
                    ids.push(id);
                    let start = end;
                    end += self.id_to_token(id).map_or(0, str::len);
                    ranges.push(start..end);
                }
                Part::Text(text) => {
                    self.encode_between_added(text, &mut seen, &mut ids);
                    ranges.extend(ids[first..].iter().map(|&id| {
                        let start = end;
                        end += if Some(id) == unknown {
                            whole[start..].chars().next().map_or(0, char::len_utf8)
                        } else {
                            self.token_bytes(id).map_or(0, <[u8]>::len)
                        };
                        start..end
                    }));
                }
            }
        });
        debug_assert_eq!(end, whole.len(), "the tokens are the text");
        (ids, ranges)
    }

    /// The first ids of a text, at most `most`: those that [`encode`](Self::encode) begins with. Of a long text no more is
    /// read than it takes, if it has places where it may be cut ([`safe_cut`](Self::safe_cut)).
    ///
    /// ```
    /// # use firebrand_tokenizer::Tokenizer;
    /// let tokenizer = Tokenizer::characters(["to be"], &[])?;
    /// assert_eq!(tokenizer.encode_at_most("to be", 2), tokenizer.encode("to"));
    /// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
    /// ```
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
