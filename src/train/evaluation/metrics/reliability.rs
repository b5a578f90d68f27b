//! Reliability: do rows that get a probability of p come true in p of the cases?

use rayon::prelude::*;

use crate::train::evaluation::metrics::{is_positive, rows_of_each};

/// Bins of a curve, at most.
const BINS: usize = 20;
/// Rows of a bin, at least: below, how many come true is mostly luck.
const BIN_ROWS: usize = 10;

/// Rows whose predictions are neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// How many.
    pub rows: u64,
    /// How many of them are positive.
    pub positives: u64,
    /// Their mean predicted probability.
    pub predicted: f64,
}

/// The curves of some rows and of each scenario among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reliability {
    /// Of all rows: bins of as equal sizes as can be, from the smallest predictions up.
    pub all: Vec<Bin>,
    /// Of each scenario, in the order of their names; without bins where it has no rows.
    pub scenarios: Vec<(String, Vec<Bin>)>,
}

/// Curves from one logit, one label (0 or 1) and one scenario per row; a row of a scenario without a name counts overall
/// only. A logit that is not a number makes its bin's mean one that is not.
///
/// # Panics
/// When the slices have different lengths.
pub fn reliability(logits: &[f32], labels: &[f32], scenarios: &[u32], scenario_names: &[String]) -> Reliability {
    assert_eq!(logits.len(), labels.len(), "one label per logit");
    assert_eq!(logits.len(), scenarios.len(), "one scenario per logit");
    let rows = rows_of_each(scenarios, scenario_names.len());
    let curves: Vec<Vec<Bin>> = rows.into_par_iter().map(|rows| bins(rows, logits, labels)).collect();
    Reliability {
        all: bins((0..logits.len()).collect(), logits, labels),
        scenarios: scenario_names.iter().cloned().zip(curves).collect(),
    }
}

fn bins(mut rows: Vec<usize>, logits: &[f32], labels: &[f32]) -> Vec<Bin> {
    // Rows that are equal stay in order, so that the bins do not depend on how one sorts.
    rows.sort_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    let count = (rows.len() / BIN_ROWS).clamp(1, BINS).min(rows.len());
    (0..count)
        .map(|bin| {
            let rows = &rows[rows.len() * bin / count..rows.len() * (bin + 1) / count];
            let sum: f64 = rows.iter().map(|&row| probability(logits[row])).sum();
            Bin {
                rows: rows.len() as u64,
                positives: rows.iter().filter(|&&row| is_positive(labels[row])).count() as u64,
                predicted: sum / rows.len() as f64,
            }
        })
        .collect()
}

fn probability(logit: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(logit)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_equal_and_in_order() {
        // Logits fall as rows go on; the third of the rows with the largest ones is positive.
        let logits: Vec<f32> = (0..450).map(|row| (225 - row) as f32 / 100.0).collect();
        let labels: Vec<f32> = (0..450).map(|row| f32::from(u8::from(row < 150))).collect();
        let scenarios: Vec<u32> = (0..450).map(|row| u32::from(row >= 435)).collect();
        let names = ["a", "b", "c"].map(str::to_owned);
        let curves = reliability(&logits, &labels, &scenarios, &names);
        assert_eq!(curves.all.len(), 20);
        assert!(curves.all.iter().all(|bin| (22..=23).contains(&bin.rows)));
        assert_eq!(curves.all.iter().map(|bin| bin.rows).sum::<u64>(), 450);
        assert!(curves.all.is_sorted_by(|a, b| a.predicted < b.predicted));
        assert_eq!((curves.all[0].positives, curves.all[19].positives), (0, 23));
        let b = &curves.scenarios[1];
        assert_eq!((b.0.as_str(), b.1.len(), b.1[0].rows, b.1[0].positives), ("b", 1, 15, 0));
        assert!((b.1[0].predicted - logits[435..].iter().map(|&z| probability(z)).sum::<f64>() / 15.0).abs() < 1e-12);
        assert_eq!(curves.scenarios[2], ("c".to_owned(), Vec::new()));
    }

    #[test]
    fn extreme_logits_and_no_rows() {
        assert_eq!([f32::MAX, f32::MIN, 0.0].map(probability), [1.0, 0.0, 0.5]);
        assert_eq!(reliability(&[], &[], &[], &[]), Reliability::default());
        assert!(reliability(&[f32::NAN], &[1.0], &[0], &[]).all[0].predicted.is_nan());
    }
}
