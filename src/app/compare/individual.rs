//! Training one model for each scenario, and scoring all of them together.

use std::collections::HashMap;
use std::path::Path;

use super::Runner;
use crate::app::evaluate::Gathered;
use crate::app::{Run, RunOptions};
use crate::data::{Dataset, Rows, SplitName, UnknownScenario};
use crate::gpu::DeviceChoice;
use crate::train::comparison::{Cell, CellEnding, Job, State, together, train_cell};
use crate::train::run::folder::write_json;
use crate::train::run::result::RunResult;
use crate::train::{Error, check_rows};

/// The scenarios of each individual variant, by its label.
pub(super) type Scenarios = HashMap<String, Vec<String>>;

/// Trains the models of a cell's scenarios that are not finished, one after another, and writes what came of all. `observer`
/// gets each line that a run says.
pub(super) fn train_parts(
    cell: &Cell<'_>,
    scenarios: &[String],
    root: &Path,
    runner: &Runner,
    observer: &mut dyn FnMut(&str),
) -> Result<CellEnding, Error> {
    cell.begin_parts(root)?;
    let device = ["--device".to_owned(), runner.device.to_string()];
    let mut parts: Vec<Job> = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        let part = cell.part(root, number, scenario)?;
        if part.state != State::Finished {
            if runner.interrupt.is_set() {
                return Ok(CellEnding::Interrupted);
            }
            observer(&format!("scenario {} of {}: {scenario}", number + 1, scenarios.len()));
            match train_cell(&part, &runner.program, &device, &runner.interrupt, observer)? {
                CellEnding::Finished => {}
                // Nothing of a comparison is pruned.
                CellEnding::Pruned => {}
                CellEnding::Failed(reason) | CellEnding::Diverged(reason) => {
                    return Ok(CellEnding::Failed(format!("scenario {scenario}: {reason}")));
                }
                CellEnding::Interrupted => return Ok(CellEnding::Interrupted),
            }
        }
        parts.push(part);
    }
    match finish(cell, scenarios, &parts, root, &runner.device) {
        Ok(()) => Ok(CellEnding::Finished),
        Err(error) => Ok(CellEnding::Failed(format!("scoring the scenarios' models together: {error}"))),
    }
}

/// Scores each model on the rows of its scenario, and all rows together: the AUC over scenarios is no mean of theirs.
fn finish(
    cell: &Cell<'_>,
    scenarios: &[String],
    parts: &[Job],
    root: &Path,
    device: &DeviceChoice,
) -> Result<(), Error> {
    let (mut test, mut valid) = (Gathered::default(), Gathered::default());
    let options = RunOptions { device: device.clone(), sets: Vec::new() };
    let mut results = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let mut run = Run::open_with(part.run.root(), &options, &mut |_| ())?;
        for (split, gathered) in [(SplitName::Test, &mut test), (SplitName::Valid, &mut valid)] {
            let rows = run.rows(split, &mut |_| ())?;
            let predictions = run.predictions(&rows)?;
            gathered.add(&rows, &predictions);
            // Each model knows one scenario only.
            let own = gathered.scored.scenarios.len() - rows.len();
            gathered.scored.scenarios[own..].fill(number as u32);
        }
        results.push(RunResult::load(&part.run.result())?);
    }
    let (test, best_reachable) = test.metrics(scenarios);
    let valid = (!valid.scored.labels.is_empty()).then(|| valid.metrics(scenarios).0);
    if let Some(result) = together(&results, test, valid) {
        let result = RunResult { best_reachable, ..result };
        write_json(&cell.run(root).result(), &result)?;
    }
    Ok(())
}

/// The scenarios that models are trained for, of data whose every scenario can be learned by itself.
///
/// # Errors
/// When one lacks rows of both classes to learn from, or to choose the best epoch by.
pub(super) fn scenarios_of(cell: &Cell<'_>, data: &Dataset) -> Result<Vec<String>, String> {
    let config = cell.config();
    let schema = config.schema().map_err(|error| error.to_string())?;
    if schema.scenario.is_none() {
        return Err("individual = true needs data.scenario, the column of scenario names".to_owned());
    }
    let names = data.encoder.scenarios();
    for (number, name) in names.iter().enumerate() {
        let of = |rows: &Rows| {
            let own = |row: &usize| rows.scenarios()[*row] as usize == number;
            (0..rows.len()).filter(own).collect::<Vec<usize>>()
        };
        let train = of(&data.train);
        let positives = train.iter().filter(|row| data.train.labels()[**row] > 0.5).count();
        if positives == 0 || positives == train.len() {
            return Err(format!(
                "scenario {name} has {} train rows, {positives} of them positive: a model of its own needs both classes; \
                 choose scenarios by data.only_scenarios or data.where",
                train.len()
            ));
        }
        let valid = data.valid.select(&of(&data.valid)).map_err(|error| error.to_string())?;
        let train = data.train.select(&train).map_err(|error| error.to_string())?;
        check_rows(&config.train, &train, &valid).map_err(|error| format!("scenario {name}: {error}"))?;
        for (split, rows) in [("valid", &data.valid), ("test", &data.test)] {
            if !rows.is_empty() && of(rows).is_empty() {
                return Err(format!("scenario {name} has no rows in the {split} split"));
            }
        }
    }
    if schema.unknown_scenario == UnknownScenario::Shared {
        return Err("individual = true: rows of scenarios without a model have no prediction; leave \
                    data.unknown_scenario = \"shared\" out"
            .to_owned());
    }
    Ok(names.to_vec())
}

/// That a finished cell was scored on the rows as they are now.
pub(super) fn is_of(result: &RunResult, data: &Dataset) -> bool {
    let names = data.encoder.scenarios();
    let rows = |number: usize| data.test.scenarios().iter().filter(move |scenario| **scenario as usize == number);
    result.test.scenarios.len() == names.len()
        && result
            .test
            .scenarios
            .iter()
            .enumerate()
            .all(|(number, (name, metrics))| *name == names[number] && metrics.rows == rows(number).count() as u64)
}
