//! A run's folder: which files it holds, and writing them whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::train::Error;
use serde::Serialize;

/// The file of a folder that a process locks while it writes there.
pub(crate) const LOCK: &str = ".lock";

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The folder at `root`, there or not.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A finished or interrupted run to read from.
    ///
    /// # Errors
    /// When `root` holds no run.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = Self::new(root);
        let parts = [("config.toml", folder.config()), ("vocabularies", folder.vocabularies())];
        let missing = parts.iter().find(|(_, path)| !path.exists());
        let what = match missing {
            _ if !folder.root.is_dir() => "is not a folder".to_owned(),
            Some((name, _)) => format!("holds no run (no {name})"),
            None if !folder.model().is_file() => "holds no model yet (no model.safetensors)".to_owned(),
            None => return Ok(folder),
        };
        let reason = format!("{what}; give the folder that `train` wrote, such as runs/NAME");
        Err(Error::Folder { folder: folder.root, reason })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether there is a run in it, with a model.
    pub fn holds_run(&self) -> bool {
        self.config().is_file() && self.model().is_file()
    }

    /// Whether a run has begun in it that was stopped before it had a model.
    pub fn is_begun(&self) -> bool {
        // Only runs leave a lock behind: a configuration alone may be somebody's own.
        self.config().is_file() && !self.model().is_file() && self.lock().is_file()
    }

    /// Whether there is a run in it to go on with, from its beginning if need be.
    pub fn can_resume(&self) -> bool {
        self.holds_run() || self.is_begun()
    }

    /// Whether a run would overwrite something: another run, or a configuration of the user's.
    pub fn is_taken(&self) -> bool {
        self.config().is_file() || self.model().is_file()
    }

    /// Makes the folder, if it is not there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn make(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.root).map_err(Error::file(&self.root, "making the run's folder"))
    }

    /// Rids the folder of what a killed run was writing.
    pub fn clear(&self) {
        let files = [
            self.config(),
            self.tuning(),
            self.model(),
            self.checkpoint(),
            self.metrics(),
            self.events(),
            self.result(),
            self.calibration(),
            self.report(),
        ];
        remove_unfinished(&self.root, &files);
    }

    /// Makes the folder if nothing has its name yet; says whether it did.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn claim(&self) -> Result<bool, Error> {
        let error = || Error::file(&self.root, "making the run's folder");
        fs::create_dir_all(self.root.parent().unwrap_or(Path::new("."))).map_err(error())?;
        match fs::create_dir(&self.root) {
            Ok(()) => Ok(true),
            Err(fault) if fault.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(fault) => Err(error()(fault)),
        }
    }

    /// What a process locks that writes here.
    pub fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    /// The resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The kernels of a run on a GPU.
    pub fn tuning(&self) -> PathBuf {
        self.root.join("tuning.json")
    }

    /// The folder of vocabularies and statistics.
    pub fn vocabularies(&self) -> PathBuf {
        self.root.join("vocabularies")
    }

    /// The best weights so far.
    pub fn model(&self) -> PathBuf {
        self.root.join("model.safetensors")
    }

    /// Everything that is needed to go on.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint.safetensors")
    }

    /// One line of JSON per epoch.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// The same for TensorBoard, which knows such files by their names.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.out.tfevents.polyscene")
    }

    /// What the papers look into, as tables.
    pub fn analysis(&self) -> PathBuf {
        self.root.join("analysis")
    }

    /// The test's outcome.
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// Where a search stopped the run, as others did better.
    pub fn pruned(&self) -> PathBuf {
        self.root.join("pruned.json")
    }

    /// How often the test's predictions came true.
    pub fn calibration(&self) -> PathBuf {
        self.root.join("calibration.csv")
    }

    /// `importance.json`.
    pub fn importance(&self) -> PathBuf {
        self.root.join("importance.json")
    }

    /// The run in pictures.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }
}

/// Writes a file by `write` under a temporary name beside `path`, makes it durable and renames it: `path` holds the
/// whole new content or its old one.
///
/// # Errors
/// When the system refuses; a full disk leaves the old content.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Error> {
    let error = || Error::file(path, "writing");
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let prefix = unfinished_prefix(path);
    builder.prefix(&prefix);
    // Temporary files are private; a run's files are for whoever the user lets in.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(folder).map_err(error())?;
    write(temporary.as_file_mut()).map_err(error())?;
    temporary.as_file().sync_all().map_err(error())?;
    temporary.persist(path).map_err(|failed| error()(failed.error))?;
    // The name itself is durable once its folder is; not every system lets a folder be opened for that.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Removes what [`write_whole`] had begun for these files of a folder when its process was killed.
pub fn remove_unfinished(folder: &Path, files: &[PathBuf]) {
    let unfinished: Vec<String> = files.iter().map(|path| unfinished_prefix(path)).collect();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if unfinished.iter().any(|prefix| name.starts_with(prefix)) {
            // It takes up room; no more than that.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// How the name of a file begins that is to be `path` once it is whole.
fn unfinished_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".writing-{name}-")
}

/// Characters of a name: systems allow 255 bytes.
const LONGEST: usize = 50;

/// A label as the name of a folder or file, whatever the system: letters, digits and `.`, `_`, `=`, `+`, `-`; empty where the
/// label has none of them.
pub fn folder_name(label: &str) -> String {
    let mut name = String::new();
    for character in label.chars() {
        let kept = character.is_alphanumeric() || "._=+".contains(character);
        match kept {
            true => name.push(character),
            // What cannot be kept ends a word, once.
            false if !name.ends_with('-') => name.push('-'),
            false => (),
        }
    }
    // Neither hidden nor an option, and no dot at the end, which Windows would drop.
    let name = name.trim_matches(['-', '.']);
    match name.char_indices().nth(LONGEST) {
        None => name.to_owned(),
        // Labels that begin alike must not share a folder.
        Some((end, _)) => format!("{}-{:016x}", &name[..end], xxhash_rust::xxh3::xxh3_64(label.as_bytes())),
    }
}

/// [`write_whole`] for a text.
///
/// # Errors
/// As [`write_whole`].
pub fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    write_whole(path, |file| file.write_all(text.as_bytes()))
}

/// [`write_whole`] for a value as JSON.
///
/// # Errors
/// As [`write_whole`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Error::content(path, error.to_string()))?;
    text.push('\n');
    write_text(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_claimed_once_and_cleared_of_what_was_not_finished() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(parent.path().join("runs/one"));
        assert!(folder.claim().unwrap());
        assert!(!folder.claim().unwrap());
        for name in [".writing-checkpoint.safetensors-1a2B", ".writing-predictions.csv-1a2B", "notes.md"] {
            fs::write(folder.root().join(name), "").unwrap();
        }
        folder.clear();
        let mut names: Vec<_> = fs::read_dir(folder.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".writing-predictions.csv-1a2B", "notes.md"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_text(&path, "old").unwrap();
        let failed = write_whole(&path, |file| {
            file.write_all(b"half")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        let message = failed.unwrap_err().to_string();
        assert!(message.contains("file") && message.contains("free some space"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
