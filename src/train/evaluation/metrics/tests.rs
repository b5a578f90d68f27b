use proptest::prelude::*;

use crate::train::evaluation::metrics::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// AUC by its definition: every pair of a positive and a negative.
fn auc_by_pairs(scores: &[f32], labels: &[f32]) -> Option<f64> {
    let (mut won, mut pairs) = (0.0, 0.0);
    for (a, _) in scores.iter().zip(labels).filter(|(_, y)| **y == 1.0) {
        for (b, _) in scores.iter().zip(labels).filter(|(_, y)| **y == 0.0) {
            pairs += 1.0;
            won += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
        }
    }
    (pairs > 0.0).then(|| won / pairs)
}

/// Scores from a handful of values, so that most rows tie, mixed with any finite float.
fn any_score() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => (-3i8..=3).prop_map(f32::from),
        1 => prop::sample::select(vec![-0.0, 0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, 1e-45, -1e-45]),
        1 => prop::num::f32::NORMAL,
    ]
}

proptest! {
    #[test]
    fn auc_equals_its_definition(rows in prop::collection::vec((any_score(), any::<bool>()), 0..120)) {
        let (scores, labels): (Vec<f32>, Vec<f32>) =
            rows.into_iter().map(|(score, label)| (score, f32::from(u8::from(label)))).unzip();
        match (auc(&scores, &labels), auc_by_pairs(&scores, &labels)) {
            (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-12, "{fast} against {slow}"),
            (fast, slow) => prop_assert_eq!(fast, slow),
        }
    }

    #[test]
    fn gauc_equals_its_definition(rows in prop::collection::vec((any_score(), any::<bool>(), 0u64..6), 0..120)) {
        let scores: Vec<f32> = rows.iter().map(|row| row.0).collect();
        let labels: Vec<f32> = rows.iter().map(|row| f32::from(u8::from(row.1))).collect();
        let users: Vec<u64> = rows.iter().map(|row| row.2).collect();
        let (mut sum, mut weight) = (0.0, 0.0);
        for user in 0..6 {
            let mine: Vec<usize> = (0..rows.len()).filter(|&row| users[row] == user).collect();
            let pick = |values: &[f32]| mine.iter().map(|&row| values[row]).collect::<Vec<_>>();
            if let Some(auc) = auc_by_pairs(&pick(&scores), &pick(&labels)) {
                sum += auc * mine.len() as f64;
                weight += mine.len() as f64;
            }
        }
        match gauc(&scores, &labels, &users) {
            Some(fast) => prop_assert!((fast - sum / weight).abs() < 1e-12),
            None => prop_assert_eq!(weight, 0.0),
        }
    }
}

#[test]
fn auc_of_many_rows_takes_the_parallel_sort() {
    let rows = 200_000u32;
    let scores: Vec<f32> = (0..rows).map(|row| (row.wrapping_mul(2_654_435_761) % 1000) as f32).collect();
    let labels: Vec<f32> = scores.iter().map(|score| f32::from(u8::from(*score >= 500.0))).collect();
    assert_eq!(auc(&scores, &labels), Some(1.0));
    let opposite: Vec<f32> = labels.iter().map(|label| 1.0 - label).collect();
    assert_eq!(auc(&scores, &opposite), Some(0.0));
}

#[test]
fn a_group_of_one_class_or_with_nan_has_no_auc() {
    assert_eq!(auc(&[], &[]), None);
    assert_eq!(auc(&[1.0, 2.0], &[1.0, 1.0]), None);
    assert_eq!(auc(&[1.0, f32::NAN], &[1.0, 0.0]), None);
    assert_eq!(auc(&[0.0, -0.0], &[1.0, 0.0]), Some(0.5));
}

/// Values of scikit-learn 1.9.1: roc_auc_score, average_precision_score, log_loss, and that over log_loss of the rate. Many
/// scores tie.
#[test]
fn metrics_are_scikit_learns() {
    let rows = 0..40u32;
    let scores: Vec<f32> = rows.clone().map(|i| ((i * 37 % 11) as f32 - 5.0) / 2.0).collect();
    let positive = |i: u32| (i * i * 7 + i * 3) % 10 < 3 || i == 3 || i == 8;
    let labels: Vec<f32> = rows.map(|i| f32::from(u8::from(positive(i)))).collect();
    let found = evaluate(&scores, &labels, &[0; 40], &[], None);
    assert_eq!(found.positives, 24);
    let near = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?}");
    near(found.auc, 0.475_260_416_666_666_74);
    near(found.pr_auc, 0.612_649_233_935_998_7);
    near(found.logloss, 1.003_741_404_721_587_8);
    near(found.normalized_entropy, 1.491_417_539_880_156_1);
    assert_eq!(pr_auc(&scores, &labels), found.pr_auc);
}

