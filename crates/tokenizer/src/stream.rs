//! Decoding ids one at a time, as they are generated.

use crate::{Tokenizer, TokenizerError};

/// Turns ids into text as soon as whole characters are there: bytes of a character that is still incomplete
/// wait for the next ids. All that it returns, joined, is what [`Tokenizer::decode`] makes of the same ids.
///
/// ```
/// # use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
/// # let tokenizer = Tokenizer::train_byte_level(["text"], &ByteLevelConfig::default())?;
/// let mut stream = tokenizer.stream_decoder();
/// // Two tokens, one for each byte of the letter.
/// let shown: Vec<String> =
///     tokenizer.encode("né").into_iter().map(|id| stream.push(id)).collect::<Result<_, _>>()?;
/// assert_eq!(shown, ["n", "", "é"]);
/// assert_eq!(stream.finish(), "", "nothing is left over");
/// # Ok::<(), firebrand_tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StreamDecoder<'t> {
    tokenizer: &'t Tokenizer,
    /// The beginning of a character.
    waiting: Vec<u8>,
    /// The token before the next one, none at the beginning.
    previous: Option<u32>,
}

impl<'t> StreamDecoder<'t> {
    pub(crate) fn new(tokenizer: &'t Tokenizer, previous: Option<u32>) -> Self {
        Self { tokenizer, waiting: Vec::new(), previous }
    }

    /// Adds an id and returns the text that is complete by now, often none. A byte sequence that can no longer
    /// become a character is returned as `U+FFFD`.
    ///
    /// # Errors
    /// When no token has this id; the decoder can go on with others.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        self.waiting.extend_from_slice(self.tokenizer.parts().piece(self.previous, id)?);
        self.previous = Some(id);
        let mut text = String::new();
        let mut done = 0;
        while let Err(error) = std::str::from_utf8(&self.waiting[done..]) {
            let valid = done + error.valid_up_to();
            text.push_str(&String::from_utf8_lossy(&self.waiting[done..valid]));
            done = valid;
            let Some(invalid) = error.error_len() else { break };
            text.push(char::REPLACEMENT_CHARACTER);
            done += invalid;
        }
        if let Ok(rest) = std::str::from_utf8(&self.waiting[done..]) {
            text.push_str(rest);
            done = self.waiting.len();
        }
        self.waiting.drain(..done);
        Ok(text)
    }

    /// What is left at the end: `U+FFFD` for a character that was never completed. The decoder is then as new.
    pub fn finish(&mut self) -> String {
        self.previous = None;
        String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned()
    }
}
