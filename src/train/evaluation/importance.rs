//! Which columns a model relies on: what it loses when a column's values are dealt out anew among the rows.
//!
//! Permutation importance (Breiman, 2001; Fisher, Rudin and Dominici, 2019): a column's encoded values are permuted among the
//! rows, all else stays, and the model scores the rows again. What it loses is what it got from the column and from nowhere
//! else: of two columns that tell the same, each may look unimportant.

use std::ops::Range;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::metrics::{Metrics, evaluate};
use super::predict::{predict, scenario_names, scored};
use super::statistics::Summary;
use crate::data::{Encoder, FieldRole, Rows, SplitName};
use crate::plan::Executor;
use crate::train::Error;
use crate::train::model::BuiltModel;

/// What was permuted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permuted {
    /// A feature's values, of tags with their weights.
    Field,
    /// The lists of a sequence; of several, whose items belong together, those of all.
    Sequence,
    /// Which of the model's parts for scenarios a row goes through; the scenario as a feature stays.
    ScenarioParts,
    /// Both: the scenario as a feature, and the parts, by the same permutation.
    ScenarioEverywhere,
}

/// A number over repeated permutations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its mean.
    pub mean: f64,
    /// Its sample standard deviation; `None` of one permutation.
    pub deviation: Option<f64>,
}

impl Change {
    fn of(values: &[f64]) -> Option<Change> {
        Summary::of(values).map(|Summary { mean, deviation, .. }| Change { mean, deviation })
    }
}

/// What a model loses in some rows without a column; `None` for a number that they do not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// AUC before, less AUC after.
    pub auc_drop: Option<Change>,
    /// LogLoss after, less LogLoss before.
    pub logloss_rise: Option<Change>,
}

impl Loss {
    fn of(before: &Metrics, after: &[&Metrics]) -> Loss {
        let over = |change: &dyn Fn(&Metrics) -> Option<f64>| {
            Change::of(&after.iter().map(|own| change(own)).collect::<Option<Vec<f64>>>()?)
        };
        Loss {
            auc_drop: over(&|own| Some(before.auc? - own.auc?)),
            logloss_rise: over(&|own| Some(own.logloss? - before.logloss?)),
        }
    }
}

/// A column, and what the model loses without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnImportance {
    /// Its name; of sequences that were permuted together, all names.
    pub column: String,
    /// What was permuted.
    pub permuted: Permuted,
    /// Whether it is a scenario-aware feature; `None` for what is no feature.
    pub aware: Option<bool>,
    /// In all rows.
    #[serde(flatten)]
    pub all: Loss,
    /// Within each scenario, in the order of [`Importance::scenarios`].
    pub scenarios: Vec<Loss>,
}

/// Which columns a model relies on, the most important first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// The split whose rows were scored.
    pub split: String,
    /// How many rows these are.
    pub rows: u64,
    /// How often each column was permuted.
    pub repeats: usize,
    /// What the permutations are a function of.
    pub seed: u64,
    /// Their AUC, as they are.
    pub auc: Option<f64>,
    /// Their LogLoss, as they are.
    pub logloss: Option<f64>,
    /// Names of the scenarios.
    pub scenarios: Vec<String>,
    /// The columns, by what the AUC loses, then by what the LogLoss does.
    pub columns: Vec<ColumnImportance>,
}

/// One thing to permute.
struct Candidate {
    column: String,
    permuted: Permuted,
    aware: Option<bool>,
    /// The field, and the column of its multiplier.
    field: Option<(usize, Option<usize>)>,
    /// Which lists.
    lists: Range<usize>,
}

/// What the model has from columns that can be permuted.
fn candidates(model: &BuiltModel, encoder: &Encoder) -> Vec<Candidate> {
    let fields = encoder.fields().iter().enumerate();
    let mut list: Vec<Candidate> = fields
        .map(|(number, field)| Candidate {
            column: field.name.clone(),
            permuted: Permuted::Field,
            aware: Some(field.role == FieldRole::Aware),
            field: Some((number, field.value_index)),
            lists: field.tags.map_or(0..0, |tags| tags.list..tags.list + 1),
        })
        .collect();
    let sequences: Vec<&str> = encoder.sequences().iter().map(|sequence| sequence.name.as_str()).collect();
    if model.graph.longest > 0 && !sequences.is_empty() {
        let column = sequences.join(", ");
        let lists = 0..sequences.len();
        list.push(Candidate { column, permuted: Permuted::Sequence, aware: None, field: None, lists });
    }
    if let Some(scenario) = encoder.schema().scenario.as_ref().filter(|_| model.prediction.scenarios > 0) {
        let of = |permuted, field| Candidate { column: scenario.clone(), permuted, aware: None, field, lists: 0..0 };
        let field = list.iter().find(|own| own.column == *scenario).and_then(|own| own.field);
        list.push(of(Permuted::ScenarioParts, None));
        list.extend(field.map(|field| of(Permuted::ScenarioEverywhere, Some(field))));
    }
    list
}

