//! What can go wrong in a run.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;

/// What can go wrong in a run. Each kind has an exit code of its own on the command line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model's options do not fit.
    #[error(transparent)]
    Model(#[from] crate::models::Error),
    /// The data is at fault.
    #[error(transparent)]
    Data(#[from] crate::data::Error),
    /// Data could not be generated.
    #[error(transparent)]
    Synthetic(#[from] crate::data::synthetic::SyntheticError),
    /// The device is at fault.
    #[error(transparent)]
    Device(#[from] crate::gpu::Error),
    /// A plan could not be run.
    #[error(transparent)]
    Plan(#[from] crate::plan::Error),
    /// A loss or a weight is not a number.
    #[error("{what} became {value} at step {step} of epoch {epoch}: {cause}. {saved}")]
    NotFinite {
        /// What is not a number.
        what: String,
        /// Its value.
        value: f64,
        /// Step within the epoch, from 1.
        step: u64,
        /// Epoch, from 1.
        epoch: u32,
        /// What most likely made it so.
        cause: String,
        /// What was kept.
        saved: String,
    },
    /// A file of the run could not be read or written.
    #[error("{}: {action}: {source}{}", path.display(), hint(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the run does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The run folder is in the way, or is not one.
    #[error("{}: {reason}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
}

/// An error and its causes in one line, but for those that an error's own words give already.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += ": ";
            text += &cause;
        }
    }
    text
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and try again (training goes on from its last whole checkpoint with --resume)"
        }
        _ => "",
    }
}

impl Error {
    /// The exit code of a program that ended as a loss or a weight was not a number.
    pub const NOT_FINITE: u8 = 5;

    /// For [`Result::map_err`]: an error of the system while doing `action` to `path`.
    pub fn file(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, action, source }
    }

    /// The exit code of a program that ends with it.
    pub fn exit_code(&self) -> u8 {
        use crate::data::synthetic::SyntheticError;
        use crate::{gpu, plan};
        match self {
            // Not a fault of the device: it is asked for too much.
            Self::Plan(
                plan::Error::TooLarge { .. }
                | plan::Error::MainMemory { .. }
                | plan::Error::Gpu(gpu::Error::TooLarge { .. }),
            ) => 2,
            Self::Config(_) | Self::Model(_) | Self::Synthetic(SyntheticError::Option { .. }) => 2,
            Self::Data(_) | Self::Synthetic(_) => 3,
            Self::Device(_) | Self::Plan(_) => 4,
            Self::NotFinite { .. } => Self::NOT_FINITE,
            Self::File { .. } | Self::Content { .. } | Self::Folder { .. } => 6,
        }
    }

    /// A file with wrong content.
    pub fn content(path: &Path, reason: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.into() }
    }
}
