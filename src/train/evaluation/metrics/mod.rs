//! How good a model's predictions are: AUC, PR-AUC, LogLoss, normalised entropy, GAUC, calibration and counts, overall and per
//! scenario.
//!
//! Everything is computed from logits, in f64, and does not depend on the number of threads. A number that a group
//! does not have (the AUC of rows that are all negative, say) is `None`: `null` in JSON, "n/a" in tables.
//!
//! Where rows have weights, a row of weight w counts as w rows in everything but the counts: AUC and PR-AUC are those of
//! scikit-learn with `sample_weight`.

mod group;
mod rank;
mod reliability;
mod scored;
mod weighted_rank;

use group::group;
pub(super) use group::{entropy, row_loss};
pub(super) use rank::descending;
pub use rank::{auc, gauc, pr_auc};
pub use reliability::{Bin, BinWeight, Reliability, reliability};
pub use scored::{Scored, ScoredRows, Towers};

use rayon::prelude::*;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The numbers of one group of rows, and of each scenario within it.
///
/// As JSON: `{"auc", "pr_auc", "logloss", "normalized_entropy", "gauc", "calibration", "rows", "positives", "scenarios": {NAME:
/// {...}}}`, where rows have weights, `"weight"` and `"positive_weight"` after `"positives"`, and of entire-space models then `"ctr"`
/// and `"cvr"`, each with all of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Probability that a random positive row scores above a random negative one, ties counting one half.
    /// `None` when the rows have one class only, or when a logit is not a number.
    pub auc: Option<f64>,
    /// Area under the curve of precision over recall (average precision): that of random scores is the rate of positives.
    /// `None` without positives.
    pub pr_auc: Option<f64>,
    /// Mean binary cross entropy in nats; `None` without rows.
    pub logloss: Option<f64>,
    /// The LogLoss over that of predicting the rate of positives everywhere (He et al., 2014, "Practical Lessons from
    /// Predicting Clicks on Ads at Facebook", equation 1): below 1 where the model knows more than the rate. `None` when the
    /// rows have one class only.
    pub normalized_entropy: Option<f64>,
    /// AUC within each user, averaged over the users that have both classes and weighted by their rows, or these rows' weights.
    /// `None` without user keys, or when no user has both classes.
    pub gauc: Option<f64>,
    /// Mean predicted probability over mean label: above 1 the model promises too much. `None` without positives.
    pub calibration: Option<f64>,
    /// Rows in the group, those of weight 0 among them.
    pub rows: u64,
    /// Rows whose label is 1, those of weight 0 among them.
    pub positives: u64,
    /// The sum of the rows' weights; `None` where rows have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The sum of the weights of the rows whose label is 1; `None` where rows have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive_weight: Option<f64>,
    /// Of clicks, by the tower that predicts them, over all rows; `None` where there is none, and for single scenarios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctr: Option<Box<Metrics>>,
    /// Of labels after a click, by the tower that predicts them, over the rows that were clicked; `None` as for `ctr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvr: Option<Box<Metrics>>,
    /// The same numbers per scenario, in the order of the scenarios' names. A scenario's own list is empty.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "write_scenarios",
        deserialize_with = "read_scenarios"
    )]
    pub scenarios: Vec<(String, Metrics)>,
}

impl Metrics {
    /// The numbers of the scenario called `name`, if there is one.
    pub fn scenario(&self, name: &str) -> Option<&Metrics> {
        self.scenarios.iter().find(|(known, _)| known == name).map(|(_, metrics)| metrics)
    }

    /// Fraction of rows whose label is 1, by weight where rows have weights; `None` without rows.
    pub fn rate(&self) -> Option<f64> {
        let (positives, all) =
            self.positive_weight.zip(self.weight).unwrap_or((self.positives as f64, self.rows as f64));
        (all > 0.0).then(|| positives / all)
    }
}

