//! A cell that is several runs: one model for each scenario, reported on as one.

use std::path::Path;

use super::child::Job;
use super::{Cell, State};
use crate::train::Error;
use crate::train::evaluation::metrics::Metrics;
use crate::train::run::folder::{RunFolder, folder_name, write_text};
use crate::train::run::result::RunResult;

impl Cell<'_> {
    /// The run of one scenario, the data's `number`-th, in a folder within the cell's.
    ///
    /// # Errors
    /// As [`Cell::state`].
    pub fn part(&self, root: &Path, number: usize, scenario: &str) -> Result<Job, Error> {
        let name = format!("scenario-{number}-{}", folder_name(scenario));
        let name = name.trim_end_matches('-');
        let folder = self.run(root).root().join(name);
        let mut config = self.config();
        let mut schema = config.schema()?;
        schema.only_scenarios = vec![scenario.to_owned()];
        config.set_data(&schema)?;
        let run = RunFolder::new(&folder);
        let state = State::of(&run, &config)?;
        Ok(Job {
            run,
            config,
            state,
            config_file: folder.with_file_name(format!("{name}.toml")),
            log: self.log_file(root),
        })
    }

    /// Makes the cell's folder and writes its configuration there: what its parts are checked against later.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn begin_parts(&self, root: &Path) -> Result<(), Error> {
        let run = self.run(root);
        run.make()?;
        write_text(&run.config(), &self.config().to_toml()?)
    }
}

/// What came of the runs of one cell together. `test` and `valid` are over the rows of all of them; counts and seconds are sums,
/// the memory is the most that one took.
pub fn together(parts: &[RunResult], test: Metrics, valid: Option<Metrics>) -> Option<RunResult> {
    let first = parts.first()?.clone();
    let sum = |pick: fn(&RunResult) -> usize| parts.iter().map(pick).sum();
    let train_seconds: Option<f64> = parts.iter().map(|part| part.train_seconds).sum();
    // Rows per second of everything: what each did, over the time that all took.
    let rows: Option<f64> = parts.iter().map(|part| Some(part.train_seconds? * part.train_rows_per_second?)).sum();
    let test_seconds: f64 = parts.iter().map(|part| part.test.rows as f64 / part.test_rows_per_second).sum();
    Some(RunResult {
        epochs: parts.iter().map(|part| part.epochs).max().unwrap_or_default(),
        best_epoch: parts.iter().map(|part| part.best_epoch).max().unwrap_or_default(),
        steps: parts.iter().map(|part| part.steps).sum(),
        parameters: sum(|part| part.parameters),
        embedding_rows: sum(|part| part.embedding_rows),
        embedding_parameters: sum(|part| part.embedding_parameters),
        train_seconds,
        train_rows_per_second: rows.zip(train_seconds).filter(|(_, s)| *s > 0.0).map(|(rows, seconds)| rows / seconds),
        peak_memory_bytes: parts.iter().filter_map(|part| part.peak_memory_bytes).max(),
        device_memory_bytes: parts.iter().filter_map(|part| part.device_memory_bytes).max(),
        test_rows_per_second: test.rows as f64 / test_seconds,
        test,
        valid,
        // They are of one scenario each.
        valid_values: Vec::new(),
        best_reachable: None,
        ..first
    })
}
