//! How good a trained model is, on its own data or on another file.

mod detail;

use serde::Serialize;

pub use detail::{BootstrapOptions, BootstrapReport, Detail, EvaluatedSlice, EvaluatedSlices};

use self::detail::BY;
use super::run::{scan, score};
use super::unknown::check_unknown;
use super::{NewData, Observer, Run, open};
use crate::config::ConfigError;
use crate::data::{CellColumn, CellReader, Inputs, Rows, SplitName, UnknownScenario, UnknownValues, split_cells};
use crate::train::Error;
use crate::train::evaluation::metrics::{Metrics, ScoredRows, best_reachable, evaluate};
use crate::train::evaluation::predict::{Predictions, scored};

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
    /// How far the metrics would move on other rows of the same kind, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapReport>,
    /// The rows by the values of columns, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<EvaluatedSlices>,
}

/// Everything that metrics need of rows, gathered chunk by chunk.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) scored: ScoredRows,
    probabilities: Vec<f32>,
}

impl Gathered {
    pub(super) fn add(&mut self, rows: &Rows, predictions: &Predictions) {
        self.scored.extend(&scored(rows, predictions));
        self.probabilities.extend_from_slice(rows.probabilities().unwrap_or_default());
    }

    /// The true probabilities, if all rows have one.
    fn probabilities(&self) -> Option<&[f32]> {
        let every = self.scored.labels.len();
        (every > 0 && self.probabilities.len() == every).then_some(self.probabilities.as_slice())
    }

    /// The metrics of all rows, and those of the true probabilities where they are known.
    pub(super) fn metrics(&self, scenario_names: &[String]) -> (Metrics, Option<Metrics>) {
        let rows = self.scored.view();
        let best = self.probabilities().map(|probabilities| best_reachable(probabilities, &rows, scenario_names));
        (evaluate(&rows, scenario_names), best)
    }
}

impl Run {
    /// Scores a split of the run's own data.
    ///
    /// # Errors
    /// As [`Run::rows`]; when the device fails.
    pub fn evaluate(&mut self, split: SplitName, observer: &mut Observer<'_>) -> Result<Evaluation, Error> {
        self.evaluate_in_detail(split, &Detail::default(), observer)
    }

    /// As [`Run::evaluate`], with all that `detail` asks for.
    ///
    /// # Errors
    /// As [`Run::evaluate`]; when the data has no such column, or no users to draw.
    pub fn evaluate_in_detail(
        &mut self,
        split: SplitName,
        detail: &Detail,
        observer: &mut Observer<'_>,
    ) -> Result<Evaluation, Error> {
        self.check_detail(detail)?;
        let rows = self.rows(split, observer)?;
        let columns = self.cells(split, &rows, &detail.by, observer)?;
        let mut gathered = Gathered::default();
        gathered.add(&rows, &self.predictions(&rows)?);
        self.in_detail(&gathered, &columns, Vec::new(), detail)
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
        self.evaluate_data_in_detail(data, max_unknown, &Detail::default(), observer)
    }

    /// As [`Run::evaluate_data`], with all that `detail` asks for.
    ///
    /// # Errors
    /// As [`Run::evaluate_data`]; when the data has no such column, or no users to draw.
    pub fn evaluate_data_in_detail(
        &mut self,
        data: &NewData,
        max_unknown: Option<f64>,
        detail: &Detail,
        observer: &mut Observer<'_>,
    ) -> Result<Evaluation, Error> {
        self.check_detail(detail)?;
        let Self { schema, encoder, model, executor, .. } = self;
        let mut gathered = Gathered::default();
        let mut cells = CellReader::new(encoder, &detail.by, BY);
        let mut scan = scan(encoder, schema, &data.inputs(schema)?, true, observer)?;
        // As of the run's own data: rows of other scenarios are not what the model is for.
        if !schema.only_scenarios.is_empty() && schema.unknown_scenario == UnknownScenario::Fail {
            scan = scan.unknown_scenario(UnknownScenario::Skip);
        }
        score(executor.as_mut(), model, &mut scan, "evaluating", observer, |chunk, predictions| {
            cells.add(&chunk)?;
            gathered.add(&chunk.rows, predictions);
            Ok(())
        })?;
        open::tell_filtered(scan.filtered(), "data.where", observer);
        open::tell_skipped(scan.skipped(), observer);
        let values = scan.unknown_values();
        check_unknown(encoder, &values, max_unknown)?;
        self.tell_unknown(&values, observer);
        self.in_detail(&gathered, &cells.finish(), values, detail)
    }

    /// The cells of a split's rows in the given columns, which the encoded rows do not have.
    fn cells(
        &self,
        split: SplitName,
        rows: &Rows,
        columns: &[String],
        observer: &mut Observer<'_>,
    ) -> Result<Vec<CellColumn>, Error> {
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let inputs = Inputs::of(&self.schema, &[])?;
        let found = split_cells(&self.encoder, &inputs, split, columns, BY, &mut |progress| {
            observer(super::Event::Opening(progress));
        });
        observer(super::Event::CountingEnded);
        let (cells, labels) = found?;
        if labels != rows.labels() {
            let found =
                "data whose rows changed while it was read, or that is read otherwise than when it was trained on";
            let expected = "the data the run was trained on (score the file with --data)";
            return Err(ConfigError::value(&self.schema.path, "data.path", expected, found).into());
        }
        Ok(cells)
    }
}
