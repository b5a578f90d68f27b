use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::*;
use crate::train::evaluation::metrics::{Metrics, evaluate, rows_of_each};

/// Rows whose positives have higher scores by one standard deviation; every score is given to `copies` rows.
struct Made {
    logits: Vec<f32>,
    labels: Vec<f32>,
    scenarios: Vec<u32>,
    users: Vec<u64>,
}

impl Made {
    fn new(distinct: usize, copies: usize) -> Made {
        let mut random = Pcg64::seed_from_u64(5);
        let mut made = Made { logits: Vec::new(), labels: Vec::new(), scenarios: Vec::new(), users: Vec::new() };
        for user in 0..distinct {
            let positive = random.random_bool(0.3);
            let noise: f64 = StandardNormal.sample(&mut random);
            for _ in 0..copies {
                made.logits.push((noise + f64::from(u8::from(positive)) - 1.0) as f32);
                made.labels.push(f32::from(u8::from(positive)));
                made.scenarios.push((user % 3) as u32);
                made.users.push(1 + user as u64);
            }
        }
        made
    }

    fn rows(&self) -> Scored<'_> {
        let Made { logits, labels, scenarios, .. } = self;
        Scored { logits, labels, scenarios, ..Scored::default() }
    }
}

const ONCE: Bootstrap = Bootstrap { resamples: 1000, unit: None, seed: 1 };

fn numbers(of: &Metrics) -> Numbers {
    [of.auc, of.pr_auc, of.logloss, of.normalized_entropy, of.gauc, of.calibration]
}

/// Each number of a resample is the metric of the rows that it holds, copied as often as they were drawn.
#[test]
fn a_resample_is_scored_as_its_rows_are() {
    let mut made = Made::new(300, 1);
    // Ties, users with several rows, and rows without a user.
    made.logits.iter_mut().for_each(|logit| *logit = (*logit * 4.0).round() / 4.0);
    made.users.iter_mut().for_each(|user| *user %= 40);
    let own: Vec<f32> = (0..300).map(|row| (row % 5) as f32 / 2.0).collect();
    for weights in [None, Some(own.as_slice())] {
        for users in [None, Some(made.users.as_slice())] {
            let rows = Scored { users, weights, ..made.rows() };
            let group: Vec<usize> = (0..300).filter(|row| row % 3 == 1).collect();
            let prepared = Group::new(&rows, &group);
            let resampler = Resampler::new(&rows, &ONCE).unwrap();
            let unweighted = Resampler::new(&Scored { weights: None, ..rows }, &ONCE).unwrap();
            let (mut drawn, mut times) = (Vec::new(), Vec::new());
            for number in 0..20 {
                resampler.draw(number, &mut drawn);
                unweighted.draw(number, &mut times);
                let copies: Vec<usize> =
                    group.iter().flat_map(|&row| std::iter::repeat_n(row, times[row] as usize)).collect();
                let expected = numbers(&evaluate(&rows.select(&copies).view(), &[]));
                for (found, expected) in prepared.numbers(&drawn).into_iter().zip(expected) {
                    match (found, expected) {
                        (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-12),
                        (found, expected) => assert_eq!(found, expected),
                    }
                }
            }
        }
    }
}

/// The weights of `weighted_metrics_are_scikit_learns`, as if they had been drawn: values of tests/metrics.py.
#[test]
fn given_weights_are_scored_as_scikit_learn_does() {
    let logits: Vec<f32> = (0..60u32).map(|i| ((i * 37 % 11) as f32 - 5.0) / 2.0).collect();
    let labels: Vec<f32> =
        (0..60u32).map(|i| f32::from(u8::from((i * i * 7 + i * 3) % 10 < 3 || i % 9 == 8))).collect();
    let weights: Vec<f64> = (0..60u32).map(|i| f64::from(i * 29 % 13) / 4.0).collect();
    let users: Vec<u64> = (0..60u64).map(|i| i * i % 7).collect();
    let rows = Scored { logits: &logits, labels: &labels, users: Some(&users), ..Scored::default() };
    let found = Group::new(&rows, &(0..60).collect::<Vec<_>>()).numbers(&weights);
    let expected = [
        0.448_348_799_126_637_55,
        0.668_907_518_464_734_6,
        1.017_516_656_681_905_4,
        1.559_232_030_228_602,
        0.452_944_960_457_748_24,
        0.769_023_118_623_690_1,
    ];
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} and {expected}");
    }
}

