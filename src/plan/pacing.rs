//! How much a submit may hold. Systems reset a GPU that is busy with one submit for too long (on Windows for two
//! seconds), and a desktop cannot draw meanwhile: so what dispatches take is measured, and submits are cut.

use std::time::Duration;

/// What a submit should take at most.
pub(super) const SUBMIT_LIMIT: Duration = Duration::from_millis(100);
/// One in this many of the submits that are no longer than some before them is timed: other programs may slow a device
/// down, and batches differ.
const TIMED_AGAIN: u64 = 64;
/// A submit that takes this many times as long as expected makes the pacer measure anew.
const SURPRISE: f64 = 2.0;

/// The next submit: how many dispatches, and whether its time is wanted by [`Pacer::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Submit {
    /// Dispatches, at least one.
    pub(super) count: usize,
    /// Whether it is to be timed.
    pub(super) timed: bool,
}

/// Decides how many dispatches the next submit has. The dispatches of a step are numbered, and steps follow each other:
/// number n is dispatch n modulo their count.
///
/// First every dispatch is timed alone, twice, for the first time it runs it may have to be compiled. From then on a submit
/// has what is expected to take the limit at most, but no more than twice what has been timed so far: timed alone, a
/// dispatch seems to take longer than it does.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    limit: f64,
    /// Seconds that each dispatch of a step is expected to take, once known.
    seconds: Vec<Option<f64>>,
    /// Whether each has run.
    has_run: Vec<bool>,
    /// The most dispatches of a submit that was timed.
    trusted: usize,
    /// Submits since one was timed.
    untimed: u64,
}

impl Pacer {
    /// A pacer for steps of this many dispatches, and submits of at most `limit`.
    pub(super) fn new(dispatches: usize, limit: Duration) -> Self {
        Self {
            limit: limit.as_secs_f64(),
            seconds: vec![None; dispatches],
            has_run: vec![false; dispatches],
            trusted: 1,
            untimed: 0,
        }
    }

    /// The submit that begins with dispatch number `first`, of `left` that are still to be made.
    pub(super) fn next(&mut self, first: usize, left: usize) -> Submit {
        let dispatches = self.seconds.len();
        let (mut count, mut total) = (0, 0.0);
        for number in first..first + left.min(2 * self.trusted) {
            let Some(seconds) = self.seconds[number % dispatches] else { break };
            total += seconds;
            if total > self.limit {
                break;
            }
            count += 1;
        }
        let unknown = self.seconds[first % dispatches].is_none();
        let timed = unknown || count > self.trusted || self.untimed + 1 >= TIMED_AGAIN;
        self.untimed = if timed { 0 } else { self.untimed + 1 };
        Submit { count: count.max(1), timed }
    }

