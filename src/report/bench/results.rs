//! Rows for the tables of `docs/results.md`.

use super::{giga, micro, percent, thousands};
use crate::bench::{Ceilings, DeviceDescription, Report, StepOutcome, StepTimes};

/// Heads of the table of devices in `docs/results.md`.
pub const DEVICE_HEADS: [&str; 9] = [
    "device",
    "driver",
    "system",
    "copy, GB/s",
    "in caches, GB/s",
    "multiply-add, GFLOP/s",
    "dispatch, µs",
    "submit, µs",
    "version, date",
];
/// Heads of the table of training steps in `docs/results.md`; cells hold samples per second.
pub const STEP_HEADS: [&str; 6] = ["device", "model", "batch 512", "batch 2048", "batch 8192", "bounds"];
/// The batch sizes of [`STEP_HEADS`].
pub const STEP_SIZES: [usize; 3] = [512, 2048, 8192];

/// The row of a device in `docs/results.md`.
pub fn device_row(report: &Report) -> String {
    let Ceilings { bytes_per_second, flops_per_second, dispatch_seconds, submit_seconds, .. } = report.ceilings;
    let cached = report.ceilings.copy_rate(1);
    let or_dash = |text: &str| if text.is_empty() { "–".to_owned() } else { text.to_owned() };
    row(&[
        device_name(&report.device),
        or_dash(&report.device.driver),
        report.device.system.clone(),
        giga(bytes_per_second),
        giga(cached),
        giga(flops_per_second),
        micro(dispatch_seconds),
        submit_seconds.map_or_else(|| or_dash(""), micro),
        format!("{}, {}", report.version, report.date),
    ])
}

/// The rows of a device's training steps in `docs/results.md`, one for each model.
pub fn step_rows(report: &Report) -> Vec<String> {
    let mut models: Vec<&str> = Vec::new();
    let mut measured: Vec<&StepTimes> = Vec::new();
    for outcome in &report.steps {
        if let StepOutcome::Measured(step) = outcome {
            measured.push(step);
            if models.last() != Some(&step.model) {
                models.push(step.model);
            }
        }
    }
    let one = |model: &&str| {
        let of = |size| measured.iter().find(|step| step.model == *model && step.batch_size == size);
        let mut cells = vec![device_name(&report.device), (*model).to_owned()];
        cells.extend(STEP_SIZES.map(|size| of(size).map_or("–".to_owned(), |step| thousands(step.samples_per_second))));
        let bounds = STEP_SIZES
            .map(|size| of(size).map_or("–".to_owned(), |step| format!("{} {}", step.bound, percent(step.fraction))));
        cells.push(bounds.join(", "));
        row(&cells)
    };
    models.iter().map(one).collect()
}

fn device_name(device: &DeviceDescription) -> String {
    match device.kind.as_str() {
        "cpu" => format!("{}, {} threads, `--device cpu`", device.name, device.threads),
        _ => format!("{} ({}, {})", device.name, device.kind, device.backend),
    }
}

fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}
