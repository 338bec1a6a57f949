//! Errors into messages and exit codes.

use crate::output::complain;
use firebrand_corpus::CorpusError;
use firebrand_corpus::datasets::DatasetError;
use firebrand_decode::DecodeError;
use firebrand_tokenizer::TokenizerError;
use firebrand_training::TrainingError;
use firebrand_transformer::TransformerError;
use std::io::ErrorKind;
use std::process::ExitCode;

/// Wrong usage or config: what the user typed cannot be done as it stands. Exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A [`Usage`] error, ready to be returned.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Stopped by Ctrl-C, with everything saved. Exit code 130.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) String);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Interrupted {}

/// Prints what went wrong and chooses the exit code.
pub(crate) fn code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if is_broken_pipe(&error) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    if error.is::<Interrupted>() {
        complain(error);
        return ExitCode::from(130);
    }
    complain(format_args!("error: {}", message(&error)));
    ExitCode::from(if is_usage(&error) { 2 } else { 1 })
}

/// What went wrong and why, in one line. A cause that the message before it spells out already isn't said again.
fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        match message.is_empty() {
            true => message = cause,
            false if message.contains(&cause) => {}
            false => message = format!("{message}: {cause}"),
        }
    }
    message
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Whether what the user typed is to blame: a value, or a file that is not there or holds nothing usable.
fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<firebrand_backend::device::DeviceError>()
            || matches!(cause.downcast_ref(), Some(DecodeError::Config(_) | DecodeError::Prompt(_)))
            || cause.downcast_ref().is_some_and(is_impossible_training)
            || matches!(cause.downcast_ref(), Some(TransformerError::Config(_)))
            || cause.downcast_ref().is_some_and(is_unusable_text)
            || cause.downcast_ref().is_some_and(is_unusable_dataset)
            || cause.downcast_ref().is_some_and(is_unusable_tokenizer)
    })
}

fn is_impossible_training(error: &TrainingError) -> bool {
    match error {
        TrainingError::Config(_) | TrainingError::Transformer(TransformerError::Config(_)) => true,
        TrainingError::Corpus(error) => is_unusable_text(error),
        _ => false,
    }
}

fn is_unusable_text(error: &CorpusError) -> bool {
    match error {
        CorpusError::Io { action, reason, .. } => *action == "read" && reason.kind() == ErrorKind::NotFound,
        CorpusError::NoText
        | CorpusError::EmptyFile(_)
        | CorpusError::EmptyFolder(_)
        | CorpusError::NotAFile(_)
        | CorpusError::InvalidUtf8 { .. }
        | CorpusError::Compressed { .. }
        | CorpusError::Record { .. }
        | CorpusError::EmptyText { .. }
        | CorpusError::NoRecords(_)
        | CorpusError::CompressedParquet(_)
        | CorpusError::Parquet { .. }
        | CorpusError::TextAndRecords { .. }
        | CorpusError::InvalidFraction(_)
        | CorpusError::EmptySplit { .. }
        | CorpusError::Columns { .. }
        | CorpusError::NoExamples(_)
        | CorpusError::OneLabel { .. }
        | CorpusError::NoFold { .. }
        | CorpusError::NoSeparator { .. }
        | CorpusError::OutputExists(_)
        | CorpusError::NotShards(_)
        | CorpusError::WrongTokenizer { .. }
        | CorpusError::MissingSplit { .. }
        | CorpusError::TooShort { .. }
        | CorpusError::ZeroSeqLen => true,
        _ => false,
    }
}

fn is_unusable_dataset(error: &DatasetError) -> bool {
    match error {
        DatasetError::Io { action, reason, .. } => *action == "read" && reason.kind() == ErrorKind::NotFound,
        DatasetError::Corpus(error) => is_unusable_text(error),
        DatasetError::Unknown { .. }
        | DatasetError::Manifest { .. }
        | DatasetError::NotFetched { .. }
        | DatasetError::NoSplit { .. }
        | DatasetError::NoLabels { .. }
        | DatasetError::NoForm { .. }
        | DatasetError::NoVariant { .. }
        | DatasetError::TooManyParts { .. } => true,
        _ => false,
    }
}

fn is_unusable_tokenizer(error: &TokenizerError) -> bool {
    match error {
        TokenizerError::Read { source, .. } => source.kind() == ErrorKind::NotFound,
        TokenizerError::VocabSizeTooSmall { .. }
        | TokenizerError::AlphabetTooLarge { .. }
        | TokenizerError::SpecialTokenInText { .. }
        | TokenizerError::EmptyTrainingText
        | TokenizerError::SpecialToken { .. }
        | TokenizerError::Pattern { .. }
        | TokenizerError::NoTokenizer { .. }
        | TokenizerError::UnknownId { .. }
        | TokenizerError::UnusedId { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let io = || std::io::Error::new(ErrorKind::NotFound, "no such file");
        let error = TokenizerError::Read { path: "tok".into(), source: io() };
        assert_eq!(message(&error.into()), "cannot read tok: no such file");
        let error = Err::<(), _>(io()).context("config a.toml").expect_err("an error");
        assert_eq!(message(&error), "config a.toml: no such file");
    }
}
