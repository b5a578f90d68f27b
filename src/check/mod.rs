//! Whether a device computes what it should: every operation's shaders against the CPU's code on small graphs with awkward
//! shapes, ten training steps of each system, two runs to the same bits. Needs nothing but the program.
//!
//! *Stability*: [`check`] stays; what is checked grows. The small graphs and their data are for tests of this crate.

#[doc(hidden)]
pub mod data;
#[doc(hidden)]
pub mod graphs;

use serde::Serialize;

use self::data::{Data, bits, half_spacing, is_of_halves, named, random_state, training};
use self::graphs::{SmallGraph, all_small_graphs};
use crate::bench::workload::Workload;
use crate::bench::{Ceilings, Device, DeviceDescription, Effort};
use crate::gpu::{DeviceClass, Gpu};
use crate::graph::Graph;
use crate::ops::ModelState;
use crate::plan::{
    CpuExecutor, Executor, GpuExecutor, GpuOptions, Plan, StepChunk, StepLosses, TrainingOptions, Tuning, initial_state,
};
use crate::train::Error;

/// The models of the papers, and the plain network.
const SYSTEMS: [&str; 4] = ["dnn", "mi-dpg", "optmsm", "saml"];
/// Part of 1 + the expected value that rounding may take in one step.
pub(crate) const STEP_TOLERANCE: f64 = 1e-5;
/// The same after ten steps, which build on each other.
const STEPS_TOLERANCE: f64 = 1e-4;
/// Samples that a step can hold: no tile divides it.
const CAPACITY: usize = 131;
/// Samples of the steps of one operation.
const SIZES: [usize; 3] = [CAPACITY, 67, 1];
/// Samples of ten steps of a model.
const TEN: [usize; 10] = [131, 31, 131, 7, 131, 1, 131, 130, 13, 131];

/// What was checked, and how it came out.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// An operation and its form, or what is done with a model.
    pub name: String,
    /// The largest difference from the CPU, as a part of 1 + the expected value; none where bits are compared.
    pub error: Option<f64>,
    /// What it may be.
    pub tolerance: Option<f64>,
    /// What is wrong, in words; none where all is well.
    pub fault: Option<String>,
}

/// A device and its checks.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// This program's version.
    pub version: String,
    /// What was checked.
    pub device: DeviceDescription,
    /// The family of kernels, `hardware` or `software`.
    pub class: String,
    /// Bytes read and written per second, by the largest copy.
    pub bytes_per_second: f64,
    /// Seconds from the start of a dispatch to that of the next that waits for it.
    pub dispatch_seconds: f64,
    /// Seconds from a submit to the host's knowing that its work is done.
    pub submit_seconds: Option<f64>,
    /// The checks, in the order they were made.
    pub checks: Vec<Check>,
}

impl CheckReport {
    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.fault.is_some())
    }
}

/// Checks a GPU's or a software renderer's kernels, of the family for its kind or of another; tells `progress` each check
/// as it is done, and how many there are.
///
/// # Errors
/// When the device fails; wrong numbers are no error but in the report.
pub fn check(
    gpu: &Gpu,
    class: Option<DeviceClass>,
    progress: &mut dyn FnMut(&Check, usize),
) -> Result<CheckReport, Error> {
    let graphs: Vec<_> = all_small_graphs().collect();
    let count = graphs.len() + 2 * SYSTEMS.len();
    let mut checks = Vec::new();
    let mut note = |check: Check| {
        progress(&check, count);
        checks.push(check);
    };
    for small in &graphs {
        note(operation(gpu, class, small)?);
    }
    for model in SYSTEMS {
        system(gpu, class, model)?.into_iter().for_each(&mut note);
    }
    let device = Device::untuned(gpu.clone());
    let ceilings = Ceilings::measure(&device, &Effort::quick())?;
    Ok(CheckReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device: device.describe(),
        class: class.unwrap_or(gpu.class()).to_string(),
        bytes_per_second: ceilings.bytes_per_second,
        dispatch_seconds: ceilings.dispatch_seconds,
        submit_seconds: ceilings.submit_seconds,
        checks,
    })
}

fn on_gpu(
    gpu: &Gpu,
    class: Option<DeviceClass>,
    graph: &Graph,
    options: &TrainingOptions,
    state: &ModelState<f32>,
) -> Result<GpuExecutor, Error> {
    let (train, predict) = (Plan::training(graph, options), Plan::inference(graph, options.capacity));
    let options =
        GpuOptions { steps_per_chunk: Some(TEN.len()), tuning: class.map(Tuning::of_class), ..GpuOptions::default() };
    Ok(GpuExecutor::new(gpu.clone(), train, predict, state, options)?)
}

fn on_cpu(graph: &Graph, options: &TrainingOptions, state: &ModelState<f32>) -> CpuExecutor<f32> {
    CpuExecutor::new(Plan::training(graph, options), Plan::inference(graph, options.capacity), state.clone())
}

/// The state and losses after a chunk.
pub(crate) fn run(executor: &mut dyn Executor, chunk: &StepChunk) -> Result<(ModelState<f32>, Vec<StepLosses>), Error> {
    executor.train(chunk)?;
    let losses = executor.losses(true)?;
    Ok((executor.state()?, losses))
}

/// The largest difference so far, and where it is.
#[derive(Debug, Default)]
pub(crate) struct Largest {
    error: f64,
    place: String,
}

impl Largest {
    fn note(&mut self, name: &str, found: &[f32], expected: &[f32]) {
        self.note_beyond(name, found, expected, |_| 0.0);
    }

