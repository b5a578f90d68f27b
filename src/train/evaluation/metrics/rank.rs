//! Exact ranking metrics: sort once, then count pairs in whole numbers.

use rayon::prelude::*;

use crate::train::evaluation::metrics::is_positive;

/// Above this many rows the sort is worth spreading over threads.
pub(super) const PARALLEL_ROWS: usize = 1 << 16;

/// Probability that a random positive row scores above a random negative row, ties counting one half: exact, in
/// O(n log n). Scores may be logits or probabilities; labels are 0 or 1.
///
/// `None` when the rows have one class only or a score is not a number.
///
/// # Panics
/// When the slices have different lengths.
pub fn auc(scores: &[f32], labels: &[f32]) -> Option<f64> {
    auc_of_sorted(sorted_keys(scores, labels)?.iter().copied())
}

/// Area under the curve of precision over recall, by steps (average precision, as scikit-learn has it): over the distinct
/// scores from the highest on, the precision down to each times the recall that it adds. Rows of one score count together.
///
/// `None` without positives, or when a score is not a number.
///
/// # Panics
/// When the slices have different lengths.
pub fn pr_auc(scores: &[f32], labels: &[f32]) -> Option<f64> {
    pr_auc_of_sorted(&sorted_keys(scores, labels)?)
}

/// [`auc`] and [`pr_auc`] by one sort.
pub(super) fn both_auc(scores: &[f32], labels: &[f32]) -> (Option<f64>, Option<f64>) {
    let keys = sorted_keys(scores, labels);
    let of = |of: fn(&[u64]) -> Option<f64>| keys.as_deref().and_then(of);
    (of(|keys| auc_of_sorted(keys.iter().copied())), of(pr_auc_of_sorted))
}

/// The [`sort_key`]s of all rows, ascending.
fn sorted_keys(scores: &[f32], labels: &[f32]) -> Option<Vec<u64>> {
    assert_eq!(scores.len(), labels.len(), "one label per score");
    let mut keys = scores.iter().zip(labels).map(sort_key).collect::<Option<Vec<u64>>>()?;
    if keys.len() >= PARALLEL_ROWS {
        keys.par_sort_unstable();
    } else {
        keys.sort_unstable();
    }
    Some(keys)
}

/// [`pr_auc`] of rows given as ascending [`sort_key`]s.
fn pr_auc_of_sorted(keys: &[u64]) -> Option<f64> {
    let (mut sum, mut positives, mut rows) = (0.0, 0u64, 0u64);
    for tied in keys.chunk_by(|a, b| a >> 1 == b >> 1).rev() {
        let added = tied.iter().filter(|&key| key & 1 == 1).count() as u64;
        positives += added;
        rows += tied.len() as u64;
        sum += added as f64 * (positives as f64 / rows as f64);
    }
    (positives > 0).then(|| sum / positives as f64)
}

/// AUC within each user, averaged over the users that have both classes and weighted by their number of rows.
///
/// `None` when no user has both classes or a score is not a number.
///
/// # Panics
/// When the slices have different lengths.
pub fn gauc(scores: &[f32], labels: &[f32], users: &[u64]) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "one label per score");
    assert_eq!(scores.len(), users.len(), "one user per score");
    let mut keys = users
        .iter()
        .zip(scores.iter().zip(labels))
        .map(|(&user, row)| sort_key(row).map(|key| (user, key)))
        .collect::<Option<Vec<_>>>()?;
    if keys.len() >= PARALLEL_ROWS {
        keys.par_sort_unstable();
    } else {
        keys.sort_unstable();
    }
    let (mut sum, mut rows) = (0.0, 0.0);
    for user in keys.chunk_by(|a, b| a.0 == b.0) {
        if let Some(auc) = auc_of_sorted(user.iter().map(|&(_, key)| key)) {
            sum += auc * user.len() as f64;
            rows += user.len() as f64;
        }
    }
    (rows > 0.0).then(|| sum / rows)
}

/// A whole number that sorts as the score does, with the label in its lowest bit; `None` for NaN.
pub(super) fn sort_key((&score, &label): (&f32, &f32)) -> Option<u64> {
    Some(u64::from(ascending(score)?) << 1 | u64::from(is_positive(label)))
}

/// A whole number that sorts as the score does; `None` for NaN.
///
/// The bits of a positive float sort as the float does; those of a negative one sort the other way round.
fn ascending(score: f32) -> Option<u32> {
    if score.is_nan() {
        return None;
    }
    // −0 and 0 are one score, and −0 + 0 = 0.
    let bits = (score + 0.0).to_bits();
    Some(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 })
}

/// A whole number that sorts the highest score first; `None` for NaN.
pub(in crate::train::evaluation) fn descending(score: f32) -> Option<u32> {
    ascending(score).map(|key| !key)
}

/// AUC of rows given as ascending [`sort_key`]s.
fn auc_of_sorted(keys: impl Iterator<Item = u64>) -> Option<f64> {
    // Twice the number of (positive, negative) pairs in the right order; a tie adds one. u128 cannot overflow.
    let mut twice_won: u128 = 0;
    let (mut positives, mut negatives) = (0u64, 0u64);
    // Rows of the score being read, and its negatives: they sort before its positives.
    let (mut score, mut tied_negatives) = (u64::MAX, 0u64);
    for key in keys {
        if key >> 1 != score {
            score = key >> 1;
            tied_negatives = 0;
        }
        if key & 1 == 0 {
            negatives += 1;
            tied_negatives += 1;
        } else {
            positives += 1;
            twice_won += u128::from(2 * negatives - tied_negatives);
        }
    }
    let pairs = u128::from(positives) * u128::from(negatives);
    (pairs > 0).then(|| twice_won as f64 / 2.0 / pairs as f64)
}
