use toml::Table;

use super::*;

const TRIALS: usize = 30;

fn space(text: &str) -> Space {
    Space::read(&text.parse::<Table>().unwrap(), &[], "s.toml").unwrap()
}

/// The trials of tests/search.py: where they are between 0 and 1, their choice of three, and what came of them.
fn trials() -> Vec<(f64, usize, Came)> {
    let trial = |i: usize| {
        let (x, choice) = ((i as f64 * 0.37 + 0.11) % 1.0, i * i % 3);
        let auc = 0.9 - (x - 0.3) * (x - 0.3) + if choice == 1 { 0.02 } else { 0.0 };
        let epochs = (1 + i % 3) as f64;
        (x, choice, if i.is_multiple_of(4) { Came::Finished(auc) } else { Came::Pruned { epochs, auc } })
    };
    (0..TRIALS).map(trial).collect()
}

fn draws(space: &Space, seen: &[Seen], count: usize) -> Vec<f64> {
    let draw = |attempt: usize| estimated(space, Draw { seed: 1, trial: 31, attempt }, seen)[0];
    (0..count).map(draw).collect()
}

#[test]
fn good_trials_are_optunas() {
    assert_eq!([1, 10, 11, 20, 30, 99, 250, 251, 1000].map(good), [1, 1, 2, 2, 3, 10, 25, 25, 25]);
    let trials = trials();
    let mut order: Vec<usize> = (0..TRIALS).collect();
    order.sort_by(|&a, &b| rank(trials[a].2).partial_cmp(&rank(trials[b].2)).unwrap());
    assert_eq!(
        order,
        [28, 20, 8, 0, 16, 12, 4, 24, 14, 17, 11, 23, 26, 29, 2, 5, 22, 25, 19, 1, 7, 10, 13, 6, 3, 9, 27, 15, 18, 21]
    );
    assert!(rank(Came::ToNothing) > rank(Came::Pruned { epochs: 1.0, auc: 0.0 }));
    assert!(rank(Came::Refused) > rank(Came::ToNothing));
}

