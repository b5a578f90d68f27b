//! Burn: a program in a workspace of its own, and its variants.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::child::Failure;
use crate::options::Peer;
use crate::variants::{Kind, Variant, table_bytes};
use crate::workload::Task;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/burn/Cargo.toml");

/// The program: `POLYSCENE_PEERS_BURN`, or else built in the target folder; for `devices`, as polyscene names them.
pub(crate) fn build(devices: &[String]) -> Result<PathBuf, Failure> {
    if let Some(given) = std::env::var_os("POLYSCENE_PEERS_BURN") {
        let given = PathBuf::from(given);
        let missing = format!("POLYSCENE_PEERS_BURN: {} is not there; leave it unset to build it", given.display());
        return if given.is_file() { Ok(given) } else { Err(missing) };
    }
    // On GPUs Burn is at its best with SPIR-V; software renderers crash on it, and get WGSL.
    let software = devices.iter().any(|device| Kind::of(device) == Kind::Software);
    let spirv = !software && devices.iter().any(|device| Kind::of(device) == Kind::Gpu);
    let name = if spirv { "peers-burn-spirv" } else { "peers-burn" };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    eprintln!("building the Burn peer in {} (long, the first time)", target.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--manifest-path", MANIFEST, "--target-dir"]).arg(&target);
    if spirv {
        command.args(["--features", "vulkan"]);
    }
    let status =
        command.stdout(std::io::stderr()).status().map_err(|error| format!("cargo does not start: {error}"))?;
    if status.success() {
        Ok(target.join("release").join(format!("polyscene-peers-burn{}", std::env::consts::EXE_SUFFIX)))
    } else {
        Err("the Burn peer does not build, as cargo says above; it needs Rust 1.95 (leave it out: --peers torch)"
            .to_owned())
    }
}

/// DEVICE-FORM-EMBEDDINGS: Burn's backend, how the weighted layer is written, how the table is updated.
pub(crate) fn variants(task: &Task, kind: Kind) -> Vec<Variant> {
    let devices: &[&str] = match kind {
        Kind::Cpu => &["flex", "ndarray"],
        Kind::Software => &["wgpu_software"],
        Kind::Gpu => &["wgpu"],
    };
    let forms: &[&str] = match task.model.as_str() {
        "dnn" => &["plain"],
        "mi-dpg" => &["outputs", "inputs"],
        // Not written in Burn.
        _ => &[],
    };
    let mut variants = Vec::new();
    for device in devices {
        for form in forms {
            for embeddings in ["dense", "rows"] {
                // Adam is written in whole-tensor operations: the dense one holds several results at once.
                let copies = if embeddings == "dense" { 8 } else { 4 };
                variants.push(Variant {
                    peer: Some(Peer::Burn),
                    name: format!("{device}-{form}-{embeddings}"),
                    device: (*device).to_owned(),
                    bytes: (200 << 20) + copies * table_bytes(task),
                });
            }
        }
    }
    variants
}
