//! The folder of a comparison: whose it is, and its resolved configuration.

use std::path::Path;

use crate::train::Error;
use crate::train::comparison::{Comparison, ExperimentKind};
use crate::train::run::folder::{RunFolder, write_text};
use crate::train::run::lock::FolderLock;

/// The first line of a resolved configuration, which a file that somebody wrote does not have.
const RESOLVED: &str = "# Written by polyscene: the configuration of this folder's runs, as it was understood.";

/// Whether the folder's resolved configuration was written by this program.
pub(super) fn is_ours(kind: ExperimentKind, root: &Path) -> bool {
    std::fs::read_to_string(root.join(kind.file())).is_ok_and(|text| text.starts_with(RESOLVED))
}

/// That the folder is not something else's.
pub(super) fn check_root(kind: ExperimentKind, root: &Path) -> Result<(), Error> {
    let other = [ExperimentKind::Compare, ExperimentKind::Sweep]
        .into_iter()
        .find(|&other| other != kind && root.join(other.file()).is_file());
    let what = match other {
        Some(other) => format!("holds what `{}` made ({})", other.section(), other.file()),
        None if RunFolder::new(root).is_taken() => "holds a run".to_owned(),
        None if root.join(kind.file()).exists() && !is_ours(kind, root) => {
            format!("holds a {} of yours, which would be replaced", kind.file())
        }
        None => return Ok(()),
    };
    Err(Error::Folder { folder: root.to_owned(), reason: format!("{what}; give another --out") })
}

/// Makes the folder and locks it, if it is not locked yet, and writes the configuration into it as it was understood.
pub(super) fn begin(comparison: &Comparison, root: &Path, lock: Option<FolderLock>) -> Result<FolderLock, Error> {
    std::fs::create_dir_all(root).map_err(Error::file(root, "making the folder"))?;
    let lock = match lock {
        Some(lock) => lock,
        None => FolderLock::take(root)?,
    };
    write_text(&root.join(comparison.kind.file()), &format!("{RESOLVED}\n\n{}", comparison.to_toml()?))?;
    Ok(lock)
}