    /// As [`Largest::note`], but differences count from `forgiven` on.
    fn note_beyond(&mut self, name: &str, found: &[f32], expected: &[f32], forgiven: fn(f32) -> f32) {
        for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            let off = f64::from(found - expected).abs() - f64::from(forgiven(expected));
            let error = off / (1.0 + f64::from(expected).abs());
            // Not a number is the worst of all.
            let error = if error.is_nan() { f64::INFINITY } else { error };
            if error > self.error {
                *self = Self { error, place: format!("{name}[{i}] is {found:?}, the CPU has {expected:?}") };
            }
        }
    }

    /// Notes the state and losses after a step.
    pub(crate) fn note_step(
        &mut self,
        graph: &Graph,
        found: &(ModelState<f32>, Vec<StepLosses>),
        expected: &(ModelState<f32>, Vec<StepLosses>),
    ) {
        for ((name, found), (_, expected)) in named(graph, &found.0).into_iter().zip(named(graph, &expected.0)) {
            // The bits by which a device rounds are the same, but where what is rounded differs in its last bits one may
            // round up and the other down.
            let forgiven = if is_of_halves(graph, &name) { half_spacing } else { |_| 0.0 };
            self.note_beyond(&name, &found, &expected, forgiven);
        }
        let totals = |losses: &[StepLosses]| losses.iter().map(|losses| losses.total as f32).collect::<Vec<_>>();
        self.note("loss", &totals(&found.1), &totals(&expected.1));
    }

    /// Where it is more than it may be, in words.
    pub(crate) fn fault(&self, tolerance: f64) -> Option<String> {
        (self.error > tolerance).then(|| self.place.clone())
    }

    fn check(self, name: String, tolerance: f64) -> Check {
        let fault = self.fault(tolerance);
        Check { name, error: Some(self.error), tolerance: Some(tolerance), fault }
    }
}

/// One operation in the midst of others: steps with whole and ragged batches, and predictions.
fn operation(gpu: &Gpu, class: Option<DeviceClass>, small: &SmallGraph) -> Result<Check, Error> {
    let (graph, options) = (&small.graph, small.training(CAPACITY));
    let state = random_state::<f32>(graph, 5);
    let data = Data::random(graph, 197, 3);
    let plan = Plan::training(graph, &options);
    let (mut gpu, mut cpu) = (on_gpu(gpu, class, graph, &options, &state)?, on_cpu(graph, &options, &state));
    let mut largest = Largest::default();
    for (step, size) in (0..).zip(SIZES) {
        gpu.set_state(&state)?;
        cpu.set_state(&state)?;
        // With β₁ = 0 the first moments are the gradients.
        let chunk = data.chunk(&plan, step, &[size], 0.05, false);
        largest.note_step(graph, &run(&mut gpu, &chunk)?, &run(&mut cpu, &chunk)?);
    }
    largest.note("prediction", &gpu.predict(&data.source())?, &cpu.predict(&data.source())?);
    Ok(largest.check(small.name.clone(), STEP_TOLERANCE))
}

/// Ten steps of a model against the CPU, and once more to the bit.
fn system(gpu: &Gpu, class: Option<DeviceClass>, model: &'static str) -> Result<[Check; 2], Error> {
    let workload = Workload::new(model, CAPACITY, 1000);
    let graph = workload.graph()?;
    let options = training(CAPACITY);
    let plan = Plan::training(&graph, &options);
    let state = initial_state(&graph, 5);
    let chunk = Data::random(&graph, 300, 3).chunk(&plan, 0, &TEN, 0.01, false);
    let expected = run(&mut on_cpu(&graph, &options, &state), &chunk)?;
    let mut executor = on_gpu(gpu, class, &graph, &options, &state)?;
    let first = run(&mut executor, &chunk)?;
    executor.set_state(&state)?;
    let second = run(&mut executor, &chunk)?;
    let mut largest = Largest::default();
    largest.note_step(&graph, &first, &expected);
    let same = bits(&first.0) == bits(&second.0) && first.1 == second.1;
    let fault = (!same).then(|| "a second run from the same state came to other bits".to_owned());
    Ok([
        largest.check(format!("{model}: ten steps"), STEPS_TOLERANCE),
        Check { name: format!("{model}: the same bits twice"), error: None, tolerance: None, fault },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_value_decides_and_is_named() {
        let worst = |found: &[f32]| {
            let mut largest = Largest::default();
            largest.note("weights", found, &[1.0, -2.0]);
            largest.note("loss", &[0.5], &[0.5]);
            largest.check("an operation".to_owned(), STEP_TOLERANCE)
        };
        assert_eq!(worst(&[1.0, -2.00001]).fault, None);
        let wrong = worst(&[1.0, -2.1]);
        assert!((wrong.error.unwrap() - 0.1 / 3.0).abs() < 1e-6);
        assert!(wrong.fault.unwrap().starts_with("weights[1] is -2.1"));
        assert_eq!(worst(&[f32::NAN, -2.0]).error, Some(f64::INFINITY));
    }

    #[test]
    fn an_operation_and_a_system_are_checked_on_a_renderer() {
        let Some(gpu) = crate::gpu::testing::software() else { return };
        let small = graphs::small_graphs().remove(0);
        let found = operation(&gpu, None, &small).unwrap();
        assert!(found.fault.is_none() && found.error.unwrap() > 0.0, "{found:?}");
        let found = system(&gpu, None, "dnn").unwrap();
        assert!(found.iter().all(|check| check.fault.is_none()), "{found:?}");
    }
}
