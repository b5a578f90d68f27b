//! t-SNE: places in the plane for vectors of many numbers, near ones near.

use bhtsne::{Neighbor, tSNE};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

/// How many neighbours a point looks to, about.
const PERPLEXITY: f32 = 30.0;
/// Neighbours that are taken into account, for each unit of perplexity.
const NEIGHBORS: usize = 3;
const EPOCHS: usize = 500;
/// How much the forces of far points are approximated (Barnes and Hut's θ).
const THETA: f32 = 0.5;
/// Points that it needs: fewer have no neighbourhoods to keep.
const FEWEST: usize = 8;

/// Places of `vectors`, which are of one length, in the plane: the same for the same vectors. `None` for fewer than eight.
///
/// Distances are Euclidean. The perplexity is 30, or a third of the points where they are few.
pub fn tsne(vectors: &[&[f32]]) -> Option<Vec<[f64; 2]>> {
    let count = vectors.len();
    if count < FEWEST {
        return None;
    }
    // What is not a number has no place, and would take everything else with it.
    if vectors.iter().any(|vector| vector.iter().any(|value| !value.is_finite())) {
        return None;
    }
    let perplexity = PERPLEXITY.min((count - 1) as f32 / NEIGHBORS as f32);
    let nearest = neighbors(vectors, (perplexity * NEIGHBORS as f32) as usize);
    let mut random = Pcg64Mcg::seed_from_u64(0);
    let start: Vec<f32> = (0..2 * count).map(|_| (random.random::<f32>() - 0.5) * 1e-3).collect();
    let run = || {
        let mut fit = tSNE::<f32, &[f32], 2>::new(vectors);
        fit.perplexity(perplexity).epochs(EPOCHS).initial_embedding(start);
        fit.barnes_hut_with_neighbors(THETA, &nearest);
        fit.embedding()
    };
    // Its sums are in an order that depends on how threads share the work: one thread has one order.
    let places = ThreadPoolBuilder::new().num_threads(1).build().ok()?.install(run);
    let places: Vec<[f64; 2]> = places.chunks_exact(2).map(|place| [place[0], place[1]].map(f64::from)).collect();
    places.iter().flatten().all(|value| value.is_finite()).then_some(places)
}

/// Each vector's nearest ones.
fn neighbors(vectors: &[&[f32]], count: usize) -> Vec<Vec<Neighbor<f32>>> {
    let of = |own: usize| {
        let others = (0..vectors.len()).filter(|&other| other != own);
        let mut all: Vec<Neighbor<f32>> =
            others.map(|index| Neighbor { index, distance: distance(vectors[own], vectors[index]) }).collect();
        all.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        all.truncate(count);
        all
    };
    (0..vectors.len()).into_par_iter().map(of).collect()
}

/// Summed in lanes that the compiler can keep in one register.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += (a - b) * (a - b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    (lanes.iter().sum::<f32>() + rest).sqrt()
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
    fn few_vectors_equal_ones_and_what_is_not_a_number() {
        assert_eq!(places(&clouds(1.0)[..7]), None);
        assert_eq!(places(&clouds(1.0)[..8]).map(|found| found.len()), Some(8));
        assert!(places(&vec![vec![1.0; 5]; 40]).is_none_or(|found| found.len() == 40));
        let mut vectors = clouds(1.0);
        vectors[3][2] = f32::NAN;
        assert_eq!(places(&vectors), None);
    }
}
