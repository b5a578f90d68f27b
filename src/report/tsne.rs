//! t-SNE (van der Maaten and Hinton, 2008): places in the plane for vectors of many numbers, near ones near.
//!
//! Exact, over all pairs: of the few hundred points that a picture can show this is as quick as approximations are. And
//! the same bits however many threads work on it, which those of the crates that there are do not promise.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;

/// How many neighbours a point looks to, about.
const PERPLEXITY: f64 = 30.0;
const EPOCHS: usize = 500;
/// In the first epochs neighbours attract each other so many times more, so that clouds form while there is room.
const EARLY: usize = 125;
const EXAGGERATION: f32 = 12.0;
/// Points that it needs: fewer have no neighbourhoods to keep.
const FEWEST: usize = 8;
/// Sums run in so many lanes, which the compiler keeps in registers.
const LANES: usize = 8;

/// Places of `vectors`, which are of one length, in the plane: the same for the same vectors. `None` for fewer than eight,
/// or where a value is not finite.
///
/// Distances are Euclidean. The perplexity is 30, or a third of the points where they are few.
pub fn tsne(vectors: &[&[f32]]) -> Option<Vec<[f64; 2]>> {
    let count = vectors.len();
    // What is not a number has no place, and would take everything else with it.
    if count < FEWEST || vectors.iter().any(|vector| vector.iter().any(|value| !value.is_finite())) {
        return None;
    }
    let attraction = affinities(vectors);
    let mut random = Pcg64Mcg::seed_from_u64(0);
    let mut axes = [0, 1].map(|_| (0..count).map(|_| (random.random::<f32>() - 0.5) * 1e-3).collect::<Vec<f32>>());
    let mut speeds = [vec![0.0_f32; count], vec![0.0; count]];
    let mut gains = [vec![1.0_f32; count], vec![1.0; count]];
    let rate = (count as f32 / EXAGGERATION / 4.0).max(50.0);
    for epoch in 0..EPOCHS {
        let (exaggeration, momentum) = if epoch < EARLY { (EXAGGERATION, 0.5) } else { (1.0, 0.8) };
        let [xs, ys] = &axes;
        let rows = (0..count).into_par_iter();
        let forces: Vec<Forces> =
            rows.map(|own| Forces::on(own, xs, ys, &attraction[own * count..][..count])).collect();
        let total = forces.iter().map(|force| f64::from(force.nearness)).sum::<f64>();
        for (axis, places) in axes.iter_mut().enumerate() {
            for (own, force) in forces.iter().enumerate() {
                let slope = 4.0 * (exaggeration * force.pull[axis] - (f64::from(force.push[axis]) / total) as f32);
                let (speed, gain) = (&mut speeds[axis][own], &mut gains[axis][own]);
                // A step grows while it goes one way, and shrinks where it turns.
                *gain = if (slope > 0.0) == (*speed > 0.0) { (*gain * 0.8).max(0.01) } else { *gain + 0.2 };
                *speed = momentum * *speed - rate * *gain * slope;
                places[own] += *speed;
            }
            let mean = places.iter().map(|&place| f64::from(place)).sum::<f64>() / count as f64;
            places.iter_mut().for_each(|place| *place -= mean as f32);
        }
    }
    let places: Vec<[f64; 2]> = axes[0].iter().zip(&axes[1]).map(|(&x, &y)| [x, y].map(f64::from)).collect();
    places.iter().flatten().all(|value| value.is_finite()).then_some(places)
}

/// What the others do to a point.
struct Forces {
    /// Σ p q (y_i − y_j), where q = 1 / (1 + |y_i − y_j|²).
    pull: [f32; 2],
    /// Σ q² (y_i − y_j).
    push: [f32; 2],
    /// Σ q.
    nearness: f32,
}

impl Forces {
    /// On the point `own` of those at `xs` and `ys`; `attraction` holds its p.
    fn on(own: usize, xs: &[f32], ys: &[f32], attraction: &[f32]) -> Self {
        let (x, y) = (xs[own], ys[own]);
        let lanes = || [0.0_f32; LANES];
        let (mut pull_x, mut pull_y, mut push_x, mut push_y, mut nearness) =
            (lanes(), lanes(), lanes(), lanes(), lanes());
        let mut add = |lane: usize, other_x: f32, other_y: f32, p: f32| {
            let (dx, dy) = (x - other_x, y - other_y);
            let q = 1.0 / (1.0 + dx * dx + dy * dy);
            pull_x[lane] += p * q * dx;
            pull_y[lane] += p * q * dy;
            push_x[lane] += q * q * dx;
            push_y[lane] += q * q * dy;
            nearness[lane] += q;
        };
        let ((xs, xs_rest), (ys, ys_rest)) = (xs.as_chunks::<LANES>(), ys.as_chunks::<LANES>());
        let (ps, ps_rest) = attraction.as_chunks::<LANES>();
        for ((xs, ys), ps) in xs.iter().zip(ys).zip(ps) {
            for lane in 0..LANES {
                add(lane, xs[lane], ys[lane], ps[lane]);
            }
        }
        for ((&x, &y), &p) in xs_rest.iter().zip(ys_rest).zip(ps_rest) {
            add(0, x, y, p);
        }
        let [pull_x, pull_y, push_x, push_y, nearness] =
            [pull_x, pull_y, push_x, push_y, nearness].map(|lanes| lanes.iter().sum::<f32>());
        // The point's own q, which is 1, does not count.
        Self { pull: [pull_x, pull_y], push: [push_x, push_y], nearness: nearness - 1.0 }
    }
}

