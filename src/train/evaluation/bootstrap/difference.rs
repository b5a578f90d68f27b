//! How far the difference of two models' AUC would move on other rows of the same kind.

use bytemuck::cast_slice;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::group::Ranking;
use super::resample::{Resampler, Unit};
use super::{Bootstrap, Interval};
use crate::train::evaluation::metrics::Scored;
use crate::train::evaluation::statistics::mean;

/// A model's AUC on some rows, and on each resample of them. Those of other models on the same rows are of the same
/// resamples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResampledAuc {
    /// What a resample draws.
    pub by: Unit,
    /// How many of these.
    pub units: usize,
    /// What the rows are known by: a hash of their labels, users and weights.
    pub rows: String,
    /// Of all rows.
    pub auc: Option<f64>,
    /// Of each resample; `None` where it has one class only.
    pub resampled: Vec<Option<f64>>,
}

/// The AUC of rows and of each of their resamples.
///
/// `None` when users are to be drawn and the rows have none.
///
/// # Panics
/// When the rows' slices have different lengths, or there are more than 2³⁰ rows.
pub fn resampled_auc(rows: &Scored<'_>, options: &Bootstrap) -> Option<ResampledAuc> {
    rows.check();
    let resampler = Resampler::new(rows, options)?;
    let ranking = Ranking::new(rows);
    let own: Vec<f64> = match rows.weights {
        Some(weights) => weights.iter().map(|&weight| f64::from(weight)).collect(),
        None => vec![1.0; rows.labels.len()],
    };
    let resampled = (0..options.resamples).into_par_iter().map_init(Vec::new, |weights, number| {
        resampler.draw(number, weights);
        ranking.auc(weights)
    });
    Some(ResampledAuc {
        by: resampler.unit(),
        units: resampler.units(),
        rows: hash(rows),
        auc: ranking.auc(&own),
        resampled: resampled.collect(),
    })
}

fn hash(rows: &Scored<'_>) -> String {
    let mut hasher = Xxh3::new();
    hasher.update(cast_slice(rows.labels));
    hasher.update(cast_slice(rows.users.unwrap_or_default()));
    hasher.update(cast_slice(rows.weights.unwrap_or_default()));
    format!("{:016x}", hasher.digest())
}

/// The mean over seeds of one model's AUC less another's, with its interval over resamples of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Of all rows.
    pub auc: f64,
    /// From the 2.5th to the 97.5th percentile over resamples.
    pub interval: Interval,
    /// Seeds in the means.
    pub seeds: usize,
    /// How many resamples.
    pub resamples: usize,
    /// What a resample draws.
    pub by: Unit,
    /// How many of these.
    pub units: usize,
}

/// The difference of AUC and its interval, from both models' AUC at each seed that both have. In each resample both have the
/// same rows, at all seeds.
///
/// `None` without seeds, where an AUC is missing, or where the rows or the resamples are not the same.
pub fn auc_difference(pairs: &[(&ResampledAuc, &ResampledAuc)]) -> Option<Difference> {
    let (first, _) = pairs.first()?;
    let is_alike = |own: &ResampledAuc| {
        let all = |own: &ResampledAuc| (own.by, own.units, own.resampled.len());
        own.rows == first.rows && all(own) == all(first)
    };
    if !pairs.iter().all(|(own, other)| is_alike(own) && is_alike(other)) {
        return None;
    }
    let difference = |pick: &dyn Fn(&ResampledAuc) -> Option<f64>| {
        let over = pairs.iter().map(|(own, other)| Some(pick(own)? - pick(other)?));
        mean(&over.collect::<Option<Vec<f64>>>()?)
    };
    let auc = difference(&|own| own.auc)?;
    let resamples = first.resampled.len();
    let found = (0..resamples).filter_map(|number| difference(&|own| own.resampled[number]));
    let interval = Interval::of(found.collect(), resamples)?;
    Some(Difference { auc, interval, seeds: pairs.len(), resamples, by: first.by, units: first.units })
}
