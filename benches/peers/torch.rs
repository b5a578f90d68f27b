//! PyTorch: its interpreter, its variants and the environment it is at its best in.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child::Failure;
use crate::options::Peer;
use crate::variants::{Kind, Variant, matrix_values, table_bytes};
use crate::workload::Task;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");

/// The interpreter: `POLYSCENE_PEERS_PYTHON`, or one of an environment made in the target folder.
pub(crate) fn python() -> Result<PathBuf, Failure> {
    if let Some(given) = std::env::var_os("POLYSCENE_PEERS_PYTHON") {
        let given = PathBuf::from(given);
        // A path and a name on PATH are both fine; what counts is that it imports torch.
        return check(&given).map(|()| given.clone());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers-venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if check(&python).is_ok() {
        return Ok(python);
    }
    eprintln!("making a Python environment with PyTorch in {} (several gigabytes)", folder.display());
    let base = if cfg!(windows) { "python" } else { "python3" };
    run(Command::new(base).args(["-m", "venv"]).arg(&folder))?;
    let requirements = Path::new(FOLDER).join("requirements.txt");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements))?;
    check(&python).map(|()| python)
}

fn check(python: &Path) -> Result<(), Failure> {
    let output = Command::new(python).args(["-c", "import torch, numpy"]).output().map_err(|error| {
        format!(
            "{}: {error}; install Python 3.10 or later with venv, or set POLYSCENE_PEERS_PYTHON to an interpreter that \
             has what benches/peers/requirements.txt lists",
            python.display()
        )
    })?;
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or("it failed").to_owned();
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{}: {last}; pip install -r benches/peers/requirements.txt", python.display()))
    }
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Its standard output is not ours, which is the table.
    let what = match command.stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => return Ok(()),
        Ok(_) => "it failed, as it says above".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "{program}: {what}; or set POLYSCENE_PEERS_PYTHON to an interpreter that has what \
         benches/peers/requirements.txt lists"
    ))
}

/// The command that serves steps.
pub(crate) fn command(python: &Path, task: &Task) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(FOLDER).join("torch/steps.py"));
    environment(&mut command, task.threads);
    command
}

/// Settings that a PyTorch user who cares for speed on a CPU has.
pub(crate) fn environment(command: &mut Command, threads: usize) {
    command
        .env("OMP_NUM_THREADS", threads.to_string())
        // Threads that wait must not take the processor from whose turn it is.
        .env("OMP_WAIT_POLICY", "PASSIVE")
        // Without these glibc gives large tensors back to the system after each step and page faults cost more than
        // the arithmetic, above all on virtual machines.
        .env("MALLOC_MMAP_MAX_", "0")
        .env("MALLOC_TRIM_THRESHOLD_", (1_u64 << 36).to_string())
        .env("MALLOC_TOP_PAD_", (1_u64 << 28).to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1");
}

/// MODE-FORM-EMBEDDINGS: how it is executed, how the weighted layer is written, how the table is updated.
pub(crate) fn variants(task: &Task, kind: Kind) -> Vec<Variant> {
    let device = match kind {
        Kind::Cpu => "cpu",
        Kind::Gpu => "cuda",
        // PyTorch has nothing that runs on a software renderer.
        Kind::Software => return Vec::new(),
    };
    let forms: &[&str] = match task.model.as_str() {
        "dnn" => &["plain"],
        "mi-dpg" => &["outputs", "inputs", "matrix"],
        _ => &["all", "group"],
    };
    let mut names = Vec::new();
    let modes: &[&str] = if kind == Kind::Gpu { &["eager", "compile", "reduce"] } else { &["eager", "compile"] };
    for mode in modes {
        for embeddings in ["dense", "sparse", "rows"] {
            names.push(format!("{mode}-{}-{embeddings}", forms[0]));
        }
        // The form of a layer and the table's update are chosen apart from each other: one update is enough here.
        names.extend(forms[1..].iter().map(|form| format!("{mode}-{form}-rows")));
    }
    let variant = |name: String| {
        let copies = if name.ends_with("dense") { 4 } else { 3 };
        // What autograd keeps of the matrices, and their gradients.
        let matrices = if name.contains("matrix") { 5 * 4 * matrix_values(task) * task.batch as u64 } else { 0 };
        let bytes = (400 << 20) + copies * table_bytes(task) + matrices;
        Variant { peer: Some(Peer::Torch), name, device: device.to_owned(), bytes }
    };
    names.into_iter().map(variant).collect()
}
