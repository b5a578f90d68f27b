//! How good a model is, and what can be seen in it: predictions, metrics and how sure they are, statistics over many runs,
//! analyses of papers.

pub mod analysis;
pub mod bootstrap;
pub mod importance;
pub mod metrics;
pub mod predict;
pub mod slices;
pub mod statistics;