/// Values of tests/metrics.py: numpy's percentiles.
#[test]
fn percentiles_are_numpys() {
    let values: Vec<f64> = (0..101).map(|i| f64::from(i * i % 103) / 7.0).collect();
    let found = Interval::of(values, 101).unwrap();
    assert!((found.low - 0.285_714_285_714_285_7).abs() < 1e-12 && (found.high - 14.0).abs() < 1e-12, "{found:?}");
    assert_eq!(Interval::of(vec![2.0], 2), Some(Interval { low: 2.0, high: 2.0 }));
    assert_eq!(Interval::of(vec![1.0, 2.0], 5), None);
    assert_eq!(Interval::of(Vec::new(), 0), None);
}

/// The standard error of an AUC by DeLong, DeLong and Clarke-Pearson (1988): from how often each row is on the right side of
/// those of the other class.
fn delong(rows: &Scored<'_>) -> f64 {
    let of = |label: f32| rows.logits.iter().zip(rows.labels).filter(move |(_, own)| **own == label).map(|(z, _)| *z);
    let (positives, negatives): (Vec<f32>, Vec<f32>) = (of(1.0).collect(), of(0.0).collect());
    let beaten = |a: f32, b: f32| {
        if a > b {
            1.0
        } else if a == b {
            0.5
        } else {
            0.0
        }
    };
    let variance = |values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64 / values.len() as f64
    };
    let share = |sum: f64, of: usize| sum / of as f64;
    let of_positives =
        positives.iter().map(|&p| share(negatives.iter().map(|&n| beaten(p, n)).sum(), negatives.len())).collect();
    let of_negatives =
        negatives.iter().map(|&n| share(positives.iter().map(|&p| beaten(p, n)).sum(), positives.len())).collect();
    (variance(of_positives) + variance(of_negatives)).sqrt()
}

fn half_width(interval: Option<Interval>) -> f64 {
    let Interval { low, high } = interval.unwrap();
    (high - low) / 2.0 / 1.96
}

#[test]
fn intervals_are_as_wide_as_standard_errors_say() {
    let made = Made::new(2000, 1);
    let rows = made.rows();
    let groups = rows_of_each(&made.scenarios, 3);
    let found = bootstrap(&rows, &groups, &ONCE).unwrap();
    assert_eq!((found.unit, found.units, found.groups.len()), (Unit::Rows, 2000, 3));
    let expected = delong(&rows);
    let own = half_width(found.all.auc);
    assert!((own / expected - 1.0).abs() < 0.1, "{own} and {expected}");
    for (group, intervals) in groups.iter().zip(&found.groups) {
        let (own, expected) = (half_width(intervals.auc), delong(&rows.select(group).view()));
        assert!((own / expected - 1.0).abs() < 0.1, "{own} and {expected}");
    }
    // The LogLoss is a mean: its standard error is that of a mean.
    let losses: Vec<f64> =
        made.logits.iter().zip(&made.labels).map(|(&z, &y)| f64::from(z).exp().ln_1p() - f64::from(y * z)).collect();
    let mean = losses.iter().sum::<f64>() / 2000.0;
    let error = (losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / 2000.0 / 2000.0).sqrt();
    let own = half_width(found.all.logloss);
    assert!((own / error - 1.0).abs() < 0.1, "{own} and {error}");
    let metrics = evaluate(&rows, &[]);
    let inside = |interval: Option<Interval>, value: Option<f64>| {
        let (Interval { low, high }, value) = (interval.unwrap(), value.unwrap());
        assert!(low < value && value < high, "{value} in {low} to {high}");
    };
    inside(found.all.auc, metrics.auc);
    inside(found.all.pr_auc, metrics.pr_auc);
    inside(found.all.normalized_entropy, metrics.normalized_entropy);
    inside(found.all.calibration, metrics.calibration);
    assert_eq!(found.all.gauc, None);
}

/// Nine rows of each user that are all alike tell no more than one.
#[test]
fn users_make_intervals_as_wide_as_they_have_to_be() {
    let made = Made::new(1000, 9);
    let rows = Scored { users: Some(&made.users), ..made.rows() };
    let by_users = bootstrap(&rows, &[], &ONCE).unwrap();
    assert_eq!((by_users.unit, by_users.units), (Unit::Users, 1000));
    let by_rows = bootstrap(&rows, &[], &Bootstrap { unit: Some(Unit::Rows), ..ONCE }).unwrap();
    assert_eq!((by_rows.unit, by_rows.units), (Unit::Rows, 9000));
    let ratio = half_width(by_users.all.auc) / half_width(by_rows.all.auc);
    assert!((ratio - 3.0).abs() < 0.3, "{ratio}");
    let without = Scored { users: None, ..rows };
    assert_eq!(bootstrap(&without, &[], &Bootstrap { unit: Some(Unit::Users), ..ONCE }), None);
}

#[test]
fn threads_do_not_change_a_bit() {
    let made = Made::new(500, 2);
    let rows = Scored { users: Some(&made.users), ..made.rows() };
    let groups = rows_of_each(&made.scenarios, 3);
    let options = Bootstrap { resamples: 100, ..ONCE };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| bootstrap(&rows, &groups, &options).unwrap())
    };
    assert_eq!(on(1), on(3));
    assert_ne!(on(1), bootstrap(&rows, &groups, &Bootstrap { seed: 2, ..options }).unwrap());
}

