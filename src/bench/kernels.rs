//! Every dispatch of a training step, with its time and what that is of what the device can do.

use std::time::Duration;

use serde::Serialize;

use super::steps::time;
use super::workload::{Subject, Workload};
use super::{Bound, Ceilings, Device, Effort, Sample};
use crate::graph::Precision;
use crate::ops::Cost;
use crate::plan::Tuning;
use crate::train::Error;

/// One dispatch of a step; on the CPU, one operation.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTimes {
    /// The part of the model it computes.
    pub name: String,
    /// The operation.
    pub operation: String,
    /// Shape of its result; `B` is the batch.
    pub shape: String,
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: u64,
    /// Bytes moved when every tensor is touched once.
    pub bytes: u64,
    /// Seconds, the median.
    pub seconds: f64,
    /// The distance between the quartiles, as a fraction of the median.
    pub spread: f64,
    /// Operations per second.
    pub flops_per_second: f64,
    /// Bytes per second.
    pub bytes_per_second: f64,
    /// The time that its nearest ceiling allows, as a fraction of the time it took.
    pub fraction: f64,
    /// What keeps it from being faster.
    pub bound: Bound,
}

/// How dispatches were timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimedBy {
    /// Each in a pass of its own, by the device's clock.
    Passes,
    /// Each many times in a row, by the host's clock.
    Repeats,
    /// Each operation of the CPU executor, by the host's clock.
    Operations,
}

/// The dispatches of a step.
#[derive(Clone, Debug, Serialize)]
pub struct Kernels {
    /// The model.
    pub model: &'static str,
    /// Samples of the step.
    pub batch_size: usize,
    /// Rows of the embedding table.
    pub rows: usize,
    /// How their values are stored.
    pub embedding_precision: Precision,
    /// Whether activations were stored as halves where they may be.
    pub mixed_precision: bool,
    /// How they were timed.
    pub timed_by: TimedBy,
    /// The choice of kernels; none on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
    /// The dispatches, in order.
    pub dispatches: Vec<KernelTimes>,
    /// The sum of their times.
    pub sum_seconds: f64,
    /// What the whole step takes when it is not taken apart.
    pub step_seconds: f64,
}

/// Times every dispatch of a step.
///
/// # Errors
/// When the model does not fit the device, or the device fails.
pub fn measure(device: &Device, ceilings: &Ceilings, effort: &Effort, workload: Workload) -> Result<Kernels, Error> {
    let mut subject = Subject::new(device, workload)?;
    subject.step_seconds(1)?;
    let step = subject.step_seconds(1)?;
    let repeats = match subject.executor.has_uniforms() {
        true => effort.runs(Duration::from_secs_f64(step)).min(50),
        // The host's clock needs many runs for each.
        false => effort.repeats,
    };
    if step < effort.budget.as_secs_f64() {
        subject.profile(1)?;
    }
    let times = subject.profile(repeats)?;
    let dispatches: Vec<KernelTimes> = subject
        .executor
        .parts()
        .into_iter()
        .zip(times)
        .map(|(part, times)| {
            let Sample { seconds, spread, .. } = Sample::of(times.iter().map(|time| time.as_secs_f64()).collect());
            let Cost { flops, bytes } = part.cost;
            let (fraction, bound) = ceilings.judge(part.cost, seconds);
            KernelTimes {
                name: part.name,
                operation: part.operation,
                shape: part.shape,
                flops,
                bytes,
                seconds,
                spread,
                flops_per_second: flops as f64 / seconds,
                bytes_per_second: bytes as f64 / seconds,
                fraction,
                bound,
            }
        })
        .collect();
    let whole = time(&mut subject, effort, step)?;
    Ok(Kernels {
        model: workload.model,
        batch_size: workload.batch_size,
        rows: workload.rows,
        embedding_precision: workload.embedding_precision,
        mixed_precision: workload.mixed_precision,
        timed_by: match device {
            Device::Cpu => TimedBy::Operations,
            Device::Gpu { .. } if subject.executor.has_uniforms() => TimedBy::Passes,
            Device::Gpu { .. } => TimedBy::Repeats,
        },
        tuning: subject.tuning,
        sum_seconds: dispatches.iter().map(|kernel| kernel.seconds).sum(),
        step_seconds: whole.seconds,
        dispatches,
    })
}