    /// That the `count` dispatches from number `first` on took so long.
    pub(super) fn record(&mut self, first: usize, count: usize, took: Duration) {
        let (dispatches, took) = (self.seconds.len(), took.as_secs_f64());
        if count == 1 && !std::mem::replace(&mut self.has_run[first % dispatches], true) {
            return;
        }
        let numbers = first..first + count;
        let expected: f64 = numbers.clone().filter_map(|number| self.seconds[number % dispatches]).sum();
        if expected == 0.0 {
            let each = took / count as f64;
            numbers.for_each(|number| self.seconds[number % dispatches] = Some(each));
            return;
        }
        let ratio = took / expected;
        for number in first..first + count.min(dispatches) {
            if let Some(seconds) = &mut self.seconds[number % dispatches] {
                *seconds *= ratio;
            }
        }
        self.trusted = if ratio > SURPRISE { 1 } else { self.trusted.max(count) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device with a clock of its own.
    struct Device {
        /// Milliseconds of each dispatch of a step, and of a submit.
        dispatches: Vec<f64>,
        submit: f64,
        /// What the first run of a dispatch takes more.
        compiling: f64,
        compiled: Vec<bool>,
    }

    impl Device {
        fn new(dispatches: &[f64]) -> Self {
            Self {
                dispatches: dispatches.to_vec(),
                submit: 0.1,
                compiling: 0.0,
                compiled: vec![false; dispatches.len()],
            }
        }

        fn milliseconds(&mut self, first: usize, count: usize) -> f64 {
            let of = |number: usize| {
                let dispatch = number % self.dispatches.len();
                let compiling =
                    if std::mem::replace(&mut self.compiled[dispatch], true) { 0.0 } else { self.compiling };
                self.dispatches[dispatch] + compiling
            };
            self.submit + (first..first + count).map(of).sum::<f64>()
        }

        /// Runs so many chunks of sixteen steps; the milliseconds of all submits, and how many dispatches each has.
        fn run(&mut self, pacer: &mut Pacer, chunks: usize) -> Vec<(f64, usize)> {
            let total = 16 * self.dispatches.len();
            let mut submits = Vec::new();
            for _ in 0..chunks {
                let mut at = 0;
                while at < total {
                    let Submit { count, timed } = pacer.next(at, total - at);
                    assert!(count >= 1 && count <= total - at);
                    let took = self.milliseconds(at, count);
                    if timed {
                        pacer.record(at, count, Duration::from_secs_f64(took / 1000.0));
                    }
                    submits.push((took, count));
                    at += count;
                }
                assert_eq!(at, total);
            }
            submits
        }
    }

    fn longest(submits: &[(f64, usize)]) -> f64 {
        submits.iter().map(|(took, _)| *took).fold(0.0, f64::max)
    }

    #[test]
    fn a_fast_device_gets_a_whole_chunk_in_a_submit() {
        let mut device = Device::new(&[0.01; 38]);
        let mut pacer = Pacer::new(38, SUBMIT_LIMIT);
        let first = device.run(&mut pacer, 2);
        assert!(first[..2 * 38].iter().all(|(_, count)| *count == 1));
        let later = device.run(&mut pacer, 100);
        assert_eq!(later.len(), 100);
    }

    #[test]
    fn the_wait_for_a_submit_is_no_work_of_the_device() {
        // Timed alone, 38 dispatches of 0.1 ms seem to take 2.1 ms each: a chunk would not fit.
        let mut device = Device { submit: 2.0, ..Device::new(&[0.1; 38]) };
        let mut pacer = Pacer::new(38, SUBMIT_LIMIT);
        device.run(&mut pacer, 3);
        assert_eq!(device.run(&mut pacer, 10).len(), 10);
    }

    #[test]
    fn a_slow_device_gets_a_few_steps_or_a_part_of_one() {
        for step in [30.0, 150.0, 1000.0, 8000.0] {
            let mut device = Device::new(&[step / 40.0; 40]);
            let mut pacer = Pacer::new(40, SUBMIT_LIMIT);
            let submits = device.run(&mut pacer, 3);
            assert!(longest(&submits) <= (step / 40.0_f64).max(100.0) + 0.1, "{step}: {}", longest(&submits));
            let later = device.run(&mut pacer, 1);
            // Not many more than must be.
            assert!(later.len() as f64 <= (16.0 * step / 100.0).ceil() * 1.5 + 1.0, "{step}: {}", later.len());
        }
    }

    #[test]
    fn a_dispatch_that_is_too_long_goes_alone() {
        let mut device = Device::new(&[1.0, 400.0, 1.0, 1.0]);
        let mut pacer = Pacer::new(4, SUBMIT_LIMIT);
        let submits = device.run(&mut pacer, 4);
        assert!(submits.iter().all(|(took, count)| *took < 100.0 || *count == 1), "{submits:?}");
        assert!(submits.iter().any(|(_, count)| *count == 3), "{submits:?}");
    }

    #[test]
    fn compiling_is_not_counted_for_long() {
        let mut device = Device { compiling: 300.0, ..Device::new(&[0.05; 38]) };
        let mut pacer = Pacer::new(38, SUBMIT_LIMIT);
        device.run(&mut pacer, 2);
        assert_eq!(device.run(&mut pacer, 10).len(), 10);
    }

    #[test]
    fn a_device_that_slows_down_gets_less_before_long() {
        let mut device = Device::new(&[0.1; 38]);
        let mut pacer = Pacer::new(38, SUBMIT_LIMIT);
        device.run(&mut pacer, 10);
        device.dispatches.fill(1.0);
        let submits = device.run(&mut pacer, 200);
        assert!(submits[..TIMED_AGAIN as usize].iter().any(|(took, _)| *took > 500.0));
        let later = &submits[TIMED_AGAIN as usize..];
        assert!(longest(later) < 110.0, "{}", longest(later));
        // And more again once it is as fast as before.
        device.dispatches.fill(0.1);
        device.run(&mut pacer, 200);
        assert_eq!(device.run(&mut pacer, 10).len(), 10);
    }
}