/// Scores a model's output, overall and by scenario.
///
/// A row whose scenario is beyond `scenario_names` (an unseen scenario) counts overall but in no scenario. Every name appears in
/// the result, also one without rows.
///
/// # Panics
/// When the rows' slices have different lengths.
pub fn evaluate(rows: &Scored<'_>, scenario_names: &[String]) -> Metrics {
    rows.check();
    let per_scenario = evaluate_groups(rows, &rows_of_each(rows.scenarios, scenario_names.len()));
    let mut all = group(rows);
    all.scenarios = scenario_names.iter().cloned().zip(per_scenario).collect();
    if let Some(Towers { clicks, ctr, cvr }) = rows.towers {
        let own = Scored { towers: None, ..*rows };
        all.ctr = Some(Box::new(evaluate(&Scored { logits: ctr, labels: clicks, ..own }, scenario_names)));
        let clicked: Vec<usize> = (0..clicks.len()).filter(|&row| is_positive(clicks[row])).collect();
        let after_click = Scored { logits: cvr, ..own }.select(&clicked);
        all.cvr = Some(Box::new(evaluate(&after_click.view(), scenario_names)));
    }
    all
}

/// The metrics of some groups of rows, each given by the numbers of its rows, in ascending order.
///
/// # Panics
/// When the rows' slices have different lengths, or there is no such row.
pub fn evaluate_groups(rows: &Scored<'_>, groups: &[Vec<usize>]) -> Vec<Metrics> {
    rows.check();
    groups.par_iter().map(|chosen| group(&rows.select(chosen).view())).collect()
}

/// The metrics of the true probabilities (in \[0, 1\]) that made the rows' labels: no model can do better in expectation.
/// The rows' own logits are not read.
///
/// # Panics
/// As [`evaluate`].
pub fn best_reachable(probabilities: &[f32], rows: &Scored<'_>, scenario_names: &[String]) -> Metrics {
    evaluate(&Scored { logits: &logits(probabilities), towers: None, ..*rows }, scenario_names)
}

/// [`best_reachable`] of groups, as in [`evaluate_groups`].
///
/// # Panics
/// As [`evaluate_groups`].
pub fn best_reachable_groups(probabilities: &[f32], rows: &Scored<'_>, groups: &[Vec<usize>]) -> Vec<Metrics> {
    evaluate_groups(&Scored { logits: &logits(probabilities), ..*rows }, groups)
}

fn logits(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|&p| logit(p)).collect()
}

/// RelaImpr, the papers' relative improvement: (AUC − 0.5) / (AUC_base − 0.5) − 1.
/// `None` when either is missing or the base is no better than chance (0.5 or below).
pub fn relative_improvement(auc: Option<f64>, base: Option<f64>) -> Option<f64> {
    let (auc, base) = (auc?, base?);
    (base > 0.5).then(|| (auc - 0.5) / (base - 0.5) - 1.0)
}

/// ln(p / (1 − p)), finite also for p = 0 and p = 1: a certain and right prediction costs next to nothing, a
/// certain and wrong one 100 nats.
fn logit(probability: f32) -> f32 {
    let p = f64::from(probability);
    (p.ln() - (-p).ln_1p()).clamp(-100.0, 100.0) as f32
}

/// The row numbers of each of `count` scenarios, in row order.
pub fn rows_of_each(scenarios: &[u32], count: usize) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); count];
    for (row, &scenario) in scenarios.iter().enumerate() {
        if let Some(rows) = rows.get_mut(scenario as usize) {
            rows.push(row);
        }
    }
    rows
}

/// Labels are 0 or 1; anything above one half counts as 1.
pub(super) fn is_positive(label: f32) -> bool {
    label > 0.5
}

fn write_scenarios<S: Serializer>(scenarios: &[(String, Metrics)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(scenarios.len()))?;
    for (name, metrics) in scenarios {
        map.serialize_entry(name, metrics)?;
    }
    map.end()
}

fn read_scenarios<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, Metrics)>, D::Error> {
    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Vec<(String, Metrics)>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a map from scenario names to metrics")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut scenarios = Vec::new();
            while let Some(entry) = map.next_entry()? {
                scenarios.push(entry);
            }
            Ok(scenarios)
        }
    }

    deserializer.deserialize_map(InOrder)
}

#[cfg(test)]
mod tests;
