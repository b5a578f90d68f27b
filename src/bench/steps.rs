//! Whole training steps, and what bounds them.

use serde::Serialize;

use super::sample::{Sample, repeat};
use super::workload::{Subject, Workload};
use super::{Bound, Ceilings, Device, Effort};
use crate::plan::Tuning;
use crate::train::Error;
use crate::{gpu, plan};

/// Steps of one model and size.
#[derive(Clone, Debug, Serialize)]
pub struct StepTimes {
    /// The model.
    pub model: &'static str,
    /// Samples of a step.
    pub batch_size: usize,
    /// The choice of kernels; none on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuning: Option<Tuning>,
    /// Dispatches of a step; on the CPU, operations.
    pub dispatches: usize,
    /// Floating-point operations of a step.
    pub flops: u64,
    /// Bytes that a step moves when every dispatch touches each of its tensors once.
    pub bytes: u64,
    /// Seconds of a step, the median.
    pub seconds: f64,
    /// The distance between the quartiles, as a fraction of the median.
    pub spread: f64,
    /// Samples trained on per second.
    pub samples_per_second: f64,
    /// Seconds that the arithmetic takes at least.
    pub arithmetic_seconds: f64,
    /// Seconds that the memory traffic takes at least.
    pub memory_seconds: f64,
    /// Seconds that starting the dispatches takes at least.
    pub latency_seconds: f64,
    /// Which of the three is the longest.
    pub bound: Bound,
    /// That one, as a fraction of the step's time.
    pub fraction: f64,
}

/// Steps that were not measured.
#[derive(Clone, Debug, Serialize)]
pub struct SkippedStep {
    /// The model.
    pub model: &'static str,
    /// Samples of a step.
    pub batch_size: usize,
    /// Why not.
    pub skipped: String,
}

/// What came of one model and size.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum StepOutcome {
    /// Its numbers.
    Measured(StepTimes),
    /// Why there are none.
    Skipped(SkippedStep),
}

/// Times the steps of a workload, in batches of these sizes instead of its own, which are to grow. Sizes that would take too long, or do not fit, are left
/// out.
///
/// # Errors
/// When the device fails.
pub fn measure(
    device: &Device,
    ceilings: &Ceilings,
    effort: &Effort,
    workload: Workload,
    batch_sizes: &[usize],
) -> Result<Vec<StepOutcome>, Error> {
    let model = workload.model;
    let mut last: Option<(usize, f64)> = None;
    let mut outcomes = Vec::new();
    for &batch_size in batch_sizes {
        let skip = |skipped| StepOutcome::Skipped(SkippedStep { model, batch_size, skipped });
        let expected = last.map_or(0.0, |(size, seconds)| seconds * batch_size as f64 / size as f64);
        if expected > effort.longest_step.as_secs_f64() {
            outcomes.push(skip(format!("a step would take about {expected:.0} s")));
            continue;
        }
        let subject = Subject::new(device, Workload { batch_size, ..workload });
        let mut subject = match subject {
            Err(error) if is_too_large(&error) => {
                outcomes.push(skip(error.to_string()));
                continue;
            }
            subject => subject?,
        };
        subject.step_seconds(1)?;
        let once = subject.step_seconds(1)?;
        let sample = time(&mut subject, effort, once)?;
        last = Some((batch_size, sample.seconds));
        outcomes.push(StepOutcome::Measured(judge(ceilings, model, &subject, sample)));
    }
    Ok(outcomes)
}

/// The time of a step in the midst of others, when one alone takes about `once` seconds.
pub(super) fn time(subject: &mut Subject, effort: &Effort, once: f64) -> Result<Sample, Error> {
    let budget = effort.budget.as_secs_f64();
    if once > budget {
        let mut times = vec![once];
        while times.len() < effort.repeats {
            times.push(subject.step_seconds(1)?);
        }
        return Ok(Sample::of(times));
    }
    // A sample takes a fraction of the budget, and as many steps as that.
    let wanted = (budget / effort.repeats as f64 / once).max(1.0);
    subject.prepare(wanted as usize);
    let steps = subject.chunk().uniforms.len();
    let chunks = ((wanted / steps as f64) as usize).max(1);
    repeat(effort, || subject.step_seconds(chunks))
}

fn judge(ceilings: &Ceilings, model: &'static str, subject: &Subject, sample: Sample) -> StepTimes {
    let (parts, batch_size) = (subject.executor.parts(), subject.batch_size());
    let floors: Vec<(f64, f64)> = parts.iter().map(|part| ceilings.at_least(part.cost)).collect();
    let arithmetic_seconds = floors.iter().map(|floor| floor.0).sum();
    let memory_seconds = floors.iter().map(|floor| floor.1).sum();
    let latency_seconds = parts.len() as f64 * ceilings.latency();
    let (max, bound) =
        [(arithmetic_seconds, Bound::Arithmetic), (memory_seconds, Bound::Memory), (latency_seconds, Bound::Latency)]
            .into_iter()
            .max_by(|a, b| f64::total_cmp(&a.0, &b.0))
            .expect("three floors");
    StepTimes {
        model,
        batch_size,
        tuning: subject.tuning,
        dispatches: parts.len(),
        flops: parts.iter().map(|part| part.cost.flops).sum(),
        bytes: parts.iter().map(|part| part.cost.bytes).sum(),
        seconds: sample.seconds,
        spread: sample.spread,
        samples_per_second: batch_size as f64 / sample.seconds,
        arithmetic_seconds,
        memory_seconds,
        latency_seconds,
        bound,
        fraction: max / sample.seconds,
    }
}

fn is_too_large(error: &Error) -> bool {
    use gpu::Error::{OutOfMemory, TooLarge};
    match error {
        Error::Plan(plan::Error::TooLarge { .. }) => true,
        Error::Plan(plan::Error::Gpu(error)) | Error::Device(error) => {
            matches!(error, OutOfMemory { .. } | TooLarge { .. })
        }
        _ => false,
    }
}
