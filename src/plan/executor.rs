//! What every executor can do.

use super::{RowSource, StepChunk};
use crate::graph::Graph;
use crate::ops::{ModelState, StepUniforms};

/// What can go wrong while a plan runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device failed.
    #[error(transparent)]
    Gpu(#[from] crate::gpu::Error),
    /// The model does not fit the device.
    #[error("{what} {needed}, and {device} allows {allowed}: {fix}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// How much it needs, with its unit.
        needed: String,
        /// How much the device allows, with its unit.
        allowed: String,
        /// The device.
        device: String,
        /// What to change.
        fix: String,
    },
    /// The model does not fit the main memory.
    #[error(
        "{what} would take {needed}, and this machine has {available}: use smaller layers, a smaller width or a smaller \
         train.batch_size, or hash fields with many values (data.fields.NAME.hash)"
    )]
    MainMemory {
        /// What is too large.
        what: String,
        /// How much it needs, and the largest part.
        needed: String,
        /// How much there is.
        available: String,
    },
}

/// The loss of one step: the mean over the batch of each term, in the order of
/// [`Graph::losses`](crate::graph::Graph::losses), without coefficients; and the total with them.
#[derive(Clone, Debug, PartialEq)]
pub struct StepLosses {
    /// Optimiser steps taken before this one.
    pub step: u32,
    /// The terms.
    pub terms: Vec<f64>,
    /// Σ coefficient · term.
    pub total: f64,
}

/// The losses of a step from the sums over its samples of the logged columns.
#[doc(hidden)]
pub fn mean_losses(graph: &Graph, sums: &[f64], uniforms: &StepUniforms) -> StepLosses {
    let mean = |column: usize| sums[column] / f64::from(uniforms.rows);
    let terms: Vec<f64> =
        graph.losses.iter().map(|term| term.columns.iter().map(|&(col, weight)| weight * mean(col)).sum()).collect();
    let total = graph.losses.iter().zip(&terms);
    let total = total.map(|(term, value)| term.coefficient * term.warm_up.at(uniforms.step) * value).sum();
    StepLosses { step: uniforms.step, terms, total }
}

/// A device that holds a model's state and replays its plans.
pub trait Executor: Send {
    /// What it runs on, for people.
    fn device(&self) -> String;

    /// What decides how its results round, to the last bit: the device and its driver, or the processor's vectors.
    fn arithmetic(&self) -> String;

    /// Bytes of the device's own memory that its buffers take; `None` where it has none of its own.
    fn device_bytes(&self) -> Option<u64>;

    /// Takes training data to the device if it fits there; says whether it did. Chunks for [`train`](Self::train) are
    /// then packed by a packer that knows it.
    ///
    /// # Errors
    /// When the device fails.
    fn load(&mut self, source: &RowSource<'_>) -> Result<bool, Error>;

    /// Steps that one chunk should hold.
    fn steps_per_chunk(&self) -> usize;

    /// Runs the chunk's training steps, perhaps only later.
    ///
    /// # Errors
    /// When the device fails.
    fn train(&mut self, chunk: &StepChunk) -> Result<(), Error>;

    /// Losses of steps that ended since the last call, in order. With `wait`, of all steps given so far.
    ///
    /// # Errors
    /// When the device fails.
    fn losses(&mut self, wait: bool) -> Result<Vec<StepLosses>, Error>;

    /// Logits of all rows of `source`, in order: as many of a row as the model's graph says
    /// ([`Graph::predicted`](crate::graph::Graph::predicted)).
    ///
    /// # Errors
    /// When the device fails.
    fn predict(&mut self, source: &RowSource<'_>) -> Result<Vec<f32>, Error>;

    /// A copy of the model's state.
    ///
    /// # Errors
    /// When the device fails.
    fn state(&mut self) -> Result<ModelState<f32>, Error>;

    /// Replaces the model's state, which has the graph's shapes.
    ///
    /// # Errors
    /// When the device fails.
    fn set_state(&mut self, state: &ModelState<f32>) -> Result<(), Error>;
}
