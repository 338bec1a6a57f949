//! What can go wrong: every message names the value, where it stands and the way out.

use std::io;
use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The vocabulary asked for cannot hold the tokens that must be in it.
    #[error(
        "vocab_size {vocab_size} is too small: a byte-level vocabulary holds 256 bytes and \
         {special_tokens} special tokens, so it needs at least {}",
        256 + special_tokens
    )]
    VocabSizeTooSmall {
        /// The size asked for.
        vocab_size: usize,
        /// How many special tokens were asked for.
        special_tokens: usize,
    },
    /// The vocabulary asked for cannot hold the characters of the texts.
    #[error(
        "vocab_size {vocab_size} is too small: the texts have {characters} different characters, and there are {others} other \
         tokens, so it needs at least {}",
        characters + others
    )]
    AlphabetTooLarge {
        /// The size asked for.
        vocab_size: usize,
        /// Special tokens, `<unk>`, and those of bytes.
        others: usize,
        /// How many different characters there are.
        characters: usize,
    },
    /// The training texts hold no character at all.
    #[error("the training text is empty: give at least one text that is not")]
    EmptyTrainingText,
    /// BPE-dropout that cannot be done.
    #[error("BPE-dropout of {probability} {reason}")]
    Dropout {
        /// The probability asked for.
        probability: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Training was given so little memory that every piece of the texts was forgotten.
    #[error(
        "all {pieces} pieces of the training text were forgotten to stay within the memory allowed: allow more, or use a pattern \
         that makes shorter pieces"
    )]
    TooLittleMemory {
        /// How many there were.
        pieces: u64,
    },
    /// The training texts have more distinct pieces than positions can be numbered.
    #[error(
        "the distinct pieces of the training text add up to more than {limit} bytes: train on a sample, \
         or use a pattern that makes shorter pieces"
    )]
    TrainingTextTooLarge {
        /// The most bytes there may be.
        limit: usize,
    },
    /// A special token that cannot be one.
    #[error("the special token {token:?} {reason}")]
    SpecialToken {
        /// The token.
        token: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text that spells a special token where it must not.
    #[error(
        "the text spells the special token {token:?} at byte {offset}: leave it out, or say that special tokens are text, or \
         allowed"
    )]
    SpecialTokenInText {
        /// The token.
        token: String,
        /// Where it begins.
        offset: usize,
    },
    /// A pre-tokenization pattern that is not a regular expression.
    #[error("the pattern {pattern:?} is not a valid regular expression: {message}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// What the regular-expression parser says.
        message: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder without a tokenizer.
    #[error("{} holds no tokenizer.json: give a tokenizer.json or a folder with one", path.display())]
    NoTokenizer {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is not JSON, or has another shape than it should.
    #[error("{}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A file that says something impossible.
    #[error("{}: {field}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The field of the file, such as `model.merges[7]`.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// A tokenizer that uses something this crate does not implement.
    #[error(
        "{}: {field} is {found}, which is not supported: this program reads {supported}",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field of the file, such as `normalizer`.
        field: String,
        /// What it holds.
        found: String,
        /// What it may hold.
        supported: &'static str,
    },
    /// A tokenizer that would give other ids as the program reads it that a file is written for.
    #[error("{}: not written, since the ids would not be the same: {reason}; `Tokenizer::save` writes any tokenizer", path.display())]
    NotTheSame {
        /// The file.
        path: PathBuf,
        /// Where the ids would differ.
        reason: String,
    },
    /// A token id that the vocabulary doesn't have.
    #[error("the token id {id} is outside the vocabulary of {vocab_size} tokens (ids 0 to {})", vocab_size.saturating_sub(1))]
    UnknownId {
        /// The id.
        id: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },
    /// A token id below the vocabulary's size that no token has: the file it came from left a gap.
    #[error("no token has the id {id}: the vocabulary skips it")]
    UnusedId {
        /// The id.
        id: u32,
    },
}
