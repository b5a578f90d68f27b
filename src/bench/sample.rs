//! Repeated measurements, and what is kept of them.

use std::time::{Duration, Instant};

use serde::Serialize;

/// How much time a measurement may take.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How long one quantity is measured.
    pub budget: Duration,
    /// How often at least, even if that takes longer.
    pub repeats: usize,
    /// Steps that take longer are left out.
    pub longest_step: Duration,
    /// Whether only the first, smallest size of each kind is measured.
    pub quick: bool,
}

impl Effort {
    /// Half a minute on a GPU: numbers to publish.
    pub fn thorough() -> Self {
        let (budget, longest_step) = (Duration::from_millis(400), Duration::from_secs(8));
        Self { budget, repeats: 5, longest_step, quick: false }
    }

    /// A look: numbers that may be off by a tenth, or more.
    pub fn quick() -> Self {
        let (budget, longest_step) = (Duration::from_millis(50), Duration::from_secs(4));
        Self { budget, repeats: 3, longest_step, quick: true }
    }

    /// How many runs of `once` are wanted.
    pub fn runs(&self, once: Duration) -> usize {
        const MOST: f64 = 200.0;
        let fit = self.budget.as_secs_f64() / once.as_secs_f64().max(1e-9);
        (fit.min(MOST) as usize).max(self.repeats)
    }
}

/// A quantity measured several times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// The median, in seconds.
    pub seconds: f64,
    /// The distance between the quartiles, as a fraction of the median.
    pub spread: f64,
    /// How often it was measured.
    pub repeats: usize,
}

impl Sample {
    /// Of at least one measurement, in seconds.
    pub fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |fraction: f64| times[((times.len() - 1) as f64 * fraction).round() as usize];
        // A clock may be too coarse for what it times; rates stay finite.
        let seconds = at(0.5).max(1e-9);
        Self { seconds, spread: (at(0.75) - at(0.25)) / seconds, repeats: times.len() }
    }

    /// The same for one of `count` equal parts.
    pub fn per(self, count: usize) -> Self {
        Self { seconds: self.seconds / count as f64, ..self }
    }
}

/// Measures what `run` returns, in seconds: once for nothing, then for as long as `effort` says.
///
/// # Errors
/// The first of `run`'s.
pub(super) fn repeat<E>(effort: &Effort, mut run: impl FnMut() -> Result<f64, E>) -> Result<Sample, E> {
    let started = Instant::now();
    run()?;
    let runs = effort.runs(started.elapsed());
    let times = (0..runs).map(|_| run()).collect::<Result<_, _>>()?;
    Ok(Sample::of(times))
}

/// The seconds that `run` takes.
pub(super) fn seconds(run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles() {
        let sample = Sample::of(vec![5.0, 1.0, 2.0, 4.0, 3.0]);
        assert_eq!(sample, Sample { seconds: 3.0, spread: 2.0 / 3.0, repeats: 5 });
        assert_eq!(sample.per(2).seconds, 1.5);
        assert_eq!(Sample::of(vec![0.0]).seconds, 1e-9);
    }

    #[test]
    fn the_first_run_does_not_count() {
        let mut runs = 0.0;
        let sample = repeat(&Effort { repeats: 4, budget: Duration::ZERO, ..Effort::quick() }, || {
            runs += 1.0;
            Ok::<_, ()>(runs)
        });
        assert_eq!(sample.unwrap().repeats, 4);
        assert_eq!(runs, 5.0);
        assert_eq!(repeat(&Effort::quick(), || Err::<f64, _>("broken")), Err("broken"));
    }
}