/// Deciles of what numpy's mixtures draw of the same trials (tests/search.py).
#[test]
fn draws_are_those_of_two_mixtures() {
    const DRAWS: usize = 4000;
    let deciles = |drawn: &mut Vec<f64>| {
        drawn.sort_by(f64::total_cmp);
        [0.1, 0.3, 0.5, 0.7, 0.9].map(|part| drawn[(part * DRAWS as f64) as usize])
    };
    let (low, high) = (1e-4_f64.ln(), 0.1_f64.ln());
    let of = |at: fn(f64, f64, f64) -> f64| -> Vec<Seen> {
        trials().iter().map(|&(x, _, came)| Seen { point: vec![at(x, low, high)], came }).collect()
    };
    let linear = space(r#""model.dropout" = { min = 0.0, max = 1.0 }"#);
    let log = space(r#""train.learning_rate" = { min = 1e-4, max = 1e-1, log = true }"#);
    for (space, seen, expected, near) in [
        (linear, of(|x, _, _| x), [0.5102, 0.5263, 0.5335, 0.5394, 0.5507], 0.003),
        (log, of(|x, low, high| low + x * (high - low)), [-5.6857, -5.5747, -5.5253, -5.4843, -5.4062], 0.02),
    ] {
        let found = deciles(&mut draws(&space, &seen, DRAWS));
        let off = found.iter().zip(&expected).any(|(found, expected)| (found - expected).abs() > near);
        assert!(!off, "{found:?}, expected {expected:?}");
    }
    let choice = space(r#""train.optimizer" = ["adam", "adagrad", "sgd"]"#);
    let seen: Vec<Seen> = trials().iter().map(|&(_, at, came)| Seen { point: vec![at as f64], came }).collect();
    let mut counts = [0_usize; 3];
    draws(&choice, &seen, DRAWS).iter().for_each(|&at| counts[at as usize] += 1);
    let shares = counts.map(|count| count as f64 / DRAWS as f64);
    let expected = [0.0, 0.012579, 0.987421];
    assert!(shares.iter().zip(&expected).all(|(own, expected)| (own - expected).abs() < 0.006), "{shares:?}");
}

#[test]
fn a_draw_is_a_function_of_seed_trial_and_what_came_before() {
    let space =
        space("\"model.dropout\" = { min = 0.0, max = 1.0 }\n\"model.width\" = { min = 1, max = 64, log = true }");
    let seen: Vec<Seen> =
        trials().iter().map(|&(x, _, came)| Seen { point: vec![x, (60.0 * x.max(0.02)).ln()], came }).collect();
    let draw = Draw { seed: 3, trial: 31, attempt: 0 };
    for other in [Draw { seed: 4, ..draw }, Draw { trial: 32, ..draw }, Draw { attempt: 1, ..draw }] {
        assert_ne!(uniform(&space, draw), uniform(&space, other));
        assert_ne!(estimated(&space, draw, &seen), estimated(&space, other, &seen));
    }
    assert_eq!(uniform(&space, draw), uniform(&space, draw));
    assert_eq!(estimated(&space, draw, &seen), estimated(&space, draw, &seen));
    assert_ne!(estimated(&space, draw, &seen), estimated(&space, draw, &seen[..28]));
    // An axis has random numbers of its own: another one beside it changes none of them.
    let alone = self::space(r#""model.dropout" = { min = 0.0, max = 1.0 }"#);
    assert_eq!(uniform(&alone, draw)[0], uniform(&space, draw)[0]);
}

#[test]
fn what_cannot_be_trained_is_drawn_less_and_less() {
    let space = space(r#""model.row_div" = [2, 3]"#);
    let mut seen: Vec<Seen> =
        (0..10).map(|i| Seen { point: vec![0.0], came: Came::Finished(0.7 + 0.01 * f64::from(i)) }).collect();
    // Nothing is known of 3, and so it looks good.
    let threes = |seen: &[Seen]| draws(&space, seen, 100).iter().filter(|&&at| at >= 1.0).count();
    assert!(threes(&seen) > 90);
    seen.extend(std::iter::repeat_n(Seen { point: vec![1.0], came: Came::Refused }, 20));
    assert_eq!(threes(&seen), 0);
}

/// Of a function with its best at a learning rate of 0.003, dropout 0.15, width 48 and the second optimiser.
#[test]
fn the_estimator_finds_more_than_chance() {
    const SEEDS: u64 = 30;
    let space = space(
        "\"train.learning_rate\" = { min = 1e-5, max = 1.0, log = true }\n\"model.dropout\" = { min = 0.0, max = 0.8 }\n\
         \"model.width\" = { min = 8, max = 128, step = 8 }\n\"train.optimizer\" = [\"adam\", \"adagrad\", \"sgd\"]",
    );
    let auc = |point: &[f64]| {
        let distance = [(point[0] - 3e-3_f64.ln()) / 3.0, (point[1] - 0.15) / 0.3, (point[2] - 5.0) / 5.0];
        let optimizer = if point[3] as usize == 1 { 0.0 } else { 0.3 };
        0.8 - 0.1 * (distance.iter().map(|own| own * own).sum::<f64>() + optimizer)
    };
    let search = |seed: u64, startup: usize| {
        let mut seen: Vec<Seen> = Vec::new();
        for trial in 1..=40 {
            let draw = Draw { seed, trial, attempt: 0 };
            let point = if seen.len() < startup { uniform(&space, draw) } else { estimated(&space, draw, &seen) };
            // As it would be written down.
            let point = space.point(&space.settings(&point)).unwrap();
            seen.push(Seen { came: Came::Finished(auc(&point)), point });
        }
        let best = seen.iter().map(|trial| auc(&trial.point)).fold(f64::MIN, f64::max);
        0.8 - best
    };
    let mean = |startup: usize| (0..SEEDS).map(|seed| search(seed, startup)).sum::<f64>() / SEEDS as f64;
    let (by_estimate, by_chance) = (mean(10), mean(40));
    assert!(by_estimate < 0.5 * by_chance, "{by_estimate} from the best, by chance {by_chance}");
}