#[test]
fn a_group_of_one_class_has_a_pr_auc_where_that_is_positive_and_no_entropy() {
    let of = |label: f32| evaluate(&[1.0, 2.0], &[label; 2], &[0; 2], &[], None);
    assert_eq!((of(1.0).pr_auc, of(1.0).normalized_entropy), (Some(1.0), None));
    assert_eq!((of(0.0).pr_auc, of(0.0).normalized_entropy), (None, None));
    assert_eq!(pr_auc(&[f32::NAN, 1.0], &[1.0, 0.0]), None);
}

#[test]
fn logloss_and_calibration_match_hand_computed_values() {
    // Predictions 1/2 and 3/4, labels 0 and 1.
    let metrics = evaluate(&[0.0, 3f32.ln()], &[0.0, 1.0], &[0, 0], &names(&["a"]), None);
    let expected = (2f64.ln() + (4.0 / 3.0f64).ln()) / 2.0;
    assert!((metrics.logloss.unwrap() - expected).abs() < 1e-7);
    assert!((metrics.calibration.unwrap() - 1.25).abs() < 1e-7);
    assert_eq!(metrics.gauc, None);
}

#[test]
fn extreme_logits_do_not_overflow() {
    let metrics = evaluate(&[1000.0, -1000.0, f32::MAX], &[0.0, 1.0, 1.0], &[0; 3], &names(&["a"]), None);
    assert!((metrics.logloss.unwrap() - 2000.0 / 3.0).abs() < 1e-9);
    assert_eq!(metrics.calibration, Some(1.0));
}

#[test]
fn scenarios_are_scored_apart_and_unseen_ones_only_overall() {
    let logits = [2.0, 1.0, 3.0, -1.0, 5.0, 0.0];
    let labels = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0];
    let metrics = evaluate(&logits, &labels, &[0, 0, 1, 1, 9, 9], &names(&["x", "y", "z"]), Some(&[1, 1, 2, 2, 3, 3]));
    assert_eq!(metrics.rows, 6);
    assert_eq!(metrics.gauc, Some(1.0));
    assert_eq!(metrics.scenario("x").map(|x| (x.auc, x.rows, x.positives)), Some((Some(1.0), 2, 1)));
    let y = metrics.scenario("y").unwrap();
    assert_eq!((y.auc, y.gauc, y.calibration, y.rows), (None, None, None, 2));
    assert_eq!(metrics.scenario("z").map(|z| (z.logloss, z.rows)), Some((None, 0)));
}

#[test]
fn true_probabilities_score_at_their_entropy() {
    let p = [0.25f32, 0.0, 1.0];
    let metrics = best_reachable(&p, &[0.0, 0.0, 1.0], &[0; 3], &names(&["a"]), None);
    assert!((metrics.logloss.unwrap() - (4.0 / 3.0f64).ln() / 3.0).abs() < 1e-7);
    assert_eq!(metrics.auc, Some(1.0));
    let wrong = best_reachable(&[0.0], &[1.0], &[0], &names(&["a"]), None);
    assert!(wrong.logloss.unwrap().is_finite());
}

#[test]
fn relative_improvement_is_measured_from_chance() {
    let improvement = relative_improvement(Some(0.75), Some(0.7)).unwrap();
    assert!((improvement - 0.25).abs() < 1e-12);
    assert_eq!(relative_improvement(Some(0.7), Some(0.5)), None);
    assert_eq!(relative_improvement(None, Some(0.7)), None);
}

#[test]
fn json_keeps_order_and_writes_null_for_missing_numbers() {
    let metrics = evaluate(&[0.5, 0.25], &[0.0, 1.0], &[1, 0], &names(&["zebra", "ant"]), None);
    let json = serde_json::to_string(&metrics).unwrap();
    assert!(json.starts_with(r#"{"auc":0.0,"pr_auc":0.5,"logloss":"#), "{json}");
    assert!(json.contains(r#""scenarios":{"zebra":{"auc":null,"#), "{json}");
    assert!(json.find("zebra") < json.find("ant"));
    let read: Metrics = serde_json::from_str(&json).unwrap();
    let summary = |metrics: &Metrics| {
        let names: Vec<String> = metrics.scenarios.iter().map(|(name, _)| name.clone()).collect();
        (metrics.auc, metrics.gauc, metrics.rows, metrics.positives, names)
    };
    assert_eq!(summary(&read), summary(&metrics));
}
