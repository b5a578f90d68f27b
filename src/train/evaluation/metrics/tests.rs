use proptest::prelude::*;

use crate::train::evaluation::metrics::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Rows of one scenario.
fn one_scenario<'a>(logits: &'a [f32], labels: &'a [f32]) -> Scored<'a> {
    static FIRST: [u32; 64] = [0; 64];
    Scored { logits, labels, scenarios: &FIRST[..logits.len()], ..Scored::default() }
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

/// Values of tests/metrics.py: scikit-learn with `sample_weight`. Many scores tie, some weights are 0.
#[test]
fn weighted_metrics_are_scikit_learns() {
    let scores: Vec<f32> = (0..60u32).map(|i| ((i * 37 % 11) as f32 - 5.0) / 2.0).collect();
    let labels: Vec<f32> =
        (0..60u32).map(|i| f32::from(u8::from((i * i * 7 + i * 3) % 10 < 3 || i % 9 == 8))).collect();
    let weights: Vec<f32> = (0..60u32).map(|i| (i * 29 % 13) as f32 / 4.0).collect();
    let users: Vec<u64> = (0..60u64).map(|i| i * i % 7).collect();
    let scenarios: Vec<u32> = (0..60).map(|i| u32::from(i % 3 == 0)).collect();
    let rows = Scored {
        logits: &scores,
        labels: &labels,
        scenarios: &scenarios,
        users: Some(&users),
        weights: Some(&weights),
        towers: None,
    };
    let found = evaluate(&rows, &names(&["most", "third"]));
    let near = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?}");
    near(found.auc, 0.448_348_799_126_637_55);
    near(found.pr_auc, 0.668_907_518_464_734_6);
    near(found.logloss, 1.017_516_656_681_905_4);
    near(found.normalized_entropy, 1.559_232_030_228_602);
    near(found.gauc, 0.452_944_960_457_748_24);
    near(found.calibration, 0.769_023_118_623_690_1);
    assert_eq!((found.rows, found.positives), (60, 38));
    assert_eq!((found.weight, found.positive_weight), (Some(89.25), Some(57.25)));
    let most = found.scenario("most").unwrap();
    near(most.auc, 0.453_383_190_883_190_8);
    near(most.pr_auc, 0.670_040_819_575_343_8);
    near(most.logloss, 1.013_068_468_623_449_5);
    near(most.normalized_entropy, 1.542_637_379_536_802_7);
    near(most.gauc, 0.448_930_280_565_445);
    near(most.calibration, 0.770_495_946_814_806_4);
    assert_eq!((most.rows, most.positives), (40, 26));
    assert_eq!((most.weight, most.positive_weight), (Some(61.5), Some(39.0)));
    let third = found.scenario("third").unwrap();
    near(third.auc, 0.419_610_670_511_896_16);
    near(third.pr_auc, 0.691_542_835_449_766_8);
    near(third.logloss, 1.027_374_803_189_834_2);
    near(third.normalized_entropy, 1.598_835_497_350_154_2);
    near(third.gauc, 0.440_876_170_287_935);
    near(third.calibration, 0.765_875_704_955_003_3);
    assert_eq!((third.rows, third.positives), (20, 12));
    assert_eq!((third.weight, third.positive_weight), (Some(27.75), Some(18.25)));
}

/// Weights that are whole numbers count as copies of rows; those that are all alike change nothing.
#[test]
fn a_weight_is_a_number_of_copies() {
    let scores: Vec<f32> = (0..50u32).map(|i| (i * 17 % 23) as f32 / 5.0 - 2.0).collect();
    let labels: Vec<f32> = (0..50u32).map(|i| f32::from(u8::from(i * i % 7 < 3))).collect();
    let users: Vec<u64> = (0..50).map(|i| i % 4).collect();
    let weights: Vec<f32> = (0..50u32).map(|i| (i % 5) as f32).collect();
    let scenarios = [0; 50];
    let once = Scored { users: Some(&users), ..one_scenario(&scores, &labels) };
    let weighted = evaluate(&Scored { weights: Some(&weights), ..once }, &[]);
    let copies: Vec<usize> = (0..50).flat_map(|row| std::iter::repeat_n(row, weights[row] as usize)).collect();
    let copied = evaluate(&once.select(&copies).view(), &[]);
    let numbers = |of: &Metrics| [of.auc, of.pr_auc, of.logloss, of.normalized_entropy, of.gauc, of.calibration];
    for (a, b) in numbers(&weighted).into_iter().zip(numbers(&copied)) {
        assert!((a.unwrap() - b.unwrap()).abs() < 1e-12, "{a:?} and {b:?}");
    }
    assert_eq!((weighted.rows, weighted.weight), (50, Some(copied.rows as f64)));
    assert_eq!(weighted.positive_weight, Some(copied.positives as f64));
    assert_eq!(weighted.rate(), copied.rate());
    let alike = evaluate(&Scored { weights: Some(&[0.25; 50]), scenarios: &scenarios, ..once }, &[]);
    for (a, b) in numbers(&alike).into_iter().zip(numbers(&evaluate(&once, &[]))) {
        assert!((a.unwrap() - b.unwrap()).abs() < 1e-12, "{a:?} and {b:?}");
    }
}

