//! How long the rest takes, from how long the same model's other runs took.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use crate::train::Error;
use crate::train::comparison::Comparison;
use crate::train::evaluation::statistics::mean;

/// Foretells how long the rest of an experiment's runs take.
pub(super) struct Estimate {
    taken: HashMap<String, Vec<f64>>,
    started: Instant,
    /// Seconds foretold for the present run and those after it.
    foretold: Option<f64>,
}

impl Estimate {
    /// Knows of the cells that are finished.
    pub(super) fn new(comparison: &Comparison, root: &Path) -> Result<Self, Error> {
        let mut estimate = Self { taken: HashMap::new(), started: Instant::now(), foretold: None };
        for outcome in comparison.outcomes(root)? {
            if let Some(seconds) = outcome.result.train_seconds {
                estimate.taken.entry(outcome.label).or_default().push(seconds);
            }
        }
        Ok(estimate)
    }

    pub(super) fn begin(&mut self, labels: &[&str]) {
        self.started = Instant::now();
        let all: Vec<f64> = self.taken.values().flatten().copied().collect();
        let own = |label: &str| self.taken.get(label).and_then(|own| mean(own));
        self.foretold = mean(&all).map(|any| labels.iter().map(|label| own(label).unwrap_or(any)).sum());
    }

    pub(super) fn end(&mut self, label: &str) {
        self.taken.entry(label.to_owned()).or_default().push(self.started.elapsed().as_secs_f64());
    }

    /// Seconds that are left, if there is anything to go by.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        Some((self.foretold? - self.started.elapsed().as_secs_f64()).max(0.0))
    }
}
