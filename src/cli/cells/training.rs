//! Cells trained one after another, each in a process of its own, with a line and a bar that say how far it is.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{HumanDuration, ProgressBar};

use super::super::progress::working;
use super::super::signals::on_interrupt;
use super::CellsArgs;
use crate::report::comparison::write_files;
use crate::train::Error;
use crate::train::comparison::{Cell, Comparison, Ending, Interrupt, State, train_cell};
use crate::train::statistics::mean;

/// Trains cells one after another.
pub(super) struct Training<'a> {
    args: &'a CellsArgs,
    root: &'a Path,
    interrupt: Interrupt,
    /// What became of those that have no result.
    pub(super) failed: Vec<String>,
}

impl<'a> Training<'a> {
    /// From now on Ctrl-C is passed on to the run that trains.
    pub(super) fn new(args: &'a CellsArgs, root: &'a Path) -> anyhow::Result<Self> {
        Ok(Self { args, root, interrupt: interrupt_on_signals()?, failed: Vec::new() })
    }

    /// Trains all cells that are not finished; says in which one it was interrupted, if it was.
    pub(super) fn run(&mut self, comparison: &Comparison) -> anyhow::Result<Option<String>> {
        let program = std::env::current_exe().context("finding this program, to train each run by it")?;
        let device = ["--device".to_owned(), self.args.device.device.to_string()];
        let cells = comparison.cells();
        let wanted: Vec<&Cell<'_>> = cells.iter().filter(|cell| self.args.wants(cell)).collect();
        let mut clock = Clock::new(comparison, self.root)?;
        for (number, cell) in wanted.iter().enumerate() {
            let state = cell.state(self.root)?;
            if state == State::Finished {
                continue;
            }
            let position =
                format!("run {} of {}: {}, seed {}", number + 1, wanted.len(), cell.variant.label, cell.seed);
            if self.interrupt.is_set() {
                return Ok(Some(position));
            }
            let left: Vec<&str> = wanted[number..]
                .iter()
                .filter(|cell| !cell.run(self.root).result().is_file())
                .map(|cell| cell.variant.label.as_str())
                .collect();
            clock.begin(&left);
            let bar = working(&position);
            say(
                &bar,
                &format!("{position}{}", clock.left().map_or_else(String::new, |left| format!(" ({left} left)"))),
            );
            let mut show = |line: &str| {
                let is_epoch = line.starts_with("epoch ");
                let is_news =
                    is_epoch || ["resuming ", "stopped ", "finishing "].iter().any(|word| line.starts_with(word));
                if is_news {
                    say(&bar, &format!("  {line}"));
                }
                let newest = if is_epoch { line.split("  ").collect::<Vec<_>>().join(" ") } else { String::new() };
                let left = clock.left().map_or_else(String::new, |left| format!("; {left} left"));
                bar.set_message(format!("{position}{left}; {newest}"));
            };
            let ending = train_cell(cell, state, &program, self.root, &device, &self.interrupt, &mut show);
            bar.finish_and_clear();
            match ending? {
                Ending::Finished => {
                    clock.end(&cell.variant.label);
                    write_files(comparison, self.root)?;
                }
                Ending::Interrupted => return Ok(Some(position)),
                Ending::Failed(reason) => {
                    let log = cell.log_file(self.root);
                    note!("  failed: {reason}");
                    let (label, seed) = (&cell.variant.label, cell.seed);
                    self.failed.push(format!("  {label}, seed {seed}: {reason} (all that it said: {})", log.display()));
                }
            }
        }
        Ok(None)
    }
}

/// A line above the bar, or in the file that standard error goes to.
fn say(bar: &ProgressBar, line: &str) {
    bar.suspend(|| note!("{line}"));
}

/// Foretells how long the rest takes, from how long the same model's other runs took.
struct Clock {
    taken: HashMap<String, Vec<f64>>,
    started: Instant,
    /// Seconds foretold for the present cell and those after it.
    foretold: Option<f64>,
}

impl Clock {
    /// Knows of the cells that are finished.
    fn new(comparison: &Comparison, root: &Path) -> Result<Self, Error> {
        let mut clock = Self { taken: HashMap::new(), started: Instant::now(), foretold: None };
        for outcome in comparison.outcomes(root)? {
            if let Some(seconds) = outcome.result.train_seconds {
                clock.taken.entry(outcome.label).or_default().push(seconds);
            }
        }
        Ok(clock)
    }

    fn begin(&mut self, labels: &[&str]) {
        self.started = Instant::now();
        let all: Vec<f64> = self.taken.values().flatten().copied().collect();
        let own = |label: &str| self.taken.get(label).and_then(|own| mean(own));
        self.foretold = mean(&all).map(|any| labels.iter().map(|label| own(label).unwrap_or(any)).sum());
    }

    fn end(&mut self, label: &str) {
        self.taken.entry(label.to_owned()).or_default().push(self.started.elapsed().as_secs_f64());
    }

    /// In words, if there is anything to go by.
    fn left(&self) -> Option<String> {
        let seconds = (self.foretold? - self.started.elapsed().as_secs_f64()).max(0.0);
        Some(format!("about {}", HumanDuration(Duration::from_secs_f64(seconds))))
    }
}

/// Passes Ctrl-C on to the run that trains.
fn interrupt_on_signals() -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let handed = interrupt.clone();
    on_interrupt(move || {
        if handed.interrupt() {
            note!("\nstopping: the run that trains writes its checkpoint (Ctrl-C again to stop at once)");
        }
    })?;
    Ok(interrupt)
}
