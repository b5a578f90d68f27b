//! Configuration, the training loop, early stopping, checkpoints and metrics.

pub mod config;
pub mod metrics;
