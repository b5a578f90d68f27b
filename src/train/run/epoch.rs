//! What is written of an epoch.

use serde::{Deserialize, Serialize};

use crate::train::evaluation::metrics::Metrics;

fn is_false(value: &bool) -> bool {
    !value
}

/// A line of `metrics.jsonl`: what an evaluation found. Of a line of another version, which may lack some numbers, they are read as 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch at whose end it was made, or in which; from 1.
    pub epoch: u32,
    /// Optimiser steps taken in all.
    #[serde(default)]
    pub steps: u64,
    /// Whether the epoch went on after it (`train.eval_steps`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub unfinished: bool,
    /// Mean of each loss term over the epoch, or since the evaluation before, and `loss`, their sum with coefficients.
    #[serde(default)]
    pub train: serde_json::Map<String, serde_json::Value>,
    /// The learning rate of its last step, without Adam's bias correction.
    #[serde(default)]
    pub learning_rate: f64,
    /// The validation metrics; absent without validation rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<Metrics>,
    /// Whether these weights are the best so far.
    #[serde(default)]
    pub best: bool,
    /// Seconds of training since the evaluation before (or since the run was last started).
    #[serde(default)]
    pub train_seconds: f64,
    /// Training rows per second.
    #[serde(default)]
    pub train_rows_per_second: f64,
    /// Validation rows per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_rows_per_second: Option<f64>,
}