#[test]
fn rows_of_no_weight_count_for_nothing() {
    let of = |logits: &[f32], weights: &[f32]| {
        evaluate(
            &Scored { weights: Some(weights), users: Some(&[1; 3]), ..one_scenario(logits, &[0.0, 1.0, 1.0]) },
            &[],
        )
    };
    let found = of(&[0.0, 1.0, f32::NAN], &[1.0, 1.0, 0.0]);
    assert_eq!((found.auc, found.pr_auc, found.gauc), (Some(1.0), Some(1.0), Some(1.0)));
    assert_eq!((found.rows, found.positives, found.weight, found.rate()), (3, 2, Some(2.0), Some(0.5)));
    assert!(found.logloss.unwrap().is_finite());
    // The only negative row is out.
    let found = of(&[0.0, 1.0, 2.0], &[0.0, 1.0, 1.0]);
    assert_eq!((found.auc, found.gauc, found.normalized_entropy, found.pr_auc), (None, None, None, Some(1.0)));
    let found = of(&[0.0, 1.0, 2.0], &[0.0; 3]);
    assert_eq!((found.logloss, found.pr_auc, found.calibration, found.rate()), (None, None, None, None));
    let json = serde_json::to_string(&found).unwrap();
    assert!(json.ends_with(r#""rows":3,"positives":2,"weight":0.0,"positive_weight":0.0}"#), "{json}");
}

/// Values of scikit-learn 1.9.1: roc_auc_score, average_precision_score, log_loss, and that over log_loss of the rate. Many
/// scores tie.
#[test]
fn metrics_are_scikit_learns() {
    let rows = 0..40u32;
    let scores: Vec<f32> = rows.clone().map(|i| ((i * 37 % 11) as f32 - 5.0) / 2.0).collect();
    let positive = |i: u32| (i * i * 7 + i * 3) % 10 < 3 || i == 3 || i == 8;
    let labels: Vec<f32> = rows.map(|i| f32::from(u8::from(positive(i)))).collect();
    let found = evaluate(&one_scenario(&scores, &labels), &[]);
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
    let of = |label: f32| evaluate(&one_scenario(&[1.0, 2.0], &[label; 2]), &[]);
    assert_eq!((of(1.0).pr_auc, of(1.0).normalized_entropy), (Some(1.0), None));
    assert_eq!((of(0.0).pr_auc, of(0.0).normalized_entropy), (None, None));
    assert_eq!(pr_auc(&[f32::NAN, 1.0], &[1.0, 0.0]), None);
}

#[test]
fn logloss_and_calibration_match_hand_computed_values() {
    // Predictions 1/2 and 3/4, labels 0 and 1.
    let metrics = evaluate(&one_scenario(&[0.0, 3f32.ln()], &[0.0, 1.0]), &names(&["a"]));
    let expected = (2f64.ln() + (4.0 / 3.0f64).ln()) / 2.0;
    assert!((metrics.logloss.unwrap() - expected).abs() < 1e-7);
    assert!((metrics.calibration.unwrap() - 1.25).abs() < 1e-7);
    assert_eq!(metrics.gauc, None);
}

#[test]
fn extreme_logits_do_not_overflow() {
    let metrics = evaluate(&one_scenario(&[1000.0, -1000.0, f32::MAX], &[0.0, 1.0, 1.0]), &names(&["a"]));
    assert!((metrics.logloss.unwrap() - 2000.0 / 3.0).abs() < 1e-9);
    assert_eq!(metrics.calibration, Some(1.0));
}

#[test]
fn scenarios_are_scored_apart_and_unseen_ones_only_overall() {
    let logits = [2.0, 1.0, 3.0, -1.0, 5.0, 0.0];
    let labels = [1.0, 0.0, 0.0, 0.0, 1.0, 1.0];
    let rows =
        Scored { scenarios: &[0, 0, 1, 1, 9, 9], users: Some(&[1, 1, 2, 2, 3, 3]), ..one_scenario(&logits, &labels) };
    let metrics = evaluate(&rows, &names(&["x", "y", "z"]));
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
    let metrics = best_reachable(&p, &one_scenario(&p, &[0.0, 0.0, 1.0]), &names(&["a"]));
    assert!((metrics.logloss.unwrap() - (4.0 / 3.0f64).ln() / 3.0).abs() < 1e-7);
    assert_eq!(metrics.auc, Some(1.0));
    let wrong = best_reachable(&[0.0], &one_scenario(&[0.0], &[1.0]), &names(&["a"]));
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
    let rows = Scored { scenarios: &[1, 0], ..one_scenario(&[0.5, 0.25], &[0.0, 1.0]) };
    let metrics = evaluate(&rows, &names(&["zebra", "ant"]));
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
