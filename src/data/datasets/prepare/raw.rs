//! Finding the files that an owner publishes.

use std::path::{Path, PathBuf};

use crate::data::error::{Error, Result};

/// A public data set as its owner publishes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication {
    /// Its name.
    pub(crate) title: &'static str,
    /// Where the owner publishes it.
    pub(crate) home: &'static str,
    /// One or more sets of files, any of which will do.
    pub(crate) layouts: &'static [&'static [&'static str]],
    /// What to know about the files, such as that they come in archives.
    pub(crate) hint: &'static str,
}

impl Publication {
    /// The files of the first layout that is there whole, and the layout's number.
    ///
    /// # Errors
    /// [`Error::RawFiles`] says which files are expected, where from, and what is there.
    pub(crate) fn find(&self, raw: &Path) -> Result<(usize, Vec<PathBuf>)> {
        let folders = folders(raw)?;
        for (number, names) in self.layouts.iter().enumerate() {
            let paths: Option<Vec<PathBuf>> = names.iter().map(|name| locate(&folders, name)).collect();
            if let Some(paths) = paths {
                return Ok((number, paths));
            }
        }
        Err(self.missing(raw, &folders))
    }

    /// An error of reading the files, which says where they are published.
    pub(crate) fn name_home(&self, error: Error) -> Error {
        let Self { title, home, .. } = self;
        match error {
            Error::RawLine { row, fix } => Error::RawLine { row, fix: format!("{fix} ({title} is at {home})") },
            Error::RawFiles(text) if !text.contains(home) => Error::RawFiles(format!("{text} ({title} is at {home})")),
            Error::EmptyFile { path } => {
                let path = path.display();
                Error::RawFiles(format!("{path}: the file is empty; download it again ({title} is at {home})"))
            }
            other => other,
        }
    }

    /// That no layout is there.
    pub(crate) fn missing(&self, raw: &Path, folders: &[PathBuf]) -> Error {
        let Self { title, home, layouts, hint } = self;
        let mut text = format!("{}: the files of {title} are not all there. Expected are", raw.display());
        for (number, names) in layouts.iter().enumerate() {
            text.push_str(if number > 0 { "\nor" } else { "" });
            for name in *names {
                let found = if locate(folders, name).is_some() { "found" } else { "missing" };
                text.push_str(&format!("\n    {name}: {found}"));
            }
        }
        let there = names(folders);
        let there = if there.is_empty() { "nothing".to_owned() } else { crate::data::error::list(there.iter()) };
        text.push_str(&format!("\nfrom {home}. {hint} In the folder there is: {there}"));
        Error::RawFiles(text)
    }
}

/// A folder and the folders in it, where archives unpack to, by name.
pub(crate) fn folders(raw: &Path) -> Result<Vec<PathBuf>> {
    let mut within = Vec::new();
    for entry in raw.read_dir().map_err(|error| Error::io(raw, error))? {
        let path = entry.map_err(|error| Error::io(raw, error))?.path();
        if path.is_dir() {
            within.push(path);
        }
    }
    within.sort();
    within.insert(0, raw.to_owned());
    Ok(within)
}

/// The first folder's file of this name, plain or with `.gz`.
pub(crate) fn locate(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders.iter().flat_map(|folder| [folder.join(name), folder.join(format!("{name}.gz"))]).find(|path| path.is_file())
}

/// The names of what is in the folders.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let Some(raw) = folders.first() else { return Vec::new() };
    let entries = folders.iter().flat_map(|folder| folder.read_dir().into_iter().flatten().flatten());
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .map(|path| path.strip_prefix(raw).unwrap_or(&path).display().to_string())
        .collect();
    names.sort();
    names
}
