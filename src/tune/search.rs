//! The search among choices of kernels: from a first guess to whatever neighbour is faster, until none is.

use std::time::Duration;

use super::{Tried, TuningEffort};
use crate::plan::Tuning;
use crate::train::Error;

/// What measures choices.
pub(super) trait Trials {
    /// A choice that is ready to be measured.
    type Contender;

    /// Makes a choice ready and compares what it computes with the CPU; the inner error says why it is left out.
    fn prepare(&mut self, tuning: &Tuning) -> Result<Result<Self::Contender, String>, Error>;

    /// Seconds of a training step, measured once.
    fn seconds(&mut self, contender: &mut Self::Contender) -> Result<f64, Error>;

    /// Invocations of the device's subgroups, at least, if kernels can use them.
    fn subgroup(&self) -> Option<u32>;

    /// Time since the search began.
    fn elapsed(&self) -> Duration;
}

/// What a search found.
pub(super) struct Found {
    /// The fastest choice, unless all were left out.
    pub(super) best: Option<Tuning>,
    pub(super) tried: Vec<Tried>,
    /// Whether it ended because nothing was left to try.
    pub(super) complete: bool,
}

/// So much faster another choice must be, as a fraction, to be more than noise.
const MARGIN: f64 = 0.02;

/// Tries `first`, then its neighbours, then those of whatever was faster.
pub(super) fn search<T: Trials>(
    first: Tuning,
    effort: &TuningEffort,
    trials: &mut T,
    progress: &mut dyn FnMut(&Tried),
) -> Result<Found, Error> {
    let mut tried: Vec<Tried> = Vec::new();
    let mut note = |tried: &mut Vec<Tried>, one: Tried| {
        progress(&one);
        tried.push(one);
    };
    let mut best: Option<(Tuning, T::Contender)> = None;
    let mut longest = Duration::ZERO;
    let mut queue: std::collections::VecDeque<Tuning> = [first].into();
    let subgroup = trials.subgroup();
    queue.extend(first.neighbours(subgroup));
    let mut complete = true;
    while let Some(tuning) = queue.pop_front() {
        if tried.iter().any(|known| known.tuning == tuning) {
            continue;
        }
        let before = trials.elapsed();
        // Once there is something to train with, no trial begins that would most likely end too late.
        if best.is_some() && before + longest > effort.limit {
            complete = false;
            break;
        }
        match trials.prepare(&tuning)? {
            Err(fault) => note(&mut tried, Tried { tuning, seconds: None, of_best: None, fault: Some(fault) }),
            Ok(mut contender) => {
                let (seconds, incumbent) = in_turns(trials, effort, &mut contender, best.as_mut())?;
                let of_best = incumbent.map(|incumbent| seconds / incumbent);
                note(&mut tried, Tried { tuning, seconds: Some(seconds), of_best, fault: None });
                if of_best.is_none_or(|part| part < 1.0 - MARGIN) {
                    if best.is_some() {
                        // What else the faster one may still gain is looked at first.
                        tuning.neighbours(subgroup).into_iter().rev().for_each(|neighbour| queue.push_front(neighbour));
                    }
                    best = Some((tuning, contender));
                }
            }
        }
        longest = longest.max(trials.elapsed().saturating_sub(before));
    }
    Ok(Found { best: best.map(|(tuning, _)| tuning), tried, complete })
}

