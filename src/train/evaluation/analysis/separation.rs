//! How far apart scenarios lie: the mean silhouette of samples by scenario, in the space they are from.
//!
//! For a sample, a is its mean distance to the others of its scenario and b the smallest mean distance to those of
//! another one; its silhouette is (b − a) / max(a, b). 1: scenarios are far apart; 0: they lie in one another; below 0: a
//! sample lies nearer to another scenario than to its own.

use rayon::prelude::*;

/// Samples that are compared with each other, at most.
const SAMPLES: usize = 1000;

/// A scenario's samples that were compared, and their mean silhouette.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Separation {
    pub(crate) samples: usize,
    pub(crate) silhouette: f64,
}

/// The separation of each group of `groups`, which are the rows of `rows` that belong together, and of all. `None` with
/// fewer than two groups. Distances are Euclidean. Of many rows, some that are evenly spaced are taken from each group.
pub(crate) fn separation(rows: &[&[f64]], groups: &[Vec<usize>]) -> Option<(Separation, Vec<Separation>)> {
    if groups.iter().filter(|group| !group.is_empty()).count() < 2 {
        return None;
    }
    let max = (SAMPLES / groups.len()).max(2);
    let groups: Vec<Vec<usize>> =
        groups.iter().map(|group| group.iter().copied().step_by(group.len().div_ceil(max).max(1)).collect()).collect();
    let members: Vec<(usize, usize)> =
        groups.iter().enumerate().flat_map(|(own, group)| group.iter().map(move |&row| (own, row))).collect();
    let silhouettes: Vec<f64> =
        members.par_iter().map(|&(own, row)| silhouette(own, rows[row], rows, &groups)).collect();
    let mean = |values: &[f64]| Separation {
        samples: values.len(),
        silhouette: values.iter().sum::<f64>() / values.len().max(1) as f64,
    };
    let mut rest = silhouettes.as_slice();
    let each = groups.iter().map(|group| {
        let (own, others) = rest.split_at(group.len());
        rest = others;
        mean(own)
    });
    Some((mean(&silhouettes), each.collect()))
}

fn silhouette(own: usize, row: &[f64], rows: &[&[f64]], groups: &[Vec<usize>]) -> f64 {
    let sum = |group: &[usize]| group.iter().map(|&other| distance(row, rows[other])).sum::<f64>();
    // The only one of its scenario is neither near nor far.
    if groups[own].len() < 2 {
        return 0.0;
    }
    let within = sum(&groups[own]) / (groups[own].len() - 1) as f64;
    let others = groups.iter().enumerate().filter(|(other, group)| *other != own && !group.is_empty());
    let nearest = others.map(|(_, group)| sum(group) / group.len() as f64).fold(f64::INFINITY, f64::min);
    let larger = within.max(nearest);
    if larger > 0.0 { (nearest - within) / larger } else { 0.0 }
}

/// The distance of two vectors, summed in lanes that the compiler can keep in one register.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += (a - b) * (a - b);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    (lanes.iter().sum::<f64>() + rest).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silhouettes_are_those_computed_by_hand() {
        let rows: [&[f64]; 5] = [&[0.0], &[1.0], &[10.0], &[12.0], &[5.0]];
        let (all, each) = separation(&rows, &[vec![0, 1], vec![], vec![2, 3], vec![4]]).unwrap();
        // Of 0: a = 1, b = 5 to the lonely one; of 1: a = 1, b = 4; of 10: a = 2, b = 5; of 12: a = 2, b = 7.
        let expected = [0.8, 0.75, 0.6, 5.0 / 7.0, 0.0];
        assert!((all.silhouette - expected.iter().sum::<f64>() / 5.0).abs() < 1e-12);
        assert!((each[0].silhouette - 0.775).abs() < 1e-12);
        assert_eq!((each[1].samples, each[2].samples, each[3].silhouette), (0, 2, 0.0));
    }

    #[test]
    fn one_scenario_is_not_separated_from_anything_and_equal_samples_are_not_apart() {
        let rows: [&[f64]; 4] = [&[1.0; 9]; 4];
        assert_eq!(separation(&rows, &[vec![0, 1, 2, 3], vec![]]), None);
        assert_eq!(separation(&rows, &[vec![0, 1], vec![2, 3]]).unwrap().0.silhouette, 0.0);
    }
}
