//! Small files of JSON in the user's cache folder. What they hold can be found out again, so a fault in them is never told.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file there; none on a machine without such a folder.
pub(super) fn file(name: &str) -> Option<PathBuf> {
    crate::data::user_cache_folder().map(|folder| folder.join(name))
}

/// What a file holds; nothing where it is not there or not ours.
pub(super) fn read<T: DeserializeOwned + Default>(file: &Path) -> T {
    std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Keeps it, where there is a place for it.
pub(super) fn write<T: Serialize>(file: &Path, content: &T) {
    let text = serde_json::to_vec_pretty(content).unwrap_or_default();
    if let Some(folder) = file.parent()
        && std::fs::create_dir_all(folder).is_ok()
        && let Ok(mut temporary) = tempfile::NamedTempFile::new_in(folder)
        && std::io::Write::write_all(&mut temporary, &text).is_ok()
    {
        let _ = temporary.persist(file);
    }
}
