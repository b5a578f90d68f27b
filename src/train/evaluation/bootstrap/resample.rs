//! Which rows a resample has, and how often.

use std::collections::HashMap;
use std::fmt;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Bootstrap;
use crate::train::evaluation::metrics::Scored;

/// What a resample draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Rows, each for itself.
    Rows,
    /// Users, with all their rows: rows of one user are alike, so that there is less to be learned from them than from as
    /// many rows of others.
    Users,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Rows => "rows",
            Unit::Users => "users",
        })
    }
}

/// Draws resamples of some rows.
pub(super) struct Resampler<'a> {
    /// For each row the number of its unit; none where each row is one.
    unit_of: Option<Vec<u32>>,
    units: usize,
    /// Rows' own weights.
    own: Option<&'a [f32]>,
    rows: usize,
    seed: u64,
}

impl<'a> Resampler<'a> {
    /// `None` when users are to be drawn and there are none.
    pub(super) fn new(rows: &Scored<'a>, options: &Bootstrap) -> Option<Resampler<'a>> {
        let unit = options.unit.unwrap_or(if rows.users.is_some() { Unit::Users } else { Unit::Rows });
        let count = rows.logits.len();
        let (unit_of, units) = match unit {
            Unit::Rows => (None, count),
            Unit::Users => {
                let (unit_of, units) = numbered(rows.users?);
                (Some(unit_of), units)
            }
        };
        Some(Resampler { unit_of, units, own: rows.weights, rows: count, seed: options.seed })
    }

    pub(super) fn unit(&self) -> Unit {
        if self.unit_of.is_some() { Unit::Users } else { Unit::Rows }
    }

    pub(super) fn units(&self) -> usize {
        self.units
    }

    /// Whether rows are of one unit, or there are none.
    pub(super) fn is_one(&self, rows: &[usize]) -> bool {
        let unit = |row: usize| self.unit_of.as_ref().map_or(row, |unit_of| unit_of[row] as usize);
        rows.iter().all(|&row| unit(row) == unit(rows[0]))
    }

    /// Writes the rows' weights in one resample: how often each was drawn, times its own weight.
    pub(super) fn draw(&self, number: usize, weights: &mut Vec<f64>) {
        let seed = xxh3_64_with_seed(format!("bootstrap {number}").as_bytes(), self.seed);
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut times = vec![0u32; self.units];
        for _ in 0..self.units {
            times[random.random_range(0..self.units)] += 1;
        }
        weights.clear();
        match &self.unit_of {
            Some(unit_of) => weights.extend(unit_of.iter().map(|&unit| f64::from(times[unit as usize]))),
            None => weights.extend(times.iter().map(|&times| f64::from(times))),
        }
        debug_assert_eq!(weights.len(), self.rows);
        if let Some(own) = self.own {
            weights.iter_mut().zip(own).for_each(|(weight, &own)| *weight *= f64::from(own));
        }
    }
}

/// Users' numbers, in the order in which they come first; each row without a user is one of its own.
fn numbered(users: &[u64]) -> (Vec<u32>, usize) {
    let mut known: HashMap<u64, u32> = HashMap::new();
    let mut next = 0;
    let mut number = |user: u64| {
        let new = next;
        let own = if user == 0 { new } else { *known.entry(user).or_insert(new) };
        next += u32::from(own == new);
        own
    };
    let numbers = users.iter().map(|&user| number(user)).collect();
    (numbers, next as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(users: Option<&[u64]>, own: Option<&[f32]>, rows: usize, number: usize) -> Vec<f64> {
        let zeros = vec![0.0; rows];
        let scored = Scored { logits: &zeros, labels: &zeros, users, weights: own, ..Scored::default() };
        let resampler = Resampler::new(&scored, &Bootstrap { resamples: 1, unit: None, seed: 7 }).unwrap();
        let mut weights = Vec::new();
        resampler.draw(number, &mut weights);
        weights
    }

    #[test]
    fn as_many_rows_are_drawn_as_there_are() {
        let weights = drawn(None, None, 10_000, 0);
        assert_eq!(weights.iter().sum::<f64>(), 10_000.0);
        // How often a row is drawn is nearly Poisson: e⁻¹ of them never.
        let never = weights.iter().filter(|weight| **weight == 0.0).count() as f64 / 10_000.0;
        assert!((never - (-1.0_f64).exp()).abs() < 0.02, "{never}");
        assert_eq!(weights, drawn(None, None, 10_000, 0));
        assert_ne!(weights, drawn(None, None, 10_000, 1));
        let halves = drawn(None, Some(&[0.5; 10_000]), 10_000, 0);
        assert!(halves.iter().zip(&weights).all(|(half, weight)| 2.0 * half == *weight));
    }

    #[test]
    fn users_come_with_all_their_rows_and_nobodys_rows_alone() {
        let users: Vec<u64> = (0..600).map(|row| if row % 3 == 0 { 0 } else { 1 + row % 50 }).collect();
        let weights = drawn(Some(&users), None, 600, 3);
        let of =
            |user: u64| -> Vec<f64> { (0..600).filter(|&row| users[row] == user).map(|row| weights[row]).collect() };
        for user in 1..=50 {
            assert!(of(user).windows(2).all(|pair| pair[0] == pair[1]));
        }
        assert!(of(0).windows(2).any(|pair| pair[0] != pair[1]));
        assert_eq!(numbered(&[5, 0, 7, 5, 0, 7]), (vec![0, 1, 2, 0, 3, 2], 4));
    }
}
