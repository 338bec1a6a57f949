//! How far a long reading has come.

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The text is read for the first time: checked, counted, hashed.
    Scan,
    /// The text is read again, encoded and written.
    Encode,
}

/// How far a stage has come. Reported every few MiB and once at the end of each stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes of text done, at most `total_bytes`.
    pub bytes: u64,
    /// Bytes of text there are.
    pub total_bytes: u64,
    /// Documents done.
    pub documents: u64,
    /// Tokens written; 0 while scanning.
    pub tokens: u64,
}

/// Bytes of text between two reports.
pub(crate) const REPORT_EVERY: u64 = 4 << 20;
