//! What is written of an epoch.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::train::Error;
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
    /// Where it did, the steps that an epoch has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_steps: Option<u64>,
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

impl EpochRecord {
    /// The lines of a `metrics.jsonl`; none where there is no such file. What is no whole line is passed over.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(path: &Path) -> Result<Vec<Self>, Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::file(path, "reading")(error)),
        }
    }

    /// How many epochs were done, a fraction of one for an evaluation within it.
    pub fn epochs_done(&self) -> f64 {
        match self.epoch_steps {
            Some(steps) if self.unfinished => self.steps as f64 / steps as f64,
            _ => f64::from(self.epoch),
        }
    }
}
