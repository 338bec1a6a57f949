//! Errors into messages and exit codes.

use firebrand_corpus::CorpusError;
use firebrand_decode::DecodeError;
use firebrand_tokenizer::TokenizerError;
use firebrand_training::TrainingError;
use firebrand_transformer::TransformerError;
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
        eprintln!("{error}");
        return ExitCode::from(130);
    }
    eprintln!("error: {error:#}");
    ExitCode::from(if is_usage(&error) { 2 } else { 1 })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<firebrand_backend::device::DeviceError>()
            || matches!(cause.downcast_ref(), Some(DecodeError::Config(_) | DecodeError::Prompt(_)))
            || matches!(cause.downcast_ref(), Some(TrainingError::Config(_)))
            || matches!(cause.downcast_ref(), Some(TransformerError::Config(_)))
            || matches!(cause.downcast_ref(), Some(CorpusError::TooShort { .. } | CorpusError::ZeroSeqLen))
            || matches!(
                cause.downcast_ref::<TokenizerError>(),
                Some(TokenizerError::VocabSizeTooSmall { .. })
            )
    })
}
