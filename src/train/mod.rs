//! The training loop, its evaluation, runs as they are kept, and comparisons of many.
//!
//! *Stability*: the files of a run stay readable; the loop changes as the engine needs.

mod batches;
pub mod comparison;
mod error;
pub mod evaluation;
pub mod memory;
pub mod model;
pub mod order;
pub mod pruning;
pub mod run;
pub mod schedule;
mod training_loop;

pub use error::{Error, told};
pub use training_loop::{Ending, LoopEvent, TrainingLoop, check_rows, score, score_and_calibrate};