#[test]
fn rows_of_one_class_or_with_nan_have_no_auc() {
    let rows =
        Scored { logits: &[1.0, f32::NAN, 0.5], labels: &[1.0, 1.0, 0.0], scenarios: &[0; 3], ..Scored::default() };
    let found = bootstrap(&rows, &[vec![0, 1], vec![0, 2], vec![]], &ONCE).unwrap();
    assert_eq!((found.all.auc, found.all.pr_auc, found.all.logloss), (None, None, None));
    assert_eq!(found.groups[0].auc, None);
    assert!(found.groups[1].logloss.is_some());
    assert_eq!(found.groups[2], Intervals::default());
}

#[test]
fn paired_differences_have_the_same_rows_for_both() {
    let made = Made::new(800, 1);
    // Another model, as good and much like the first; a second seed of both.
    let mut random = Pcg64::seed_from_u64(9);
    let mut near = |spread: f64| -> Vec<f32> {
        let mut moved = |logit: f32| (f64::from(logit) + spread * random.random_range(-1.0..1.0)) as f32;
        made.logits.iter().map(|&logit| moved(logit)).collect()
    };
    let seeds = [[near(0.3), near(0.3)], [near(0.3), near(0.3)]];
    let resampled =
        |logits: &[f32], options: &Bootstrap| resampled_auc(&Scored { logits, ..made.rows() }, options).unwrap();
    let found: Vec<[ResampledAuc; 2]> =
        seeds.iter().map(|[own, other]| [resampled(own, &ONCE), resampled(other, &ONCE)]).collect();
    let found = auc_difference(&found.iter().map(|[own, other]| (own, other)).collect::<Vec<_>>()).unwrap();
    let auc = |logits: &[f32], chosen: &[usize]| {
        let rows = Scored { logits, ..made.rows() };
        evaluate(&rows.select(chosen).view(), &[]).auc.unwrap()
    };
    let difference =
        |chosen: &[usize]| seeds.iter().map(|[own, other]| auc(own, chosen) - auc(other, chosen)).sum::<f64>() / 2.0;
    assert!((found.auc - difference(&(0..800).collect::<Vec<_>>())).abs() < 1e-12);
    assert_eq!((found.seeds, found.by, found.units, found.resamples), (2, Unit::Rows, 800, 1000));
    let resampler = Resampler::new(&made.rows(), &ONCE).unwrap();
    let mut weights = Vec::new();
    let values: Vec<f64> = (0..1000)
        .map(|number| {
            resampler.draw(number, &mut weights);
            let copies = (0..800).flat_map(|row| std::iter::repeat_n(row, weights[row] as usize));
            difference(&copies.collect::<Vec<_>>())
        })
        .collect();
    let expected = Interval::of(values, 1000).unwrap();
    let Interval { low, high } = found.interval;
    assert!((low - expected.low).abs() < 1e-12 && (high - expected.high).abs() < 1e-12);
    // What both have in common does not widen it: the interval of one AUC is much wider.
    let alone = bootstrap(&made.rows(), &[], &ONCE).unwrap().all.auc.unwrap();
    assert!(high - low < (alone.high - alone.low) / 2.0);
    let own = resampled(&made.logits, &ONCE);
    let none = auc_difference(&[(&own, &own)]).unwrap();
    assert_eq!((none.auc, none.interval), (0.0, Interval { low: 0.0, high: 0.0 }));
    assert_eq!(auc_difference(&[]), None);
    // Fewer resamples, other rows, a missing AUC: nothing to pair.
    let fewer = resampled(&made.logits, &Bootstrap { resamples: 10, ..ONCE });
    let others = ResampledAuc { rows: "others".to_owned(), ..own.clone() };
    let lacking = ResampledAuc { auc: None, ..own.clone() };
    assert!([fewer, others, lacking].iter().all(|other| auc_difference(&[(&own, other)]).is_none()));
    let text = serde_json::to_string(&own).unwrap();
    assert_eq!(serde_json::from_str::<ResampledAuc>(&text).unwrap(), own);
}

/// A single user's rows are the same in all resamples that have them; that is no sign of certainty.
#[test]
fn one_unit_has_no_interval() {
    let made = Made::new(50, 4);
    let rows = Scored { users: Some(&made.users), ..made.rows() };
    let found = bootstrap(&rows, &[vec![0, 1, 2, 3], vec![0, 1, 2, 4]], &ONCE).unwrap();
    assert_eq!(found.groups[0], Intervals::default());
    assert!(found.groups[1].logloss.is_some());
}
