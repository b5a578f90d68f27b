//! How good a trained model is, on its own data or on another file.

use serde::Serialize;

use super::run::{scan, score};
use super::unknown::check_unknown;
use super::{NewData, Observer, Run, open};
use crate::data::{Rows, SplitName, UnknownScenario, UnknownValues};
use crate::train::Error;
use crate::train::evaluation::metrics::{Metrics, best_reachable, evaluate};
use crate::train::evaluation::predict::scenario_names;

/// What came of an evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Over all rows and by scenario.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// What of another file is missing or unknown to the model, by column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<UnknownValues>,
    /// Metrics of the true probabilities, where the data has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_reachable: Option<Metrics>,
}

/// Everything that metrics need of rows, gathered chunk by chunk.
#[derive(Default)]
pub(super) struct Gathered {
    logits: Vec<f32>,
    pub(super) labels: Vec<f32>,
    pub(super) scenarios: Vec<u32>,
    users: Vec<u64>,
    probabilities: Vec<f32>,
}

impl Gathered {
    pub(super) fn add(&mut self, rows: &Rows, logits: &[f32]) {
        self.logits.extend_from_slice(logits);
        self.labels.extend_from_slice(rows.labels());
        self.scenarios.extend_from_slice(rows.scenarios());
        self.users.extend_from_slice(rows.users().unwrap_or_default());
        self.probabilities.extend_from_slice(rows.probabilities().unwrap_or_default());
    }

    pub(super) fn evaluate(&self, names: &[String], values: Vec<UnknownValues>) -> Evaluation {
        let every = self.labels.len();
        let users = (self.users.len() == every).then_some(self.users.as_slice());
        let reachable = (every > 0 && self.probabilities.len() == every)
            .then(|| best_reachable(&self.probabilities, &self.labels, &self.scenarios, names, users));
        let metrics = evaluate(&self.logits, &self.labels, &self.scenarios, names, users);
        Evaluation { metrics, values, best_reachable: reachable }
    }
}

impl Run {
    /// Scores a split of the run's own data.
    ///
    /// # Errors
    /// As [`Run::rows`]; when the device fails.
    pub fn evaluate(&mut self, split: SplitName, observer: &mut Observer<'_>) -> Result<Evaluation, Error> {
        let rows = self.rows(split, observer)?;
        let mut gathered = Gathered::default();
        gathered.add(&rows, &self.logits(&rows)?);
        Ok(gathered.evaluate(&scenario_names(&self.encoder, &gathered.scenarios), Vec::new()))
    }

    /// Scores another file, glob or folder with the same columns. With `max_unknown`, it is an error that a larger share of
    /// a column's values is unknown to the model.
    ///
    /// # Errors
    /// When the file cannot be read, or the device fails.
    pub fn evaluate_file(
        &mut self,
        data: &str,
        max_unknown: Option<f64>,
        observer: &mut Observer<'_>,
    ) -> Result<Evaluation, Error> {
        self.evaluate_data(&NewData::Path(data.to_owned()), max_unknown, observer)
    }

    /// As [`Run::evaluate_file`], of files or of a table in memory.
    ///
    /// # Errors
    /// When the rows cannot be read, or the device fails.
    pub fn evaluate_data(
        &mut self,
        data: &NewData,
        max_unknown: Option<f64>,
        observer: &mut Observer<'_>,
    ) -> Result<Evaluation, Error> {
        let Self { schema, encoder, model, executor, .. } = self;
        let mut gathered = Gathered::default();
        let mut scan = scan(encoder, schema, &data.inputs(schema)?, true, observer)?;
        // As of the run's own data: rows of other scenarios are not what the model is for.
        if !schema.only_scenarios.is_empty() && schema.unknown_scenario == UnknownScenario::Fail {
            scan = scan.unknown_scenario(UnknownScenario::Skip);
        }
        score(executor.as_mut(), model, &mut scan, "evaluating", observer, |chunk, logits| {
            gathered.add(&chunk.rows, logits);
            Ok(())
        })?;
        open::tell_filtered(scan.filtered(), "data.where", observer);
        open::tell_skipped(scan.skipped(), observer);
        let values = scan.unknown_values();
        check_unknown(encoder, &values, max_unknown)?;
        self.tell_unknown(&values, observer);
        Ok(gathered.evaluate(&scenario_names(&self.encoder, &gathered.scenarios), values))
    }
}
