//! `result.json`: what came of a run.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::UnknownValues;
use crate::train::Error;
use crate::train::evaluation::metrics::Metrics;
use crate::train::evaluation::statistics::median;
use crate::train::run::epoch::EpochRecord;
use crate::train::run::folder::RunFolder;

/// `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The model's name.
    pub model: String,
    /// What it was trained on, for people.
    pub device: String,
    /// `train.seed`.
    pub seed: u64,
    /// Epochs done.
    pub epochs: u32,
    /// The epoch whose weights are kept; 0 for the initial ones.
    pub best_epoch: u32,
    /// Optimiser steps taken in all.
    pub steps: u64,
    /// Dense parameters.
    pub parameters: usize,
    /// Rows of all embeddings.
    pub embedding_rows: usize,
    /// Values in these rows.
    #[serde(default)]
    pub embedding_parameters: usize,
    /// Seconds of training, of all finished epochs; without validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_seconds: Option<f64>,
    /// Training rows per second, the median over the epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_rows_per_second: Option<f64>,
    /// The most main memory that the process held, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// Memory of the GPU in the plans' buffers; absent on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
    /// Metrics of the kept weights on the test rows.
    pub test: Metrics,
    /// And on the validation rows, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid: Option<Metrics>,
    /// What of the validation rows is missing or unknown to the model, by column: what later files are compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub valid_values: Vec<UnknownValues>,
    /// Metrics of the true probabilities on the test rows, where these are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_reachable: Option<Metrics>,
    /// Speed of the evaluation on the test rows.
    pub test_rows_per_second: f64,
}

/// How long training took, from a run's `metrics.jsonl`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingTime {
    /// Seconds of all epochs.
    pub seconds: Option<f64>,
    /// Rows per second, the median over the epochs.
    pub rows_per_second: Option<f64>,
}

impl TrainingTime {
    /// Of the epochs that a run has finished; of none there is nothing to tell.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn of(folder: &RunFolder) -> Result<Self, Error> {
        let epochs = EpochRecord::read(&folder.metrics())?;
        let speeds: Vec<f64> = epochs.iter().map(|epoch| epoch.train_rows_per_second).collect();
        let seconds = epochs.iter().map(|epoch| epoch.train_seconds).sum();
        Ok(Self { seconds: (!epochs.is_empty()).then_some(seconds), rows_per_second: median(&speeds) })
    }
}

impl RunResult {
    /// Reads a `result.json`.
    ///
    /// # Errors
    /// When it cannot be read, or is not a run's result.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading"))?;
        let fix = "it is not a run's result; remove it, and train on with --resume to write it anew";
        serde_json::from_str(&text).map_err(|error| Error::content(path, format!("{error}; {fix}")))
    }
}
