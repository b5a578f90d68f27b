//! Training a cell in a process of its own: its peak memory is its own, and a crash costs one cell.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::State;
use crate::config::Config;
use crate::train::Error;
use crate::train::run::folder::{RunFolder, write_text};

/// How the training of a cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellEnding {
    /// With a result.
    Finished,
    /// It was interrupted, and wrote a checkpoint where it could.
    Interrupted,
    /// It was pruned.
    Pruned,
    /// A loss or a weight was not a number, with this error.
    Diverged(String),
    /// With another error.
    Failed(String),
}

/// What a signal handler needs to stop a comparison: the process that trains, if one does.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    set: AtomicBool,
    /// The child's process id, from its start until it is waited for.
    child: Mutex<Option<u32>>,
}

impl Interrupt {
    /// Asks for the end: the process that trains now writes its checkpoint and ends, and no other begins. The second
    /// time that process ends at once. Says whether it was the first time.
    pub fn interrupt(&self) -> bool {
        let first = !self.0.set.swap(true, Ordering::SeqCst);
        if let Some(child) = *self.0.child.lock().unwrap_or_else(PoisonError::into_inner) {
            forward(child);
        }
        first
    }

    /// Whether the end was asked for.
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::SeqCst)
    }

    fn follow(&self, child: Option<u32>) {
        *self.0.child.lock().unwrap_or_else(PoisonError::into_inner) = child;
        // A signal between the start of the process and this line.
        if let (Some(child), true) = (child, self.is_set()) {
            forward(child);
        }
    }
}

/// Passes an interruption on. Where a console sends it to all its processes itself, there is nothing to do.
fn forward(_child: u32) {
    #[cfg(unix)]
    if let Ok(child) = libc::pid_t::try_from(_child) {
        // SAFETY: the call takes no memory. The process has not been waited for, so its number is still its own.
        unsafe { libc::kill(child, libc::SIGINT) };
    }
}

/// A run to be trained.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where it is kept.
    pub run: RunFolder,
    /// Its configuration.
    pub config: Config,
    /// How far it has come.
    pub state: State,
    /// The file beside its folder that gets its configuration.
    pub config_file: PathBuf,
    /// The file that gets all that it prints.
    pub log: PathBuf,
}

/// Trains a run to its end by `program train`, going on from its checkpoint if there is one. `arguments` are more
/// arguments, such as `--device`; `observer` gets each line that the run says while it goes on.
///
/// What it prints is kept in its log.
///
/// # Errors
/// When the process cannot be started, or a file cannot be written. A run that fails is no error here.
pub fn train_cell(
    job: &Job,
    program: &Path,
    arguments: &[String],
    interrupt: &Interrupt,
    observer: &mut dyn FnMut(&str),
) -> Result<CellEnding, Error> {
    let Job { run, config, state, config_file, log } = job;
    let folder = run.root().parent().unwrap_or(run.root());
    std::fs::create_dir_all(folder).map_err(Error::file(folder, "making the folder"))?;
    write_text(config_file, &config.to_toml()?)?;
    if *state == State::Begun && !run.holds_run() {
        // It was stopped before it had a model: the configuration alone would be in the way.
        std::fs::remove_file(run.config()).map_err(Error::file(&run.config(), "removing"))?;
    }
    let mut command = Command::new(program);
    command.arg("train").arg(config_file).arg("--out").arg(run.root()).args(arguments);
    if run.holds_run() {
        command.arg("--resume");
    }
    let mut printed = OpenOptions::new().append(true).create(true).open(log).map_err(Error::file(log, "writing"))?;
    let table = printed.try_clone().map_err(Error::file(log, "writing"))?;
    command.stdin(Stdio::null()).stdout(table).stderr(Stdio::piped());
    // Ctrl-C comes to this process alone, which passes it on: twice would end the run without its checkpoint.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(target_os = "linux")]
    end_with_this_process(&mut command);
    let mut child = command.spawn().map_err(Error::file(program, "starting"))?;
    interrupt.follow(Some(child.id()));
    let said = listen(&mut child, &mut printed, observer);
    interrupt.follow(None);
    let status = child.wait().map_err(Error::file(program, "waiting for the run"))?;
    Ok(if status.code() == Some(INTERRUPTED) {
        CellEnding::Interrupted
    } else if status.success() && run.result().is_file() {
        CellEnding::Finished
    } else if status.success() && run.pruned().is_file() {
        CellEnding::Pruned
    } else if status.code() == Some(Error::NOT_FINITE.into()) {
        CellEnding::Diverged(reason(&said, status))
    } else if interrupt.is_set() && status.code().is_none() {
        // Stopped a second time, before it could catch the signal.
        CellEnding::Interrupted
    } else {
        CellEnding::Failed(reason(&said, status))
    })
}

/// Has the run write its checkpoint and end when this process is killed: the next attempt must not meet it.
#[cfg(target_os = "linux")]
fn end_with_this_process(command: &mut Command) {
    // SAFETY: between fork and exec only one system call is made, which takes no memory and no lock.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, || {
            match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

/// The exit code of a run that was interrupted.
const INTERRUPTED: i32 = 130;

/// Reads what a run says until it ends, keeps it in its log, and passes it on; gives the last lines back.
fn listen(child: &mut Child, log: &mut File, observer: &mut dyn FnMut(&str)) -> Vec<String> {
    const KEPT: usize = 40;
    let mut said: Vec<String> = Vec::new();
    let Some(stderr) = child.stderr.take() else { return said };
    let mut reader = BufReader::new(stderr);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
        // A log that cannot be written is no reason to stop.
        let _ = log.write_all(&bytes);
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        observer(&line);
        if said.len() == KEPT {
            said.remove(0);
        }
        said.push(line);
    }
    said
}

/// Why a run failed: its error, or the last that it said before it ended without one.
fn reason(said: &[String], status: ExitStatus) -> String {
    if let Some(error) = said.iter().rposition(|line| line.starts_with("error: ")) {
        return said[error..].join("\n").trim_start_matches("error: ").to_owned();
    }
    const SHOWN: usize = 5;
    let last = said[said.len().saturating_sub(SHOWN)..].join("\n  ");
    let last = if last.is_empty() { String::new() } else { format!(". The last that it said:\n  {last}") };
    format!("the run ended without a result ({status}){last}")
}
