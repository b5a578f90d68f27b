//! Configuration, the training loop, early stopping, checkpoints and metrics.

pub mod analysis;
pub mod checkpoint;
pub mod comparison;
mod error;
pub mod folder;
pub mod lock;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod order;
pub mod predict;
pub mod result;
pub mod statistics;
pub mod tensorboard;
mod trainer;

pub use error::Error;
pub use trainer::{Ending, EpochRecord, Event, TrainingLoop, check_validation, score, score_and_calibrate};