/// How columns are permuted.
#[derive(Clone, Copy, Debug)]
pub struct ImportanceOptions {
    /// Which rows these are.
    pub split: SplitName,
    /// How often each column is permuted.
    pub repeats: usize,
    /// What permutations are a function of.
    pub seed: u64,
}

/// Permutes each column and scores the rows again, as often as is asked for. `progress` is called with how many passes over the
/// rows are done, and of how many.
///
/// # Errors
/// When the device fails.
pub fn importance(
    executor: &mut dyn Executor,
    model: &BuiltModel,
    rows: &Rows,
    encoder: &Encoder,
    options: &ImportanceOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Importance, Error> {
    let &ImportanceOptions { split, repeats, seed } = options;
    let names = scenario_names(encoder, rows.scenarios());
    let mut score = |permuted: &Rows| -> Result<Metrics, Error> {
        let predictions = predict(executor, model, permuted, encoder)?;
        // By the rows' own scenarios, wherever they went.
        Ok(evaluate(&scored(rows, &predictions), &names))
    };
    let list = candidates(model, encoder);
    let total = (1 + list.len() * repeats) as u64;
    let mut done = 0;
    let mut step = || {
        done += 1;
        progress(done, total);
    };
    let before = score(rows)?;
    step();
    let mut columns = Vec::with_capacity(list.len());
    for own in list {
        let mut after = Vec::with_capacity(repeats);
        for repeat in 0..repeats {
            let order = order(rows.len(), seed, &own.column, repeat);
            let mut permuted = rows.clone();
            if let Some((field, value)) = own.field {
                permuted = permuted.with_field_from(field, value, &order);
            }
            if !own.lists.is_empty() {
                permuted = permuted.with_lists_from(own.lists.clone(), &order);
            }
            if matches!(own.permuted, Permuted::ScenarioParts | Permuted::ScenarioEverywhere) {
                permuted = permuted.with_scenarios_from(&order);
            }
            after.push(score(&permuted)?);
            step();
        }
        let scenarios = before.scenarios.iter().enumerate().map(|(number, (_, before))| {
            Loss::of(before, &after.iter().map(|after| &after.scenarios[number].1).collect::<Vec<_>>())
        });
        let all = Loss::of(&before, &after.iter().collect::<Vec<_>>());
        let Candidate { column, permuted, aware, .. } = own;
        columns.push(ColumnImportance { column, permuted, aware, all, scenarios: scenarios.collect() });
    }
    let mean = |change: Option<Change>| change.map_or(f64::NEG_INFINITY, |change| change.mean);
    columns.sort_by(|a, b| {
        let by_auc = mean(b.all.auc_drop).total_cmp(&mean(a.all.auc_drop));
        by_auc.then_with(|| mean(b.all.logloss_rise).total_cmp(&mean(a.all.logloss_rise)))
    });
    let (auc, logloss) = (before.auc, before.logloss);
    let (split, count) = (split.to_string(), rows.len() as u64);
    Ok(Importance { split, rows: count, repeats, seed, auc, logloss, scenarios: names, columns })
}

/// For each row the row whose value it gets. The same of a column whatever else is permuted.
fn order(rows: usize, seed: u64, column: &str, repeat: usize) -> Vec<u32> {
    let name = format!("importance {repeat} {column}");
    let mut order: Vec<u32> = (0..rows as u32).collect();
    order.shuffle(&mut Pcg64::seed_from_u64(xxh3_64_with_seed(name.as_bytes(), seed)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_the_mean_over_permutations() {
        let of = |auc, logloss| Metrics { auc: Some(auc), logloss: Some(logloss), ..Metrics::default() };
        let found = Loss::of(&of(0.75, 0.5), &[&of(0.5, 0.75), &of(0.25, 1.0)]);
        let deviation = 0.125_f64.sqrt() / 2.0;
        let near = |found: Option<Change>, mean: f64| {
            let found = found.unwrap();
            assert!((found.mean - mean).abs() < 1e-12);
            assert!((found.deviation.unwrap() - deviation).abs() < 1e-12);
        };
        near(found.auc_drop, 0.375);
        near(found.logloss_rise, 0.375);
        let one = Loss::of(&of(0.75, 0.5), &[&Metrics::default()]);
        assert_eq!(one, Loss::default());
    }

    #[test]
    fn an_order_is_a_permutation_of_its_own() {
        let mut sorted = order(100, 1, "a", 0);
        assert_ne!(sorted, order(100, 1, "b", 0));
        assert_ne!(sorted, order(100, 1, "a", 1));
        assert_ne!(sorted, order(100, 2, "a", 0));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
    }
}
