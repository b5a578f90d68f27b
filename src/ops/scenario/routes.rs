//! Which of a block's samples belong to which scenario, for parts of a model that each scenario has of its own.

use crate::cpu::{LANES, Lanes, Real};

/// The scenarios among a block's samples, each with 1 in the lanes of its samples and 0 elsewhere, or with `None` where
/// it is the only one.
pub struct Routes<T> {
    list: [(usize, Option<Lanes<T>>); LANES],
    count: usize,
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { list: std::array::from_fn(|_| (0, None)), count: 0 }
    }
}

impl<T: Real> Routes<T> {
    /// Those of samples with these scenarios, as many as a block has at most.
    pub fn of(scenarios: &[u32]) -> Self {
        let mut routes = Self::default();
        for &scenario in scenarios {
            if routes.list().iter().any(|&(known, _)| known == scenario as usize) {
                continue;
            }
            let mask = lane_mask(|lane| scenarios.get(lane) == Some(&scenario));
            routes.list[routes.count] = (scenario as usize, Some(mask));
            routes.count += 1;
        }
        if routes.count == 1 {
            routes.list[0].1 = None;
        }
        routes
    }

    /// Each of them.
    #[inline(always)]
    pub fn list(&self) -> &[(usize, Option<Lanes<T>>)] {
        &self.list[..self.count]
    }
}

/// 1 in the first `count` lanes, 0 elsewhere.
#[inline(always)]
pub fn first_lanes<T: Real>(count: usize) -> Lanes<T> {
    lane_mask(|lane| lane < count)
}

/// 1 in the lanes that are `live`, 0 elsewhere.
#[inline(always)]
fn lane_mask<T: Real>(live: impl Fn(usize) -> bool) -> Lanes<T> {
    let mut mask = Lanes::zero();
    for (lane, value) in mask.0.iter_mut().enumerate() {
        *value = if live(lane) { T::one() } else { T::zero() };
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_has_its_samples_lanes() {
        let routes = Routes::<f64>::of(&[2, 0, 2, 2]);
        let found: Vec<(usize, Vec<f64>)> =
            routes.list().iter().map(|(scenario, mask)| (*scenario, mask.unwrap().0[..5].to_vec())).collect();
        assert_eq!(found, [(2, vec![1.0, 0.0, 1.0, 1.0, 0.0]), (0, vec![0.0, 1.0, 0.0, 0.0, 0.0])]);
        assert!(matches!(Routes::<f32>::of(&[7; LANES]).list(), [(7, None)]));
        assert!(Routes::<f32>::of(&[]).list().is_empty());
    }
}
