//! Exit codes: one per kind of trouble, so that scripts can tell them apart.

use std::io;
use std::process::ExitCode;

use crate::train::{Error, told};

/// Shown below `--help`.
pub(super) const HELP: &str = "\
Exit codes: 0 done; 1 anything not listed here; 2 command line, configuration or model options, also a model too large
for the machine or the device; 3 data; 4 device; 5 a loss or a weight is not a number; 6 a file or folder of a run;
130 interrupted (a checkpoint was written)";

/// How a command ended, when nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// All of it.
    All,
    /// It was interrupted and can be resumed.
    Interrupted,
}

/// Prints what went wrong, if anything did, and chooses the exit code.
pub(super) fn code(outcome: anyhow::Result<Done>) -> ExitCode {
    match outcome {
        Ok(Done::All) => ExitCode::SUCCESS,
        Ok(Done::Interrupted) => ExitCode::from(130),
        Err(error) => {
            if is_closed_pipe(&error) {
                // Whoever read our output has seen enough.
                return ExitCode::SUCCESS;
            }
            note!("error: {}", told(error.as_ref()));
            ExitCode::from(error.downcast_ref::<Error>().map_or(1, Error::exit_code))
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}
