//! What models, training and decoding know of tokens, as plain data.
//!
//! A table can be stored beside token ids and read again without the tokenizer. It cannot process text.

use serde::{Deserialize, Serialize};

/// For every token id its bytes, whether it starts a word and whether it is special.
///
/// Special tokens (and ids that no token uses) stand for no text: they have no bytes. Serialized as
/// `{"tokens": [hexadecimal bytes, …], "starts_word": [ids], "special": [ids]}`; what is read is checked.
///
/// ```
/// use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
///
/// let tokenizer = Tokenizer::train_byte_level(["the end of the beginning"], &ByteLevelConfig::default())?;
/// let (table, ids) = (tokenizer.token_table(), tokenizer.encode("in the end"));
/// assert_eq!(ids.iter().map(|&id| table.byte_len(id)).sum::<usize>(), "in the end".len());
/// let the = tokenizer.token_to_id("Ġthe").expect("it was learned");
/// assert!(table.bytes(the) == b" the" && table.starts_word(the) && !table.is_special(the));
/// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct TokenTable {
    bytes: Vec<u8>,
    /// The bytes of `id` lie from `starts[id]` to `starts[id + 1]`.
    starts: Vec<usize>,
    flags: Vec<Flags>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags {
    starts_word: bool,
    special: bool,
}

/// One row of a [`TokenTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// The bytes that the token stands for; dropped when it is special.
    pub bytes: Vec<u8>,
    /// Whether the token is special.
    pub special: bool,
}

impl TokenTable {
    /// A table of these tokens, in the order of their ids. A token starts a word when its first character is
    /// white space: the pattern gives words the space before them. So the first word of a text, and one after a
    /// line break that is a token of its own, have no token that says so.
    pub fn new(entries: impl IntoIterator<Item = TokenEntry>) -> Self {
        let mut new = Self { bytes: Vec::new(), starts: vec![0], flags: Vec::new() };
        for TokenEntry { bytes, special } in entries {
            let bytes = if special { &[] } else { &*bytes };
            new.push(bytes, Flags { starts_word: starts_with_space(bytes), special });
        }
        new
    }

    fn push(&mut self, bytes: &[u8], flags: Flags) {
        self.bytes.extend_from_slice(bytes);
        self.starts.push(self.bytes.len());
        self.flags.push(flags);
    }

    /// The number of ids.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there is no id at all.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// The bytes that a token stands for; none for special tokens.
    ///
    /// # Panics
    /// When `id` is not below [`len`](Self::len), as indexing does; so do the other look-ups.
    pub fn bytes(&self, id: u32) -> &[u8] {
        &self.bytes[self.starts[id as usize]..self.starts[id as usize + 1]]
    }

    /// The number of bytes that a token stands for; 0 for special tokens.
    pub fn byte_len(&self, id: u32) -> usize {
        self.starts[id as usize + 1] - self.starts[id as usize]
    }

    /// Whether a token begins with white space, and so starts a word.
    pub fn starts_word(&self, id: u32) -> bool {
        self.flags[id as usize].starts_word
    }

    /// Whether a token is special: it steers the model and stands for no text.
    pub fn is_special(&self, id: u32) -> bool {
        self.flags[id as usize].special
    }

    /// Whether a token stands for text. Special ones do not, nor do ids that no token uses, or that are not in the table: for this
    /// look-up there is no id too large.
    pub fn is_ordinary(&self, id: u32) -> bool {
        (id as usize) < self.len() && self.byte_len(id) > 0
    }
}

fn starts_with_space(bytes: &[u8]) -> bool {
    let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    text.starts_with(char::is_whitespace)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    tokens: Vec<String>,
    starts_word: Vec<u32>,
    special: Vec<u32>,
}

impl From<TokenTable> for Stored {
    fn from(table: TokenTable) -> Self {
        let ids = 0..table.len() as u32;
        Self {
            tokens: ids.clone().map(|id| to_hex(table.bytes(id))).collect(),
            starts_word: ids.clone().filter(|&id| table.starts_word(id)).collect(),
            special: ids.filter(|&id| table.is_special(id)).collect(),
        }
    }
}

impl TryFrom<Stored> for TokenTable {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        let mut new = Self { bytes: Vec::new(), starts: vec![0], flags: Vec::new() };
        for (id, hex) in stored.tokens.iter().enumerate() {
            let bytes = from_hex(hex)
                .ok_or_else(|| format!("token table: token {id} is {hex:?}, not hexadecimal"))?;
            new.push(&bytes, Flags { starts_word: false, special: false });
        }
        let size = new.len();
        let outside = |id| format!("token table: id {id} is outside the {size} tokens");
        for id in stored.starts_word {
            new.flags.get_mut(id as usize).ok_or_else(|| outside(id))?.starts_word = true;
        }
        for id in stored.special {
            new.flags.get_mut(id as usize).ok_or_else(|| outside(id))?.special = true;
            if new.byte_len(id) > 0 {
                return Err(format!("token table: the special token {id} has bytes"));
            }
        }
        Ok(new)
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn table() -> TokenTable {
        let entry = |text: &str, special| TokenEntry { bytes: text.into(), special };
        let half_a_character = TokenEntry { bytes: vec![0xE6, 0x97], special: false };
        TokenTable::new([entry("<e>", true), entry("a", false), entry(" b", false), half_a_character])
    }

    #[test]
    fn special_tokens_have_no_bytes_and_words_start_with_a_space() {
        let table = table();
        assert_eq!((table.len(), table.is_empty()), (4, false));
        assert_eq!((table.bytes(0), table.byte_len(0), table.is_special(0)), (&b""[..], 0, true));
        assert_eq!((table.bytes(2), table.byte_len(2), table.is_special(2)), (&b" b"[..], 2, false));
        let starts_word: Vec<_> = (0..4).map(|id| table.starts_word(id)).collect();
        assert_eq!(starts_word, [false, false, true, false]);
    }

    #[test]
    fn a_stored_table_is_read_as_it_was() {
        let json = serde_json::to_string(&table()).unwrap();
        assert_eq!(json, r#"{"tokens":["","61","2062","e697"],"starts_word":[2],"special":[0]}"#);
        assert_eq!(serde_json::from_str::<TokenTable>(&json).unwrap(), table());
    }

    #[test]
    fn a_damaged_table_is_an_error_that_names_the_place() {
        let check = |json: &str, message: &str| {
            let error = serde_json::from_str::<TokenTable>(json).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        };
        check(r#"{"tokens":["6"],"starts_word":[],"special":[]}"#, "token 0 is \"6\"");
        check(r#"{"tokens":["xy"],"starts_word":[],"special":[]}"#, "not hexadecimal");
        check(r#"{"tokens":["61"],"starts_word":[1],"special":[]}"#, "id 1 is outside the 1 tokens");
        check(r#"{"tokens":["61"],"starts_word":[],"special":[0]}"#, "special token 0 has bytes");
    }
}
