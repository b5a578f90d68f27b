//! The folder in which a process keeps its copies of objects, and what becomes of it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// In each such folder a file that the process holds locked as long as it lives.
const LOCK: &str = "lock";

/// A folder for copies, gone with this value. What a process that was killed has left, the next one removes.
#[derive(Debug)]
pub(super) struct Copies {
    // Closed before the folder goes: some systems do not remove open files.
    _lock: File,
    folder: TempDir,
}

impl Copies {
    /// A new folder in the first of `roots` that takes one; leftovers there go.
    pub(super) fn new(roots: &[PathBuf]) -> io::Result<Copies> {
        let mut refused = io::Error::other("there is no folder for temporary files");
        for root in roots {
            match Self::in_root(root) {
                Ok(copies) => return Ok(copies),
                Err(error) => refused = io::Error::new(error.kind(), format!("{}: {error}", root.display())),
            }
        }
        Err(refused)
    }

    fn in_root(root: &Path) -> io::Result<Copies> {
        fs::create_dir_all(root)?;
        // Nobody sweeps while a folder has no lock yet. On disks without locks nothing is swept.
        let gate = File::create(root.join(LOCK))?;
        if gate.lock().is_ok() {
            sweep(root)?;
        }
        let folder = tempfile::Builder::new().prefix("copies-").tempdir_in(root)?;
        let lock = File::create(folder.path().join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Copies { _lock: lock, folder })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of processes that are no more.
fn sweep(root: &Path) -> io::Result<()> {
    for entry in root.read_dir()? {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        let is_left = match File::options().read(true).write(true).open(folder.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_left {
            // What cannot be removed now may be later.
            let _ = fs::remove_dir_all(folder);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_processes_that_are_gone_are_swept_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let roots = [root.path().join("is/made")];
        let alive = Copies::new(&roots).unwrap();
        fs::write(alive.path().join("0"), "x").unwrap();
        // As a process leaves it that was killed: with a lock file that nobody holds, or just before it had one.
        for name in ["copies-killed", "copies-early"] {
            fs::create_dir(roots[0].join(name)).unwrap();
        }
        fs::write(roots[0].join("copies-killed/lock"), "").unwrap();
        fs::write(roots[0].join("copies-killed/0"), "x").unwrap();
        let next = Copies::new(&roots).unwrap();
        assert!(alive.path().join("0").is_file() && next.path().is_dir() && next.path() != alive.path());
        let names = || roots[0].read_dir().unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
        assert_eq!(names(), 2);
        drop((alive, next));
        assert_eq!(names(), 0);
    }

    #[test]
    fn the_first_root_that_takes_a_folder_is_used() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let copies = Copies::new(&[file.join("x"), root.path().join("other")]).unwrap();
        assert!(copies.path().starts_with(root.path().join("other")));
        let refused = Copies::new(&[file.join("x")]).unwrap_err().to_string();
        assert!(refused.contains("file"), "{refused}");
    }
}
