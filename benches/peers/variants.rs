//! Who takes part in a comparison, what each needs, and how it is started.

use std::path::PathBuf;
use std::process::Command;

use crate::child::Failure;
use crate::options::{Options, Peer};
use crate::workload::Task;
use crate::{burn, torch};

/// What a device is to the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cpu,
    /// A renderer that runs shaders on the processor.
    Software,
    Gpu,
}

impl Kind {
    pub(crate) fn of(device: &str) -> Self {
        match device {
            "cpu" => Self::Cpu,
            "software" => Self::Software,
            _ => Self::Gpu,
        }
    }
}

/// One way of training a task.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    /// Whose; `None` is polyscene itself.
    pub(crate) peer: Option<Peer>,
    /// As the peer calls it.
    pub(crate) name: String,
    /// The device as the peer calls it.
    pub(crate) device: String,
    /// Bytes of memory that it takes, roughly: enough to tell what cannot fit.
    pub(crate) bytes: u64,
}

impl Variant {
    /// The name for people.
    pub(crate) fn label(&self) -> String {
        match self.peer {
            None => "polyscene".to_owned(),
            Some(Peer::Torch) => format!("torch {}", self.name),
            Some(Peer::Burn) => format!("burn {}", self.name),
        }
    }
}

/// The programs that take part, each found or made once; a peer that could not be had says why.
pub(crate) struct Programs {
    pub(crate) ours: PathBuf,
    pub(crate) torch: Option<Result<PathBuf, Failure>>,
    pub(crate) burn: Option<Result<PathBuf, Failure>>,
    /// Where they run: what libraries leave behind goes with it.
    pub(crate) work: PathBuf,
}

impl Programs {
    /// The command that starts a variant's program.
    pub(crate) fn command(&self, variant: &Variant, task: &Task) -> Result<Command, Failure> {
        let found = |program: &Option<Result<PathBuf, Failure>>| match program {
            Some(found) => found.clone(),
            None => Err("it was not asked for".to_owned()),
        };
        let mut command = match variant.peer {
            None => {
                let mut command = Command::new(&self.ours);
                command.arg("--serve");
                command
            }
            Some(Peer::Torch) => torch::command(&found(&self.torch)?, task),
            Some(Peer::Burn) => Command::new(found(&self.burn)?),
        };
        command.current_dir(&self.work);
        Ok(command)
    }
}

/// Values of all weighting matrices of a sample, ψ applied.
pub(crate) fn matrix_values(task: &Task) -> u64 {
    let inputs = std::iter::once(task.fields * task.width).chain(task.hidden.iter().copied());
    inputs.zip(task.hidden.iter().copied().chain([1])).map(|(inputs, outputs)| (inputs * outputs) as u64).sum()
}

/// Bytes of the table.
pub(crate) fn table_bytes(task: &Task) -> u64 {
    4 * (task.rows * task.width) as u64
}

/// polyscene and all variants of the peers that are wanted, polyscene first.
pub(crate) fn all(task: &Task, options: &Options) -> Vec<Variant> {
    let kind = Kind::of(&task.device);
    // What autograd keeps of a sample, and gradients of it; measured with PyTorch.
    let sample: u64 = if task.model == "dnn" { 16 << 10 } else { 256 << 10 };
    let activations = sample * task.batch as u64;
    let ours = Variant {
        peer: None,
        name: "polyscene".to_owned(),
        device: task.device.clone(),
        bytes: (100 << 20) + 3 * table_bytes(task) + activations,
    };
    let mut variants = vec![ours];
    for &peer in &options.peers {
        let more = match peer {
            Peer::Torch => torch::variants(task, kind),
            Peer::Burn => burn::variants(task, kind),
        };
        let wanted = more.into_iter().filter(|variant| options.wants(&variant.label()));
        variants.extend(wanted.map(|variant| Variant { bytes: variant.bytes + activations, ..variant }));
    }
    variants
}

/// Who can be alive at once: groups of variants, each without polyscene, which is part of every one; and who cannot take
/// part at all, with the reason.
pub(crate) fn group(variants: &[Variant], memory: u64) -> (Vec<Vec<Variant>>, Vec<(Variant, Failure)>) {
    let left = memory.saturating_sub(variants[0].bytes);
    let (mut groups, mut out) = (vec![Vec::new()], Vec::new());
    let mut used = 0;
    for variant in &variants[1..] {
        if variant.bytes > left {
            let why = format!(
                "skipped: it would need about {:.1} GB, and {:.1} GB may be used (--memory)",
                variant.bytes as f64 / 1e9,
                left as f64 / 1e9
            );
            out.push((variant.clone(), why));
            continue;
        }
        if used + variant.bytes > left {
            groups.push(Vec::new());
            used = 0;
        }
        used += variant.bytes;
        groups.last_mut().expect("there is one").push(variant.clone());
    }
    (groups, out)
}
