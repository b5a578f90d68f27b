//! Reliability: do rows that get a probability of p come true in p of the cases?

use rayon::prelude::*;

use crate::train::evaluation::metrics::{Scored, is_positive, rows_of_each};

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
    /// Their mean predicted probability, by weight where rows have weights.
    pub predicted: f64,
    /// The share of them that is positive, by weight where rows have weights.
    pub observed: f64,
    /// Where rows have weights: what they sum to here.
    pub weight: Option<BinWeight>,
}

/// The weights of a bin's rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinWeight {
    /// Their sum.
    pub sum: f64,
    /// How many rows of equal weights would tell as much: (Σ w)² / Σ w² (Kish's effective sample size).
    pub effective_rows: f64,
}

/// The curves of some rows and of each scenario among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reliability {
    /// Of all rows: bins of as equal sizes as can be, from the smallest predictions up.
    pub all: Vec<Bin>,
    /// Of each scenario, in the order of their names; without bins where it has no rows.
    pub scenarios: Vec<(String, Vec<Bin>)>,
}

/// Curves of rows; a row of a scenario without a name counts overall only, one of weight 0 nowhere. A logit that is not a
/// number makes its bin's mean one that is not.
///
/// # Panics
/// When the rows' slices have different lengths.
pub fn reliability(rows: &Scored<'_>, scenario_names: &[String]) -> Reliability {
    rows.check();
    let of_each = rows_of_each(rows.scenarios, scenario_names.len());
    let curves: Vec<Vec<Bin>> = of_each.into_par_iter().map(|chosen| bins(chosen, rows)).collect();
    Reliability {
        all: bins((0..rows.logits.len()).collect(), rows),
        scenarios: scenario_names.iter().cloned().zip(curves).collect(),
    }
}

fn bins(mut chosen: Vec<usize>, rows: &Scored<'_>) -> Vec<Bin> {
    let Scored { logits, weights, .. } = *rows;
    chosen.retain(|&row| weights.is_none_or(|weights| weights[row] > 0.0));
    // Rows that are equal stay in order, so that the bins do not depend on how one sorts.
    chosen.sort_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    let count = (chosen.len() / BIN_ROWS).clamp(1, BINS).min(chosen.len());
    (0..count).map(|bin| of_rows(&chosen[chosen.len() * bin / count..chosen.len() * (bin + 1) / count], rows)).collect()
}

fn of_rows(chosen: &[usize], rows: &Scored<'_>) -> Bin {
    let weight = |row: usize| rows.weights.map_or(1.0, |weights| f64::from(weights[row]));
    let positive = || chosen.iter().filter(|&&row| is_positive(rows.labels[row]));
    let sum: f64 = chosen.iter().map(|&row| weight(row)).sum();
    let squares: f64 = chosen.iter().map(|&row| weight(row).powi(2)).sum();
    let predicted: f64 = chosen.iter().map(|&row| weight(row) * probability(rows.logits[row])).sum();
    Bin {
        rows: chosen.len() as u64,
        positives: positive().count() as u64,
        predicted: predicted / sum,
        observed: positive().map(|&row| weight(row)).sum::<f64>() / sum,
        weight: rows.weights.map(|_| BinWeight { sum, effective_rows: sum * sum / squares }),
    }
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
        let rows = Scored { logits: &logits, labels: &labels, scenarios: &scenarios, ..Scored::default() };
        let curves = reliability(&rows, &names);
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
        assert_eq!(reliability(&Scored::default(), &[]), Reliability::default());
        let rows = Scored { logits: &[f32::NAN], labels: &[1.0], scenarios: &[0], ..Scored::default() };
        assert!(reliability(&rows, &[]).all[0].predicted.is_nan());
    }

    #[test]
    fn a_row_of_weight_two_counts_as_two() {
        let logits: Vec<f32> = (0..40).map(|row| (row % 7) as f32 - 3.0).collect();
        let labels: Vec<f32> = (0..40).map(|row| f32::from(u8::from(row % 3 == 0))).collect();
        let weights: Vec<f32> = (0..40).map(|row| (row % 4) as f32).collect();
        let scenarios = [0; 40];
        let rows = Scored {
            logits: &logits,
            labels: &labels,
            scenarios: &scenarios,
            weights: Some(&weights),
            ..Scored::default()
        };
        let curve = reliability(&rows, &[]).all;
        // Every fourth row counts for nothing, thirty are left: three bins of ten.
        assert_eq!(curve.iter().map(|bin| bin.rows).collect::<Vec<_>>(), [10, 10, 10]);
        let whole =
            |pick: fn(&Bin, f64) -> f64| curve.iter().map(|bin| pick(bin, bin.weight.unwrap().sum)).sum::<f64>();
        let weighed =
            |value: &dyn Fn(usize) -> f64| (0..40).map(|row| f64::from(weights[row]) * value(row)).sum::<f64>();
        assert_eq!(whole(|_, weight| weight), 60.0);
        assert!((whole(|bin, weight| bin.observed * weight) - weighed(&|row| f64::from(labels[row]))).abs() < 1e-12);
        let predicted = weighed(&|row| probability(logits[row]));
        assert!((whole(|bin, weight| bin.predicted * weight) - predicted).abs() < 1e-12);
        let alike = Scored { weights: Some(&[0.5; 40]), ..rows };
        let (of_one, of_half) = (reliability(&Scored { weights: None, ..rows }, &[]), reliability(&alike, &[]));
        for (one, half) in of_one.all.iter().zip(&of_half.all) {
            let effective = half.weight.unwrap().effective_rows;
            assert!((effective - 10.0).abs() < 1e-12 && (one.predicted - half.predicted).abs() < 1e-12);
            assert_eq!(one.observed, half.observed);
        }
    }
}
