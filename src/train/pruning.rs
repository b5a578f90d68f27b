//! Pruning: runs of a search that do worse than the others did by then are stopped.
//!
//! A run's *curve* has a point for each evaluation: how many epochs were done (a fraction of one, for an evaluation within it),
//! and the best validation AUC so far. The runs of a search are trained one after another, so the others' curves are known
//! when a run begins, and whether it goes on after an evaluation follows from its own curve: a run that is resumed is pruned
//! where it would have been.

use std::fmt::Display;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::train::Error;
use crate::train::evaluation::statistics::median;
use crate::train::run::epoch::EpochRecord;

/// After so many epochs, the best validation AUC so far.
pub type CurvePoint = (f64, f64);

/// How another run of the search went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OtherRun {
    /// Its curve.
    pub curve: Vec<CurvePoint>,
    /// Whether it came to its end, if by an early stop, and was not pruned: then its best is what it has at all later times.
    pub finished: bool,
}

/// By which rule runs are pruned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "lowercase")]
pub enum PruningRule {
    /// A run goes on while its best AUC so far is no less than the median of what the others had by then (Vizier, Golovin et
    /// al. 2017, section 3.2.2, with the best value in place of the mean).
    Median {
        /// No run is pruned where fewer others than these have come so far.
        warmup_trials: usize,
        /// Nor before so many epochs.
        warmup_epochs: f64,
    },
    /// Asynchronous successive halving (Li et al. 2020, algorithm 2) of runs that come one after another: at rung k, after
    /// s ηᵏ epochs, a run goes on if its best AUC so far is among the best 1/η of all that have come there, itself included.
    Halving {
        /// η.
        reduction: usize,
        /// s, the epochs of the first rung.
        warmup_epochs: f64,
    },
}

/// What a run is judged by: the file that a search gives to each of its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pruning {
    /// The rule.
    #[serde(flatten)]
    pub rule: PruningRule,
    /// The runs before this one.
    pub others: Vec<OtherRun>,
}

/// `pruned.json`: where and why a run was pruned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pruned {
    /// The epoch after which it was stopped, or within which.
    pub epoch: u32,
    /// Whether that was within it (`train.eval_steps`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// Optimiser steps taken in all.
    pub steps: u64,
    /// How many epochs that were.
    pub epochs: f64,
    /// Its best validation AUC.
    pub valid_auc: f64,
    /// What would have let it go on.
    pub needed: f64,
}

impl Display for Pruned {
    /// When it was.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.unfinished {
            true => write!(f, "in epoch {}, step {}", self.epoch, self.steps),
            false => write!(f, "after epoch {}", self.epoch),
        }
    }
}

/// The curve of a run's evaluations.
pub fn curve(records: &[EpochRecord]) -> Vec<CurvePoint> {
    let mut points = Vec::new();
    records.iter().for_each(|record| extend(&mut points, record));
    points
}

/// Adds an evaluation to a curve; one without an AUC is not on it.
pub fn extend(curve: &mut Vec<CurvePoint>, record: &EpochRecord) {
    if let Some(auc) = record.valid.as_ref().and_then(|valid| valid.auc).filter(|auc| auc.is_finite()) {
        let best = curve.last().map_or(auc, |&(_, best)| best.max(auc));
        curve.push((record.epochs_done(), best));
    }
}

impl Pruning {
    /// Reads the file of a search.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading"))?;
        serde_json::from_str(&text).map_err(|error| Error::content(path, error.to_string()))
    }

    /// The AUC that a run must have reached to go on after the last evaluation of its curve; `None` where it is not judged.
    pub fn needed(&self, own: &[CurvePoint]) -> Option<f64> {
        let &(now, best) = own.last()?;
        match self.rule {
            PruningRule::Median { warmup_trials, warmup_epochs } => {
                if now < warmup_epochs {
                    return None;
                }
                let by_now: Vec<f64> = self.others.iter().filter_map(|other| other.best_by(now)).collect();
                if by_now.len() < warmup_trials.max(1) { None } else { median(&by_now) }
            }
            PruningRule::Halving { reduction, warmup_epochs } => {
                let before = own.len().checked_sub(2).map_or(0.0, |i| own[i].0);
                let passed = rungs(warmup_epochs, reduction, now).filter(|&rung| rung > before);
                let needed = |rung: f64| {
                    let mut there: Vec<f64> = self.others.iter().filter_map(|other| other.best_at(rung)).collect();
                    there.push(best);
                    there.sort_by(|a, b| b.total_cmp(a));
                    there[(there.len() / reduction).max(1) - 1]
                };
                passed.map(needed).reduce(f64::max)
            }
        }
    }

    /// Whether a run ends after the last evaluation of its curve; what it would have needed, if so.
    pub fn ends(&self, own: &[CurvePoint]) -> Option<f64> {
        let &(_, best) = own.last()?;
        self.needed(own).filter(|&needed| best < needed)
    }
}

impl Pruned {
    /// Reads a `pruned.json`; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        if !path.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(path).map_err(Error::file(path, "reading"))?;
        let parsed = serde_json::from_str(&text);
        parsed.map(Some).map_err(|error| Error::content(path, format!("{error}; remove it, to have the run go on")))
    }
}

/// The rungs up to so many epochs: s, s η, s η² and so on.
fn rungs(first: f64, reduction: usize, until: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), move |rung| Some(rung * reduction as f64)).take_while(move |&rung| rung <= until)
}

impl OtherRun {
    /// Its best after at most so many epochs, if it came so far.
    fn best_by(&self, epochs: f64) -> Option<f64> {
        let came = self.finished || self.curve.last()?.0 >= epochs;
        self.curve.iter().rfind(|point| came && point.0 <= epochs).map(|point| point.1)
    }

    /// Its best at its first evaluation after no less than so many epochs.
    fn best_at(&self, epochs: f64) -> Option<f64> {
        let last = self.curve.last().filter(|_| self.finished);
        self.curve.iter().find(|point| point.0 >= epochs).or(last).map(|point| point.1)
    }
}

#[cfg(test)]
mod tests;