/// The medians of a contender and of the best so far, measured in turns: clocks rise and fall.
fn in_turns<T: Trials>(
    trials: &mut T,
    effort: &TuningEffort,
    contender: &mut T::Contender,
    best: Option<&mut (Tuning, T::Contender)>,
) -> Result<(f64, Option<f64>), Error> {
    let mut times = [Vec::new(), Vec::new()];
    let mut incumbent = best.map(|(_, incumbent)| incumbent);
    for _ in 0..effort.rounds {
        times[0].push(trials.seconds(contender)?);
        if let Some(incumbent) = &mut incumbent {
            times[1].push(trials.seconds(incumbent)?);
        }
    }
    let [own, other] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied()
    });
    Ok((own.unwrap_or(f64::INFINITY), other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::DeviceClass;

    /// Trials with artificial times.
    struct Artificial<F> {
        seconds: F,
        wrong: fn(&Tuning) -> bool,
        elapsed: Duration,
        each: Duration,
    }

    impl<F: Fn(&Tuning) -> f64> Trials for Artificial<F> {
        type Contender = Tuning;

        fn prepare(&mut self, tuning: &Tuning) -> Result<Result<Tuning, String>, Error> {
            self.elapsed += self.each;
            Ok(if (self.wrong)(tuning) { Err("loss[0] is 2, the CPU has 1".to_owned()) } else { Ok(*tuning) })
        }

        fn seconds(&mut self, contender: &mut Tuning) -> Result<f64, Error> {
            Ok((self.seconds)(contender))
        }

        fn subgroup(&self) -> Option<u32> {
            Some(32)
        }

        fn elapsed(&self) -> Duration {
            self.elapsed
        }
    }

    fn first() -> Tuning {
        Tuning::of_class(DeviceClass::Hardware).resolved(512)
    }

    fn found(seconds: impl Fn(&Tuning) -> f64, wrong: fn(&Tuning) -> bool, each: Duration) -> Found {
        let mut trials = Artificial { seconds, wrong, elapsed: Duration::ZERO, each };
        let mut told = 0;
        let effort = TuningEffort::quick();
        let found = search(first(), &effort, &mut trials, &mut |_| told += 1).unwrap();
        assert_eq!(told, found.tried.len());
        found
    }

    /// Seconds for a device that wants two things other than the guess, which gain more together.
    fn wants_two(tuning: &Tuning) -> f64 {
        match (tuning.block, tuning.grad_tile) {
            (Some(16), 32) => 1.0,
            (Some(16), _) => 2.0,
            (_, 32) => 3.0,
            _ => 4.0,
        }
    }

    #[test]
    fn what_is_faster_in_several_ways_is_found_and_nothing_is_tried_twice() {
        let Found { best, tried, complete } = found(wants_two, |_| false, Duration::ZERO);
        assert_eq!(best, Some(Tuning { block: Some(16), grad_tile: 32, ..first() }));
        assert!(complete);
        for (i, one) in tried.iter().enumerate() {
            assert!(tried[..i].iter().all(|earlier| earlier.tuning != one.tuning));
        }
    }

    #[test]
    fn subgroups_are_tried_where_a_device_has_them() {
        let seconds = |tuning: &Tuning| if tuning.subgroup == Some(32) { 1.0 } else { 2.0 };
        let found = found(seconds, |_| false, Duration::ZERO);
        assert_eq!(found.best, Some(Tuning { subgroup: Some(32), ..first() }));
        assert!(first().neighbours(None).iter().all(|neighbour| neighbour.subgroup.is_none()));
    }

    #[test]
    fn noise_does_not_unseat_the_guess() {
        let seconds = |tuning: &Tuning| if *tuning == first() { 1.0 } else { 0.99 };
        assert_eq!(found(seconds, |_| false, Duration::ZERO).best, Some(first()));
    }

    #[test]
    fn what_computes_something_else_is_left_out_however_fast() {
        let Found { best, tried, .. } = found(wants_two, |tuning| tuning.block == Some(16), Duration::ZERO);
        assert_eq!(best, Some(Tuning { grad_tile: 32, ..first() }));
        let wrong: Vec<&Tried> = tried.iter().filter(|tried| tried.fault.is_some()).collect();
        assert!(!wrong.is_empty());
        assert!(wrong.iter().all(|tried| tried.tuning.block == Some(16) && tried.seconds.is_none()));
        // Where the guess itself is wrong, another is found.
        let best = found(|_| 1.0, |tuning| *tuning == first(), Duration::ZERO).best;
        assert!(best.is_some_and(|best| best != first()));
        assert_eq!(found(|_| 1.0, |_| true, Duration::ZERO).best, None);
    }

    #[test]
    fn a_slow_device_keeps_what_it_found_in_time() {
        let Found { best, tried, complete } = found(wants_two, |_| false, Duration::from_millis(1500));
        assert_eq!((tried.len(), complete), (2, false));
        assert_eq!(best, Some(Tuning { block: Some(16), ..first() }));
        // The guess is always tried: without a check it could be silently wrong.
        assert_eq!(found(wants_two, |_| false, Duration::from_secs(60)).tried.len(), 1);
    }
}
