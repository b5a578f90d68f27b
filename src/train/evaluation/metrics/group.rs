//! The metrics of one group of rows.

use rayon::prelude::*;

use super::rank::{both_auc, gauc};
use super::{Metrics, Scored, is_positive, weighted_rank};

/// Rows per partial sum: fixed, so that the rounding does not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// The metrics of all rows together, without scenarios.
pub(super) fn group(rows: &Scored<'_>) -> Metrics {
    match rows.weights {
        None => unweighted(rows),
        Some(weights) => weighted(rows, weights),
    }
}

fn unweighted(&Scored { logits, labels, users, .. }: &Scored<'_>) -> Metrics {
    let partial: Vec<(u64, Sums)> = logits
        .par_chunks(CHUNK)
        .zip(labels.par_chunks(CHUNK))
        .map(|(logits, labels)| {
            let positives = labels.iter().filter(|&&label| is_positive(label)).count() as u64;
            let rows = logits.iter().zip(labels);
            (positives, rows.fold(Sums::default(), |sums, (&logit, &label)| sums.with(row_sums(logit, label))))
        })
        .collect();
    let positives: u64 = partial.iter().map(|(positives, _)| positives).sum();
    let sums = partial.iter().fold(Sums::default(), |a, (_, b)| a.with(*b));
    let rows = logits.len() as u64;
    let (auc, pr_auc) = both_auc(logits, labels);
    let logloss = (rows > 0).then(|| sums.loss / rows as f64);
    Metrics {
        auc,
        pr_auc,
        logloss,
        normalized_entropy: logloss.zip(entropy(positives as f64, rows as f64)).map(|(loss, of)| loss / of),
        gauc: users.and_then(|users| gauc(logits, labels, users)),
        calibration: (positives > 0).then(|| sums.predicted / positives as f64),
        rows,
        positives,
        ..Metrics::default()
    }
}

fn weighted(rows: &Scored<'_>, weights: &[f32]) -> Metrics {
    let (count, positives) = (rows.labels.len(), rows.labels.iter().filter(|&&label| is_positive(label)).count());
    let counts = Metrics { rows: count as u64, positives: positives as u64, ..Metrics::default() };
    // What counts for nothing cannot make a sum that is not a number.
    let counted: Vec<usize> = (0..count).filter(|&row| weights[row] > 0.0).collect();
    let chosen = rows.select(&counted);
    let (logits, labels) = (&chosen.logits, &chosen.labels);
    let weights = chosen.weights.as_deref().unwrap_or_default();
    let partial: Vec<WeightedSums> = logits
        .par_chunks(CHUNK)
        .zip(labels.par_chunks(CHUNK).zip(weights.par_chunks(CHUNK)))
        .map(|(logits, (labels, weights))| {
            let rows = logits.iter().zip(labels.iter().zip(weights));
            rows.fold(WeightedSums::default(), |sums, (&logit, (&label, &weight))| {
                sums.with(WeightedSums::of_row(logit, label, weight))
            })
        })
        .collect();
    let WeightedSums { all, positives, sums } = partial.iter().fold(WeightedSums::default(), |a, b| a.with(*b));
    let (auc, pr_auc) = weighted_rank::both_auc(logits, labels, weights);
    let logloss = (all > 0.0).then(|| sums.loss / all);
    Metrics {
        auc,
        pr_auc,
        logloss,
        normalized_entropy: logloss.zip(entropy(positives, all)).map(|(loss, of)| loss / of),
        gauc: chosen.users.as_deref().and_then(|users| weighted_rank::gauc(logits, labels, users, weights)),
        calibration: (positives > 0.0).then(|| sums.predicted / positives),
        weight: Some(all),
        positive_weight: Some(positives),
        ..counts
    }
}

/// Sums over rows.
#[derive(Clone, Copy, Default)]
struct Sums {
    loss: f64,
    predicted: f64,
}

impl Sums {
    fn with(self, other: Self) -> Self {
        Self { loss: self.loss + other.loss, predicted: self.predicted + other.predicted }
    }
}

/// Sums over rows, each times its weight.
#[derive(Clone, Copy, Default)]
struct WeightedSums {
    all: f64,
    positives: f64,
    sums: Sums,
}

impl WeightedSums {
    fn of_row(logit: f32, label: f32, weight: f32) -> Self {
        let (own, weight) = (row_sums(logit, label), f64::from(weight));
        let sums = Sums { loss: weight * own.loss, predicted: weight * own.predicted };
        Self { all: weight, positives: if is_positive(label) { weight } else { 0.0 }, sums }
    }

    fn with(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            positives: self.positives + other.positives,
            sums: self.sums.with(other.sums),
        }
    }
}

/// What one row adds. With t = exp(−|z|) ≤ 1 neither the loss max(z, 0) − y z + ln(1 + t) nor σ(z) can overflow.
fn row_sums(logit: f32, label: f32) -> Sums {
    let z = f64::from(logit);
    let y = if is_positive(label) { 1.0 } else { 0.0 };
    let t = (-z.abs()).exp();
    Sums { loss: z.max(0.0) - y * z + t.ln_1p(), predicted: if z >= 0.0 { 1.0 } else { t } / (1.0 + t) }
}

/// A row's cross entropy, and its predicted probability.
pub(in crate::train::evaluation) fn row_loss(logit: f32, label: f32) -> (f64, f64) {
    let Sums { loss, predicted } = row_sums(logit, label);
    (loss, predicted)
}

/// The LogLoss of predicting the rate of positives everywhere; `None` where that is 0.
pub(in crate::train::evaluation) fn entropy(positives: f64, rows: f64) -> Option<f64> {
    let rate = positives / rows;
    (0.0 < positives && positives < rows).then(|| -(rate * rate.ln() + (1.0 - rate) * (-rate).ln_1p()))
}
