//! How far the difference of two models' AUC would move on other rows of the same kind.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::group::Group;
use super::resample::{Resampler, Unit};
use super::{Bootstrap, Interval};
use crate::train::evaluation::metrics::Scored;
use crate::train::evaluation::statistics::mean;

/// The logits of two models for the same rows, over the seeds that both have: as many of one as of the other.
#[derive(Clone, Debug)]
pub struct PairedRows<'a> {
    /// Labels, users and weights of the rows; logits are not read.
    pub rows: Scored<'a>,
    /// For each seed the model's logits, and those of the model that it is set against.
    pub logits: Vec<[&'a [f32]; 2]>,
}

/// The mean over seeds of one model's AUC less another's, with its interval over resamples of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Of all rows.
    pub auc: f64,
    /// The 2.5th percentile over resamples.
    pub low: f64,
    /// The 97.5th.
    pub high: f64,
    /// Seeds in the means.
    pub seeds: usize,
    /// What a resample draws.
    pub unit: Unit,
    /// How many of these.
    pub units: usize,
    /// How many resamples.
    pub resamples: usize,
}

/// The difference of AUC and its interval: each resample has the same rows for both models and all seeds.
///
/// `None` without seeds, when the rows have one class or a logit is not a number, or when users are to be drawn and the rows
/// have none.
///
/// # Panics
/// When slices have different lengths.
pub fn auc_difference(paired: &PairedRows<'_>, options: &Bootstrap) -> Option<Difference> {
    let PairedRows { rows, logits } = paired;
    let of = |logits: &&[f32]| {
        let rows = Scored { logits, scenarios: &[], users: None, ..*rows };
        assert_eq!(rows.logits.len(), rows.labels.len(), "one logit per label");
        Group::new(&rows, &(0..logits.len()).collect::<Vec<_>>())
    };
    let groups: Vec<[Group; 2]> = logits.par_iter().map(|pair| [of(&pair[0]), of(&pair[1])]).collect();
    let difference = |weights: &[f64]| {
        let over = groups.iter().map(|[own, other]| Some(own.auc(weights)? - other.auc(weights)?));
        mean(&over.collect::<Option<Vec<f64>>>()?)
    };
    let resampler = Resampler::new(&Scored { logits: logits.first()?[0], ..*rows }, options)?;
    let own: Vec<f64> = match rows.weights {
        Some(weights) => weights.iter().map(|&weight| f64::from(weight)).collect(),
        None => vec![1.0; rows.labels.len()],
    };
    let auc = difference(&own)?;
    let found: Vec<Option<f64>> = (0..options.resamples)
        .into_par_iter()
        .map_init(Vec::new, |weights, number| {
            resampler.draw(number, weights);
            difference(weights)
        })
        .collect();
    let Interval { low, high } = Interval::of(found.into_iter().flatten().collect(), options.resamples)?;
    let (unit, units) = (resampler.unit(), resampler.units());
    Some(Difference { auc, low, high, seeds: logits.len(), unit, units, resamples: options.resamples })
}
