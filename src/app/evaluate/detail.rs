//! What an evaluation tells beside metrics: slices, and how sure all of it is.

use serde::{Serialize, Serializer};

use super::{Evaluation, Gathered};
use crate::app::Run;
use crate::config::ConfigError;
use crate::data::{CellColumn, UnknownValues};
use crate::train::Error;
use crate::train::evaluation::bootstrap::{Bootstrap, Intervals, LEVEL, Unit, bootstrap};
use crate::train::evaluation::metrics::{Metrics, best_reachable_groups, evaluate_groups, rows_of_each};
use crate::train::evaluation::predict::scenario_names;
use crate::train::evaluation::slices::{SliceKind, Slices, slices};

/// What names the columns of slices, in messages.
pub(super) const BY: &str = "--by";

/// What an evaluation is to tell beside metrics of all rows and by scenario.
#[derive(Clone, Debug)]
pub struct Detail {
    /// Columns by whose values rows are told apart, whether the model reads them or not.
    pub by: Vec<String>,
    /// How many values of a column have slices of their own, at most.
    pub slices: usize,
    /// How intervals are drawn; none without.
    pub bootstrap: Option<BootstrapOptions>,
}

impl Default for Detail {
    fn default() -> Self {
        Self { by: Vec::new(), slices: 50, bootstrap: None }
    }
}

/// How intervals are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootstrapOptions {
    /// How many resamples.
    pub resamples: usize,
    /// What a resample draws: users where the data has `data.user`, else rows, where nothing is asked for.
    pub unit: Option<Unit>,
    /// What draws are a function of; that of training, where nothing is asked for.
    pub seed: Option<u64>,
}

/// 95 % intervals of metrics: from the 2.5th to the 97.5th percentile over resamples of the rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BootstrapReport {
    /// How many resamples.
    pub resamples: usize,
    /// What a resample draws, with replacement.
    pub by: Unit,
    /// How many of these: as many as there are.
    pub units: usize,
    /// What draws are a function of.
    pub seed: u64,
    /// The share of resamples that an interval spans.
    pub level: f64,
    /// Of all rows.
    #[serde(flatten)]
    pub all: Intervals,
    /// By scenario.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub scenarios: Vec<(String, Intervals)>,
}

impl BootstrapReport {
    /// The intervals of the scenario called `name`, if there is one.
    pub fn scenario(&self, name: &str) -> Option<&Intervals> {
        self.scenarios.iter().find(|(known, _)| known == name).map(|(_, own)| own)
    }
}

/// All rows, by the values of a column.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluatedSlices {
    /// The column.
    pub column: String,
    /// How many different values it has in these rows.
    pub values: usize,
    /// Numbers from the smallest up, other values from the commonest down; then what is left over, then missing values.
    pub groups: Vec<EvaluatedSlice>,
}

/// The rows of one value of a column, or of some.
#[derive(Clone, Debug, Serialize)]
pub struct EvaluatedSlice {
    /// The value, or what it is that these rows have there.
    pub name: String,
    /// What the rows have in common.
    pub kind: SliceKind,
    /// Without scenarios.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Metrics of the true probabilities, where the data has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_reachable: Option<Metrics>,
    /// How far the metrics would move, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
}

impl Run {
    /// That what is asked for can be had.
    pub(super) fn check_detail(&self, detail: &Detail) -> Result<(), Error> {
        let error = |key: &str, expected: &str, found: &str| {
            Err(ConfigError::value("the command line", key, expected, found).into())
        };
        for (number, column) in detail.by.iter().enumerate() {
            if detail.by[..number].contains(column) {
                return error(BY, "each column once", &format!("\"{column}\" twice"));
            }
            let is_sequence = self.schema.sequence.iter().any(|sequence| sequence.column == *column);
            if is_sequence || self.schema.tag_fields().any(|(_, tags)| tags == column) {
                return error(BY, "a column with one value per row", &format!("\"{column}\", which has lists"));
            }
        }
        let by_users = detail.bootstrap.is_some_and(|options| options.unit == Some(Unit::Users));
        if by_users && self.schema.user.is_none() {
            let expected = "rows, as the data has no users (a run whose data.user names their column has)";
            return error("--bootstrap-by", expected, "users");
        }
        Ok(())
    }

    pub(super) fn in_detail(
        &self,
        gathered: &Gathered,
        columns: &[CellColumn],
        values: Vec<UnknownValues>,
        detail: &Detail,
    ) -> Result<Evaluation, Error> {
        let rows = gathered.scored.view();
        let names = scenario_names(&self.encoder, rows.scenarios);
        let probabilities = gathered.probabilities();
        let sliced: Vec<Slices> = columns.iter().map(|column| slices(column, &self.schema, detail.slices)).collect();
        let mut groups = rows_of_each(rows.scenarios, names.len());
        groups.extend(sliced.iter().flat_map(|slices| &slices.slices).map(|slice| slice.rows.clone()));
        let found = detail.bootstrap.map(|options| {
            let seed = options.seed.unwrap_or(self.config.train.seed);
            let options = Bootstrap { resamples: options.resamples, unit: options.unit, seed };
            let without_users = || {
                let expected = "rows, as the data has no column of users";
                ConfigError::value("the command line", "--bootstrap-by", expected, "users")
            };
            bootstrap(&rows, &groups, &options).ok_or_else(without_users)
        });
        let found = found.transpose()?;
        let mut own_intervals = found.iter().flat_map(|found| found.groups.iter().copied());
        let scenarios: Vec<(String, Intervals)> = names.iter().cloned().zip(own_intervals.by_ref()).collect();
        let report = found.as_ref().map(|found| BootstrapReport {
            resamples: found.resamples,
            by: found.unit,
            units: found.units,
            seed: found.seed,
            level: LEVEL,
            all: found.all,
            scenarios,
        });
        let slices = sliced.into_iter().map(|Slices { column, values, slices }| {
            let chosen: Vec<Vec<usize>> = slices.iter().map(|slice| slice.rows.clone()).collect();
            let metrics = evaluate_groups(&rows, &chosen);
            let best = probabilities.map(|probabilities| best_reachable_groups(probabilities, &rows, &chosen));
            let mut best = best.into_iter().flatten();
            let groups = slices.into_iter().zip(metrics).map(|(slice, metrics)| EvaluatedSlice {
                name: slice.name,
                kind: slice.kind,
                metrics,
                best_reachable: best.next(),
                intervals: own_intervals.next(),
            });
            EvaluatedSlices { column, values, groups: groups.collect() }
        });
        let slices = slices.collect();
        let (metrics, best_reachable) = gathered.metrics(&names);
        Ok(Evaluation { metrics, values, best_reachable, bootstrap: report, slices })
    }
}

fn as_map<S: Serializer>(scenarios: &[(String, Intervals)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(scenarios.iter().map(|(name, own)| (name, own)))
}
