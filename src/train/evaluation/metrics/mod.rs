//! How good a model's predictions are: AUC, PR-AUC, LogLoss, normalised entropy, GAUC, calibration and counts, overall and per
//! scenario.
//!
//! Everything is computed from logits, in f64, and does not depend on the number of threads. A number that a group
//! does not have (the AUC of rows that are all negative, say) is `None`: `null` in JSON, "n/a" in tables.

mod rank;
mod reliability;

use rank::both_auc;
pub use rank::{auc, gauc, pr_auc};
pub use reliability::{Bin, Reliability, reliability};

use rayon::prelude::*;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The numbers of one group of rows, and of each scenario within it.
///
/// As JSON: `{"auc", "pr_auc", "logloss", "normalized_entropy", "gauc", "calibration", "rows", "positives", "scenarios": {NAME:
/// {...}}}`.
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
    /// AUC within each user, averaged over the users that have both classes and weighted by their rows.
    /// `None` without user keys, or when no user has both classes.
    pub gauc: Option<f64>,
    /// Mean predicted probability over mean label: above 1 the model promises too much. `None` without positives.
    pub calibration: Option<f64>,
    /// Rows in the group.
    pub rows: u64,
    /// Rows whose label is 1.
    pub positives: u64,
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

    /// Fraction of rows whose label is 1; `None` without rows.
    pub fn rate(&self) -> Option<f64> {
        (self.rows > 0).then(|| self.positives as f64 / self.rows as f64)
    }
}

/// Scores a model's output: one logit, one label (0 or 1) and one scenario per row, and optionally one user key.
///
/// `scenarios[i]` is an index into `scenario_names`; a row whose index is beyond the names (an unseen scenario)
/// counts overall but in no scenario. Every name appears in the result, also one without rows.
///
/// # Panics
/// When the slices have different lengths.
pub fn evaluate(
    logits: &[f32],
    labels: &[f32],
    scenarios: &[u32],
    scenario_names: &[String],
    users: Option<&[u64]>,
) -> Metrics {
    assert_eq!(logits.len(), labels.len(), "one label per logit");
    assert_eq!(logits.len(), scenarios.len(), "one scenario per logit");
    if let Some(users) = users {
        assert_eq!(logits.len(), users.len(), "one user per logit");
    }
    let per_scenario = rows_of_each(scenarios, scenario_names.len())
        .into_par_iter()
        .map(|rows| {
            let pick = |values: &[f32]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
            let users: Option<Vec<u64>> = users.map(|users| rows.iter().map(|&row| users[row]).collect());
            group(&pick(logits), &pick(labels), users.as_deref())
        })
        .collect::<Vec<_>>();
    let mut all = group(logits, labels, users);
    all.scenarios = scenario_names.iter().cloned().zip(per_scenario).collect();
    all
}

/// The metrics of the true probabilities (in \[0, 1\]) that made the labels: no model can do better in expectation.
///
/// The other arguments, and panics, are those of [`evaluate`].
pub fn best_reachable(
    probabilities: &[f32],
    labels: &[f32],
    scenarios: &[u32],
    scenario_names: &[String],
    users: Option<&[u64]>,
) -> Metrics {
    let logits: Vec<f32> = probabilities.iter().map(|&p| logit(p)).collect();
    evaluate(&logits, labels, scenarios, scenario_names, users)
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

/// Row numbers of each of `count` scenarios, in row order.
fn rows_of_each(scenarios: &[u32], count: usize) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); count];
    for (row, &scenario) in scenarios.iter().enumerate() {
        if let Some(rows) = rows.get_mut(scenario as usize) {
            rows.push(row);
        }
    }
    rows
}

/// Sums over one group of rows.
#[derive(Clone, Copy, Default)]
struct Sums {
    positives: u64,
    loss: f64,
    predicted: f64,
}

/// Rows per partial sum: fixed, so that the rounding does not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// The metrics of one group, without scenarios.
fn group(logits: &[f32], labels: &[f32], users: Option<&[u64]>) -> Metrics {
    let partial: Vec<Sums> = logits
        .par_chunks(CHUNK)
        .zip(labels.par_chunks(CHUNK))
        .map(|(logits, labels)| logits.iter().zip(labels).fold(Sums::default(), add_row))
        .collect();
    let sums = partial.iter().fold(Sums::default(), |a, b| Sums {
        positives: a.positives + b.positives,
        loss: a.loss + b.loss,
        predicted: a.predicted + b.predicted,
    });
    let (auc, pr_auc) = both_auc(logits, labels);
    let logloss = (!logits.is_empty()).then(|| sums.loss / logits.len() as f64);
    Metrics {
        auc,
        pr_auc,
        logloss,
        normalized_entropy: logloss.zip(entropy(sums.positives, logits.len() as u64)).map(|(loss, of)| loss / of),
        gauc: users.and_then(|users| gauc(logits, labels, users)),
        calibration: (sums.positives > 0).then(|| sums.predicted / sums.positives as f64),
        rows: logits.len() as u64,
        positives: sums.positives,
        scenarios: Vec::new(),
    }
}

/// The LogLoss of predicting the rate of positives everywhere; `None` where that is 0.
fn entropy(positives: u64, rows: u64) -> Option<f64> {
    let rate = positives as f64 / rows as f64;
    (0 < positives && positives < rows).then(|| -(rate * rate.ln() + (1.0 - rate) * (-rate).ln_1p()))
}

/// Adds one row. With t = exp(−|z|) ≤ 1 neither the loss max(z, 0) − y z + ln(1 + t) nor σ(z) can overflow.
fn add_row(sums: Sums, (&logit, &label): (&f32, &f32)) -> Sums {
    let z = f64::from(logit);
    let y = if is_positive(label) { 1.0 } else { 0.0 };
    let t = (-z.abs()).exp();
    Sums {
        positives: sums.positives + u64::from(is_positive(label)),
        loss: sums.loss + (z.max(0.0) - y * z + t.ln_1p()),
        predicted: sums.predicted + if z >= 0.0 { 1.0 } else { t } / (1.0 + t),
    }
}

/// Labels are 0 or 1; anything above one half counts as 1.
fn is_positive(label: f32) -> bool {
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
