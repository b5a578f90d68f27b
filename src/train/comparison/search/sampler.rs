//! Drawing the next point of a search: each axis by itself, at random or by a tree-structured Parzen estimator (Bergstra et
//! al. 2011, section 4).
//!
//! The estimator cuts the trials so far in two by how good they were. From each part it makes a density over an axis:
//! l(x) of the good ones, g(x) of the others, mixtures of normal distributions of which each trial has one, and the whole
//! range another. Of some draws from l it takes the one with the largest l(x) / g(x), at which the expected improvement is
//! largest (equation 4.1). The crate `tpe` has these densities; how many trials are good, how those rank that were
//! pruned, and when it begins is as in Optuna.
//!
//! A draw is a function of the seed, the trial's number, and the trials before it.

use rand::RngExt;
use tpe::{TpeOptimizerBuilder, categorical_range, histogram_estimator, parzen_estimator, range};

use super::space::{Axis, Space};
use crate::train::order::stream;

/// Points drawn from l, of which one is taken.
const CANDIDATES: usize = 24;

/// What came of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Came {
    /// A validation AUC.
    Finished(f64),
    /// It was pruned.
    Pruned {
        /// After so many epochs.
        epochs: f64,
        /// The best validation AUC until then.
        auc: f64,
    },
    /// Nothing: it failed.
    ToNothing,
    /// It was no trial, as it cannot be trained.
    Refused,
}

/// A trial before the one that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    /// Where it was.
    pub(super) point: Vec<f64>,
    /// What came of it.
    pub(super) came: Came,
}

/// Which draw it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    /// `sweep.sampler_seed`.
    pub(super) seed: u64,
    /// The trial's number.
    pub(super) trial: usize,
    /// How many draws for it were in vain.
    pub(super) attempt: usize,
}

/// A point drawn uniformly.
pub(super) fn uniform(space: &Space, draw: Draw) -> Vec<f64> {
    let coordinate = |axis: &Axis| {
        let (low, high) = axis.bounds();
        random_of(axis, draw).random_range(low..high)
    };
    space.axes.iter().map(coordinate).collect()
}

/// A point drawn by the estimator, from one trial at least.
pub(super) fn estimated(space: &Space, draw: Draw, seen: &[Seen]) -> Vec<f64> {
    let mut ranked: Vec<&Seen> = seen.iter().collect();
    // Of equals the earlier one is first.
    ranked.sort_by(|a, b| rank(a.came).partial_cmp(&rank(b.came)).unwrap_or(std::cmp::Ordering::Equal));
    let trials = seen.iter().filter(|seen| seen.came != Came::Refused).count();
    // The builder takes a share, and rounds what it is of all up.
    let share = (good(trials) as f64 - 0.5) / seen.len() as f64;
    let coordinate = |(i, axis): (usize, &Axis)| {
        let (low, high) = axis.bounds();
        let (estimator, bounds) = match axis {
            Axis::Choice(points) => (histogram_estimator(), categorical_range(points.len())),
            Axis::Range { .. } => (parzen_estimator(), range(low, high)),
        };
        let bounds = bounds.expect("an axis has finite ends, the first below the second");
        let mut builder = TpeOptimizerBuilder::new();
        let optimizer = builder.gamma(share).candidates(CANDIDATES).build(estimator, bounds);
        let mut optimizer = optimizer.expect("a share of all trials, and more than no candidates");
        for (place, trial) in ranked.iter().enumerate() {
            optimizer.tell(trial.point[i], place as f64).expect("a trial's coordinates are within the bounds");
        }
        optimizer.ask(&mut random_of(axis, draw)).unwrap_or_else(|never| match never {})
    };
    space.axes.iter().enumerate().map(coordinate).collect()
}

/// How many of so many trials are good: a tenth of them, and no more than 25.
fn good(trials: usize) -> usize {
    trials.div_ceil(10).min(25)
}

/// By which trials are put in order: those that are finished by their AUC, then those that were pruned, the later the better,
/// then those of which nothing came. What
/// cannot be trained is last: where there is much of it, little is drawn.
fn rank(came: Came) -> (u8, f64, f64) {
    match came {
        Came::Finished(auc) => (0, -auc, 0.0),
        Came::Pruned { epochs, auc } => (1, -epochs, -auc),
        Came::ToNothing => (2, 0.0, 0.0),
        Came::Refused => (3, 0.0, 0.0),
    }
}

fn random_of(axis: &Axis, Draw { seed, trial, attempt }: Draw) -> rand_pcg::Pcg64 {
    stream(seed, &format!("trial {trial} {}", axis.name()), attempt as u64)
}

#[cfg(test)]
mod tests;
