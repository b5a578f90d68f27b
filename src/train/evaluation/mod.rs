//! How good a model is, and what can be seen in it: predictions, metrics, statistics over many runs, analyses of papers.

pub mod analysis;
pub mod metrics;
pub mod predict;
pub mod statistics;
