//! How far a long reading has come.

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Another process prepares the same text; nothing is done until it has ended.
    Wait,
    /// The text is read for the first time: checked, counted, hashed.
    #[default]
    Scan,
    /// The text is read again, encoded and written.
    Encode,
}

/// How far a stage has come. Reported every few MiB and once at the end of each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes done, at most `total_bytes`: of files as they lie on disk while scanning, then of the text in them.
    pub bytes: u64,
    /// Bytes there are.
    pub total_bytes: u64,
    /// Documents done.
    pub documents: u64,
    /// Tokens written; 0 while scanning.
    pub tokens: u64,
    /// Bytes that an earlier process had encoded before it was stopped.
    pub bytes_before: u64,
}

/// Bytes of a file between two reports.
pub(crate) const REPORT_EVERY: u64 = 4 << 20;
