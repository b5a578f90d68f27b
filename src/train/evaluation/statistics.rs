//! What repeated runs say: means, deviations, and whether two models differ.

use std::fmt;

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean and spread of one number over repeated runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation (over n − 1); `None` for a single value, which has none.
    pub deviation: Option<f64>,
    /// How many values.
    pub count: usize,
}

impl Summary {
    /// Of these values; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Summary> {
        let count = values.len();
        let mean = mean(values)?;
        // From differences to the mean, not from squares: AUCs differ in their last digits only.
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        Some(Summary { mean, deviation, count })
    }
}

/// To four decimals, the deviation where there is one.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", self.mean)?;
        self.deviation.map_or(Ok(()), |deviation| write!(f, " ± {deviation:.4}"))
    }
}

/// The mean; `None` of no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The middle value, or the mean of the two in the middle; `None` of no values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// A paired t-test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedTest {
    /// The mean difference over its standard error.
    pub t: f64,
    /// Probability of a |t| this large where there is no difference: two-sided, n − 1 degrees of freedom.
    pub p: f64,
    /// How many pairs.
    pub pairs: usize,
}

/// Student's paired t-test of pairs (a, b), two-sided, on a − b.
///
/// `None` with fewer than two pairs, and where all differences are equal: they have no spread to judge their mean by.
pub fn paired_test(pairs: &[(f64, f64)]) -> Option<PairedTest> {
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    let Summary { mean, deviation, count } = Summary::of(&differences)?;
    let error = deviation? / (count as f64).sqrt();
    // Below what rounding leaves of equal differences, a spread is none.
    let size = pairs.iter().map(|(a, b)| a.abs().max(b.abs())).fold(0.0, f64::max);
    if error <= 4.0 * f64::EPSILON * size || !error.is_finite() {
        return None;
    }
    let t = mean / error;
    let distribution = StudentsT::new(0.0, 1.0, (count - 1) as f64).ok()?;
    // The tail itself, not one minus the rest: it keeps its digits where p is small.
    let p = (2.0 * distribution.sf(t.abs())).min(1.0);
    Some(PairedTest { t, p, pairs: count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{found} is not {expected}");
    }

    #[test]
    fn summaries_are_those_computed_by_hand() {
        // Mean 5, squares 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32 over 7.
        let summary = Summary::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((summary.mean, summary.count), (5.0, 8));
        near(summary.deviation.unwrap(), (32.0_f64 / 7.0).sqrt());
        assert_eq!(Summary::of(&[0.5]), Some(Summary { mean: 0.5, deviation: None, count: 1 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn tests_agree_with_closed_forms_of_students_distribution() {
        // One degree of freedom is Cauchy's: p = 1 − 2 atan(t) / π. Differences 1 and 3: mean 2, error 1, t = 2.
        let two = paired_test(&[(2.0, 1.0), (4.0, 1.0)]).unwrap();
        near(two.t, 2.0);
        near(two.p, 1.0 - 2.0 * 2.0_f64.atan() / std::f64::consts::PI);
        // Two: p = 1 − t / √(t² + 2). Differences 1, 2, 3: mean 2, error 1/√3, t = 2 √3.
        let three = paired_test(&[(1.0, 0.0), (2.0, 0.0), (3.0, 0.0)]).unwrap();
        near(three.t, 12.0_f64.sqrt());
        near(three.p, 1.0 - (12.0_f64 / 14.0).sqrt());
        assert_eq!(three.pairs, 3);
        // The other way round only the sign is another.
        let turned = paired_test(&[(0.0, 1.0), (0.0, 2.0), (0.0, 3.0)]).unwrap();
        assert_eq!((turned.t, turned.p), (-three.t, three.p));
    }

    #[test]
    fn tests_agree_with_the_tables_of_textbooks() {
        // Student's own data (Biometrika 6, 1908): hours of sleep gained by ten patients with two drugs.
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let pairs: Vec<(f64, f64)> = first.into_iter().zip(second).collect();
        let test = paired_test(&pairs).unwrap();
        assert!((test.t + 4.0621).abs() < 5e-5, "{}", test.t);
        assert!((test.p - 0.002_833).abs() < 5e-7, "{}", test.p);
        // Critical values of the two-sided test at 5 % and 1 %.
        for (freedom, five, one) in [(4.0, 2.776, 4.604), (9.0, 2.262, 3.250), (30.0, 2.042, 2.750)] {
            let distribution = StudentsT::new(0.0, 1.0, freedom).unwrap();
            assert!((2.0 * distribution.sf(five) - 0.05).abs() < 5e-5);
            assert!((2.0 * distribution.sf(one) - 0.01).abs() < 2e-5);
        }
    }

    #[test]
    fn what_cannot_be_tested_is_not() {
        assert_eq!(paired_test(&[]), None);
        assert_eq!(paired_test(&[(0.8, 0.7)]), None);
        assert_eq!(paired_test(&[(0.8, 0.7), (0.8, 0.7)]), None);
        // Differences that are equal but for rounding: 0.1 + 0.2 is not 0.3.
        assert_eq!(paired_test(&[(0.3, 0.2), (0.1 + 0.2, 0.2), (0.3, 0.2)]), None);
        assert_eq!(paired_test(&[(f64::NAN, 0.0), (1.0, 0.0)]), None);
    }
}
