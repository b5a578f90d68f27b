//! A training step taken apart: how long each of its parts takes, on the executors that train.

use std::time::Duration;

use super::{DispatchListing, Error, Executor, StepChunk};
use crate::ops::Cost;

/// One part of a training step: a dispatch on a GPU, an operation on the CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedPart {
    /// The part of the model it computes, such as `backbone.0`.
    pub name: String,
    /// The operation.
    pub operation: String,
    /// Shape of its result; `B` is the batch.
    pub shape: String,
    /// What it costs for a whole batch.
    pub cost: Cost,
}

impl From<DispatchListing> for TimedPart {
    fn from(dispatch: DispatchListing) -> Self {
        Self {
            name: dispatch.name,
            operation: dispatch.operation,
            shape: dispatch.shape,
            cost: Cost { flops: dispatch.flops, bytes: dispatch.bytes },
        }
    }
}

/// An executor whose training steps can be taken apart. Whatever is measured is really computed: the model's state
/// moves on, and is good for nothing but more measurements.
pub trait Profile: Executor {
    /// The parts of a training step, in the order they run.
    fn parts(&self) -> Vec<TimedPart>;

    /// Whether [`profile`](Self::profile) reads the device's own clock. Without one, parts are run many times in a row,
    /// and find in the caches what in a step other parts have driven out.
    fn has_uniforms(&self) -> bool;

    /// Runs the first step of `chunk` several times, and says for each part, in order, how long it took each time.
    ///
    /// # Errors
    /// When the device fails.
    fn profile(&mut self, chunk: &StepChunk, repeats: usize) -> Result<Vec<Vec<Duration>>, Error>;

    /// Runs one part of the first step of `chunk` so many times in a row, and says how long that took until all was
    /// done. Once the parts before it have run, by [`train`](Executor::train) say, it computes what it does in a step.
    ///
    /// # Errors
    /// When the device fails.
    fn repeat(&mut self, chunk: &StepChunk, part: usize, times: usize) -> Result<Duration, Error>;
}
