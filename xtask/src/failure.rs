//! How a command ends when it does not succeed: what is said and with which exit code.

use std::process::ExitCode;
use std::{fmt, io};

/// A failure that decides the exit code. Any other error exits with 1.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for makes no sense or would destroy something.
    Usage(String),
    /// Ctrl-C.
    Interrupted {
        /// What was being done.
        what: String,
    },
    /// A process that was started ended with an error, which it has explained on stderr itself.
    Process {
        /// What it was to do.
        what: String,
        /// How it ended, such as `exit status: 1`.
        ended: String,
        /// The command line that does it again, quoted for a shell.
        command: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Interrupted { what } => {
                write!(
                    f,
                    "stopped by Ctrl-C ({what}); the same command starts again, or goes on where it can"
                )
            }
            Self::Process { what, ended, command } => {
                write!(f, "failed ({ended}): {what}\nto repeat this step:\n  {command}")
            }
        }
    }
}

impl std::error::Error for Failure {}

/// Says what went wrong on stderr and gives the exit code for it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let code = exit_code(error);
    if code != 0 {
        eprintln!("error: {error:#}");
    }
    ExitCode::from(code)
}

fn exit_code(error: &anyhow::Error) -> u8 {
    // Whoever reads our output has seen enough: `cargo xtask bench --list | head -1` is no failure.
    let reader_left = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(reader_left) {
        return 0;
    }
    match error.downcast_ref::<Failure>() {
        Some(Failure::Interrupted { .. }) => 130,
        Some(Failure::Usage(_)) => 2,
        Some(Failure::Process { .. }) | None => 1,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn the_kind_of_failure_decides_the_exit_code_under_any_context() {
        let under_context = |failure: Failure| exit_code(&anyhow!(failure).context("while doing something"));
        assert_eq!(under_context(Failure::Usage(String::new())), 2);
        assert_eq!(under_context(Failure::Interrupted { what: String::new() }), 130);
        let failed = Failure::Process { what: String::new(), ended: String::new(), command: String::new() };
        assert_eq!(under_context(failed), 1);
        assert_eq!(exit_code(&anyhow!("anything else")), 1);
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let printed: io::Result<()> = Err(io::ErrorKind::BrokenPipe.into());
        assert_eq!(exit_code(&printed.context("cannot print").expect_err("it is an error")), 0);
    }
}