/// p of each pair, row by row: how likely two points choose each other as neighbours, normal distributions around each
/// being as wide as gives the perplexity.
fn affinities(vectors: &[&[f32]]) -> Vec<f32> {
    let count = vectors.len();
    let perplexity = PERPLEXITY.min((count - 1) as f64 / 3.0);
    let chosen: Vec<Vec<f64>> = (0..count)
        .into_par_iter()
        .map(|own| {
            let distances: Vec<f64> = vectors.iter().map(|other| squared_distance(vectors[own], other)).collect();
            neighborhood(own, &distances, perplexity.ln())
        })
        .collect();
    // Far pairs keep a little: processors are slow with numbers that are nearly 0.
    let both =
        |own: usize, other: usize| ((chosen[own][other] + chosen[other][own]) / (2 * count) as f64).max(1e-12) as f32;
    (0..count).flat_map(|own| (0..count).map(move |other| both(own, other))).collect()
}

/// The probabilities with which a point chooses each other one, of the given entropy in nats.
fn neighborhood(own: usize, distances: &[f64], entropy: f64) -> Vec<f64> {
    let others = || distances.iter().enumerate().filter(|(other, _)| *other != own).map(|(_, distance)| *distance);
    let nearest = others().fold(f64::INFINITY, f64::min);
    let (mut low, mut high) = (0.0, f64::INFINITY);
    // Of the order of the distances.
    let mut narrowness = 1.0 / (others().sum::<f64>() / (distances.len() - 1) as f64).max(f64::MIN_POSITIVE);
    for _ in 0..64 {
        let (sum, moment) = others().fold((0.0, 0.0), |(sum, moment), distance| {
            let weight = (-narrowness * (distance - nearest)).exp();
            (sum + weight, moment + weight * (distance - nearest))
        });
        let found = sum.ln() + narrowness * moment / sum;
        if (found - entropy).abs() < 1e-5 {
            break;
        }
        if found > entropy {
            low = narrowness;
            narrowness = if high.is_finite() { (low + high) / 2.0 } else { narrowness * 2.0 };
        } else {
            high = narrowness;
            narrowness = (low + high) / 2.0;
        }
    }
    let weight = |(other, distance): (usize, &f64)| {
        if other == own { 0.0 } else { (-narrowness * (distance - nearest)).exp() }
    };
    let weights: Vec<f64> = distances.iter().enumerate().map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0_f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    f64::from(lanes.iter().sum::<f32>() + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two clouds of vectors, `distance` apart.
    fn clouds(distance: f32) -> Vec<Vec<f32>> {
        let mut random = Pcg64Mcg::seed_from_u64(7);
        (0..60).map(|row| (0..20).map(|_| random.random::<f32>() + distance * (row % 2) as f32).collect()).collect()
    }

    fn places(vectors: &[Vec<f32>]) -> Option<Vec<[f64; 2]>> {
        tsne(&vectors.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn clouds_that_are_apart_stay_apart_and_the_same_vectors_get_the_same_places() {
        let vectors = clouds(5.0);
        let found = places(&vectors).unwrap();
        assert_eq!(places(&vectors).unwrap(), found);
        let distance = |a: usize, b: usize| (found[a][0] - found[b][0]).hypot(found[a][1] - found[b][1]);
        let own = |row: usize| (row % 2..60).step_by(2).filter(move |&other| other != row);
        let other = |row: usize| (1 - row % 2..60).step_by(2);
        for row in 0..60 {
            let nearest_own = own(row).map(|near| distance(row, near)).fold(f64::INFINITY, f64::min);
            let nearest_other = other(row).map(|far| distance(row, far)).fold(f64::INFINITY, f64::min);
            assert!(nearest_own < nearest_other, "{row}: {nearest_own} and {nearest_other}");
        }
    }

    #[test]
    fn a_neighborhood_has_the_perplexity_that_is_asked_for() {
        let distances: Vec<f64> = (0..50).map(|other| f64::from(other * other)).collect();
        let found = neighborhood(3, &distances, 10.0_f64.ln());
        assert_eq!(found[3], 0.0);
        let entropy: f64 = found.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        assert!((entropy - 10.0_f64.ln()).abs() < 1e-4, "{}", entropy.exp());
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn few_vectors_equal_ones_and_what_is_not_a_number() {
        assert_eq!(places(&clouds(1.0)[..7]), None);
        assert_eq!(places(&clouds(1.0)[..8]).map(|found| found.len()), Some(8));
        assert!(places(&vec![vec![1.0; 5]; 40]).is_none_or(|found| found.len() == 40));
        let mut vectors = clouds(1.0);
        vectors[3][2] = f32::NAN;
        assert_eq!(places(&vectors), None);
    }
}
