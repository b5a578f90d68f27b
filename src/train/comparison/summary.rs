//! The finished cells of a comparison as numbers: means and deviations over seeds, improvements, tests, costs.

use super::{CellOutcome, Comparison, ExperimentKind, Searched};
use crate::train::evaluation::bootstrap::{Difference, auc_difference};
use crate::train::evaluation::metrics::{Metrics, relative_improvement};
use crate::train::evaluation::statistics::{PairedTest, Summary, mean, paired_test};
use crate::train::run::result::RunResult;

/// One metric over seeds; `None` where no run has it.
pub type Score = Option<Summary>;

/// Metrics over seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Area under the ROC curve.
    pub auc: Score,
    /// Mean cross entropy.
    pub logloss: Score,
    /// AUC within users.
    pub gauc: Score,
}

impl Scores {
    fn of<'a>(metrics: impl Iterator<Item = &'a Metrics> + Clone) -> Scores {
        let over = |pick: fn(&Metrics) -> Option<f64>| {
            Summary::of(&metrics.clone().filter_map(pick).filter(|value| value.is_finite()).collect::<Vec<_>>())
        };
        Scores {
            auc: over(|metrics| metrics.auc),
            logloss: over(|metrics| metrics.logloss),
            gauc: over(|metrics| metrics.gauc),
        }
    }
}

/// What a variant costs; `None` where no run says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// Dense parameters.
    pub parameters: Option<usize>,
    /// Values in embeddings.
    pub embedding_parameters: Option<usize>,
    /// Training rows per second, the mean over seeds.
    pub rows_per_second: Option<f64>,
    /// Seconds of training, the mean over seeds.
    pub train_seconds: Option<f64>,
    /// Main memory, the most of any seed.
    pub peak_memory_bytes: Option<u64>,
    /// Memory of the GPU, the most of any seed.
    pub device_memory_bytes: Option<u64>,
}

impl Costs {
    fn of(results: &[&RunResult]) -> Costs {
        let over = |pick: fn(&RunResult) -> Option<f64>| {
            mean(&results.iter().filter_map(|result| pick(result)).collect::<Vec<_>>())
        };
        let first = results.first();
        Costs {
            parameters: first.map(|result| result.parameters),
            embedding_parameters: first.map(|result| result.embedding_parameters).filter(|&values| values > 0),
            rows_per_second: over(|result| result.train_rows_per_second),
            train_seconds: over(|result| result.train_seconds),
            peak_memory_bytes: results.iter().filter_map(|result| result.peak_memory_bytes).max(),
            device_memory_bytes: results.iter().filter_map(|result| result.device_memory_bytes).max(),
        }
    }
}

/// How a variant stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its label.
    pub label: String,
    /// Its model's name.
    pub model: String,
    /// What it sets for itself, as arguments of `--set`.
    pub sets: Vec<String>,
    /// Whether it is tested against the best baseline.
    pub ours: bool,
    /// Seeds that have a result, and seeds that were asked for.
    pub seeds: [usize; 2],
    /// On the test rows.
    pub test: Scores,
    /// On the validation rows.
    pub valid: Scores,
    /// On the test rows of each of [`Summaries::scenarios`].
    pub scenarios: Vec<Scores>,
    /// RelaImpr of the mean AUC over the baseline's; `None` for the baseline.
    pub improvement: Option<f64>,
    /// The test of its AUCs against the baseline's, over common seeds.
    pub against_baseline: Option<PairedTest>,
    /// Its mean AUC less the baseline's over common seeds, and how far that would move on other test rows.
    pub difference: Option<Difference>,
    /// Its mean AUC less the best baseline's over their common seeds; for ours.
    pub ahead_of_best: Option<f64>,
    /// The test of that.
    pub against_best: Option<PairedTest>,
    /// What it costs.
    pub costs: Costs,
}

/// How all variants stand.
#[derive(Clone, Debug)]
pub struct Summaries {
    /// What kind of comparison it is.
    pub kind: ExperimentKind,
    /// The variants: of a sweep the best by mean validation AUC first, else in the file's order. Of a search those that are
    /// finished.
    pub standings: Vec<Standing>,
    /// Names of all scenarios.
    pub scenarios: Vec<String>,
    /// The label that RelaImpr refers to.
    pub baseline: Option<String>,
    /// The baseline (a variant that is not ours) with the best mean test AUC.
    pub best_baseline: Option<String>,
    /// The variants that could be the best baseline.
    pub baselines: Vec<String>,
    /// The devices that cells ran on.
    pub devices: Vec<String>,
    /// Labels of combinations that were left out.
    pub skipped: Vec<String>,
    /// All trials, where it is a search.
    pub search: Option<Searched>,
}

