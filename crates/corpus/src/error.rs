//! What can go wrong between a text file and a batch. Every message names the file and the way out.

use std::path::{Path, PathBuf};

use crate::sources::Split;

/// An error of the data path.
///
/// The causes of `Io` and `Manifest` are part of the message rather than a `source()`, so that the message is
/// complete wherever it is printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// The operating system refused something: a missing file, missing rights, a full disk.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `write`, `create`, …
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },

    /// No text was given at all.
    #[error("no text was given: name at least one file, or a folder of text files")]
    NoText,

    /// A file that holds no document under the chosen boundary.
    #[error("{} is empty: there is no text in it", .0.display())]
    EmptyFile(PathBuf),

    /// A folder without a single file whose name says that it is text.
    #[error(
        "there is no text in the folder {}: no .txt, .jsonl, .ndjson, .csv, .tsv (each also .gz or .zst) or \
         .parquet file of the format that is read",
        .0.display()
    )]
    EmptyFolder(PathBuf),

    /// A pipe, a socket or a device: text is read twice, which needs a regular file.
    #[error(
        "{} is not a regular file: write its text to a file first (text is read twice)",
        .0.display()
    )]
    NotAFile(PathBuf),

    /// Text that is not UTF-8.
    #[error(
        "{} is not valid UTF-8: line {line}, byte offset {offset}; convert it first, as with iconv, or have it \
         replaced by U+FFFD: --lossy of `prepare` and `tokenizer train`, data.invalid_utf8=replace of `pretrain`",
        path.display()
    )]
    InvalidUtf8 {
        /// The file.
        path: PathBuf,
        /// The line of the first invalid byte, counted from 1.
        line: u64,
        /// The position of the first invalid byte in the file, counted from 0.
        offset: u64,
    },

    /// Compressed text that does not come out again.
    #[error("{} cannot be read as {compression}: {reason}; is it the whole file?", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// What its name says it is compressed with.
        compression: &'static str,
        /// What the decoder found.
        reason: std::io::Error,
    },

    /// A record that is malformed, or lacks what is wanted of it.
    #[error("{}, {unit} {number}: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is counted: `line` or `row`.
        unit: &'static str,
        /// Where the record begins, counted from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },

    /// A record without the text that an example is made of.
    #[error("{}, {unit} {number}: the text (field `{field}`) is empty", path.display())]
    EmptyText {
        /// The file.
        path: PathBuf,
        /// What is counted: `line` or `row`.
        unit: &'static str,
        /// Where the record begins, counted from 1.
        number: u64,
        /// The field that is empty.
        field: String,
    },

    /// A file whose columns are not those that are wanted.
    #[error("{}: {reason}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// Which is missing, and which there are.
        reason: String,
    },

    /// A labelled file without an example that can be used.
    #[error("{} holds no example that has a text: there is nothing to learn from it", .0.display())]
    NoExamples(PathBuf),

    /// A fold of a cross-validation that cannot be.
    #[error(
        "there is no fold {number} of {of} (they are counted from 0) of {examples} examples: two folds at least, and no \
         more than examples"
    )]
    NoFold {
        /// The fold that was asked for.
        number: usize,
        /// Of how many.
        of: usize,
        /// How many examples there are.
        examples: usize,
    },

    /// Labelled data that says the same of every text.
    #[error(
        "all {examples} examples have {what}: there is nothing to tell apart; is the right column the label, and is \
         all of the data there?"
    )]
    OneLabel {
        /// How many examples there are.
        examples: usize,
        /// What they all have.
        what: String,
    },

    /// A file of plain text where records are wanted.
    #[error(
        "{} is plain text and has no records: their formats are JSON lines (.jsonl), CSV (.csv), TSV (.tsv) and \
         Parquet (.parquet)",
        .0.display()
    )]
    NoRecords(PathBuf),

    /// A Parquet file that is compressed as a whole.
    #[error(
        "{} is a Parquet file inside a compressed one, and Parquet is read at random places: decompress it first (the \
         columns in it are compressed as it is)",
        .0.display()
    )]
    CompressedParquet(PathBuf),

    /// A file that is no Parquet, damaged, or not made of what is wanted.
    #[error("{}{place} (as Parquet): {reason}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// `, row 3`, or nothing.
        place: String,
        /// What is wrong.
        reason: String,
    },

    /// A file whose contents changed while it was being prepared.
    #[error("{} changed while it was being read: start again once nothing writes to it", .0.display())]
    FileChanged(PathBuf),

    /// Plain text and records in one corpus, where a plain file is one document.
    #[error(
        "{} is plain text and {} holds records: say where documents of the text end (a line, a blank line), or prepare \
         the two apart",
        text.display(), records.display()
    )]
    TextAndRecords {
        /// A file of text.
        text: PathBuf,
        /// A file of records.
        records: PathBuf,
    },

    /// A fraction to hold out that leaves nothing on one side by its very value.
    #[error(
        "the held-out fraction must be greater than 0 and less than 1, not {0}; \"none\" holds nothing out"
    )]
    InvalidFraction(f64),

    /// Too little text for the wanted split.
    #[error(
        "no text is left for the {split} split ({found}): give more text, another held-out fraction, \
         or a held-out file"
    )]
    EmptySplit {
        /// The split without text.
        split: Split,
        /// What there was to divide, as `1 document`.
        found: String,
    },

    /// Documents that would run into each other.
    #[error(
        "documents by {boundary} need an end-of-text token between them and this tokenizer has none: \
         use whole files as documents, or a tokenizer with an end-of-text token"
    )]
    NoSeparator {
        /// The boundary that was asked for.
        boundary: &'static str,
    },

    /// An id that is not below the vocabulary size.
    #[error("token id {id} at {place} is outside the vocabulary of {vocab_size} tokens")]
    IdOutsideVocabulary {
        /// The id.
        id: u32,
        /// The size of the vocabulary it should be in.
        vocab_size: usize,
        /// Where it was met: a document being written, or a file and a position in it.
        place: String,
    },

    /// Another process is making the same shards.
    #[error(
        "{} is being prepared by another process{}: wait for it, or choose another folder",
        path.display(), process.map_or(String::new(), |process| format!(" (number {process})"))
    )]
    Busy {
        /// The folder to be.
        path: PathBuf,
        /// The process, where it is known.
        process: Option<u32>,
    },

    /// The output folder is there already and holds something else.
    #[error(
        "{} exists already and was not made from this text, tokenizer and settings: remove it or choose \
         another folder",
        .0.display()
    )]
    OutputExists(PathBuf),

    /// A folder that holds no token shards.
    #[error(
        "{} holds no token shards (there is no manifest.json in it): make them with `firebrand prepare`",
        .0.display()
    )]
    NotShards(PathBuf),

    /// A manifest that does not make sense.
    #[error("{} is not a valid manifest of token shards: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// Shards in a format of an older or a newer program.
    #[error(
        "{} is in shard format {found}, and this program reads format {supported}: remove the \
         folder and run `firebrand prepare` again",
        path.display()
    )]
    FormatVersion {
        /// The manifest.
        path: PathBuf,
        /// The version it states.
        found: u64,
        /// The version this program reads and writes.
        supported: u64,
    },

    /// A file with another length than the manifest says.
    #[error(
        "{} has {found} bytes where the manifest says {expected}: it was cut short or changed; remove the \
         folder and run `firebrand prepare` again",
        path.display()
    )]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Bytes according to the manifest.
        expected: u64,
        /// Bytes on disk.
        found: u64,
    },

    /// A file with other contents than the manifest says.
    #[error(
        "{} is corrupted: its sha256 is {found}, the manifest says {expected}; remove the folder and run \
         `firebrand prepare` again",
        path.display()
    )]
    WrongChecksum {
        /// The file.
        path: PathBuf,
        /// sha256 according to the manifest.
        expected: String,
        /// sha256 of what is on disk.
        found: String,
    },

    /// Shards of another tokenizer.
    #[error(
        "the shards in {} were made by another tokenizer (sha256 {found}) than the one given (sha256 {expected}): \
         use the same tokenizer, or make the shards again",
        path.display()
    )]
    WrongTokenizer {
        /// The folder of the shards.
        path: PathBuf,
        /// sha256 of the tokenizer in use.
        expected: String,
        /// sha256 of the tokenizer that made the shards.
        found: String,
    },

    /// A split the shards do not have.
    #[error("the shards in {} have no {split} split: prepare them again with some text held out", path.display())]
    MissingSplit {
        /// The folder of the shards.
        path: PathBuf,
        /// The split that was asked for.
        split: Split,
    },

    /// Text shorter than one context.
    #[error(
        "the text has {tokens} tokens, and one context of seq_len {seq_len} needs {}: give more text or lower seq_len",
        seq_len + 1
    )]
    TooShort {
        /// Tokens there are.
        tokens: usize,
        /// Targets in one context.
        seq_len: usize,
    },

    /// A context without tokens.
    #[error("seq_len must be at least 1")]
    ZeroSeqLen,
}

impl CorpusError {
    /// Makes a closure for `map_err` that says what was attempted and on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |reason| Self::Io { action, path, reason }
    }
}
