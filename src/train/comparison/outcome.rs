//! Finished cells, with what came of them.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Cell, Comparison, State};
use crate::train::Error;
use crate::train::evaluation::bootstrap::ResampledAuc;
use crate::train::run::result::RunResult;

/// A finished cell. As JSON it is a line of `cells.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct CellOutcome {
    /// The variant's label.
    pub label: String,
    /// The model's name.
    pub model: String,
    /// `train.seed`.
    pub seed: u64,
    /// The run's folder, relative to the comparison's.
    pub folder: String,
    /// What the variant sets for itself: dotted keys and values.
    pub settings: Map<String, Value>,
    /// Its AUC on resamples of the test rows, where they are wanted and there.
    #[serde(skip)]
    pub resampled: Option<ResampledAuc>,
    /// The run's `result.json`, as tables read it.
    #[serde(skip)]
    pub result: RunResult,
    /// And as it stands there.
    #[serde(rename = "result")]
    pub raw: Value,
}

impl CellOutcome {
    /// Of one cell; `None` while it is not finished.
    ///
    /// # Errors
    /// As [`Cell::state`].
    pub fn of(cell: &Cell<'_>, root: &Path) -> Result<Option<CellOutcome>, Error> {
        if cell.state(root)? != State::Finished {
            return Ok(None);
        }
        let path = cell.run(root).result();
        let result = RunResult::load(&path)?;
        let text = std::fs::read_to_string(&path).map_err(Error::file(&path, "reading"))?;
        let raw = serde_json::from_str(&text).map_err(|error| Error::content(&path, error.to_string()))?;
        let mut settings = Map::new();
        for (key, value) in &cell.variant.settings {
            let value = serde_json::to_value(value).map_err(|error| Error::content(&path, error.to_string()))?;
            settings.insert(key.clone(), value);
        }
        let (label, model) = (cell.variant.label.clone(), cell.variant.config.model_name().to_owned());
        let (seed, folder, resampled) = (cell.seed, cell.folder(), None);
        Ok(Some(CellOutcome { label, model, seed, folder, settings, resampled, result, raw }))
    }
}

impl Comparison {
    /// All finished cells in `root`, in the order of [`Comparison::cells`].
    ///
    /// # Errors
    /// As [`Cell::state`].
    pub fn outcomes(&self, root: &Path) -> Result<Vec<CellOutcome>, Error> {
        let of = |cell: &Cell<'_>| {
            let Some(outcome) = CellOutcome::of(cell, root)? else { return Ok(None) };
            let resampled = self.bootstrap.as_ref().map(|options| cell.resamples(root, options)).transpose()?.flatten();
            Ok(Some(CellOutcome { resampled, ..outcome }))
        };
        self.cells().iter().filter_map(|cell| of(cell).transpose()).collect()
    }
}
