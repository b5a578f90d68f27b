//! The AUC of finished runs on resamples of their test rows.

use std::path::Path;

use super::{CompareEvent, CompareObserver, Runner};
use crate::app::{Run, RunOptions};
use crate::config::ConfigError;
use crate::data::SplitName;
use crate::train::Error;
use crate::train::comparison::{Cell, Comparison};
use crate::train::evaluation::bootstrap::{Bootstrap, ResampledAuc, resampled_auc};
use crate::train::evaluation::predict::with_logits;

/// Scores the test rows again with each run that lacks its AUC on resamples, and keeps it beside the run; says before which run
/// it was interrupted, if it was. A run that cannot be scored does not keep the others from it.
pub(super) fn resample(
    comparison: &Comparison,
    root: &Path,
    runner: &Runner,
    failed: &mut Vec<String>,
    observer: &mut CompareObserver<'_>,
) -> Result<Option<String>, Error> {
    let Some(options) = &comparison.bootstrap else { return Ok(None) };
    for cell in comparison.unsampled(root)? {
        let name = format!("{}, seed {}", cell.variant.label, cell.seed);
        let position = format!("resampling the test rows of {name}");
        if runner.interrupt.is_set() {
            return Ok(Some(position));
        }
        observer(CompareEvent::Resampling(&position));
        let found = of_cell(&cell, root, runner, options, observer);
        match found.and_then(|auc| cell.keep_resamples(root, options, auc)) {
            Ok(()) => (),
            Err(error) => failed.push(format!("{name}: resampling the test rows: {error}")),
        }
    }
    Ok(None)
}

fn of_cell(
    cell: &Cell<'_>,
    root: &Path,
    runner: &Runner,
    options: &Bootstrap,
    observer: &mut CompareObserver<'_>,
) -> Result<ResampledAuc, Error> {
    let mut tell = |event: crate::app::Event<'_>| observer(CompareEvent::App(event));
    let run_options = RunOptions { device: runner.device.clone(), sets: Vec::new() };
    let mut run = Run::open_with(cell.run(root).root(), &run_options, &mut tell)?;
    let rows = run.rows(SplitName::Test, &mut tell)?;
    let logits = run.logits(&rows)?;
    resampled_auc(&with_logits(&rows, &logits), options).ok_or_else(|| {
        let expected = "\"rows\", as the data has no users (data.user)";
        ConfigError::value(run.config().file(), "compare.bootstrap_by", expected, "\"users\"").into()
    })
}
