//! How far metrics would move on other rows of the same kind: bootstrap intervals.
//!
//! A resample draws as many rows as there are, with replacement, or as many users with all their rows. To a metric that is a
//! weight for each row, a whole number. So rows are sorted once, and each resample is a pass over them. A resample is a function
//! of the seed and of its number; intervals are the same bits whatever the number of threads.

mod difference;
mod group;
mod resample;

pub use difference::{Difference, ResampledAuc, auc_difference, resampled_auc};
pub use resample::Unit;

use rayon::prelude::*;
use serde::{Serialize, Serializer};

use self::group::{Group, NUMBERS, Numbers};
use self::resample::Resampler;
use super::metrics::Scored;

/// The share of resamples that an interval spans.
pub const LEVEL: f64 = 0.95;

/// What is drawn, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// How many resamples.
    pub resamples: usize,
    /// What is drawn; users where the rows have them, where nothing is asked for.
    pub unit: Option<Unit>,
    /// What the draws are a function of.
    pub seed: u64,
}

/// From the 2.5th to the 97.5th percentile of a number over resamples. As JSON `[low, high]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.low, self.high].serialize(serializer)
    }
}

impl Interval {
    /// Of a number's values over resamples, percentiles between two values by linear interpolation. `None` where fewer than
    /// half of the resamples have the number: those would be the unlikely ones.
    fn of(mut values: Vec<f64>, resamples: usize) -> Option<Interval> {
        values.retain(|value| value.is_finite());
        if values.is_empty() || 2 * values.len() < resamples {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let percentile = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (below, part) = (place.floor() as usize, place.fract());
            let above = values[(below + 1).min(values.len() - 1)];
            values[below] + part * (above - values[below])
        };
        Some(Interval { low: percentile((1.0 - LEVEL) / 2.0), high: percentile(f64::midpoint(1.0, LEVEL)) })
    }
}

/// Intervals of one group's metrics; `None` for a number that the group does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Intervals {
    /// Of the AUC.
    pub auc: Option<Interval>,
    /// Of the PR-AUC.
    pub pr_auc: Option<Interval>,
    /// Of the LogLoss.
    pub logloss: Option<Interval>,
    /// Of the normalised entropy.
    pub normalized_entropy: Option<Interval>,
    /// Of the GAUC.
    pub gauc: Option<Interval>,
    /// Of the calibration.
    pub calibration: Option<Interval>,
}

/// Intervals of all rows, and of groups of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrapped {
    /// How many resamples.
    pub resamples: usize,
    /// What was drawn.
    pub unit: Unit,
    /// How many of these a resample draws.
    pub units: usize,
    /// What the draws are a function of.
    pub seed: u64,
    /// Of all rows.
    pub all: Intervals,
    /// Of the groups, in their order.
    pub groups: Vec<Intervals>,
}

/// Intervals of the metrics of all rows, and of each of `groups` (numbers of rows, ascending). All are of the same resamples.
/// A row without a user (key 0) is drawn as one of its own. A group of one row, or of one user where users are drawn, has no
/// intervals: no resample tells how far another would be.
///
/// `None` when users are to be drawn and the rows have none.
///
/// # Panics
/// When the rows' slices have different lengths, there are more than 2³⁰ rows, or there is no such row.
pub fn bootstrap(rows: &Scored<'_>, groups: &[Vec<usize>], options: &Bootstrap) -> Option<Bootstrapped> {
    rows.check();
    let resampler = Resampler::new(rows, options)?;
    let every: Vec<usize> = (0..rows.logits.len()).collect();
    let prepared: Vec<Group> = std::iter::once(&every)
        .chain(groups)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|own| Group::new(rows, own))
        .collect();
    let found: Vec<Vec<Numbers>> = (0..options.resamples)
        .into_par_iter()
        .map_init(Vec::new, |weights, number| {
            resampler.draw(number, weights);
            prepared.iter().map(|group| group.numbers(weights)).collect()
        })
        .collect();
    let intervals = |group: usize| {
        let own = group.checked_sub(1).map_or(&every, |group| &groups[group]);
        if resampler.is_one(own) {
            return Intervals::default();
        }
        let number = |which: usize| {
            let values = found.iter().filter_map(|numbers| numbers[group][which]).collect();
            Interval::of(values, options.resamples)
        };
        let [auc, pr_auc, logloss, normalized_entropy, gauc, calibration]: [Option<Interval>; NUMBERS] =
            std::array::from_fn(number);
        Intervals { auc, pr_auc, logloss, normalized_entropy, gauc, calibration }
    };
    Some(Bootstrapped {
        resamples: options.resamples,
        unit: resampler.unit(),
        units: resampler.units(),
        seed: options.seed,
        all: intervals(0),
        groups: (1..prepared.len()).map(intervals).collect(),
    })
}

#[cfg(test)]
mod tests;
