//! Which kernels a device is fastest with. Each choice trains some steps of the model at hand on made-up rows; one that
//! comes to other numbers than the CPU, or that the device refuses, is left out.
//!
//! *Stability*: [`tune`] and the file format of [`Tuned`] stay; what is tried may change.

mod search;
mod trial;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::search::search;
use self::trial::GpuTrials;
use crate::gpu::Gpu;
use crate::graph::Graph;
use crate::ops::Operation;
use crate::plan::{Plan, TrainingOptions, Tuning};
use crate::train::Error;

/// How long the search for the fastest kernels may take.
#[derive(Clone, Copy, Debug)]
pub struct TuningEffort {
    /// All of it; what is being tried then is finished.
    pub limit: Duration,
    /// One measurement.
    pub sample: Duration,
    /// Measurements of two choices, in turns.
    pub rounds: usize,
}

impl TuningEffort {
    /// Before a run's first step.
    pub fn quick() -> Self {
        Self { limit: Duration::from_secs(4), sample: Duration::from_millis(20), rounds: 3 }
    }

    /// For the command line, in about so long.
    pub fn thorough(limit: Duration) -> Self {
        Self { limit, sample: Duration::from_millis(150), rounds: 7 }
    }
}

/// One choice of kernels, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The choice.
    pub tuning: Tuning,
    /// Seconds of a training step, the median; none where it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The same as a part of what the best so far took, measured in turns with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_best: Option<f64>,
    /// Why it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The kernels that were chosen for a device and a shape of model, as a run records them and the cache keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The version of this program, whose kernels they are.
    pub version: String,
    /// The device and its driver; see [`AdapterSummary::identity`](crate::gpu::AdapterSummary::identity).
    pub device: String,
    /// Of the model's operations and their widths, and of the batch's size; see [`shape_of`].
    pub shape: String,
    /// The choice.
    pub tuning: Tuning,
    /// What was measured, in order; empty where the choice is the built-in guess.
    #[serde(default)]
    pub tried: Vec<Tried>,
    /// Whether all that was worth a trial was tried.
    #[serde(default)]
    pub complete: bool,
}

impl Tuned {
    /// The built-in guess for a device.
    pub fn guess(gpu: &Gpu, graph: &Graph, options: &TrainingOptions) -> Self {
        let tuning = Tuning::guess(gpu.summary.vendor).resolved(options.capacity);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: gpu.summary.identity(),
            shape: shape_of(graph, options),
            tuning,
            tried: Vec::new(),
            complete: false,
        }
    }

    /// Choices that came to other numbers than the CPU, or were refused.
    pub fn faults(&self) -> impl Iterator<Item = (&Tuning, &str)> {
        self.tried.iter().filter_map(|tried| Some((&tried.tuning, tried.fault.as_deref()?)))
    }
}

/// A name for everything that the best kernels depend on beside the device: the operations of a training step with their
/// shapes, the widths of tables, how numbers are stored, and the batch's size, rounded up to a power of two.
pub fn shape_of(graph: &Graph, options: &TrainingOptions) -> String {
    use std::fmt::Write;
    let plan = Plan::training(graph, options);
    let TrainingOptions { capacity, dense_embedding_adam, mixed_precision, .. } = *options;
    let mut text = format!("{} {dense_embedding_adam} {mixed_precision}", capacity.next_power_of_two());
    for node in &plan.graph.nodes {
        write!(text, "\n{}", node.op.name()).expect("a string takes it");
        for tensor in node.inputs.iter().chain(&node.outputs) {
            write!(text, " {}", plan.graph.shape(*tensor)).expect("a string takes it");
        }
    }
    for table in &graph.tables {
        write!(text, "\n{} {} {}", table.width, table.fields.len(), table.precision.name()).expect("a string takes it");
    }
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

/// Finds the kernels with which a device trains a model fastest, beginning with the built-in guess; tells `progress` each
/// choice as it was tried.
///
/// # Errors
/// When the device fails, or no choice of kernels computes what the CPU does.
pub fn tune(
    gpu: &Gpu,
    graph: &Graph,
    options: &TrainingOptions,
    effort: &TuningEffort,
    progress: &mut dyn FnMut(&Tried),
) -> Result<Tuned, Error> {
    let guess = Tuned::guess(gpu, graph, options);
    let mut trials = GpuTrials::new(gpu, graph, options, effort)?;
    let found = search(guess.tuning, effort, &mut trials, progress)?;
    let Some(tuning) = found.best else {
        let what = found.tried.first().and_then(|tried| tried.fault.clone()).unwrap_or_default();
        return Err(crate::gpu::Error::Wrong { device: gpu.name().to_owned(), what }.into());
    };
    Ok(Tuned { tuning, tried: found.tried, complete: found.complete, ..guess })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Workload;
    use crate::check::data::training;
    use crate::graph::Precision;

    #[test]
    fn a_choice_is_kept_for_models_that_run_the_same_kernels() {
        let graph = |rows: usize| Workload::new("dnn", 500, rows).graph().unwrap();
        let shape = shape_of(&graph(160), &training(500));
        // The same power of two, and tables of other sizes.
        assert_eq!(shape_of(&graph(160), &training(300)), shape);
        assert_eq!(shape_of(&graph(16_000), &training(500)), shape);
        let mut halves = graph(160);
        halves.set_embedding_precision(Precision::F16);
        let others = [
            shape_of(&graph(160), &training(600)),
            shape_of(&graph(160), &TrainingOptions { mixed_precision: true, ..training(500) }),
            shape_of(&graph(160), &TrainingOptions { dense_embedding_adam: true, ..training(500) }),
            shape_of(&halves, &training(500)),
            shape_of(&Workload::new("mi-dpg", 500, 160).graph().unwrap(), &training(500)),
        ];
        for (i, other) in others.iter().enumerate() {
            assert!(*other != shape && !others[..i].contains(other), "{i}");
        }
    }
}