/// Sums finished cells up; of a search its trials with them.
pub fn summarise(comparison: &Comparison, outcomes: &[CellOutcome], search: Option<Searched>) -> Summaries {
    let of = |label: &str| outcomes.iter().filter(|outcome| outcome.label == label).collect::<Vec<_>>();
    let mut scenarios: Vec<String> = Vec::new();
    let mut devices: Vec<String> = Vec::new();
    for outcome in outcomes {
        for (name, _) in &outcome.result.test.scenarios {
            if !scenarios.contains(name) {
                scenarios.push(name.clone());
            }
        }
        if !devices.contains(&outcome.result.device) {
            devices.push(outcome.result.device.clone());
        }
    }
    let mut standings: Vec<Standing> = comparison
        .variants
        .iter()
        .filter(|variant| search.is_none() || outcomes.iter().any(|outcome| outcome.label == variant.label))
        .map(|variant| {
            let outcomes = of(&variant.label);
            let results: Vec<&RunResult> = outcomes.iter().map(|outcome| &outcome.result).collect();
            let in_scenario =
                |name: &String| Scores::of(results.iter().filter_map(|result| result.test.scenario(name)));
            Standing {
                label: variant.label.clone(),
                model: variant.config.model_name().to_owned(),
                sets: variant.set_arguments(),
                ours: variant.ours,
                seeds: [results.len(), variant.seeds.len()],
                test: Scores::of(results.iter().map(|result| &result.test)),
                valid: Scores::of(results.iter().filter_map(|result| result.valid.as_ref())),
                scenarios: scenarios.iter().map(in_scenario).collect(),
                improvement: None,
                against_baseline: None,
                difference: None,
                ahead_of_best: None,
                against_best: None,
                costs: Costs::of(&results),
            }
        })
        .collect();
    let auc = |standing: &Standing| standing.test.auc.map(|auc| auc.mean);
    // The first of equals, so that the order of the file decides.
    let mut best: Option<&Standing> = None;
    let baselines = standings.iter().filter(|standing| comparison.baseline.is_some() && !standing.ours);
    for standing in baselines.clone().filter(|standing| auc(standing).is_some()) {
        if best.is_none_or(|best| auc(standing) > auc(best)) {
            best = Some(standing);
        }
    }
    let best_baseline = best.map(|best| best.label.clone());
    let baselines: Vec<String> = baselines.map(|standing| standing.label.clone()).collect();
    if let Some(baseline) = &comparison.baseline {
        let base = standings.iter().find(|standing| standing.label == *baseline).and_then(auc);
        let (base_cells, best_cells) = (of(baseline), best_baseline.as_deref().map(of).unwrap_or_default());
        for standing in &mut standings {
            let cells = of(&standing.label);
            if standing.label != *baseline {
                standing.improvement = relative_improvement(auc(standing), base);
                standing.against_baseline = paired_test(&common(&cells, &base_cells));
                standing.difference = difference(&cells, &base_cells);
            }
            if standing.ours {
                let pairs = common(&cells, &best_cells);
                let differences: Vec<f64> = pairs.iter().map(|(own, other)| own - other).collect();
                standing.ahead_of_best = mean(&differences);
                standing.against_best = paired_test(&pairs);
            }
        }
    }
    if comparison.kind == ExperimentKind::Sweep {
        let valid = |standing: &Standing| standing.valid.auc.map_or(f64::NEG_INFINITY, |auc| auc.mean);
        standings.sort_by(|a, b| f64::total_cmp(&valid(b), &valid(a)));
    }
    let skipped = comparison.skipped.iter().map(|skipped| skipped.label.clone()).collect();
    let baseline = comparison.baseline.clone();
    Summaries {
        kind: comparison.kind,
        standings,
        scenarios,
        baseline,
        best_baseline,
        baselines,
        devices,
        skipped,
        search,
    }
}

impl Summaries {
    /// The best combination of a sweep, by mean validation AUC among those that have all their seeds.
    pub fn best(&self) -> Option<&Standing> {
        let whole = |standing: &&Standing| standing.seeds[0] == standing.seeds[1] && standing.valid.auc.is_some();
        self.standings.iter().find(whole).filter(|_| self.kind == ExperimentKind::Sweep)
    }

    /// Cells that have no result yet.
    pub fn missing(&self) -> usize {
        if let Some(search) = &self.search {
            return search.missing();
        }
        self.standings.iter().map(|standing| standing.seeds[1] - standing.seeds[0]).sum()
    }
}

/// How far two variants are apart on resamples of the test rows, at the seeds that both have.
fn difference(one: &[&CellOutcome], other: &[&CellOutcome]) -> Option<Difference> {
    let partner = |seed: u64| other.iter().find(|outcome| outcome.seed == seed).copied();
    let pairs = one.iter().filter_map(|own| Some((*own, partner(own.seed)?)));
    let resampled = pairs.map(|(own, other)| Some((own.resampled.as_ref()?, other.resampled.as_ref()?)));
    auc_difference(&resampled.collect::<Option<Vec<_>>>()?)
}

/// Test AUCs of two variants at the seeds that both have.
fn common(one: &[&CellOutcome], other: &[&CellOutcome]) -> Vec<(f64, f64)> {
    let partner = |seed: u64| other.iter().find(|outcome| outcome.seed == seed)?.result.test.auc;
    one.iter().filter_map(|outcome| Some((outcome.result.test.auc?, partner(outcome.seed)?))).collect()
}
