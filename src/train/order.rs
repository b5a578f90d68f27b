//! The random orders of a run: each a function of the seed and of where in the run it is used, so that a resumed run
//! draws what the uninterrupted one would have.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::models::MirNegatives;

/// Random numbers for one purpose, and one time that there is for it.
pub(super) fn stream(seed: u64, purpose: &str, number: u64) -> Pcg64 {
    let name = format!("{purpose} {number}");
    Pcg64::seed_from_u64(xxh3_64_with_seed(name.as_bytes(), seed))
}

/// The order in which an epoch visits the training rows: all of them, or with a `negative_rate` below 1 the positives and as
/// many negatives as [`epoch_rows`] says, others in each epoch.
pub fn epoch_order(labels: &[f32], negative_rate: f64, seed: u64, epoch: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    if negative_rate < 1.0 {
        let (positives, mut negatives): (Vec<u32>, Vec<u32>) =
            order.iter().partition(|&&row| labels[row as usize] > 0.5);
        let count = drawn(negatives.len(), negative_rate);
        let (taken, _) = negatives.partial_shuffle(&mut stream(seed, "sampled negatives", u64::from(epoch)), count);
        order = positives;
        order.extend_from_slice(taken);
        // Whatever order they were drawn in.
        order.sort_unstable();
    }
    order.shuffle(&mut stream(seed, "epoch", u64::from(epoch)));
    order
}

/// How many of so many negatives an epoch draws.
fn drawn(negatives: usize, rate: f64) -> usize {
    (negatives as f64 * rate).round() as usize
}

/// Rows of an epoch.
pub fn epoch_rows(labels: &[f32], negative_rate: f64) -> usize {
    if negative_rate >= 1.0 {
        return labels.len();
    }
    let positives = labels.iter().filter(|&&label| label > 0.5).count();
    positives + drawn(labels.len() - positives, negative_rate)
}

/// The permutation π of a batch: sample i's weighting matrix is paired with the aware fields of sample π(i).
/// `scenarios` are those of the batch's samples.
pub fn batch_shuffle(scenarios: &[u32], negatives: MirNegatives, seed: u64, step: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scenarios.len() as u32).collect();
    order.shuffle(&mut stream(seed, "negatives", step));
    match negatives {
        MirNegatives::Shuffle => order,
        MirNegatives::OtherScenario => other_scenario(order, scenarios),
    }
}

/// With the samples grouped by scenario, the largest group first, moving on by that group's size leaves every group as
/// far as that is possible.
fn other_scenario(order: Vec<u32>, scenarios: &[u32]) -> Vec<u32> {
    let mut sizes = std::collections::BTreeMap::new();
    for &scenario in scenarios {
        *sizes.entry(scenario).or_insert(0usize) += 1;
    }
    let largest = sizes.values().copied().max().unwrap_or(0);
    let mut grouped = order;
    // Stable: within a group the order stays random.
    grouped.sort_by_key(|&sample| {
        let scenario = scenarios[sample as usize];
        (std::cmp::Reverse(sizes[&scenario]), scenario)
    });
    let count = grouped.len();
    let mut permutation = vec![0; count];
    for (place, &sample) in grouped.iter().enumerate() {
        permutation[sample as usize] = grouped[(place + largest) % count];
    }
    permutation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same_scenario(scenarios: &[u32], permutation: &[u32]) -> usize {
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..scenarios.len() as u32), "a permutation");
        (0..scenarios.len()).filter(|&i| scenarios[i] == scenarios[permutation[i] as usize]).count()
    }

    #[test]
    fn other_scenario_differs_wherever_it_can() {
        let negatives = MirNegatives::OtherScenario;
        for (scenarios, forced) in [
            (vec![0, 1, 0, 1, 2, 2], 0),
            (vec![3, 3, 3, 1, 2, 1], 0),
            // Five of seven in one scenario: at least three of them must meet their own.
            (vec![4, 4, 4, 4, 4, 1, 2], 3),
            (vec![0, 0, 0], 3),
            (vec![], 0),
        ] {
            for step in 0..20 {
                let permutation = batch_shuffle(&scenarios, negatives, 1, step);
                assert_eq!(same_scenario(&scenarios, &permutation), forced, "{scenarios:?}");
            }
        }
    }

    #[test]
    fn orders_repeat_by_seed_and_differ_by_place() {
        let labels = [0.0; 100];
        let order = |seed, epoch| epoch_order(&labels, 1.0, seed, epoch);
        assert_eq!(order(3, 1), order(3, 1));
        assert_ne!(order(3, 1), order(3, 2));
        assert_ne!(order(3, 1), order(4, 1));
        let scenarios = vec![0; 50];
        let shuffle = |seed, step| batch_shuffle(&scenarios, MirNegatives::Shuffle, seed, step);
        assert_eq!(shuffle(1, 2), shuffle(1, 2));
        assert_ne!(shuffle(1, 2), shuffle(1, 3));
        assert_ne!(shuffle(1, 2), shuffle(2, 2));
    }

    #[test]
    fn an_epoch_has_all_positives_and_its_own_part_of_the_negatives() {
        let labels: Vec<f32> = (0..1000).map(|row| f32::from(u8::from(row % 10 == 3))).collect();
        let rows = |epoch: u32| {
            let order = epoch_order(&labels, 0.25, 7, epoch);
            assert_eq!(order.len(), epoch_rows(&labels, 0.25));
            let mut rows = order.clone();
            rows.sort_unstable();
            assert_ne!(rows, order);
            rows.dedup();
            rows
        };
        let (first, second) = (rows(1), rows(2));
        assert_eq!((first.len(), second.len()), (100 + 225, 100 + 225));
        for rows in [&first, &second] {
            assert_eq!(rows.iter().filter(|&&row| labels[row as usize] > 0.5).count(), 100);
        }
        // Of 225 of 900 negatives about a quarter come again.
        let again = first.iter().filter(|&&row| labels[row as usize] < 0.5 && second.contains(&row)).count();
        assert!((30..90).contains(&again), "{again}");
        assert_eq!((rows(1), epoch_rows(&labels, 1.0)), (first, 1000));
    }
}
