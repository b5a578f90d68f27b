//! One process writes into a folder at a time: a run's, or a comparison's.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::train::Error;
use crate::train::run::folder::{LOCK, write_text};

/// How long a lock is waited for: a run whose comparison was killed may still write its checkpoint.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// A folder that only this process writes into, for as long as this lives. The system frees the lock of a process that
/// is gone, however it ended.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
    owner: PathBuf,
}

/// Who holds a lock, for people. It lies beside the lock: some systems let nobody else read a locked file.
#[derive(Serialize, Deserialize)]
struct Owner {
    pid: u32,
    host: String,
    since: String,
    command: String,
}

impl Owner {
    fn this_process() -> Self {
        let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        Self {
            pid: std::process::id(),
            host: sysinfo::System::host_name().unwrap_or_else(|| "an unnamed machine".to_owned()),
            since: chrono::Utc::now().format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            command: words.join(" "),
        }
    }
}

impl FolderLock {
    /// Takes the lock of a folder, which is there.
    ///
    /// # Errors
    /// When another process has it, naming that; when the system refuses.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK);
        let owner = folder.join(".lock-owner.toml");
        let error = || Error::file(&path, "locking");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(error())?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Not every network's file system has locks. A run there is as safe as it can be.
                Err(TryLockError::Error(fault)) if fault.kind() == std::io::ErrorKind::Unsupported => break,
                Err(TryLockError::Error(fault)) => return Err(error()(fault)),
                Err(TryLockError::WouldBlock) if started.elapsed() >= PATIENCE => {
                    return Err(Error::Folder { folder: folder.to_owned(), reason: held_by(&owner) });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
        let text =
            toml::to_string(&Owner::this_process()).map_err(|fault| Error::content(&owner, fault.to_string()))?;
        write_text(&owner, &text)?;
        Ok(Self { _file: file, owner })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // The lock's file stays: were it removed, one process could lock the old file and another a new one.
        let _ = std::fs::remove_file(&self.owner);
    }
}

fn held_by(owner: &Path) -> String {
    let known = std::fs::read_to_string(owner).ok().and_then(|text| toml::from_str(&text).ok());
    let who = known.map_or_else(
        || "another process".to_owned(),
        |Owner { pid, host, since, command }| format!("process {pid} on {host} since {since} ({command})"),
    );
    format!("is being written by {who}; wait until that has ended, stop it, or give another --out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_names_the_first_and_works_once_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        // Locks belong to open files, so a process can be its own rival.
        let refused = FolderLock::take(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} on ", std::process::id())), "{refused}");
        drop(first);
        let second = FolderLock::take(folder.path()).unwrap();
        // What a killed process left behind is no lock.
        let owner = second.owner.clone();
        drop(second);
        std::fs::write(&owner, "pid = 1").unwrap();
        drop(FolderLock::take(folder.path()).unwrap());
        assert!(!owner.exists());
    }
}
