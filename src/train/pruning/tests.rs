use super::*;
use crate::train::evaluation::metrics::Metrics;

const MEDIAN: PruningRule = PruningRule::Median { warmup_trials: 5, warmup_epochs: 1.0 };

fn halving(reduction: usize) -> PruningRule {
    PruningRule::Halving { reduction, warmup_epochs: 1.0 }
}

/// The best validation AUC of run i until an epoch, as in tests/search.py.
fn auc(i: usize, epoch: u32) -> f64 {
    0.6 + (i * 37 % 23) as f64 / 100.0 + 0.01 * f64::from(epoch) * (i * 11 % 5) as f64
}

fn run(i: usize, epochs: u32, finished: bool) -> OtherRun {
    OtherRun { curve: (1..=epochs).map(|epoch| (epoch.into(), auc(i, epoch))).collect(), finished }
}

/// Each of twenty runs judged by those before it, in which an `x` is pruned.
fn judged(rule: PruningRule, epoch: u32) -> String {
    let ends = |i: usize| {
        let pruning = Pruning { rule: rule.clone(), others: (0..i).map(|other| run(other, epoch, false)).collect() };
        let own = run(i, epoch, false).curve;
        match (pruning.needed(&own), pruning.ends(&own)) {
            (None, None) => '-',
            (Some(_), None) => '.',
            (needed, ends) => {
                assert_eq!(needed, ends);
                'x'
            }
        }
    };
    (0..20).map(ends).collect()
}

#[test]
fn rules_are_optunas() {
    assert_eq!(judged(MEDIAN, 1), "-----x.x..x.x..x.x..");
    assert_eq!(judged(MEDIAN, 3), "-----x.x..x.x..x.x..");
    assert_eq!(judged(halving(2), 1), "..x.xx.x..x.x..x.x..");
    assert_eq!(judged(halving(3), 1), "..x.xx.x.xx.x..x.x..");
    assert_eq!(judged(halving(4), 1), "..x.xxxx.xx.x.xx.x.x");
}

#[test]
fn a_run_is_judged_by_those_that_came_so_far() {
    let flat = |auc: f64, epochs: u32, finished: bool| OtherRun {
        curve: (1..=epochs).map(|epoch| (epoch.into(), auc)).collect(),
        finished,
    };
    // Two pruned after the first epoch, one stopped early after it, one that went on.
    let others =
        vec![flat(0.5, 1, false), flat(0.55, 1, false), flat(0.7, 1, true), flat(0.8, 3, true), flat(0.9, 2, false)];
    let rule = |warmup_trials: usize, warmup_epochs: f64| PruningRule::Median { warmup_trials, warmup_epochs };
    let needed = |rule: PruningRule, curve: &[CurvePoint]| Pruning { rule, others: others.clone() }.needed(curve);
    assert_eq!(needed(rule(5, 1.0), &[(1.0, 0.6)]), Some(0.7));
    assert_eq!(needed(rule(3, 1.0), &[(1.0, 0.6), (2.0, 0.6)]), Some(0.8));
    assert_eq!(needed(rule(4, 1.0), &[(1.0, 0.6), (2.0, 0.6)]), None);
    assert_eq!(needed(rule(2, 1.0), &[(3.0, 0.6)]), Some(0.75));
    assert_eq!(needed(rule(0, 2.0), &[(1.0, 0.6)]), None);
    assert_eq!(needed(rule(0, 1.0), &[]), None);
    // Within an epoch, by what the others had by then.
    assert_eq!(needed(rule(1, 0.0), &[(0.5, 0.6)]), None);
    assert_eq!(needed(rule(1, 0.0), &[(1.5, 0.6)]), Some(0.8));
    // Rungs are after epochs 1, 2 and 4; in between nobody is judged.
    let needed = |curve: &[CurvePoint]| needed(halving(2), curve);
    assert_eq!(needed(&[(0.5, 0.6)]), None);
    assert_eq!(needed(&[(0.5, 0.6), (1.0, 0.6)]), Some(0.7));
    assert_eq!(needed(&[(1.0, 0.6), (1.5, 0.6)]), None);
    assert_eq!(needed(&[(1.5, 0.6), (2.5, 0.85)]), Some(0.85));
    assert_eq!(needed(&[(2.0, 0.6), (3.0, 0.6)]), None);
    // An evaluation past two rungs is held against both.
    assert_eq!(needed(&[(2.5, 0.6)]), Some(0.8));
    // The first of all goes on.
    let alone = Pruning { rule: halving(4), others: Vec::new() };
    assert_eq!(alone.ends(&[(1.0, 0.1)]), None);
}

#[test]
fn a_curve_has_the_best_so_far_at_each_evaluation() {
    let record = |epoch: u32, steps: u64, unfinished: bool, auc: Option<f64>| EpochRecord {
        epoch,
        steps,
        unfinished,
        epoch_steps: unfinished.then_some(8),
        train: serde_json::Map::new(),
        learning_rate: 0.1,
        valid: Some(Metrics { auc, ..Metrics::default() }),
        best: false,
        train_seconds: 1.0,
        train_rows_per_second: 1.0,
        valid_rows_per_second: None,
    };
    let records = [
        record(1, 4, true, Some(0.6)),
        record(1, 8, false, None),
        record(2, 12, true, Some(0.5)),
        record(2, 16, false, Some(0.7)),
    ];
    assert_eq!(curve(&records), [(0.5, 0.6), (1.5, 0.6), (2.0, 0.7)]);
}

#[test]
fn what_a_run_is_judged_by_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pruning.json");
    for rule in [MEDIAN, halving(3)] {
        let pruning = Pruning { rule, others: (0..3).map(|i| run(i, 2, i == 1)).collect() };
        std::fs::write(&path, serde_json::to_string(&pruning).unwrap()).unwrap();
        assert_eq!(Pruning::load(&path).unwrap(), pruning);
    }
    assert_eq!(Pruned::load(&folder.path().join("none.json")).unwrap(), None);
    std::fs::write(&path, "{}").unwrap();
    assert!(Pruned::load(&path).unwrap_err().to_string().contains("pruning.json: missing field"));
}
