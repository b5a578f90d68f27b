//! Ranking metrics of rows with weights: sort once, then sum weights instead of counting rows.
//!
//! Weights are positive. Rows of one score and label are summed in the order of their weights, so that the sums do not depend
//! on how one sorts.

use rayon::prelude::*;

use super::rank::{PARALLEL_ROWS, sort_key};

/// A row: its [`sort_key`] and the bits of its weight, which sort as positive floats do.
type Key = (u64, u32);

/// AUC and PR-AUC, a row of weight w counting as w rows.
pub(super) fn both_auc(scores: &[f32], labels: &[f32], weights: &[f32]) -> (Option<f64>, Option<f64>) {
    let rows = scores.iter().zip(labels).zip(weights);
    let keys: Option<Vec<Key>> = rows.map(|(row, weight)| Some((sort_key(row)?, weight.to_bits()))).collect();
    let Some(mut keys) = keys else { return (None, None) };
    sort(&mut keys);
    (auc_of_sorted(&keys, |key| *key).map(|(auc, _)| auc), pr_auc_of_sorted(&keys))
}

/// AUC within each user, averaged over the users that have both classes and weighted by the sum of their weights.
pub(super) fn gauc(scores: &[f32], labels: &[f32], users: &[u64], weights: &[f32]) -> Option<f64> {
    let rows = scores.iter().zip(labels).zip(weights).zip(users);
    let mut keys = rows
        .map(|((row, weight), &user)| Some((user, (sort_key(row)?, weight.to_bits()))))
        .collect::<Option<Vec<(u64, Key)>>>()?;
    sort(&mut keys);
    let (mut sum, mut all) = (0.0, 0.0);
    for user in keys.chunk_by(|a, b| a.0 == b.0) {
        if let Some((auc, weight)) = auc_of_sorted(user, |(_, key)| *key) {
            sum += auc * weight;
            all += weight;
        }
    }
    (all > 0.0).then(|| sum / all)
}

fn sort<T: Ord + Send>(keys: &mut [T]) {
    if keys.len() >= PARALLEL_ROWS {
        keys.par_sort_unstable();
    } else {
        keys.sort_unstable();
    }
}

/// The weights of the positive and of the negative rows among some.
fn weights(rows: impl Iterator<Item = Key>) -> (f64, f64) {
    rows.fold((0.0, 0.0), |(positives, negatives), (key, weight)| {
        let weight = f64::from(f32::from_bits(weight));
        if key & 1 == 1 { (positives + weight, negatives) } else { (positives, negatives + weight) }
    })
}

/// The AUC of rows in ascending order, and the sum of their weights; `None` where they have one class.
fn auc_of_sorted<T>(rows: &[T], key: impl Fn(&T) -> Key) -> Option<(f64, f64)> {
    let (mut won, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for tied in rows.chunk_by(|a, b| key(a).0 >> 1 == key(b).0 >> 1) {
        let (of_positives, of_negatives) = weights(tied.iter().map(&key));
        won += of_positives * (negatives + of_negatives / 2.0);
        positives += of_positives;
        negatives += of_negatives;
    }
    (positives > 0.0 && negatives > 0.0).then(|| (won / (positives * negatives), positives + negatives))
}

/// PR-AUC of rows in ascending order; `None` without positives.
fn pr_auc_of_sorted(keys: &[Key]) -> Option<f64> {
    let (mut sum, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for tied in keys.chunk_by(|a, b| a.0 >> 1 == b.0 >> 1).rev() {
        let (added, of_negatives) = weights(tied.iter().copied());
        positives += added;
        negatives += of_negatives;
        sum += added * (positives / (positives + negatives));
    }
    (positives > 0.0).then(|| sum / positives)
}
